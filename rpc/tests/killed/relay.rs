//! A relay between clients and a server that can keep replies back, and cut.

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;

use grapeshot_core::{Builder, Group, Reason, WaitQueue};
use grapeshot_net::{TcpListener, TcpStream};

/// Its connections end with it.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    shared: Rc<Shared>,
    _group: Rc<Group>,
}

struct Shared {
    target: Cell<SocketAddr>,
    holds_replies: Cell<bool>,
    /// Bytes that clients have sent, and bytes of replies that are kept back.
    heard: Cell<usize>,
    held: Cell<usize>,
    changed: WaitQueue,
    links: RefCell<Vec<Rc<TcpStream>>>,
}

impl Relay {
    pub(crate) fn to(target: SocketAddr) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Rc::new(Shared {
            target: Cell::new(target),
            holds_replies: Cell::new(false),
            heard: Cell::new(0),
            held: Cell::new(0),
            changed: WaitQueue::new(),
            links: RefCell::default(),
        });
        let group = Rc::new(Group::new());
        let relay = Relay { address: listener.local_addr().unwrap(), shared: shared.clone(), _group: group.clone() };
        let members = Rc::downgrade(&group);
        let accept = move || {
            while let Ok((client, _)) = listener.accept() {
                let Some(members) = members.upgrade() else { return };
                shared.clone().link(client, &members);
            }
        };
        group.spawn(Builder::new(), accept).unwrap();
        relay
    }

    /// Where connections go from now on.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        self.shared.target.set(target);
    }

    /// Keeps replies back, or lets those that come from now on pass.
    pub(crate) fn hold_replies(&self, hold: bool) {
        self.shared.holds_replies.set(hold);
    }

    /// Cuts all connections.
    pub(crate) fn cut(&self) {
        for stream in self.shared.links.take() {
            // It may be over already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// How many bytes clients have sent.
    pub(crate) fn heard(&self) -> usize {
        self.shared.heard.get()
    }

    /// Waits until clients have sent more than so many bytes.
    pub(crate) fn wait_heard(&self, more_than: usize) {
        while self.shared.heard.get() <= more_than {
            self.shared.changed.wait(Reason::Other("a client to say something"));
        }
    }

    /// Waits until a reply is kept back.
    pub(crate) fn wait_held(&self) {
        while self.shared.held.get() == 0 {
            self.shared.changed.wait(Reason::Other("a reply to be kept back"));
        }
    }
}

impl Shared {
    fn link(self: Rc<Shared>, client: TcpStream, group: &Group) {
        let client = Rc::new(client);
        self.links.borrow_mut().push(client.clone());
        let Ok(server) = TcpStream::connect(self.target.get()) else {
            let _ = client.shutdown(Shutdown::Both);
            return;
        };
        let server = Rc::new(server);
        self.links.borrow_mut().push(server.clone());
        let (shared, from, to) = (self.clone(), client.clone(), server.clone());
        let there = move || pump(&from, &to, |count| shared.note_heard(count));
        group.spawn(Builder::new(), there).unwrap();
        group.spawn(Builder::new(), move || pump(&server, &client, |count| self.passes_reply(count))).unwrap();
    }

    fn note_heard(&self, count: usize) -> bool {
        self.heard.set(self.heard.get() + count);
        self.changed.wake_all();
        true
    }

    fn passes_reply(&self, count: usize) -> bool {
        if self.holds_replies.get() {
            self.held.set(self.held.get() + count);
            self.changed.wake_all();
        }
        !self.holds_replies.get()
    }
}

/// Passes bytes on as long as there are any; those that may not pass are lost.
fn pump(mut from: &TcpStream, mut to: &TcpStream, may_pass: impl Fn(usize) -> bool) {
    let mut buf = [0; 4096];
    loop {
        match from.read(&mut buf) {
            Ok(count) if count > 0 => {
                if may_pass(count) && to.write_all(&buf[..count]).is_err() {
                    break;
                }
            }
            _ => break,
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

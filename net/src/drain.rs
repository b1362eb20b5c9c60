//! A server that ends in good order: it listens no more, and what it has begun is finished.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{Reason, TimeLimit, WaitQueue, shield, with_time_limit};

/// The accept loop of a server, and its end.
///
/// The servers of the suite are made with it, and one of your own can be: whoever has the [`handle`](Drain::handle)
/// ends it, a cancellation does the same, and no connection is forgotten that [`serve`](Drain::serve)'s `accept` has
/// taken, as long as that does not wait before it has handed it over.
/// Dropped without having served, it counts as ended.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{Builder, Group, spawn, test};
/// use grapeshot_net::{Drain, TcpListener, TcpStream};
/// use std::io::{Read, Write};
///
/// test::run(|| {
///     let listener = TcpListener::bind("127.0.0.1:0").unwrap();
///     let address = listener.local_addr().unwrap();
///     let drain = Drain::new();
///     let handle = drain.handle();
///     let server = spawn(move || {
///         let connections = Group::new();
///         drain.serve(
///             listener,
///             |listener| {
///                 let (mut stream, _) = listener.accept()?;
///                 connections.spawn(Builder::new(), move || stream.write_all(b"good day\n"))?;
///                 Ok(())
///             },
///             |listener| {
///                 drop(listener);
///                 connections.wait_empty(None);
///             },
///         )
///     });
///     let mut greeting = String::new();
///     TcpStream::connect(address).unwrap().read_to_string(&mut greeting).unwrap();
///     handle.drain();
///     handle.wait();
///     assert!(server.join().unwrap().is_ok());
///     assert_eq!(greeting, "good day\n");
/// });
/// ```
#[derive(Default)]
pub struct Drain {
    control: Rc<Control>,
}

/// What an accept loop and its handles share.
#[derive(Default)]
struct Control {
    asked: Cell<bool>,
    ended: Cell<bool>,
    /// The limit on the accept loop: it has none until a drain is asked for.
    accepting: RefCell<Option<TimeLimit>>,
    finished: WaitQueue,
}

impl Drain {
    /// One that nobody has asked for.
    pub fn new() -> Drain {
        Drain::default()
    }

    /// A way to ask for it from another coroutine.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle { control: self.control.clone() }
    }

    /// Calls `accept` again and again until somebody asks for the drain, it fails or the coroutine is cancelled; then
    /// gives the listener to `finish`, which is not cut short by a cancellation.
    ///
    /// `accept` accepts one connection and hands it over, to a coroutine of a group for one. A drain cuts off whatever it
    /// waits for, and what it holds then is dropped. So what has to be waited for, such as a place below a limit, is waited
    /// for before the listener is asked, and nothing between that and the handing over: there the connection would be
    /// lost. A handshake belongs to the connection's own coroutine.
    ///
    /// `finish` may still accept who has connected already, drops the listener, and waits for what runs.
    ///
    /// # Errors
    ///
    /// The first of `accept`.
    ///
    /// # Cancellation
    ///
    /// Finishes, and then unwinds; as it does when `accept` panics.
    ///
    /// # Panics
    ///
    /// Outside a coroutine.
    pub fn serve<L>(
        self,
        listener: L,
        mut accept: impl FnMut(&L) -> io::Result<()>,
        finish: impl FnOnce(L),
    ) -> io::Result<()> {
        let ended = panic::catch_unwind(AssertUnwindSafe(|| self.until_asked(|| accept(&listener))));
        // Cancellation is held back while the connections finish; it takes effect again after the shield.
        let finished = shield(None, || finish(listener));
        debug_assert!(finished.is_ok(), "a shield without a limit does not time out");
        match ended {
            Ok(result) => result,
            Err(payload) => panic::resume_unwind(payload),
        }
    }

    fn until_asked(&self, mut accept: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        let control = &self.control;
        if control.asked.get() {
            return Ok(());
        }
        let accepting = with_time_limit(Duration::MAX, |until_asked| {
            control.accepting.replace(Some(until_asked.clone()));
            loop {
                accept()?;
            }
        });
        control.accepting.replace(None);
        // The limit passes only when somebody sets it to zero.
        accepting.unwrap_or(Ok(()))
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.control.ended.set(true);
        self.control.finished.wake_all();
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("asked", &self.control.asked.get()).finish()
    }
}

/// Ends a server from another coroutine.
#[derive(Clone)]
pub struct ServerHandle {
    control: Rc<Control>,
}

impl ServerHandle {
    /// Asks the server to drain; `serve` returns when it has. Never suspends.
    pub fn drain(&self) {
        self.control.asked.set(true);
        if let Some(accepting) = &*self.control.accepting.borrow() {
            accepting.change(Duration::ZERO);
        }
    }

    /// Waits until `serve` is over, or the server was dropped without it.
    ///
    /// Not for what the server itself runs: the drain waits for a method or handler, which would wait here for the drain,
    /// until the server's time limit for it cuts that off. It asks for the drain, and returns.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn wait(&self) {
        while !self.control.ended.get() && self.control.finished.wait(Reason::Other("a server to finish")) {}
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle").field("ended", &self.control.ended.get()).finish()
    }
}

//! A name server on a port of the system's choice, over UDP and TCP, that does what a script says.

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{JoinHandle, sleep, spawn};
use grapeshot_dns::NameServer;
use grapeshot_dns::proto::{Name, RecordType};
use grapeshot_net::{TcpListener, TcpStream, UdpSocket};
use grapeshot_tls::{ServerConfig, TlsStream};
use hickory_proto::op::Message;

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    Udp,
    Tcp,
    Tls,
}

/// A question that has come.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) via: Via,
    /// How many questions came before it, over both.
    pub(crate) number: usize,
    /// How many connections were accepted before that of this question; 0 over UDP.
    pub(crate) connection: usize,
    pub(crate) from: SocketAddr,
    pub(crate) id: u16,
    pub(crate) name: Name,
    pub(crate) record_type: RecordType,
    pub(crate) message: Message,
}

/// What the server does about a question; nothing at all is a loss.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Sends a message.
    Send(Vec<u8>),
    /// Does something later; other questions are not held up.
    After(Duration, Box<Act>),
    /// Sends a message from another address, over UDP.
    FromElsewhere(Vec<u8>),
    /// Sends bytes as they are, over TCP.
    Raw(Vec<u8>),
    /// Closes the connection.
    Close,
    /// Breaks the connection off.
    Reset,
}

impl Act {
    pub(crate) fn after(delay: Duration, act: Act) -> Act {
        Act::After(delay, Box::new(act))
    }
}

type Script = Rc<dyn Fn(&Asked) -> Vec<Act>>;

/// A server that runs until the test ends, or until [`stop`](PrivateServer::stop).
pub(crate) struct PrivateServer {
    pub(crate) address: SocketAddr,
    state: Rc<State>,
    coroutines: Vec<JoinHandle<()>>,
}

struct State {
    script: Script,
    asked: RefCell<Vec<Asked>>,
    accepted: Cell<usize>,
    open: Cell<usize>,
}

impl PrivateServer {
    /// Starts a server that does for each question what the script answers.
    pub(crate) fn start(script: impl Fn(&Asked) -> Vec<Act> + 'static) -> PrivateServer {
        PrivateServer::start_at("127.0.0.1", script)
    }

    /// As [`start`](Self::start), on another address of this machine.
    pub(crate) fn start_at(ip: &str, script: impl Fn(&Asked) -> Vec<Act> + 'static) -> PrivateServer {
        let (udp, listener) = sockets(ip);
        let address = udp.local_addr().unwrap();
        let state = Rc::new(State {
            script: Rc::new(script),
            asked: RefCell::default(),
            accepted: Cell::new(0),
            open: Cell::new(0),
        });
        let over_udp = spawn({
            let state = state.clone();
            move || serve_udp(&Rc::new(udp), &state)
        });
        let over_tcp = spawn({
            let state = state.clone();
            move || serve_tcp(&listener, &state)
        });
        PrivateServer { address, state, coroutines: vec![over_udp, over_tcp] }
    }

    /// Starts a server over TLS alone.
    pub(crate) fn start_tls(config: ServerConfig, script: impl Fn(&Asked) -> Vec<Act> + 'static) -> PrivateServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Rc::new(State {
            script: Rc::new(script),
            asked: RefCell::default(),
            accepted: Cell::new(0),
            open: Cell::new(0),
        });
        let over_tls = spawn({
            let state = state.clone();
            move || serve_tls(&listener, &config, &state)
        });
        PrivateServer { address, state, coroutines: vec![over_tls] }
    }

    /// The server, as a resolver knows it.
    pub(crate) fn name_server(&self) -> NameServer {
        NameServer::from(self.address)
    }

    /// All questions so far, in their order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.asked.borrow().clone()
    }

    /// How many connections have been accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.state.accepted.get()
    }

    /// How many connections are open.
    pub(crate) fn open_connections(&self) -> usize {
        self.state.open.get()
    }

    /// Stops listening; connections that are open stay.
    pub(crate) fn stop(&mut self) {
        for coroutine in self.coroutines.drain(..) {
            coroutine.cancel();
            // It ends by the cancellation alone.
            let _ = coroutine.join();
        }
    }
}

/// A socket and a listener on the same port.
fn sockets(ip: &str) -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let udp = UdpSocket::bind((ip.parse::<std::net::IpAddr>().unwrap(), 0)).unwrap();
        if let Ok(listener) = TcpListener::bind(udp.local_addr().unwrap()) {
            return (udp, listener);
        }
    }
    panic!("no port is free for both UDP and TCP");
}

impl State {
    /// Takes a message in and asks the script; nothing for what is no question.
    fn acts(&self, message: &[u8], via: Via, from: SocketAddr, connection: usize) -> Vec<Act> {
        let Ok(message) = Message::from_vec(message) else { return Vec::new() };
        let Some(question) = message.queries.first() else { return Vec::new() };
        let asked = Asked {
            via,
            number: self.asked.borrow().len(),
            connection,
            from,
            id: message.metadata.id,
            name: question.name().clone(),
            record_type: question.query_type(),
            message: message.clone(),
        };
        self.asked.borrow_mut().push(asked.clone());
        (self.script)(&asked)
    }
}

fn serve_udp(socket: &Rc<UdpSocket>, state: &Rc<State>) {
    let mut buf = vec![0; 65_535];
    loop {
        match socket.recv_from(&mut buf) {
            Ok((length, from)) => {
                for act in state.acts(&buf[..length], Via::Udp, from, 0) {
                    do_udp(socket, from, act);
                }
            }
            // A client that has gone, as its machine says.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn do_udp(socket: &Rc<UdpSocket>, to: SocketAddr, act: Act) {
    match act {
        Act::Send(message) => {
            socket.send_to(&message, to).unwrap();
        }
        Act::FromElsewhere(message) => {
            let elsewhere = UdpSocket::bind((to.ip(), 0)).unwrap();
            elsewhere.send_to(&message, to).unwrap();
        }
        Act::After(delay, act) => {
            let socket = socket.clone();
            spawn(move || {
                sleep(delay);
                do_udp(&socket, to, *act);
            });
        }
        Act::Raw(_) | Act::Close | Act::Reset => panic!("{act:?} is for TCP"),
    }
}

fn serve_tcp(listener: &TcpListener, state: &Rc<State>) {
    for stream in listener.incoming() {
        let stream = stream.unwrap();
        // The kernel would hold replies back in real time, while virtual time jumps to the next deadline.
        stream.set_nodelay(true).unwrap();
        serve_connection(Link::Tcp(stream), Via::Tcp, state);
    }
}

fn serve_tls(listener: &TcpListener, config: &ServerConfig, state: &Rc<State>) {
    for stream in listener.incoming() {
        let stream = stream.unwrap();
        stream.set_nodelay(true).unwrap();
        serve_connection(Link::Tls(Box::new(TlsStream::server(stream, config).unwrap())), Via::Tls, state);
    }
}

/// A connection that a server has accepted.
enum Link {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Link {
    fn socket(&self) -> &TcpStream {
        match self {
            Link::Tcp(stream) => stream,
            Link::Tls(stream) => stream.inner(),
        }
    }

    fn receive(&self) -> io::Result<Vec<u8>> {
        let exactly = |buf: &mut [u8]| match self {
            Link::Tcp(stream) => { stream }.read_exact(buf),
            Link::Tls(stream) => { &**stream }.read_exact(buf),
        };
        let mut length = [0; 2];
        exactly(&mut length)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        exactly(&mut message)?;
        Ok(message)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Link::Tcp(stream) => { stream }.write_all(bytes),
            Link::Tls(stream) => { &**stream }.write_all(bytes),
        }
    }

    fn close(&self) -> io::Result<()> {
        match self {
            Link::Tcp(stream) => drop(stream.close()),
            Link::Tls(stream) => stream.close()?,
        }
        Ok(())
    }
}

fn serve_connection(link: Link, via: Via, state: &Rc<State>) {
    let (link, state) = (Rc::new(link), state.clone());
    let connection = state.accepted.get();
    state.accepted.set(connection + 1);
    spawn(move || {
        state.open.set(state.open.get() + 1);
        // A peer that breaks off is as good as one that closes.
        let _ = answer_all(&link, via, &state, connection);
        state.open.set(state.open.get() - 1);
    });
}

fn answer_all(link: &Rc<Link>, via: Via, state: &State, connection: usize) -> io::Result<()> {
    let from = link.socket().peer_addr()?;
    loop {
        let message = link.receive()?;
        for act in state.acts(&message, via, from, connection) {
            do_on(link, act)?;
        }
    }
}

fn do_on(link: &Rc<Link>, act: Act) -> io::Result<()> {
    match act {
        Act::Send(message) => link.send(&[&(message.len() as u16).to_be_bytes()[..], &message].concat())?,
        Act::Raw(bytes) => link.send(&bytes)?,
        Act::Close => link.close()?,
        Act::Reset => {
            socket2::SockRef::from(link.socket()).set_linger(Some(Duration::ZERO))?;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Act::After(delay, act) => {
            let link = link.clone();
            spawn(move || {
                sleep(delay);
                // The client may be gone by then.
                let _ = do_on(&link, *act);
            });
        }
        Act::FromElsewhere(_) => panic!("{act:?} is for UDP"),
    }
    Ok(())
}

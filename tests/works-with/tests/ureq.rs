//! ureq: its transport and resolver hooks over our sockets, against our HTTP server.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use grapeshot_core::test::Test;
use grapeshot_core::{Direction, sleep, spawn};
use grapeshot_http::{Request, Response, Server};
use grapeshot_net::{Shutdown, SocketAddr, TcpStream, WaitLimit};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, ShutdownHandle, Transport,
};
use ureq::{Agent, Error};

/// Opens connections of ours, and counts them.
#[derive(Debug)]
struct Sockets(Arc<AtomicUsize>);

impl Connector for Sockets {
    type Out = Connection;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Connection>, Error> {
        let stream = match details.timeout.not_zero() {
            Some(timeout) => TcpStream::connect_timeout(&details.addrs[0], *timeout),
            None => TcpStream::connect(details.addrs[0]),
        };
        let stream = Arc::new(Handle(stream.map_err(|error| explain(error, details.timeout))?));
        let weak: std::sync::Weak<dyn ShutdownHandle> = Arc::downgrade(&stream) as _;
        (details.register_shutdown)(weak)?;
        self.0.fetch_add(1, Ordering::Relaxed);
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Connection { stream, buffers }))
    }
}

/// The crate's own word for a limit that has passed.
fn explain(error: io::Error, timeout: NextTimeout) -> Error {
    match error.kind() {
        io::ErrorKind::TimedOut => Error::Timeout(timeout.reason),
        _ => error.into(),
    }
}

fn limit(timeout: NextTimeout) -> WaitLimit {
    timeout.not_zero().map_or(WaitLimit::Never, |timeout| WaitLimit::After(*timeout))
}

#[derive(Debug)]
struct Handle(TcpStream);

impl ShutdownHandle for Handle {
    fn shutdown(&self) {
        // It may be closed already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

struct Connection {
    stream: Arc<Handle>,
    buffers: LazyBuffers,
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        self.stream.0.set_write_timeout(timeout.not_zero().map(|timeout| *timeout))?;
        let output = &self.buffers.output()[..amount];
        (&self.stream.0).write_all(output).map_err(|error| explain(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        let read = self.stream.0.read_within(self.buffers.input_append_buf(), limit(timeout));
        let count = read.map_err(|error| explain(error, timeout))?;
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        // Nothing to read and no end: an idle connection that can be used again.
        let source = self.stream.0.source();
        let peek = source.try_attempt(Direction::Read, "peek", |_| false, |stream| stream.peek(&mut [0]));
        peek.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Connection").field(&self.stream).finish()
    }
}

/// Knows one host, and asks nobody.
#[derive(Debug)]
struct Hosts(SocketAddr);

impl Resolver for Hosts {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        if uri.host() != Some("grapeshot.test") {
            return Err(Error::HostNotFound);
        }
        let mut addresses = self.empty();
        addresses.push(self.0);
        Ok(addresses)
    }
}

/// How many requests are in a handler now, and how many there have been at once.
#[derive(Default)]
struct Crowd {
    now: Cell<usize>,
    most: Cell<usize>,
}

/// Answers with the method, the path and the body; below `/slow` after a while, below `/moved` with a redirect.
fn answer(request: &mut Request<'_>, crowd: &Crowd) -> io::Result<Response> {
    crowd.now.set(crowd.now.get() + 1);
    crowd.most.set(crowd.most.get().max(crowd.now.get()));
    if request.path().starts_with("/slow") {
        sleep(Duration::from_millis(100));
    }
    crowd.now.set(crowd.now.get() - 1);
    if request.path() == "/moved" {
        return Ok(Response::new(grapeshot_http::StatusCode::FOUND).header("location", "/here"));
    }
    let body = request.body().read_text()?;
    Ok(Response::text(format!("{} {} [{body}]", request.method(), request.path())))
}

/// A server, a client for it, and the counters of requests and of connections.
fn site() -> (Agent, Rc<Crowd>, Arc<AtomicUsize>) {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let (crowd, opened) = (Rc::new(Crowd::default()), Arc::new(AtomicUsize::new(0)));
    spawn({
        let crowd = crowd.clone();
        move || server.serve(move |request: &mut Request<'_>| answer(request, &crowd))
    });
    let config = Config::builder().proxy(None).http_status_as_error(false).build();
    (Agent::with_parts(config, Sockets(opened.clone()), Hosts(address)), crowd, opened)
}

fn get(agent: &Agent, path: &str) -> Result<String, Error> {
    agent.get(format!("http://grapeshot.test{path}")).call()?.body_mut().read_to_string()
}

/// ureq asks the machine's clock, so time is real here.
#[test]
fn requests_redirects_and_bodies_work_and_share_a_connection() {
    Test::new().real_time().run(|| {
        let (agent, _, opened) = site();
        assert_eq!(get(&agent, "/one").unwrap(), "GET /one []");
        assert_eq!(get(&agent, "/moved").unwrap(), "GET /here []");
        let mut response = agent.post("http://grapeshot.test/up").send("x".repeat(100_000)).unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.body_mut().read_to_string().unwrap().len(), "POST /up []".len() + 100_000);
        let mut reader = agent.get("http://grapeshot.test/streamed").call().unwrap().into_body().into_reader();
        let mut streamed = String::new();
        reader.read_to_string(&mut streamed).unwrap();
        assert_eq!(streamed, "GET /streamed []");
        drop(reader);
        assert_eq!(opened.load(Ordering::Relaxed), 1, "an idle connection is used again");
        assert!(matches!(get(&Agent::clone(&agent), "").unwrap().as_str(), "GET / []"));
    });
}

#[test]
fn names_are_the_resolvers_business() {
    Test::new().real_time().run(|| {
        let (agent, ..) = site();
        assert!(matches!(agent.get("http://elsewhere.test/").call(), Err(Error::HostNotFound)));
    });
}

/// One agent, shared by coroutines of one thread: their requests wait side by side.
#[test]
fn requests_of_several_coroutines_overlap() {
    Test::new().real_time().run(|| {
        let (agent, crowd, opened) = site();
        let requests: Vec<_> = (0..20)
            .map(|number| {
                let agent = agent.clone();
                spawn(move || get(&agent, &format!("/slow/{number}")).unwrap())
            })
            .collect();
        for (number, request) in requests.into_iter().enumerate() {
            assert_eq!(request.join().unwrap(), format!("GET /slow/{number} []"));
        }
        assert_eq!(crowd.most.get(), 20);
        assert_eq!(opened.load(Ordering::Relaxed), 20);
    });
}

#[test]
fn its_timeouts_hold() {
    Test::new().real_time().run(|| {
        let (agent, ..) = site();
        let request = agent.get("http://grapeshot.test/slow").config();
        let request = request.timeout_recv_response(Some(Duration::from_millis(20))).build();
        assert!(matches!(request.call(), Err(Error::Timeout(ureq::Timeout::RecvResponse))));
    });
}

//! A TLS proxy that shows in clear what goes by in both directions.
//!
//! ```sh
//! cargo run --release --example https_server -- --listen 127.0.0.1:8443 --authority server.pem
//! cargo run --release --example tls_proxy_spy -- --listen 127.0.0.1:9004 --to 127.0.0.1:8443 --cacert server.pem --authority spy.pem
//! curl --cacert spy.pem https://localhost:9004/
//! cargo run --release --example tls_proxy_spy -- --self-test
//! ```
//!
//! The client has to trust the spy, for TLS is made against spies: the authority of the spy's certificate is written to the file
//! of `--authority`, or give a certificate that the client trusts with `--cert` and `--key`.
//! The server is verified as always, by the system's roots or those of `--cacert`, for the name that the client asked for.
//! Each connection has a number; `>` goes to the server, `<` comes from it. Both ends speak HTTP/1.1 if they ask (ALPN),
//! so that there is something to read. The end of one direction, close_notify, is passed on by itself. Ctrl-C ends it.
#![expect(clippy::print_stderr, reason = "an example talks to its user")]

use std::error::Error;
use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::process::{ExitCode, exit};
use std::time::Duration;

use grapeshot::net::TcpStream;
use grapeshot::tls::{ClientConfig, Identity, Roots, SelfSigned, ServerConfig, TlsListener, TlsStream};
use grapeshot::{Builder, Group, spawn, try_scope, with_timeout};

const CONNECT: Duration = Duration::from_secs(10);

/// A direction that is silent for this long, or takes nothing for this long, ends the connection.
const IDLE: Duration = Duration::from_secs(300);

/// Bytes that are read, shown and passed on at a time.
const BLOCK: usize = 16 * 1024;

/// The names that the spy's own certificate is for, and the one that is asked for when the client asks for none.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

const USAGE: &str = "usage: tls_proxy_spy [--listen ADDRESS:PORT] --to ADDRESS:PORT [--cacert FILE] \
                     (--authority FILE | --cert FILE --key FILE) | tls_proxy_spy --self-test";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = Options::parse(&arguments);
    if options.is_none() && arguments != ["--self-test"] {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    grapeshot::run(move || match options.map_or_else(self_test, |options| options.serve()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tls_proxy_spy: {error}");
            ExitCode::FAILURE
        }
    })
}

#[derive(Default)]
struct Options {
    listen: Option<String>,
    to: Option<SocketAddr>,
    cacert: Option<String>,
    authority: Option<String>,
    cert: Option<String>,
    key: Option<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Option<Options> {
        let mut options = Options::default();
        for pair in arguments.chunks(2) {
            let [name, value] = pair else { return None };
            let value = value.clone();
            match name.as_str() {
                "--listen" => options.listen = Some(value),
                "--to" => options.to = value.parse().ok(),
                "--cacert" => options.cacert = Some(value),
                "--authority" => options.authority = Some(value),
                "--cert" => options.cert = Some(value),
                "--key" => options.key = Some(value),
                _ => return None,
            }
        }
        let given = (&options.authority, &options.cert, &options.key);
        let has_identity = matches!(given, (Some(_), None, None) | (None, Some(_), Some(_)));
        (options.to.is_some() && has_identity).then_some(options)
    }

    fn serve(&self) -> Outcome<()> {
        let identity = match (&self.cert, &self.key, &self.authority) {
            (Some(cert), Some(key), None) => Identity::from_pem_files(cert, key)?,
            (None, None, Some(authority)) => {
                let own = SelfSigned::new(NAMES)?;
                fs::write(authority, own.authority_pem())?;
                own.identity()?
            }
            _ => return Err("give either --authority or both --cert and --key".into()),
        };
        let roots = match &self.cacert {
            Some(file) => Roots::from_pem_file(file)?,
            None => Roots::system()?,
        };
        let listen = self.listen.as_deref().unwrap_or("127.0.0.1:9004");
        let to = self.to.ok_or("there is no server to spy on")?;
        let spy = Spy::new(identity, roots, to)?;
        spy.serve(&TlsListener::bind(listen, spy.server.clone())?)
    }
}

/// Who the spy is to clients, whom it believes, and where it passes things on to.
#[derive(Clone)]
struct Spy {
    server: ServerConfig,
    client: ClientConfig,
    to: SocketAddr,
}

impl Spy {
    fn new(identity: Identity, roots: Roots, to: SocketAddr) -> Outcome<Spy> {
        let server = ServerConfig::builder().identity(identity).alpn(["http/1.1"]).build()?;
        Ok(Spy { server, client: ClientConfig::builder().roots(roots).alpn(["http/1.1"]).build()?, to })
    }

    fn serve(&self, listener: &TlsListener) -> Outcome<()> {
        say(format_args!("spying on https://{}, which leads to {}", listener.local_addr()?, self.to));
        let connections = Group::new();
        for number in 1_u64.. {
            let (client, peer) = listener.accept()?;
            let spy = self.clone();
            let name = format!("connection {number} of {peer}");
            connections.spawn(Builder::new().name(name), move || match spy.between(number, &client, peer) {
                Ok((sent, received)) => say(format_args!("#{number} ended: {sent} bytes > and {received} bytes <")),
                Err(error) => say(format_args!("#{number} failed: {error}")),
            })?;
        }
        Ok(())
    }

    /// Passes on both directions until both have ended, and says how many bytes each had.
    fn between(&self, number: u64, client: &TlsStream<TcpStream>, peer: SocketAddr) -> io::Result<(u64, u64)> {
        // Only now does the client say which name it wants; only its own coroutine waits for that.
        client.handshake()?;
        let name = client.server_name().unwrap_or_else(|| NAMES[0].to_owned());
        let server = TlsStream::client(TcpStream::connect_timeout(&self.to, CONNECT)?, &self.client, &name)?;
        server.handshake()?;
        for stream in [client, &server] {
            stream.set_read_timeout(Some(IDLE))?;
            stream.set_write_timeout(Some(IDLE))?;
            stream.inner().set_nodelay(true)?;
        }
        say(format_args!("#{number} begins: {peer} to {name} at {}, {}", self.to, agreed(&server)));
        try_scope(|scope| {
            let sent = scope.spawn(|| pass_on(number, '>', client, &server));
            let received = pass_on(number, '<', &server, client)?;
            Ok((sent.join().map_err(io::Error::other)?, received))
        })
    }
}

fn agreed(stream: &TlsStream<TcpStream>) -> String {
    match (stream.protocol_version(), stream.cipher_suite()) {
        (Some(version), Some(suite)) => format!("{version:?} with {:?}", suite.suite()),
        _ => "nothing agreed on".to_owned(),
    }
}

/// A spy whom nobody listens to ends, whichever of its coroutines notices.
fn say(line: fmt::Arguments<'_>) {
    if let Err(error) = writeln!(io::stdout(), "{line}") {
        let _ = writeln!(io::stderr(), "tls_proxy_spy: cannot print: {error}");
        exit(1);
    }
}

/// Passes on one direction until its close_notify, which it passes on too.
fn pass_on(number: u64, way: char, mut from: &TlsStream<TcpStream>, mut to: &TlsStream<TcpStream>) -> io::Result<u64> {
    let mut buf = [0; BLOCK];
    let mut count = 0;
    loop {
        let len = from.read(&mut buf)?;
        if len == 0 {
            // A peer that has closed both directions is not there to be told.
            let _ = to.close_write();
            return Ok(count);
        }
        for line in buf[..len].split_inclusive(|&byte| byte == b'\n') {
            say(format_args!("#{number} {way} {}", line.escape_ascii()));
        }
        to.write_all(&buf[..len])?;
        to.flush()?;
        count += len as u64;
    }
}

/// A client asks a server that answers in capitals, and the spy is in between.
fn self_test() -> Outcome<()> {
    let (real, false_one) = (SelfSigned::new(["localhost"])?, SelfSigned::new(NAMES)?);
    let server = TlsListener::bind("127.0.0.1:0", real.server_config()?)?;
    let spy = Spy::new(false_one.identity()?, real.roots()?, server.local_addr()?)?;
    let listener = TlsListener::bind("127.0.0.1:0", spy.server.clone())?;
    let address = listener.local_addr()?;
    // It serves until the end of the program.
    spawn(move || spy.serve(&listener).map_err(|error| error.to_string()));
    let answering = spawn(move || {
        let (mut stream, _) = server.accept()?;
        let mut question = String::new();
        // The whole question: the end that the client made must have come through.
        stream.read_to_string(&mut question)?;
        stream.write_all(question.to_uppercase().as_bytes())?;
        stream.close()
    });
    let trusting = false_one.client_config()?;
    let answer = with_timeout(CONNECT, || {
        let mut stream = TlsStream::client(TcpStream::connect(address)?, &trusting, "localhost")?;
        stream.write_all(b"round shot, grape shot\n")?;
        stream.close_write()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, io::Error>(answer)
    })??;
    answering.join().map_err(io::Error::other)??;
    say(format_args!("the client got {answer:?}"));
    if answer == "ROUND SHOT, GRAPE SHOT\n" { Ok(()) } else { Err("which is not the answer".into()) }
}

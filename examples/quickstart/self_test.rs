//! The self-test: many clients in the process of the server, on the same thread, all at once.

use std::cell::RefCell;
use std::error::Error;
use std::fmt::Debug;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use grapeshot::dns::{Config, Resolver};
use grapeshot::http::Server;
use grapeshot::rpc::CallerExt as _;
use grapeshot::tls::{ClientConfig, Roots, SelfSigned, TlsError};
use grapeshot::{
    JoinHandle, coroutines, print_stderr, rpc, scope, set_panic_notifier, sleep, spawn, stats, with_timeout,
};

use crate::calls::BatteryClient;
use crate::client::{Answer, Client};
use crate::name_server::NameServer;
use crate::{complain, say, service};

/// How long a check may take.
const LIMIT: Duration = Duration::from_secs(30);

/// What was done, or why it is not as it should be.
type Outcome = Result<String, Box<dyn Error>>;

/// One thing that clients do, with what it shows.
type Check = (&'static str, fn(SocketAddr) -> Outcome);

const CHECKS: &[Check] = &[
    ("plain text", plain_text),
    ("echo", echo),
    ("unknown path", unknown_path),
    ("https on the same port", https),
    ("a lookup", lookup),
    ("keep-alive", keep_alive),
    ("pipelining", pipelining),
    ("200 connections at once", many_connections),
    ("20 slow requests at once", slow_requests),
    ("a panic", panicking_handler),
    ("a body over the limit", too_large),
    ("malformed requests", malformed),
    ("a streamed response", streaming),
    ("the list of coroutines", listing),
];

/// Runs all checks, prints a line for each, and says how it went.
pub(crate) fn run() -> ExitCode {
    match check_all() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            complain(&format!("quickstart: the self-test could not begin: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Answers how many checks failed.
fn check_all() -> io::Result<usize> {
    let began = Instant::now();
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = server.local_addr()?;
    let handle = server.handle();
    let (server, authority) = crate::secure(server)?;
    let serving = spawn(move || server.serve(service::handler(authority)));
    say(&format!("Self-test against http://{address}, all at the same time:"));

    let calls = crate::bind_calls(address)?;
    let (calls_address, calls_handle) = (calls.local_addr()?, calls.handle());
    let serving_calls = spawn(move || calls.serve());

    let mut checks: Vec<(&str, JoinHandle<Outcome>)> =
        CHECKS.iter().map(|&(what, check)| (what, spawn(move || with_timeout(LIMIT, || check(address))?))).collect();
    checks.push(("calls", spawn(move || with_timeout(LIMIT, || answer_calls(calls_address))?)));
    let all = checks.len() + 1;
    let mut failures = 0;
    for (what, check) in checks {
        failures += report(what, check.join().unwrap_or_else(|error| Err(error.into())));
    }
    handle.drain();
    calls_handle.drain();
    let serving = [serving, serving_calls];
    failures +=
        report("the end", with_timeout(LIMIT, || nothing_is_left(serving)).unwrap_or_else(|error| Err(error.into())));

    say(&format!("{} of {all} checks passed in {:.1?}.", all - failures, began.elapsed()));
    Ok(failures)
}

/// Prints a line, and answers how many failures it told of: none or one.
fn report(what: &str, outcome: Outcome) -> usize {
    match outcome {
        Ok(done) => {
            say(&format!("  ok      {what}: {done}"));
            0
        }
        Err(why) => {
            say(&format!("  FAILED  {what}: {why}"));
            1
        }
    }
}

fn expect<T: PartialEq + Debug>(what: &str, got: T, expected: T) -> Result<(), Box<dyn Error>> {
    if got == expected { Ok(()) } else { Err(format!("{what}: expected {expected:?}, got {got:?}").into()) }
}

fn expect_answer(answer: &Answer, status: u16, body: &str) -> Result<(), Box<dyn Error>> {
    expect("status", answer.status, status)?;
    expect("body", answer.text().as_str(), body)
}

fn plain_text(server: SocketAddr) -> Outcome {
    let answer = Client::connect(server)?.get("/")?;
    expect("status", answer.status, 200)?;
    expect("content-type", answer.header("content-type"), Some("text/plain; charset=utf-8"))?;
    Ok(format!("{:?}", answer.text().trim_end()))
}

fn echo(server: SocketAddr) -> Outcome {
    let mut client = Client::connect(server)?;
    expect_answer(&client.post("/echo", b"round shot")?, 200, "round shot")?;
    client.send("POST /echo HTTP/1.1\r\nHost: self-test\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    client.send("5\r\nround\r\n5\r\n shot\r\n0\r\n\r\n")?;
    expect_answer(&client.read_answer()?, 200, "round shot")?;
    let megabyte: Vec<u8> = (0..1 << 20).map(|i: u32| (i % 251) as u8).collect();
    let answer = client.post("/echo", &megabyte)?;
    expect("a megabyte came back as it was", answer.body == megabyte, true)?;
    Ok("bodies with a length, in chunks, and of a megabyte came back".to_owned())
}

fn unknown_path(server: SocketAddr) -> Outcome {
    expect("status", Client::connect(server)?.get("/nowhere")?.status, 404)?;
    Ok("404".to_owned())
}

fn https(server: SocketAddr) -> Outcome {
    let authority = Client::connect(server)?.get("/authority.pem")?;
    let config = ClientConfig::builder().roots(Roots::from_pem(&authority.body)?).build()?;
    let mut client = Client::connect_tls(server, &config)?;
    let answer = client.get("/")?.text();
    expect("the end of the answer", answer.ends_with("it came over TLS.\n"), true)?;
    expect_answer(&client.post("/echo", b"grape shot")?, 200, "grape shot")?;
    let stranger = SelfSigned::new([server.ip().to_string()])?.client_config()?;
    match Client::connect_tls(server, &stranger).map(drop) {
        Err(error) if matches!(TlsError::of(&error), Some(TlsError::CertificateRefused { .. })) => {
            Ok("answered over TLS; a client that trusts another authority refuses".to_owned())
        }
        other => Err(format!("expected that the certificate is refused, got {other:?}").into()),
    }
}

/// The service asks a name server of our own, which knows one name.
fn lookup(server: SocketAddr) -> Outcome {
    let name_server = NameServer::start()?;
    Resolver::new(Config::with_servers([name_server.address()])).install();
    let mut client = Client::connect(server)?;
    expect_answer(&client.get(&format!("/lookup/{}", NameServer::HOST))?, 200, &format!("{}\n", NameServer::ADDRESS))?;
    expect("status for what is no name", client.get("/lookup/a..b")?.status, 400)?;
    expect("status for an unknown name", client.get("/lookup/nobody.example.org")?.status, 404)?;
    // The sockets to that server go with its resolver.
    Resolver::new(Config::default()).install();
    Ok(format!("{} has {} by DNS, and a name that is not has 404", NameServer::HOST, NameServer::ADDRESS))
}

fn keep_alive(server: SocketAddr) -> Outcome {
    const REQUESTS: usize = 100;
    let mut client = Client::connect(server)?;
    for _ in 0..REQUESTS {
        expect("status", client.get("/")?.status, 200)?;
    }
    Ok(format!("{REQUESTS} requests, one after the other on one connection"))
}

fn pipelining(server: SocketAddr) -> Outcome {
    const REQUESTS: usize = 50;
    let mut client = Client::connect(server)?;
    let request = |i| format!("POST /echo HTTP/1.1\r\nHost: self-test\r\nContent-Length: 5\r\n\r\n{i:05}");
    client.send((0..REQUESTS).map(request).collect::<String>())?;
    for i in 0..REQUESTS {
        expect_answer(&client.read_answer()?, 200, &format!("{i:05}"))?;
    }
    Ok(format!("{REQUESTS} requests in one go, answered in their order"))
}

fn many_connections(server: SocketAddr) -> Outcome {
    const CONNECTIONS: usize = 200;
    const ROUNDS: usize = 10;
    let began = Instant::now();
    let clients: Vec<Client> = (0..CONNECTIONS).map(|_| Client::connect(server)).collect::<io::Result<_>>()?;
    let talks: Vec<_> = clients.into_iter().map(|client| spawn(move || say_often(client, ROUNDS))).collect();
    for talk in talks {
        talk.join()??;
    }
    let took = began.elapsed();
    Ok(format!("{} requests answered in {took:.1?}", CONNECTIONS * ROUNDS))
}

fn say_often(mut client: Client, rounds: usize) -> io::Result<()> {
    for round in 0..rounds {
        let message = format!("round {round}");
        let answer = client.post("/echo", message.as_bytes())?;
        if answer.status != 200 || answer.body != message.as_bytes() {
            return Err(io::Error::other(format!(
                "expected 200 {message:?}, got {} {:?}",
                answer.status,
                answer.text()
            )));
        }
    }
    Ok(())
}

fn slow_requests(server: SocketAddr) -> Outcome {
    const REQUESTS: u32 = 20;
    const EACH: Duration = Duration::from_secs(1);
    let began = Instant::now();
    let requests: Vec<_> = (0..REQUESTS)
        .map(|_| spawn(move || Client::connect(server)?.get(&format!("/sleep/{}", EACH.as_secs()))))
        .collect();
    for request in requests {
        expect("status", request.join()??.status, 200)?;
    }
    let took = began.elapsed();
    // One after the other they would take twenty times as long as one; a busy machine may need some more than one.
    if took < EACH || took > EACH * REQUESTS / 4 {
        return Err(format!("expected about {EACH:?}, took {took:.1?}").into());
    }
    Ok(format!("each took {EACH:?}, all together {took:.2?}"))
}

fn panicking_handler(server: SocketAddr) -> Outcome {
    let reports = Rc::new(RefCell::new(Vec::new()));
    let kept = reports.clone();
    set_panic_notifier(move |info, panic| match panic.message() {
        message if message.ends_with("asked for it") => kept.borrow_mut().push(message.to_owned()),
        _ => print_stderr(&format!("coroutine {}: {panic}", info.id)),
    });
    expect("status", Client::connect(server)?.get("/panic")?.status, 500)?;
    expect("reports", reports.borrow().len(), 1)?;
    expect("status of the next request", Client::connect(server)?.get("/")?.status, 200)?;
    Ok(format!("answered with 500, reported as {:?}, and the service lives on", reports.borrow()[0]))
}

fn too_large(server: SocketAddr) -> Outcome {
    let mut client = Client::connect(server)?;
    client.send("POST /echo HTTP/1.1\r\nHost: self-test\r\nContent-Length: 3000000\r\n\r\n")?;
    let answer = client.read_answer()?;
    expect("status", answer.status, 413)?;
    expect("connection", answer.header("connection"), Some("close"))?;
    Ok("413, before a byte of it was sent".to_owned())
}

fn malformed(server: SocketAddr) -> Outcome {
    const REQUESTS: &[(&str, &str)] = &[
        ("no HTTP at all", "round shot\r\n\r\n"),
        ("no Host", "GET / HTTP/1.1\r\n\r\n"),
        ("two lengths", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        ("a space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
        ("a bare line feed", "GET / HTTP/1.1\nHost: a\n\n"),
        ("a bad chunk size", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n"),
    ];
    for (what, request) in REQUESTS {
        let mut client = Client::connect(server)?;
        client.send(request)?;
        expect(&format!("status for {what}"), client.read_answer()?.status, 400)?;
    }
    Ok(format!("{} kinds, each refused with 400", REQUESTS.len()))
}

fn streaming(server: SocketAddr) -> Outcome {
    let mut client = Client::connect(server)?;
    client.send("GET /stream HTTP/1.1\r\nHost: self-test\r\n\r\n")?;
    expect("status", client.read_head()?.0, 200)?;
    let began = Instant::now();
    let mut text = Vec::new();
    let mut chunks = 0;
    while client.read_chunk(&mut text)? {
        chunks += 1;
        // The chunk is here, although the later ones have not been made yet.
        expect("lines so far", text.split(|&byte| byte == b'\n').count() - 1, chunks)?;
    }
    let took = began.elapsed();
    Ok(format!("{chunks} lines over {took:.1?}, each as it was made"))
}

fn listing(server: SocketAddr) -> Outcome {
    let mut sleeper = Client::connect(server)?;
    let name = format!("\"http {}\"", sleeper.local_addr()?);
    sleeper.send("GET /sleep/3 HTTP/1.1\r\nHost: self-test\r\n\r\n")?;
    let mut client = Client::connect(server)?;
    let line = loop {
        // The request may still be on its way; the limit on this check bounds the loop.
        sleep(Duration::from_millis(200));
        let list = client.get("/coroutines")?.text();
        if let Some(line) = list.lines().find(|line| line.contains(&name) && line.contains("the end of a sleep")) {
            break line.to_owned();
        }
    };
    expect("status of the sleeper", sleeper.read_answer()?.status, 200)?;
    Ok(format!("it has {line:?}"))
}

/// Calls by the trait's methods and by name, side by side on one connection, and a stream of items.
fn answer_calls(server: SocketAddr) -> Outcome {
    const CALLS: u32 = 20;
    const EACH: Duration = Duration::from_millis(500);
    let connection = rpc::Client::connect(&server.to_string())?;
    let battery = BatteryClient::new(&connection);
    expect("a sum", battery.add(19, 23)?, 42)?;
    expect("a sum, called by name", connection.call::<i64>("add", &(19, 23))?, 42)?;
    let error = battery.add(i64::MAX, 1).err().and_then(|error| Some(error.failure()?.code));
    expect("the code of a sum that is too large", error, Some(1))?;

    let began = Instant::now();
    scope(|scope| {
        let sleeps: Vec<_> = (0..CALLS).map(|_| scope.spawn(|| battery.sleep(EACH.as_millis() as u64))).collect();
        sleeps.into_iter().try_for_each(|sleep| Ok::<(), Box<dyn Error>>(sleep.join()??))
    })?;
    let took = began.elapsed();
    if took < EACH || took > EACH * CALLS / 4 {
        return Err(format!("expected about {EACH:?}, took {took:.1?}").into());
    }

    let counting = battery.count_down(1000)?;
    let numbers = counting.items().collect::<Result<Vec<u32>, _>>()?;
    expect("a stream of numbers", numbers, (1..=1000).rev().collect())?;
    expect("the answer behind it", counting.finish()?, 1000)?;
    Ok(format!("{CALLS} on one connection slept {EACH:?} each and {took:.2?} together; 1000 items streamed"))
}

/// Waits for the servers to drain, and looks for what it should have given back.
fn nothing_is_left(serving: [JoinHandle<io::Result<()>>; 2]) -> Outcome {
    for server in serving {
        server.join()??;
    }
    expect("coroutines besides this one", coroutines().len() - 1, 0)?;
    expect("sockets", stats().registrations, 0)?;
    Ok("the servers have drained, and no coroutine and no socket is left".to_owned())
}

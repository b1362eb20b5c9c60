//! The examples of DNS: `lookup` and `dig` against a server of the test's own, with the forwarder in between, and the real
//! `dig` against the forwarder.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::io::{Read as _, Write as _, pipe};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use grapeshot::dns::proto::{Name, RData, Record, RecordType, Reply, Request, Response, ResponseCode, rdata};
use grapeshot_harness::{End, Output, Program, Ready, Running, Signal, example, require_from, unused_addr};

/// Only a failure waits this long; a debug build on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// A name server on plain threads, so that nothing of what is tested serves it. Its threads end with the process.
struct Server {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Server {
    fn start() -> Server {
        let address = unused_addr().unwrap();
        let (listener, socket) = (TcpListener::bind(address).unwrap(), UdpSocket::bind(address).unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = asked.clone();
        thread::spawn(move || {
            let mut buf = [0; 4096];
            while let Ok((len, client)) = socket.recv_from(&mut buf) {
                counter.fetch_add(1, Ordering::Relaxed);
                let request = Request::parse(&buf[..len]).unwrap();
                if let Some(response) = answer(&request) {
                    let mut response = response.encode_for_datagram();
                    if request.name().to_ascii().starts_with("blocked.") {
                        explain(&mut response);
                    }
                    socket.send_to(&response, client).unwrap();
                }
            }
        });
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut length = [0; 2];
                while stream.read_exact(&mut length).is_ok() {
                    let mut message = vec![0; u16::from_be_bytes(length).into()];
                    stream.read_exact(&mut message).unwrap();
                    if let Some(response) = answer(&Request::parse(&message).unwrap()) {
                        stream.write_all(&response.encode_for_stream()).unwrap();
                    }
                }
            }
        });
        Server { address, asked }
    }

    /// How many queries came by datagram until now, those among them that it has not looked at yet.
    fn asked(&self) -> usize {
        // They are read in their order, so whoever has an answer knows that all before are counted.
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.send_to(b"\0\0\0\0\0\x01\0\0\0\0\0\0\x03www\x07example\0\0\x01\0\x01", self.address).unwrap();
        socket.recv(&mut [0; 512]).unwrap();
        self.asked.fetch_sub(1, Ordering::Relaxed) - 1
    }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// Adds an extended error (RFC 8914) to the OPT record, which is empty and the message's last.
fn explain(response: &mut Vec<u8>) {
    let text = b"not in this house";
    let length = text.len() as u16;
    response.truncate(response.len() - 2);
    for field in [length + 6, 15, length + 2, 15] {
        response.extend(field.to_be_bytes());
    }
    response.extend(text);
}

/// A small zone, `example.`; `None` for a name about which the server is silent.
fn answer(request: &Request) -> Option<Response> {
    let label = String::from_utf8(request.name().iter().next().unwrap_or_default().to_ascii_lowercase()).unwrap();
    let owner = request.name().clone();
    let record = |owner: &Name, data| Record::from_rdata(owner.clone(), 300, data);
    let found = |data: Vec<RData>| {
        let records = data.into_iter().map(|data| record(&owner, data));
        Some(request.respond(ResponseCode::NoError).answers(records))
    };
    let soa = rdata::SOA::new(name("ns.example."), name("root.example."), 1, 3600, 600, 86_400, 60);
    let absent = |code| Some(request.respond(code).authorities([record(&name("example."), RData::SOA(soa))]));
    match (label.as_str(), request.record_type()) {
        ("www", RecordType::A) => found(vec![RData::A(rdata::A([192, 0, 2, 1].into()))]),
        ("alias", RecordType::A) => {
            let target = name("WWW.example.");
            let records = [
                record(&owner, RData::CNAME(rdata::CNAME(target.clone()))),
                record(&target, RData::A(rdata::A([192, 0, 2, 1].into()))),
            ];
            Some(request.respond(ResponseCode::NoError).answers(records))
        }
        ("www", RecordType::MX) => found(vec![RData::MX(rdata::MX::new(10, name("Mail.Example.")))]),
        ("www", RecordType::TXT) => found(vec![RData::TXT(rdata::TXT::new(vec!["v=spf1 ".into(), "-all".into()]))]),
        ("large", RecordType::TXT) => {
            found((0..20).map(|number| RData::TXT(rdata::TXT::new(vec![format!("{number:0>200}")]))).collect())
        }
        ("www", _) => absent(ResponseCode::NoError),
        ("broken", _) => Some(request.respond(ResponseCode::ServFail)),
        ("blocked", _) => Some(request.respond(ResponseCode::Refused)),
        ("closed", _) => Some(request.respond(ResponseCode::Refused)),
        ("silent", _) => None,
        _ => absent(ResponseCode::NXDomain),
    }
}

fn lookup(server: SocketAddr, arguments: &[&str]) -> Output {
    let server = server.to_string();
    example("lookup").unwrap().args(["--server", &server]).args(arguments).output(PATIENCE).unwrap()
}

fn code(output: &Output) -> Option<i32> {
    match output.end {
        End::Exited(status) => status.code(),
        _ => None,
    }
}

/// Starts the forwarder before a server.
fn forwarder(server: SocketAddr) -> (Running, SocketAddr) {
    let server = server.to_string();
    let program = example("dns_forwarder").unwrap().args(["--listen", "127.0.0.1:0", "--server", &server]);
    let running = program.ready_when(Ready::line("forwarding DNS on")).start().unwrap();
    let address = running.ready_addr().unwrap();
    (running, address)
}

/// Every status but TIMEOUT, and records in their form.
const QUESTIONS: &[&str] = &[
    "A",
    "www.example",
    "A",
    "alias.example",
    "MX",
    "www.example",
    "TXT",
    "www.example",
    "AAAA",
    "www.example",
    "A",
    "gone.example",
    "A",
    "broken.example",
    "A",
    "closed.example",
];

const ANSWERS: &str = "status: NOERROR\nA 192.0.2.1\n--\nstatus: NOERROR\nA 192.0.2.1\n--\n\
                       status: NOERROR\nMX 10 mail.example\n--\nstatus: NOERROR\nTXT \"v=spf1 -all\"\n--\n\
                       status: NODATA\n--\nstatus: NXDOMAIN\n--\nstatus: SERVFAIL\n--\nstatus: REFUSED\n--\n";

#[test]
fn lookup_prints_a_status_the_records_and_a_line_for_each_question() {
    let server = Server::start();
    let output = lookup(server.address, QUESTIONS);
    assert_eq!(output.assert_success().stdout.text(), ANSWERS);
}

#[test]
fn lookup_remembers_within_one_process_and_sleeps_in_between() {
    let server = Server::start();
    let pair = ["A", "www.example"];
    let output = lookup(server.address, &[pair, pair, ["SLEEP", "10"], pair].concat());
    assert_eq!(output.assert_success().stdout.text(), "status: NOERROR\nA 192.0.2.1\n--\n".repeat(3));
    assert_eq!(server.asked(), 1);
}

#[test]
fn lookup_gives_up_in_time_and_searches() {
    let server = Server::start();
    let output = lookup(server.address, &["--timeout", "50", "--attempts", "3", "A", "silent.example"]);
    assert_eq!(output.assert_success().stdout.text(), "status: TIMEOUT\n--\n");
    assert_eq!(server.asked(), 3);
    let output =
        lookup(server.address, &["--search", "other", "--search", "example", "--ndots", "2", "A", "www.example"]);
    assert_eq!(output.assert_success().stdout.text(), "status: NOERROR\nA 192.0.2.1\n--\n");
    let output = lookup(server.address, &["A", "a..b"]);
    assert_eq!(output.assert_success().stdout.text(), "status: ERROR\n--\n");
}

#[test]
fn lookup_shows_its_usage_on_request_and_on_a_mistake() {
    for option in ["--help", "-h"] {
        let output = example("lookup").unwrap().arg(option).output(PATIENCE).unwrap();
        assert!(output.assert_success().stdout.text().starts_with("usage: lookup "), "{output}");
    }
    for mistake in [["--timeout", "0"], ["--attempts", "0"], ["--edns", "10"], ["--edns", "70000"]] {
        let output = example("lookup").unwrap().args(mistake).args(["A", "www.example"]).output(PATIENCE).unwrap();
        assert_eq!(code(&output), Some(2), "{output}");
        assert!(output.stderr.text().contains("usage: lookup "), "{output}");
    }
}

/// Runs an example whose output nobody reads; answers with its exit code and what it complained about.
fn unread(name: &str, arguments: &[&str]) -> (Option<i32>, String) {
    // Built if it was not, but the harness would read.
    example(name).unwrap();
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples").join(name);
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(writer).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_closed_stdout_is_an_end_and_no_panic() {
    let server = Server::start();
    let address = server.address.to_string();
    let asking = format!("@{address}");
    for (name, arguments) in [
        ("lookup", &["--server", &address, "A", "www.example", "A", "www.example"][..]),
        ("lookup", &["--help"]),
        ("dig", &[&asking, "www.example"]),
        ("dig", &[&asking, "www.example", "+short"]),
        ("dig", &[&asking, "gone.example", "+trace"]),
        ("dns_forwarder", &["--listen", "127.0.0.1:0"]),
    ] {
        let (code, complaint) = unread(name, arguments);
        assert_eq!((code, complaint.lines().count()), (Some(1), 1), "{name} {arguments:?}: {complaint}");
    }
}

#[test]
fn lookup_fetches_over_tcp_what_does_not_fit_a_datagram() {
    let server = Server::start();
    for arguments in [
        &["TXT", "large.example"][..],
        &["--edns", "512", "TXT", "large.example"],
        &["--edns", "0", "TXT", "large.example"],
    ] {
        let output = lookup(server.address, arguments);
        assert_eq!(output.assert_success().stdout.text().lines().count(), 22, "{output}");
    }
}

#[test]
fn the_forwarder_says_what_its_server_says_and_asks_once() {
    let server = Server::start();
    let (mut running, address) = forwarder(server.address);
    assert_eq!(lookup(address, QUESTIONS).assert_success().stdout.text(), ANSWERS);
    let before = server.asked();
    let known = ["A", "www.example", "A", "alias.example", "AAAA", "www.example", "A", "gone.example"];
    lookup(address, &known).assert_success();
    assert_eq!(server.asked(), before);
    let output = lookup(address, &["TXT", "large.example"]);
    assert_eq!(output.assert_success().stdout.text().lines().count(), 22, "{output}");
    running.signal(Signal::INT).unwrap();
    assert_eq!(running.wait_exit(PATIENCE).unwrap().code(), Some(0), "{}", running.stderr());
    assert!(running.stdout().text().contains("queries were sent"), "{}", running.stdout());
}

#[test]
fn the_forwarder_passes_on_why_and_answers_for_a_silent_server() {
    let server = Server::start();
    let (_running, address) = forwarder(server.address);
    let asking = format!("@{address}");
    let dig = |arguments: &[&str]| example("dig").unwrap().arg(&asking).args(arguments).output(PATIENCE).unwrap();
    for arguments in [&["blocked.example"][..], &["blocked.example", "+tcp"]] {
        let output = dig(arguments);
        let text = output.assert_success().stdout.text();
        assert!(text.contains("status: REFUSED"), "{output}");
        assert!(text.contains(";; Blocked (15): not in this house\n"), "{output}");
    }
    // Without EDNS there is no place for it.
    let output = dig(&["blocked.example", "+noedns"]);
    let text = output.assert_success().stdout.text();
    assert!(text.contains("status: REFUSED") && !text.contains("Blocked"), "{output}");
    // As long as a client waits that is told nothing.
    let output = lookup(address, &["--timeout", "5000", "--attempts", "1", "A", "silent.example"]);
    assert_eq!(output.assert_success().stdout.text(), "status: SERVFAIL\n--\n");
}

#[test]
fn the_forwarder_refuses_other_classes_than_the_internets() {
    let server = Server::start();
    let (_running, address) = forwarder(server.address);
    let question = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x07version\x04bind\0\0\x10\0\x03";
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(question, address).unwrap();
    let mut buf = [0; 512];
    let len = socket.recv(&mut buf).unwrap();
    let reply = Reply::parse(&buf[..len]).unwrap();
    assert_eq!((reply.id(), reply.rcode()), (7, ResponseCode::Refused));
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[&(question.len() as u16).to_be_bytes(), &question[..]].concat()).unwrap();
    let mut framed = vec![0; len + 2];
    stream.read_exact(&mut framed).unwrap();
    assert_eq!((usize::from(u16::from_be_bytes([framed[0], framed[1]])), &framed[2..]), (len, &buf[..len]));
}

#[test]
fn the_forwarder_says_which_port_is_taken() {
    let server = Server::start();
    let address = server.address.to_string();
    let output = example("dns_forwarder").unwrap().args(["--listen", &address]).output(PATIENCE).unwrap();
    assert_eq!(code(&output), Some(1), "{output}");
    let complaint = output.stderr.text();
    assert!(complaint.starts_with(&format!("dns_forwarder: cannot listen on {address}: ")), "{output}");
    assert_eq!(complaint.lines().count(), 1, "{output}");
}

#[test]
fn the_real_dig_understands_the_forwarder() {
    let Some(dig) = require_from("dig", "bind9-dnsutils") else { return };
    let server = Server::start();
    let (_running, address) = forwarder(server.address);
    let port = address.port().to_string();
    let dig = |arguments: &[&str]| {
        let program = Program::new(&dig).args(["@127.0.0.1", "-p", &port, "+time=20", "+tries=1"]).args(arguments);
        let output = program.output(PATIENCE).unwrap();
        output.assert_success().stdout.text().into_owned()
    };
    assert_eq!(dig(&["+short", "www.example", "A"]), "192.0.2.1\n");
    assert_eq!(dig(&["+short", "+tcp", "alias.example"]), "WWW.example.\n192.0.2.1\n");
    assert_eq!(dig(&["+short", "large.example", "TXT"]).lines().count(), 20);
    let gone = dig(&["gone.example"]);
    assert!(gone.contains("status: NXDOMAIN") && gone.contains("SOA"), "{gone}");
    assert!(!gone.contains("WARNING") && !gone.contains("Got bad packet"), "{gone}");
    let bare = dig(&["+noedns", "www.example", "AAAA"]);
    assert!(bare.contains("status: NOERROR") && bare.contains("ANSWER: 0") && !bare.contains("EDNS"), "{bare}");
}

#[test]
fn our_dig_shows_the_reply_and_how_it_came() {
    let server = Server::start();
    let port = server.address.port().to_string();
    let dig = |arguments: &[&str]| {
        let program = example("dig").unwrap().args(["@127.0.0.1", "-p", &port]).args(arguments);
        program.output(PATIENCE).unwrap()
    };
    let output = dig(&["alias.example", "+trace"]);
    let text = output.assert_success().stdout.text();
    for part in [
        &format!("asking {} over UDP for alias.example. A, attempt 1", server.address),
        "status: NOERROR",
        "ANSWER: 2",
        "alias.example.\t300\tIN\tCNAME\tWWW.example.",
        "WWW.example.\t300\tIN\tA\t192.0.2.1",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert_eq!(dig(&["+short", "+tcp", "www.example", "TXT"]).assert_success().stdout.text(), "\"v=spf1 \" \"-all\"\n");
    assert!(dig(&["gone.example"]).assert_success().stdout.text().contains("status: NXDOMAIN"));
    for (name, status) in
        [("closed.example", "REFUSED"), ("broken.example", "SERVFAIL"), ("blocked.example", "REFUSED")]
    {
        let output = dig(&[name]);
        let text = output.assert_success().stdout.text();
        assert!(text.contains(&format!("status: {status}")) && text.contains("QUESTION SECTION"), "{output}");
        assert_eq!(text.contains(";; Blocked (15): not in this house\n"), name == "blocked.example", "{output}");
    }
}

#[test]
fn our_dig_takes_an_address_with_its_port() {
    let server = Server::start();
    let asking =
        |server: &str| example("dig").unwrap().args([server, "www.example", "+trace"]).output(PATIENCE).unwrap();
    let output = asking(&format!("@{}", server.address));
    assert!(output.assert_success().stdout.text().contains("192.0.2.1\n"), "{output}");
    // Nobody listens there, and that is said at once.
    let nobody = format!("[::1]:{}", server.address.port());
    let output = asking(&format!("@{nobody}"));
    assert_eq!(code(&output), Some(1), "{output}");
    assert!(output.stdout.text().contains(&format!("asking {nobody} over UDP")), "{output}");
    assert!(output.stderr.text().starts_with("dig: ") && output.stderr.text().lines().count() == 1, "{output}");
}

//! `rpc_server` killed in the middle, behind a line that cuts, loses and delays, and among peers that mean no good.
//!
//! A call only looks local: each of these ends as an error that says whether it may have run (BEA-16).
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{self, Shutdown, SocketAddr};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use grapeshot::net::{TcpListener, TcpStream};
use grapeshot::rpc::{CallError, CallOptions, CallerExt as _, Client, Extensions, Outcome};
use grapeshot::test::Test;
use grapeshot::{scope, sleep, spawn, with_timeout};
use grapeshot_harness::{End, Ready, Running, Signal, example};

/// Only a failure waits this long; a debug build on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// By how much a server may grow whatever its peers do; its limits on one connection come to a fraction of that.
const GROWTH: u64 = 64 << 20;

fn serve() -> (Running, SocketAddr) {
    let server = example("rpc_server").unwrap().args(["--listen", "127.0.0.1:0"]);
    let server = server.ready_when(Ready::line("listening on")).start().unwrap();
    let address = server.ready_addr().unwrap();
    (server, address)
}

/// Runs a test against real time, with a limit on all of it.
fn run(body: impl FnOnce() + 'static) {
    Test::new().real_time().run(|| with_timeout(PATIENCE, body).unwrap());
}

fn connect(address: SocketAddr) -> Client {
    Client::connect(&address.to_string()).unwrap()
}

fn plain(address: SocketAddr) -> Client {
    Client::builder().extensions(Extensions::Off).connect(&address.to_string()).unwrap()
}

fn resident_bytes(server: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn calls_to_a_server_that_is_killed_have_an_unknown_outcome_at_once_and_later_ones_did_not_run() {
    let (server, address) = serve();
    run(move || {
        let client = connect(address);
        let sleepers: Vec<_> = (0..10)
            .map(|_| {
                let client = client.clone();
                spawn(move || client.call::<()>("sleep", &(50_000,)).unwrap_err())
            })
            .collect();
        // Calls are started in the order in which they were made: the ten sleep when this one is answered.
        while client.connection().calls_in_flight() < 10 {
            grapeshot::yield_now();
        }
        client.call::<()>("nop", &()).unwrap();
        server.signal(Signal::KILL).unwrap();
        let began = Instant::now();
        for sleeper in sleepers {
            let error = sleeper.join().unwrap();
            assert!(matches!(error, CallError::OutcomeUnknown { .. }), "{error:?}");
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let later = client.call::<()>("nop", &()).unwrap_err();
        assert_eq!(later.outcome(), Outcome::NotRun, "{later:?}");
        assert!(Client::connect(&address.to_string()).is_err());
    });
}

/// The line in between kills the server when the request for the sleep has passed.
#[test]
fn rpc_call_says_of_a_server_that_is_killed_that_the_call_may_have_run() {
    let (server, address) = serve();
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let line = listener.local_addr().unwrap().to_string();
    let between = thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let onward = net::TcpStream::connect(address).unwrap();
        let (mut answers, mut to_client) = (onward.try_clone().unwrap(), client.try_clone().unwrap());
        let back = thread::spawn(move || std::io::copy(&mut answers, &mut to_client));
        let (mut buf, mut said) = ([0; 4096], Vec::<u8>::new());
        while !said.windows(5).any(|word| word == b"sleep") {
            let len = (&client).read(&mut buf).unwrap();
            (&onward).write_all(&buf[..len]).unwrap();
            said.extend(&buf[..len]);
        }
        server.signal(Signal::KILL).unwrap();
        let _ = back.join().unwrap();
        client.shutdown(Shutdown::Both).unwrap();
    });
    let output = example("rpc_call").unwrap().args([&line, "sleep", "[50000]"]).output(PATIENCE).unwrap();
    between.join().unwrap();
    assert!(matches!(output.end, End::Exited(status) if status.code() == Some(3)), "{output}");
    assert_eq!(output.stdout.text(), "");
    assert!(output.stderr.text().contains("the call may have run"), "{output}");
}

/// What a line does to the bytes of one direction; each goes on alone, so every message is cut at every place.
#[derive(Clone, Copy, Default)]
struct Way {
    /// The connection ends in place of this byte.
    cut: Option<usize>,
    /// This byte gets lost.
    lost: Option<usize>,
    /// Before each byte.
    delay: Duration,
}

/// A line to the server for one connection.
fn line(server: SocketAddr, there: Way, back: Way) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(server).unwrap();
        scope(|scope| {
            scope.spawn(|| carry(&client, &server, there));
            carry(&server, &client, back);
        });
    });
    address
}

/// Carries bytes from one to the other until either ends, and then ends both.
fn carry(mut from: &TcpStream, mut to: &TcpStream, way: Way) {
    let (mut buf, mut passed) = ([0; 4096], 0);
    'all: while let Ok(len @ 1..) = from.read(&mut buf) {
        for &byte in &buf[..len] {
            sleep(way.delay);
            if way.cut == Some(passed) || (way.lost != Some(passed) && to.write_all(&[byte]).is_err()) {
                break 'all;
            }
            passed += 1;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// Bumps over the line; what came of it holds against what the server says that it did.
fn bump_and_compare(client: &Client, direct: &Client, options: &CallOptions) -> Result<i64, CallError> {
    let before: i64 = direct.call("count", &()).unwrap();
    let result = client.call_with::<i64>(options, "bump", &(1,));
    let after: i64 = direct.call("count", &()).unwrap();
    match &result {
        Ok(sum) => assert_eq!((*sum, after), (before + 1, before + 1)),
        Err(error) => match error.outcome() {
            Outcome::NotRun => assert_eq!(after, before, "{error:?}"),
            Outcome::Unknown => assert!((before..=before + 1).contains(&after), "{error:?}"),
            Outcome::Ran => panic!("bump does not fail: {error:?}"),
        },
    }
    result
}

/// Cuts the line after no byte, one byte and so on, until a call gets through; how many there were before.
fn cuts_until_it_passes(address: SocketAddr, ways: impl Fn(usize) -> (Way, Way)) -> usize {
    let direct = connect(address);
    for cut in 0..10_000 {
        let (there, back) = ways(cut);
        let client = plain(line(address, there, back));
        match bump_and_compare(&client, &direct, &CallOptions::default()) {
            Ok(_) => return cut,
            Err(error) => assert!(!matches!(error, CallError::TimedOut { .. }), "after {cut} bytes: {error:?}"),
        }
    }
    panic!("no call gets through");
}

#[test]
fn a_line_that_is_cut_after_any_byte_of_the_request_makes_no_error_lie() {
    let (server, address) = serve();
    run(move || {
        let cuts = cuts_until_it_passes(address, |cut| (Way { cut: Some(cut), ..Way::default() }, Way::default()));
        // Its array, type, number, name and parameters.
        assert!(cuts >= 10, "only {cuts} bytes");
    });
    drop(server);
}

#[test]
fn a_line_that_is_cut_after_any_byte_of_the_answer_makes_no_error_lie() {
    let (server, address) = serve();
    run(move || {
        let cuts = cuts_until_it_passes(address, |cut| (Way::default(), Way { cut: Some(cut), ..Way::default() }));
        assert!(cuts >= 5, "only {cuts} bytes");
        // None of these calls was answered, and each had run: the last one, which was, comes on top.
        assert_eq!(connect(address).call::<usize>("count", &()).unwrap(), cuts + 1);
    });
    drop(server);
}

/// No message is the same without one of its bytes: the call ends at its limit at the latest.
#[test]
fn a_line_that_loses_a_byte_makes_no_error_lie_and_no_answer_of_another() {
    let (server, address) = serve();
    run(move || {
        let direct = connect(address);
        let options = CallOptions { timeout: Some(Duration::from_millis(100)), ..CallOptions::default() };
        let until_none_is_lost = |ways: &dyn Fn(Way) -> (Way, Way)| {
            let mut lost = 0;
            loop {
                let (there, back) = ways(Way { lost: Some(lost), ..Way::default() });
                match bump_and_compare(&plain(line(address, there, back)), &direct, &options) {
                    Ok(_) => return lost,
                    Err(_) => lost += 1,
                }
            }
        };
        // A request has ten bytes and more, an answer five and more.
        assert!(until_none_is_lost(&|way| (way, Way::default())) >= 10);
        assert!(until_none_is_lost(&|way| (Way::default(), way)) >= 5);
    });
    drop(server);
}

/// Each byte waits, so the whole request is later than the first call waits; its answer comes when the second one waits.
#[test]
fn an_answer_that_is_late_is_not_taken_for_that_of_the_next_call() {
    let (server, address) = serve();
    run(move || {
        let slow = Way { delay: Duration::from_millis(5), ..Way::default() };
        let client = plain(line(address, slow, slow));
        let options = CallOptions { timeout: Some(Duration::from_millis(30)), ..CallOptions::default() };
        let error = client.call_with::<i64>(&options, "add", &(1, 1)).unwrap_err();
        assert!(matches!(error, CallError::TimedOut { sent: true, .. }), "{error:?}");
        assert_eq!(client.call::<i64>("add", &(20, 20)).unwrap(), 40);
    });
    drop(server);
}

#[test]
fn extensions_are_agreed_on_over_a_line_that_carries_single_bytes() {
    let (server, address) = serve();
    run(move || {
        let client = connect(line(address, Way::default(), Way::default()));
        assert!(!client.connection().extensions().is_empty());
        let text = "grape".repeat(1000);
        assert_eq!(client.call::<String>("echo", &(&text,)).unwrap(), text);
    });
    drop(server);
}

/// It asks for more and more, and takes nothing of it: the server stops reading, and others do not notice.
#[test]
fn a_peer_that_never_reads_is_not_read_from_either() {
    let (server, address) = serve();
    let before = resident_bytes(&server);
    let mut greedy = net::TcpStream::connect(address).unwrap();
    greedy.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    // [0, number, "echo", [65,536 bytes]]
    let mut request = b"\x94\x00\xce\x00\x00\x00\x00\xa4echo\x91\xc6\x00\x01\x00\x00".to_vec();
    request.resize(request.len() + 65_536, 0);
    let mut taken = 0_u32;
    let stopped = loop {
        assert!(taken < 10_000, "{taken} requests were taken");
        request[3..7].copy_from_slice(&taken.to_be_bytes());
        match greedy.write_all(&request) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(stopped.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{stopped}");
    run(move || {
        let client = connect(address);
        for number in 0..100 {
            assert_eq!(client.call::<i64>("add", &(number, 1)).unwrap(), number + 1);
        }
    });
    let growth = resident_bytes(&server).saturating_sub(before);
    assert!(growth < GROWTH, "{growth} bytes more after {taken} requests");
    drop(greedy);
}

/// What a thousand peers send that mean no good; the number makes each a little different.
fn junk(number: usize) -> Vec<u8> {
    match number % 10 {
        0 => b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        1 => vec![0xc1; 1 + number],
        // A text, an array and a map of four gigabytes.
        2 => b"\x94\x00\x01\xdb\xff\xff\xff\xff".to_vec(),
        3 => b"\xdd\xff\xff\xff\xff\x00".to_vec(),
        4 => b"\x94\x00\x01\xa3nop\xdf\xff\xff\xff\xff".to_vec(),
        5 => vec![0x91; 10_000],
        // Half a request.
        6 => b"\x94\x00\x01\xa4ech".to_vec(),
        // Answers that nobody asked for.
        7 => b"\x94\x01\x07\xc0\xc0".repeat(100),
        // Requests that are none, each of which is to be answered.
        8 => b"\x93\x00\x07\xa3nop".repeat(100),
        _ => {
            let mut state = number as u64;
            let bytes = (0..1000).map(|_| {
                // A linear congruential generator: Knuth, The Art of Computer Programming 3.3.4, line 26 of table 1.
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            });
            bytes.collect()
        }
    }
}

/// Half of them leave, and half stay until the end; the server closes the connection of the former in any case.
fn send_junk(address: SocketAddr, number: usize) -> Option<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    // The server may have seen enough before it has seen all.
    let _ = (&stream).write_all(&junk(number));
    if number / 10 % 2 == 1 {
        return Some(stream);
    }
    let _ = stream.shutdown(Shutdown::Write);
    let mut answers = Vec::new();
    match (&stream).read_to_end(&mut answers) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{number}"),
    }
    None
}

/// Four times 250 of them, as not every system lets a process have a thousand connections.
#[test]
fn a_thousand_peers_that_send_junk_do_not_disturb_one_that_makes_sense() {
    const AT_A_TIME: usize = 250;
    const CALLS: i64 = 500;
    let (server, address) = serve();
    let before = resident_bytes(&server);
    let server = Rc::new(server);
    let kept = server.clone();
    run(move || {
        let good = connect(address);
        let mut staying = 0;
        for wave in 0..4 {
            scope(|scope| {
                let peers: Vec<_> = (0..AT_A_TIME)
                    .map(|peer| scope.spawn(move || send_junk(address, wave * AT_A_TIME + peer)))
                    .collect();
                for number in 0..CALLS {
                    let began = Instant::now();
                    assert_eq!(good.call::<i64>("add", &(number, 1)).unwrap(), number + 1);
                    assert!(began.elapsed() < Duration::from_secs(2), "call {number}: {:?}", began.elapsed());
                }
                staying += peers.into_iter().filter_map(|peer| peer.join().unwrap()).count();
            });
        }
        assert_eq!(staying, 500);
        let growth = resident_bytes(&kept).saturating_sub(before);
        assert!(growth < GROWTH, "{growth} bytes more");
    });
    assert_eq!(server.stderr().text(), "");
}

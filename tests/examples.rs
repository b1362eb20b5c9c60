//! The examples as a user meets them: started as programs, talked to over the network, ended with Ctrl-C.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests may stop at the first surprise, and their helpers are tests as well"
)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use grapeshot_harness::{End, Output, Program, Ready, Running, Signal, example, require, unused_addr};

// The half of worms without I/O, to be tried byte by byte.
#[path = "../examples/worms/telnet.rs"]
mod telnet;

/// Only a failure waits this long; a debug build on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a worms viewer's terminal is sent last: it leaves the alternate screen.
const RESTORED: &str = "\x1b[?1049l";

fn run(name: &str, arguments: &[&str]) -> Output {
    example(name).unwrap().args(arguments).output(PATIENCE).unwrap()
}

/// Starts an example that listens on a port of the system's choice, and waits for the line with `sign`.
fn serve(name: &str, arguments: &[&str], sign: &str) -> (Running, SocketAddr) {
    let program = example(name).unwrap().args(["--listen", "127.0.0.1:0"]).args(arguments);
    let running = program.ready_when(Ready::line(sign)).start().unwrap();
    let address = running.ready_addr().expect("the line holds the address");
    (running, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads until what was read contains `text`, and returns it.
fn read_until(mut stream: &TcpStream, text: &str) -> String {
    let mut seen = Vec::new();
    loop {
        let shown = String::from_utf8_lossy(&seen);
        if shown.contains(text) {
            return shown.into_owned();
        }
        let mut buf = [0; 4096];
        match stream.read(&mut buf) {
            Ok(len) if len > 0 => seen.extend(&buf[..len]),
            end => panic!("{end:?} before {text:?} came; the last was {:?}", &shown[shown.len().saturating_sub(500)..]),
        }
    }
}

fn read_to_end(mut stream: &TcpStream) -> String {
    let mut seen = Vec::new();
    stream.read_to_end(&mut seen).unwrap();
    String::from_utf8_lossy(&seen).into_owned()
}

fn interrupt(running: &mut Running) {
    running.signal(Signal::INT).unwrap();
    let status = running.wait_exit(PATIENCE).unwrap();
    assert_eq!(status.code(), Some(0), "after SIGINT");
}

#[test]
fn bad_arguments_get_a_usage_line_and_code_2() {
    let cases: &[(&str, &[&str])] = &[
        ("quickstart", &["--listen", "nowhere"]),
        ("quickstart", &["--self-test", "--listen"]),
        ("echo_server", &["--listen"]),
        ("echo_clients", &["--connect", "127.0.0.1"]),
        ("sleepers", &["0"]),
        ("sleepers", &["many"]),
        ("pipeline", &["only-a-file"]),
        ("mini_os", &["--test"]),
        ("worms", &["--worms", "1001"]),
        ("worms", &["--worms"]),
        ("worms", &["10"]),
    ];
    for (name, arguments) in cases {
        let output = run(name, arguments);
        assert!(matches!(output.end, End::Exited(status) if status.code() == Some(2)), "{output}");
        assert!(output.stderr.text().starts_with(&format!("usage: {name} ")), "{output}");
    }
}

#[test]
fn the_self_test_of_quickstart_passes() {
    let output = run("quickstart", &["--self-test"]);
    assert!(output.assert_success().stdout.text().contains("16 of 16 checks passed"), "{output}");
}

#[test]
fn the_self_tests_of_the_generators_examples_pass() {
    for name in ["pipeline", "mini_os"] {
        let output = run(name, &["--self-test"]);
        assert!(output.assert_success().stdout.text().contains("self-test passed"), "{output}");
    }
}

#[test]
fn every_command_that_quickstart_prints_works_as_pasted() {
    /// The end of a command, and what its output holds.
    const EXPECTED: &[(&str, &str)] = &[
        ("/", "Hello from Grapeshot."),
        ("/", "it came over TLS."),
        ("/lookup/localhost", "127.0.0.1\n"),
        ("/echo", "round shot"),
        ("/sleep/2", "Slept for 2s."),
        ("/panic", "HTTP/1.1 500 "),
        ("/stream", "line 1 of 5\nline 2 of 5\nline 3 of 5\nline 4 of 5\nline 5 of 5\n"),
        ("/coroutines", "\"main\""),
        ("/echo", "HTTP/1.1 413 "),
    ];
    if require("curl").is_none() {
        return;
    }
    let (mut server, address) = serve("quickstart", &[], "Serving on");
    server.wait_line("Ctrl-C", PATIENCE).unwrap();
    let printed = server.stdout().text().into_owned();
    let commands: Vec<&str> = printed.lines().map(str::trim).filter(|line| line.contains("curl ")).collect();
    assert_eq!(commands.len(), EXPECTED.len(), "{commands:#?}");
    for (command, (path, expected)) in commands.iter().zip(EXPECTED) {
        assert!(command.ends_with(&format!("://{address}{path}")), "{command}");
        let output = Program::new("sh").args(["-c", command]).output(PATIENCE).unwrap();
        assert!(output.assert_success().stdout.text().contains(expected), "{output}");
    }
    assert!(server.stderr().text().contains("panicked: request number"), "{}", server.stderr());
    interrupt(&mut server);
}

#[test]
fn quickstart_takes_another_port_when_its_own_is_taken() {
    let start = || example("quickstart").unwrap().ready_when(Ready::line("Serving on")).start().unwrap();
    let (first, second) = (start(), start());
    // If somebody else had the port, the first had to look for another one already.
    let took_it = first.ready_addr().is_some_and(|address| address.port() == 8080);
    let moved = if took_it { &second } else { &first };
    assert!(moved.stdout().text().starts_with("127.0.0.1:8080 is taken"), "{}", moved.stdout());
    assert_ne!(first.ready_addr(), second.ready_addr());
}

#[test]
fn quickstart_finishes_requests_under_way_when_interrupted() {
    let (mut server, address) = serve("quickstart", &[], "Serving on");
    let slow = connect(address);
    (&slow).write_all(b"GET /sleep/1 HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let mut watcher = connect(address);
    loop {
        watcher.write_all(b"GET /coroutines HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        let list = read_until(&watcher, "\"main\"");
        if list.contains("the end of a sleep") {
            break;
        }
    }
    interrupt(&mut server);
    let answer = read_to_end(&slow);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("Slept for 1s.\n"), "{answer}");
    assert!(server.stdout().text().ends_with("all connections closed.\n"), "{}", server.stdout());
}

#[test]
fn a_port_that_is_taken_is_named_when_it_was_asked_for() {
    let (_server, address) = serve("echo_server", &[], "listening on");
    for name in ["quickstart", "echo_server", "worms"] {
        let output = run(name, &["--listen", &address.to_string()]);
        assert!(matches!(output.end, End::Exited(status) if status.code() == Some(1)), "{output}");
        let message = output.stderr.text().into_owned();
        assert!(message.starts_with(name) && message.contains(&address.to_string()), "{output}");
    }
}

#[test]
fn a_hundred_echo_clients_get_all_their_bytes_back() {
    let output = run("echo_clients", &[]);
    assert!(output.assert_success().stdout.text().contains("13000 bytes came back"), "{output}");
}

#[test]
fn echo_clients_talk_to_the_echo_server() {
    let (mut server, address) = serve("echo_server", &[], "listening on");
    let output = run("echo_clients", &["--connect", &address.to_string()]);
    assert!(output.assert_success().stdout.text().contains("13000 bytes came back"), "{output}");
    interrupt(&mut server);
}

#[test]
fn a_line_that_says_quit_ends_the_echo_server_however_it_arrives() {
    let (mut server, address) = serve("echo_server", &[], "listening on");
    let stream = connect(address);
    (&stream).write_all(b"I do not quit\r\nqu").unwrap();
    read_until(&stream, "quit\r\nqu");
    (&stream).write_all(b"it\r\n").unwrap();
    assert_eq!(server.wait_exit(PATIENCE).unwrap().code(), Some(0));
}

#[test]
fn echo_clients_say_who_did_not_answer() {
    let nobody = unused_addr().unwrap().to_string();
    let output = run("echo_clients", &["--connect", &nobody]);
    assert!(matches!(output.end, End::Exited(status) if status.code() == Some(1)), "{output}");
    assert!(output.stderr.text().contains("refused"), "{output}");
}

#[test]
fn time_limits_says_whose_limit_passed() {
    let output = run("time_limits", &[]);
    let said = output.assert_success().stdout.text().into_owned();
    let lines = [
        "what it held is dropped",
        "not done within the time limit of 500ms",
        "returns its result: Ok(42)",
        "accept timed out; the listener can be used on",
        "the outer one passed: not done within the time limit of 400ms",
        "the inner one passed: not done within the time limit of 400ms",
        "block 3 is here",
        "stalled: not done within the time limit of 300ms",
        "saved, although the limit passed meanwhile",
        "at the first wait behind the shield",
    ];
    let mut rest = said.as_str();
    for line in lines {
        let at = rest.find(line).unwrap_or_else(|| panic!("no {line:?} at its place in\n{said}"));
        rest = &rest[at + line.len()..];
    }
}

#[test]
fn a_thousand_sleepers_sleep_twice() {
    let output = run("sleepers", &["1000"]);
    let said = output.assert_success().stdout.text().into_owned();
    assert_eq!(said.matches("1000 coroutines slept").count(), 2, "{output}");
    assert_eq!(said.matches("KiB each").count(), 2, "{output}");
}

#[test]
fn worms_draws_and_obeys_its_keys() {
    let (mut server, address) = serve("worms", &[], "worms on");
    let viewer = connect(address);
    let drawn = read_until(&viewer, " 10 worms, 1 watching ");
    // A wall in line-drawing characters, and bodies in colour.
    assert!(drawn.contains("\x1b(0lqqq") && drawn.contains(";48;5;"), "{drawn:?}");
    for (key, shown) in [("n", " 11 worms"), ("h", " 21 worms"), ("c", " 10 worms"), ("r", "\x1b[2J")] {
        (&viewer).write_all(key.as_bytes()).unwrap();
        read_until(&viewer, shown);
    }
    let other = connect(address);
    read_until(&other, " 10 worms, 2 watching ");
    (&other).write_all(b"q").unwrap();
    assert!(read_to_end(&other).ends_with(RESTORED));
    read_until(&viewer, " 10 worms, 1 watching ");
    interrupt(&mut server);
    assert!(read_to_end(&viewer).ends_with(RESTORED));
}

#[test]
fn worms_draws_within_the_window_that_telnet_tells() {
    let (_server, address) = serve("worms", &["--worms", "300"], "worms on");
    let viewer = connect(address);
    let window = b"\xff\xfa\x1f\x00\x28\x00\x0a\xff\xf0";
    (&viewer).write_all(window).unwrap();
    // The line below the arena ends after 40 characters, and the next square to be drawn follows.
    let drawn = read_until(&viewer, " 300 worms, 1 watching  n new  h hatch 1\x1b");
    // What came before the last clearing was for the window that was assumed.
    let drawn = drawn.rsplit("\x1b[2J").next().unwrap();
    let places = drawn.split("\x1b[").filter_map(|sequence| sequence.split_once('H')?.0.split_once(';'));
    let places: Vec<(u16, u16)> =
        places.filter_map(|(row, column)| Some((row.parse().ok()?, column.parse().ok()?))).collect();
    assert!(places.len() > 10, "{drawn:?}");
    assert!(places.iter().all(|&(row, column)| row <= 10 && column <= 40), "{places:?}");
}

#[test]
fn worms_refuses_telnet_options_that_it_does_not_know() {
    let (_server, address) = serve("worms", &[], "worms on");
    let mut viewer = connect(address);
    // DO STATUS: one that we lack.
    viewer.write_all(b"\xff\xfd\x05").unwrap();
    let mut seen: Vec<u8> = Vec::new();
    while !seen.windows(3).any(|window| window == b"\xff\xfc\x05") {
        let mut buf = [0; 4096];
        let len = viewer.read(&mut buf).unwrap();
        assert!(len > 0, "the connection ended without WONT STATUS");
        seen.extend(&buf[..len]);
    }
}

fn decode(bytes: &[u8]) -> Vec<telnet::Event> {
    let mut decoder = telnet::Decoder::new();
    bytes.iter().filter_map(|&byte| decoder.decode(byte)).collect()
}

#[test]
fn telnet_keys_pass_between_commands_and_a_doubled_iac_is_one_byte() {
    use telnet::Event::{Interrupt, Key};
    // RFC 854: a no-operation, a byte of 255, and an interrupt, with keys around them.
    assert_eq!(decode(b"a\xff\xf1b\xff\xff\xff\xf4c"), [Key(b'a'), Key(b'b'), Key(255), Interrupt, Key(b'c')]);
}

#[test]
fn a_telnet_window_is_read_with_its_doubled_bytes_and_nothing_else_is_kept() {
    use telnet::Event::{Key, Window};
    // RFC 1073: a width of 255 is sent with its byte doubled.
    assert_eq!(decode(b"\xff\xfa\x1f\x00\xff\xff\x00\x18\xff\xf0"), [Window { columns: 255, rows: 24 }]);
    let mut long = b"\xff\xfa\x1f".to_vec();
    long.extend([1; 1000]);
    long.extend(b"\xff\xf0k");
    assert_eq!(decode(&long), [Key(b'k')]);
}

#[test]
fn telnet_answers_only_what_changes_something() {
    use telnet::Event::Reply;
    const REFUSED: [u8; 3] = [255, 252, 24];
    const NOT_WANTED: [u8; 3] = [255, 254, 24];
    // RFC 1143: agreement with what we opened with is not answered, nor is a refusal of it.
    assert_eq!(telnet::OPENING, *b"\xff\xfb\x01\xff\xfb\x03\xff\xfd\x1f");
    assert_eq!(decode(b"\xff\xfd\x01\xff\xfd\x03\xff\xfb\x1f"), []);
    assert_eq!(decode(b"\xff\xfe\x01\xff\xfe\x03\xff\xfc\x1f"), []);
    // RFC 855: what is not known is refused; that it is not wanted is known.
    assert_eq!(decode(b"\xff\xfd\x18\xff\xfb\x18\xff\xfe\x18\xff\xfc\x18"), [Reply(REFUSED), Reply(NOT_WANTED)]);
    // RFC 854: a change of mind is acknowledged, once.
    assert_eq!(decode(b"\xff\xfd\x01\xff\xfe\x01\xff\xfe\x01"), [Reply([255, 252, 1])]);
}

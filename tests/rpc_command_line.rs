//! `rpc_call` against `rpc_server`, as one types it: what is printed, and with which code it ends.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use grapeshot_harness::{End, Output, Program, Ready, Running, Signal, TempDir, example, unused_addr};
use serde_json::{Value as Json, json};

/// Only a failure waits this long; a debug build on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

fn serve() -> (Running, String) {
    let server = example("rpc_server").unwrap().args(["--listen", "127.0.0.1:0"]);
    let server = server.ready_when(Ready::line("listening on")).start().unwrap();
    let address = server.ready_addr().unwrap().to_string();
    (server, address)
}

fn rpc_call(arguments: &[&str]) -> Output {
    example("rpc_call").unwrap().args(arguments).output(PATIENCE).unwrap()
}

fn code(output: &Output) -> Option<i32> {
    match output.end {
        End::Exited(status) => status.code(),
        End::Killed => None,
    }
}

/// That a call ends with this code and prints this one line of JSON.
#[track_caller]
fn assert_says(arguments: &[&str], expected: i32, answer: Json) {
    let output = rpc_call(arguments);
    assert_eq!(code(&output), Some(expected), "{output}");
    let printed = output.stdout.text();
    assert!(printed.ends_with('\n') && printed.lines().count() == 1, "{output}");
    assert_eq!(serde_json::from_str::<Json>(&printed).unwrap(), answer, "{output}");
    assert_eq!(output.stderr.text(), "", "{output}");
}

/// That a call ends with this code, and with a sentence that has `sign` in it on standard error alone.
#[track_caller]
fn assert_complains(arguments: &[&str], expected: i32, sign: &str) {
    let output = rpc_call(arguments);
    assert_eq!(code(&output), Some(expected), "{output}");
    assert_eq!(output.stdout.text(), "", "{output}");
    let complaint = output.stderr.text();
    assert!(complaint.starts_with("rpc_call: ") && complaint.contains(sign), "no {sign:?} in {output}");
}

#[test]
fn each_method_answers() {
    let (_server, address) = serve();
    let call = |method, params, answer| assert_says(&[&address, method, params], 0, answer);
    call("echo", r#"["hello"]"#, json!("hello"));
    call("add", "[19, 23]", json!(42));
    call("add", "[0.5, 1]", json!(1.5));
    call("sleep", "[1]", json!(null));
    call("count", "[]", json!(0));
    call("bump", "[3]", json!(3));
    call("bump", "[-5]", json!(-2));
    call("count", "[]", json!(-2));
    call("nop", "[]", json!(null));
}

#[test]
fn every_value_comes_back_as_it_went() {
    let (_server, address) = serve();
    for value in [
        json!(null),
        json!(true),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1.0),
        json!(0.300_000_000_000_000_04),
        json!(f64::MAX),
        json!(-5e-324),
        // What is a float there, and a text, though its digits are an integer that MessagePack lacks.
        json!(18_446_744_073_709_551_616.0),
        json!({"18446744073709551616": "\\\"18446744073709551616"}),
        json!(""),
        json!("\u{0}\"\\ \u{1f347}"),
        json!([[], [[]], {}]),
        json!({"a": {"b": [1, "c"]}, "": null}),
        json!({"$bytes": ""}),
        json!({"$bytes": "00ff"}),
        json!({"$ext": [-128, "0102"]}),
        json!({"$ext": [127, ""]}),
        json!({"$float": "NaN"}),
        json!({"$float": "-inf"}),
        json!({"$map": [[1, "one"], [[2], null], ["three", {"$bytes": "03"}]]}),
        // A map of one text key that looks like one of ours.
        json!({"$map": [["$bytes", "00"]]}),
        json!({"$bytes": "00", "two": 2}),
    ] {
        assert_says(&[&address, "echo", &json!([value]).to_string()], 0, value);
    }
}

#[test]
fn a_failure_is_printed_with_code_2() {
    let (_server, address) = serve();
    assert_says(&[&address, "fail", r#"["no luck"]"#], 2, json!({"code": 1, "message": "no luck"}));
    let nowhere = json!({"code": -32601, "message": "there is no method `nowhere`"});
    assert_says(&[&address, "nowhere", "[]"], 2, nowhere);
    for (method, params) in [
        ("add", r#"["1", 2]"#),
        ("echo", "[]"),
        ("add", "[1]"),
        ("add", "[1, 2, 3]"),
        ("add", "[18446744073709551615, 1]"),
        ("fail", "[7]"),
        ("sleep", "[-1]"),
        ("bump", r#"["much"]"#),
        ("nop", "[null]"),
    ] {
        let output = rpc_call(&[&address, method, params]);
        assert_eq!(code(&output), Some(2), "{output}");
        let failure: Json = serde_json::from_str(&output.stdout.text()).unwrap();
        assert_eq!(failure["code"], -32602, "{output}");
    }
}

#[test]
fn a_value_deeper_than_the_servers_limit_is_refused_by_the_server_and_not_by_a_stack() {
    let (_server, address) = serve();
    let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
    let output = rpc_call(&[&address, "echo", &deep]);
    assert_eq!(code(&output), Some(2), "{output}");
    assert!(output.stdout.text().contains("\"code\":-32700"), "{output}");
    assert_says(&[&address, "nop", "[]"], 0, json!(null));
}

#[test]
fn a_notification_prints_nothing_and_has_its_effect() {
    let (server, address) = serve();
    let told = rpc_call(&["--notify", &address, "bump", "[5]"]);
    assert_eq!((code(&told), told.stdout.text().as_ref(), told.stderr.text().as_ref()), (Some(0), "", ""));
    // A notification that fails tells nobody.
    assert_eq!(code(&rpc_call(&[&address, "bump", r#"["much"]"#, "--notify"])), Some(0));
    assert_says(&[&address, "count", "[]"], 0, json!(5));
    assert_eq!(server.stderr().text(), "");
}

#[test]
fn a_unix_socket_does_as_well_and_is_gone_with_its_server() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("calls.sock");
    let socket = path.to_str().unwrap();
    let server = example("rpc_server").unwrap().args(["--listen", socket, "--listen", "127.0.0.1:0"]);
    let mut server = server.ready_when(Ready::line("listening on 127.0.0.1")).start().unwrap();
    let address = server.ready_addr().unwrap().to_string();
    assert_says(&["--unix", socket, "bump", "[2]"], 0, json!(2));
    // Both places are of one server.
    assert_says(&[&address, "count", "[]"], 0, json!(2));
    server.signal(Signal::INT).unwrap();
    assert_eq!(server.wait_exit(PATIENCE).unwrap().code(), Some(0), "{}", server.stderr());
    assert!(!path.exists());
    assert_complains(&["--unix", socket, "nop", "[]"], 3, socket);
}

/// The requests go out in one piece, so the sleeper was first, and its answer comes last although the server was told to end.
#[test]
fn others_are_answered_while_one_sleeps_and_the_sleeper_before_the_server_ends() {
    let (mut server, address) = serve();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // [0, 1, "sleep", [1000]] and [0, 2, "nop", []]
    stream.write_all(b"\x94\x00\x01\xa5sleep\x91\xcd\x03\xe8\x94\x00\x02\xa3nop\x90").unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"\x94\x01\x02\xc0\xc0");
    server.signal(Signal::TERM).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"\x94\x01\x01\xc0\xc0");
    assert_eq!(server.wait_exit(PATIENCE).unwrap().code(), Some(0), "{}", server.stderr());
}

#[test]
fn no_connection_and_no_answer_end_with_code_3() {
    let nobody = unused_addr().unwrap().to_string();
    assert_complains(&[&nobody, "nop", "[]"], 3, "Connection refused");
    assert_complains(&["localhost", "nop", "[]"], 3, "no host and port");
    let (_server, address) = serve();
    assert_complains(&[&address, "sleep", "[60000]"], 3, "5s");
}

/// A peer that takes everything and says nothing, not even to the hello.
#[test]
fn a_peer_that_says_nothing_ends_with_code_3_after_five_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let began = Instant::now();
    let output = rpc_call(&[&address, "nop", "[]"]);
    assert_eq!(code(&output), Some(3), "{output}");
    assert!(output.stderr.text().contains("5s"), "{output}");
    assert!(began.elapsed() >= Duration::from_secs(5), "{output}");
    // The server was asked for more than a hello: one that is silent is taken for plain.
    let (mut stream, _) = listener.accept().unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).unwrap();
    assert!(said.ends_with(b"\xa3nop\x90"), "{said:x?}");
}

#[test]
fn a_peer_that_hangs_up_or_talks_nonsense_ends_with_code_3() {
    for answer in [&b""[..], b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xc1", b"\x94\x01\xce"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let peer = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // Whatever comes first is the hello.
            assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
            stream.write_all(answer).unwrap();
        });
        let output = rpc_call(&[&address, "nop", "[]"]);
        peer.join().unwrap();
        assert_eq!((code(&output), output.stdout.text().as_ref()), (Some(3), ""), "{answer:?}: {output}");
        assert!(output.stderr.text().starts_with("rpc_call: "), "{output}");
    }
}

#[test]
fn wrong_arguments_get_the_usage_and_code_1() {
    for (arguments, sign) in [
        (&[][..], "are needed"),
        (&["127.0.0.1:7000", "nop"], "are needed"),
        (&["127.0.0.1:7000", "nop", "[]", "[]"], "are needed"),
        (&["nop", "[]", "--unix"], "--unix needs a path"),
        (&["--unix", "a", "127.0.0.1:7000", "nop", "[]"], "are needed"),
        (&["--loud", "127.0.0.1:7000", "nop", "[]"], "--loud is no option"),
        (&["127.0.0.1:7000", "nop", "{}"], "the parameters are an array, not {}"),
        (&["127.0.0.1:7000", "nop", "["], "the parameters are no JSON"),
        (&["127.0.0.1:7000", "nop", "[18446744073709551616]"], "the integer 18446744073709551616 at byte 1,"),
        (&["127.0.0.1:7000", "nop", r#"["\\\"", {"1": [-9223372036854775809]}]"#], "-9223372036854775809 at byte 16,"),
        (&["127.0.0.1:7000", "nop", r#"[{"$bytes": "0"}]"#], "stands for nothing"),
        (&["127.0.0.1:7000", "nop", r#"[{"$ext": [128, ""]}]"#], "stands for nothing"),
    ] {
        assert_complains(arguments, 1, sign);
        assert_complains(arguments, 1, "\nusage: rpc_call");
    }
}

#[test]
fn a_server_with_wrong_arguments_gets_the_usage_and_one_without_a_place_the_reason() {
    for arguments in [&["--listen"][..], &["--listen", "nowhere"], &["--port", "1"]] {
        let output = example("rpc_server").unwrap().args(arguments).output(PATIENCE).unwrap();
        assert_eq!(code(&output), Some(2), "{output}");
        assert!(output.stderr.text().starts_with("usage: rpc_server"), "{output}");
    }
    let (_server, address) = serve();
    let second = example("rpc_server").unwrap().args(["--listen", &address]).output(PATIENCE).unwrap();
    assert_eq!(code(&second), Some(1), "{second}");
    let complaint = second.stderr.text();
    assert!(complaint.contains("in use") && complaint.matches(&address).count() == 1, "{second}");
}

#[test]
fn the_usage_is_printed_on_request() {
    for name in ["rpc_call", "rpc_server"] {
        for option in ["--help", "-h"] {
            let output = example(name).unwrap().arg(option).output(PATIENCE).unwrap();
            assert_eq!(code(&output), Some(0), "{output}");
            assert!(output.stdout.text().starts_with(&format!("usage: {name}")), "{output}");
            assert_eq!(output.stderr.text(), "", "{output}");
        }
    }
}

/// As under a supervisor, which starts a server again where the last one was killed.
#[test]
fn a_server_takes_over_the_unix_socket_of_one_that_was_killed_and_of_no_other() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("calls.sock");
    let socket = path.to_str().unwrap();
    let start = || {
        let server = example("rpc_server").unwrap().args(["--listen", socket]);
        server.ready_when(Ready::line("listening on")).start().unwrap()
    };
    let mut killed = start();
    killed.kill();
    assert!(path.exists());
    let _server = start();
    assert_says(&["--unix", socket, "bump", "[1]"], 0, json!(1));
    let second = example("rpc_server").unwrap().args(["--listen", socket]).output(PATIENCE).unwrap();
    assert_eq!(code(&second), Some(1), "{second}");
    let complaint = second.stderr.text();
    assert!(complaint.contains("another process listens there") && complaint.matches(socket).count() == 1, "{second}");
    assert_says(&["--unix", socket, "bump", "[1]"], 0, json!(2));
}

/// `rpc_call … | head -0`: who reads no further does not make a failure of an answer.
#[test]
fn a_closed_pipe_is_no_failure() {
    let (_server, address) = serve();
    let large = json!(["x".repeat(100_000)]).to_string();
    let script = r#"{ "$@"; echo "code $?" >&2; } | true"#;
    let output = in_shell(script, &[&address, "echo", &large]);
    assert!(output.stderr.text().contains("code 0"), "{output}");
}

#[test]
fn an_answer_that_cannot_be_printed_is_trouble() {
    let (_server, address) = serve();
    for arguments in [&[&*address, "nop", "[]"][..], &[&address, "nowhere", "[]"], &["--help"]] {
        let output = in_shell(r#"exec "$@" > /dev/full"#, arguments);
        assert_eq!(code(&output), Some(3), "{output}");
        assert!(output.stderr.text().starts_with("rpc_call: cannot print the answer: "), "{output}");
    }
    let told = in_shell(r#"exec "$@" > /dev/full"#, &["--notify", &address, "nop", "[]"]);
    assert_eq!(code(&told), Some(0), "it prints nothing: {told}");
}

/// `rpc_call` in a shell's script, which has it and its arguments as its own.
fn in_shell(script: &str, arguments: &[&str]) -> Output {
    // The program's path, without its arguments.
    let started = example("rpc_call").unwrap().start().unwrap();
    let binary = started.command().to_owned();
    Program::new("sh").args(["-c", script, "sh", &binary]).args(arguments).output(PATIENCE).unwrap()
}

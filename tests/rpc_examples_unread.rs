//! The examples of RPC when nobody reads what they print, as behind `| head -0`: servers go on, the others end as they
//! would have, and nobody panics.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::net::SocketAddr;
use std::time::Duration;

use grapeshot_harness::{End, Program, Ready, Running, Signal, TempDir, example, unused_addr};

/// Only a failure waits this long; a debug build on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// Becomes a program whose stdout is a pipe without a reader from its first moment on.
const UNREAD: &str = r#"
    folder=$(mktemp -d)
    mkfifo "$folder/pipe"
    exec 3<> "$folder/pipe"
    exec 4> "$folder/pipe" 3<&-
    rm -r "$folder"
    exec 1>&4 4>&-
    exec "$@""#;

/// An example that prints to nobody.
fn unread(name: &str, arguments: &[&str]) -> Program {
    in_shell(UNREAD, name, arguments)
}

/// An example in a shell's script, which has it and its arguments as its own.
fn in_shell(script: &str, name: &str, arguments: &[&str]) -> Program {
    // Built if it was not, but it is the shell that has to start it.
    example(name).unwrap();
    let test = std::env::current_exe().unwrap();
    let binary = test.parent().unwrap().parent().unwrap().join("examples").join(name);
    Program::new("sh").args(["-c", script, "sh"]).arg(binary).args(arguments)
}

/// That it ends with this code, and complains about nothing.
#[track_caller]
fn assert_ends(name: &str, arguments: &[&str], expected: i32) {
    let output = unread(name, arguments).output(PATIENCE).unwrap();
    let code = match output.end {
        End::Exited(status) => status.code(),
        End::Killed => None,
    };
    assert_eq!((code, output.stderr.text().as_ref()), (Some(expected), ""), "{output}");
}

/// A server that listens at this address, which is known beforehand: what it prints is not to be had.
fn serve(name: &str, arguments: &[&str], address: SocketAddr) -> Running {
    unread(name, &[arguments, &[&address.to_string()]].concat()).ready_when(Ready::port(address)).start().unwrap()
}

/// That an interrupt ends it well.
#[track_caller]
fn interrupt(mut server: Running) {
    server.signal(Signal::INT).unwrap();
    let code = server.wait_exit(PATIENCE).unwrap().code();
    assert_eq!((code, server.stderr().text().as_ref()), (Some(0), ""));
}

/// That a program says `answer`.
#[track_caller]
fn assert_answers(name: &str, arguments: &[&str], answer: &str) {
    let output = example(name).unwrap().args(arguments).output(PATIENCE).unwrap();
    assert_eq!(output.assert_success().stdout.text(), answer);
}

#[test]
fn rpc_server_serves_on() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("calls.sock");
    let socket = path.to_str().unwrap();
    let server = unread("rpc_server", &["--listen", socket]).ready_when(Ready::unix(&path)).start().unwrap();
    assert_answers("rpc_call", &["--unix", socket, "add", "[19, 23]"], "42\n");
    interrupt(server);
}

#[test]
fn the_quickstart_serves_on_and_says_goodbye_to_nobody() {
    let server = serve("quickstart", &["--listen"], unused_addr().unwrap());
    interrupt(server);
}

#[test]
fn the_calculator_serves_on() {
    let address = unused_addr().unwrap();
    let server = serve("calculator", &["server"], address);
    assert_answers("calculator", &["client", &address.to_string(), "7", "/", "2"], "7 / 2 -> 3\n");
    assert_ends("calculator", &["client", &address.to_string(), "7", "/", "2"], 0);
    interrupt(server);
}

#[test]
fn the_chat_serves_on() {
    let address = unused_addr().unwrap();
    let server = serve("rpc_chat", &["server"], address);
    assert_ends("rpc_chat", &["client", &address.to_string(), "ann"], 0);
    let output = example("rpc_chat").unwrap().args(["client", &address.to_string(), "bob"]).output(PATIENCE).unwrap();
    assert_eq!(output.assert_success().stdout.text(), "* here: bob\n");
    interrupt(server);
}

#[test]
fn programs_that_end_by_themselves_end_well() {
    assert_ends("calculator", &[], 0);
    assert_ends("quickstart", &["--self-test"], 0);
    assert_ends("balanced_client", &["1500"], 0);
    assert_ends("rpc_server", &["--help"], 0);
    assert_ends("rpc_call", &["--help"], 0);
}

/// `… 2>&1 | head -0`
#[test]
fn complaints_that_nobody_reads_are_no_panic_either() {
    for name in ["quickstart", "calculator", "rpc_chat", "rpc_server", "balanced_client"] {
        let script = format!("{UNREAD} 2>&1");
        let output = in_shell(&script, name, &["--loud", "--wrong"]).output(PATIENCE).unwrap();
        assert!(matches!(output.end, End::Exited(status) if status.code() == Some(2)), "{output}");
    }
}

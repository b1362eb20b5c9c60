//! The example `calculator`, as a user meets it: alone, and as a server and its clients in processes of their own.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::time::Duration;

use grapeshot_harness::{End, Output, Ready, Signal, example};

/// Only a failure waits this long; a debug build on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

fn run(arguments: &[&str]) -> Output {
    example("calculator").unwrap().args(arguments).output(PATIENCE).unwrap()
}

fn code(output: &Output) -> Option<i32> {
    match output.end {
        End::Exited(status) => status.code(),
        _ => None,
    }
}

#[test]
fn a_server_and_a_client_in_one_process_ask_and_answer() {
    let output = run(&[]);
    output.assert_success();
    let said = output.stdout.text();
    let list = "methods -> 7 of them\n  add(a: i64, b: i64) -> i64\n  plus(a: i64, b: i64) -> i64\n";
    assert!(said.starts_with(list), "{output}");
    let end = "40 + 2 -> 42\n7 / 2 -> 3\n1 / 0 -> none: nothing can be divided by zero\nremember 5 -> 5\nremember 6 -> 11\n\
               factors 360 -> [2, 2, 2, 3, 3, 5], 6 of them\n";
    assert!(said.ends_with(end), "{output}");
}

#[test]
fn clients_in_their_own_processes_share_one_calculator() {
    let server = example("calculator").unwrap().args(["server", "127.0.0.1:0"]);
    let mut server = server.ready_when(Ready::line("a calculator on")).start().unwrap();
    let address = server.ready_addr().unwrap().to_string();
    let ask = |question: &[&str]| run(&[&["client", &address], question].concat());
    assert_eq!(ask(&["6", "x", "7"]).stdout.text(), "6 x 7 -> 42\n");
    assert_eq!(ask(&["remember", "-5"]).stdout.text(), "remember -5 -> -5\n");
    assert_eq!(ask(&["remember", "7"]).stdout.text(), "remember 7 -> 2\n");
    assert_eq!(ask(&["factors", "97"]).stdout.text(), "factors 97 -> [97], 1 of them\n");
    let refused = ask(&["6", "!", "7"]);
    assert_eq!((code(&refused), refused.stderr.text().contains("! is no operator")), (Some(1), true), "{refused}");
    server.signal(Signal::INT).unwrap();
    assert_eq!(server.wait_exit(PATIENCE).unwrap().code(), Some(0), "after SIGINT: {}", server.stderr());
    let alone = ask(&["1", "+", "1"]);
    assert_eq!((code(&alone), alone.stderr.text().contains(&address)), (Some(1), true), "{alone}");
}

#[test]
fn bad_arguments_get_a_usage_line_and_code_2() {
    for arguments in [&["serve"][..], &["client", "127.0.0.1:1"], &["server"]] {
        let output = run(arguments);
        assert_eq!(code(&output), Some(2), "{output}");
        assert!(output.stderr.text().starts_with("usage: calculator"), "{output}");
    }
}

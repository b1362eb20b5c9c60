//! `http_echo` and curl.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod served;

use std::fs;
use std::path::PathBuf;

use grapeshot_harness::{Output, Program, TempDir, require};

use served::{PATIENCE, Served, pattern};

/// curl without a user's settings, silent but for errors.
fn curl(path: PathBuf) -> Program {
    Program::new(path).args(["-q", "-sS", "--noproxy", "*"])
}

fn run(program: Program) -> Output {
    let output = program.output(PATIENCE).unwrap();
    output.assert_success();
    output
}

#[test]
fn a_body_comes_back() {
    let Some(path) = require("curl") else { return };
    let served = Served::start();
    let output = run(curl(path).args(["--data", "round shot", &served.url("/any/path?query")]));
    assert_eq!(output.stdout.text(), "round shot");
    served.interrupt();
}

#[test]
fn two_requests_share_a_connection() {
    let Some(path) = require("curl") else { return };
    let served = Served::start();
    let (one, two) = (served.url("/one"), served.url("/two"));
    let output = run(curl(path).args(["-w", "%{http_code} %{num_connects}\n", &one, &two]));
    assert_eq!(output.stdout.text(), "200 1\n200 0\n");
    served.interrupt();
}

#[test]
fn http_1_0_is_answered() {
    let Some(path) = require("curl") else { return };
    let served = Served::start();
    let body = pattern(100_000);
    let url = served.url("/");
    let output = run(curl(path).args(["--http1.0", "--data-binary", "@-", &url]).input(body.clone()));
    assert!(output.stdout.bytes == body);
    served.interrupt();
}

/// Without the 100 it asks for, curl would wait for a minute, and the test with it.
#[test]
fn a_client_that_waits_for_continue_gets_it() {
    let Some(path) = require("curl") else { return };
    let served = Served::start();
    let body = pattern(1 << 17);
    let output = run(curl(path)
        .args(["-v", "--expect100-timeout", "3600", "-H", "Expect: 100-continue"])
        .args(["--data-binary", "@-", &served.url("/")])
        .input(body.clone()));
    assert!(output.stdout.bytes == body);
    let log = output.stderr.text();
    assert!(log.contains("< HTTP/1.1 100 Continue"), "{log}");
    assert!(log.contains("< HTTP/1.1 200 OK"), "{log}");
    served.interrupt();
}

#[test]
fn uploads_come_back_byte_for_byte() {
    let Some(path) = require("curl") else { return };
    let served = Served::start();
    let dir = TempDir::new().unwrap();
    for len in [0, 1, 64 << 10, 7 << 20] {
        let (up, down) = (dir.path().join("up"), dir.path().join("down"));
        fs::write(&up, pattern(len)).unwrap();
        let url = served.url("/upload");
        let status = run(curl(path.clone()).arg("-T").arg(&up).arg("-o").arg(&down).args(["-w", "%{http_code}", &url]));
        assert_eq!(status.stdout.text(), "200", "{len} bytes");
        // curl makes no file of nothing.
        assert!(fs::read(&down).unwrap_or_default() == pattern(len), "{len} bytes");
    }
    served.interrupt();
}

#[test]
fn uploads_of_unknown_length_come_back_byte_for_byte() {
    let Some(path) = require("curl") else { return };
    let served = Served::start();
    let dir = TempDir::new().unwrap();
    let down = dir.path().join("down");
    for len in [0, 1, 64 << 10, 7 << 20] {
        let url = served.url("/upload");
        let chunked = ["-H", "Transfer-Encoding: chunked", "--data-binary", "@-"];
        for arguments in [&["-T", "-"][..], &chunked] {
            let upload = curl(path.clone()).args(arguments).arg("-o").arg(&down).args(["-w", "%{http_code}", &url]);
            assert_eq!(run(upload.input(pattern(len))).stdout.text(), "200", "{len} bytes by {arguments:?}");
            assert!(fs::read(&down).unwrap_or_default() == pattern(len), "{len} bytes by {arguments:?}");
        }
    }
    served.interrupt();
}

#[test]
fn head_is_answered_without_a_body() {
    let Some(path) = require("curl") else { return };
    let served = Served::start();
    let (one, two) = (served.url("/one"), served.url("/two"));
    let output = run(curl(path).args(["-I", "-w", "%{num_connects}\n", &one, &two]));
    let text = output.stdout.text();
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 2);
    // A body nobody reads would have cost the first connection.
    assert!(text.ends_with("\r\n\r\n0\n"), "{text}");
    served.interrupt();
}

#[test]
fn transfers_in_parallel_do_not_mix() {
    let Some(path) = require("curl") else { return };
    let served = Served::start();
    let dir = TempDir::new().unwrap();
    let mut program = curl(path).args(["--parallel", "--parallel-immediate", "--parallel-max", "20"]);
    for n in 0..100 {
        let (body, out) = (format!("body {n}"), dir.path().join(n.to_string()));
        program = program.args(["--next", "-sS", "--data", &body]).arg("-o").arg(out).arg(served.url("/"));
    }
    run(program);
    for n in 0..100 {
        assert_eq!(fs::read_to_string(dir.path().join(n.to_string())).unwrap(), format!("body {n}"));
    }
    served.interrupt();
}

/// A client that gives up in the middle leaves the others as they are.
#[test]
fn an_upload_that_hangs_is_given_up_and_the_next_is_served() {
    let Some(path) = require("curl") else { return };
    let served = Served::start();
    // Its input stays open, and never comes.
    let mut hanging =
        curl(path.clone()).args(["-T", "-", "--max-time", "0.5", &served.url("/")]).open_input().start().unwrap();
    assert_eq!(hanging.wait_exit(PATIENCE).unwrap().code(), Some(28), "a time-out");
    let output = run(curl(path).args(["--data", "next", &served.url("/")]));
    assert_eq!(output.stdout.text(), "next");
    served.interrupt();
}

/// RFC 9110 section 7.8: an upgrade that is not taken up is ignored, and so is one to HTTP/2.
#[test]
fn an_offer_of_http_2_is_answered_in_http_1_1() {
    let Some(path) = require("curl") else { return };
    let served = Served::start();
    let output = run(curl(path).args(["--http2", "-w", " %{http_version}", "--data", "body", &served.url("/")]));
    assert_eq!(output.stdout.text(), "body 1.1");
    served.interrupt();
}

#[test]
fn the_server_itself_can_be_asked_for_its_options() {
    let Some(path) = require("curl") else { return };
    let served = Served::start();
    let url = served.url("/");
    let output = run(curl(path).args(["-X", "OPTIONS", "--request-target", "*", "-w", "%{http_code}", &url]));
    assert_eq!(output.stdout.text(), "200");
    served.interrupt();
}

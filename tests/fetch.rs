//! `fetch` and servers that answer as they should not: exit code 0 only if every answer came whole.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod fetching;

use std::fs;
use std::net::TcpListener;

use grapeshot_harness::{Program, TempDir, example, require, unused_addr};

use fetching::{PATIENCE, Scripted, assert_code, code, fetch, pattern};

const ROUND: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nround";

#[test]
fn a_whole_answer_is_written_and_leaves_with_0() {
    for answer in [
        ROUND,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nround\r\n0\r\nDigest: x\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nround",
        "HTTP/1.0 200 OK\r\n\r\nround",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nround",
    ] {
        let server = Scripted::new(answer);
        let output = fetch(["-s", &server.url()]);
        assert_code(&output, 0);
        assert_eq!((output.stdout.text().as_ref(), output.stderr.text().as_ref()), ("round", ""), "{answer:?}");
    }
}

#[test]
fn a_line_for_each_url_says_how_it_went() {
    let server = Scripted::new(ROUND);
    let output = fetch([server.url()]);
    let told = output.stderr.text().into_owned();
    assert!(told.starts_with(&format!("{}: 200 OK, 5 bytes in ", server.url())), "{told}");
    assert_eq!(told.lines().count(), 1);
    let server = Scripted::new("HTTP/1.1 200 OK\r\n\r\nround");
    let told = fetch([server.url()]).stderr.text().into_owned();
    assert!(told.contains("no length was said: the end of the connection was taken for that of the body"), "{told}");
}

#[test]
fn the_request_is_a_get_with_host_and_agent() {
    let server = Scripted::new(ROUND);
    fetch(["-s", &format!("{}a?b#c", server.url())]);
    let head = server.heads().remove(0);
    assert!(
        head.starts_with(&format!("GET /a?b HTTP/1.1\r\nhost: {}\r\nuser-agent: grapeshot/", server.address)),
        "{head}"
    );
}

/// Bad answers that curl refuses as well, and what `fetch` leaves with.
const BAD_ANSWERS: [(&str, i32); 16] = [
    ("", 52),
    ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nround", 18),
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 18),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nround\r\n", 18),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nrou", 18),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nround\r\n0\r\n", 18),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nround", 56),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nroundabout\r\n0\r\n\r\n", 56),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 56),
    // HTTP/0.9, and other protocols.
    ("round", 1),
    ("SSH-2.0-x\r\n", 1),
    ("HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n", 8),
    ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nround", 8),
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nround", 8),
    ("HTTP/1.1 200 OK\r\nA: b\0c\r\nContent-Length: 5\r\n\r\nround", 8),
    ("HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 5\r\n\r\nround", 8),
];

/// Bad answers that curl (7.88) takes for good ones.
const TAKEN_BY_CURL: [(&str, i32); 8] = [
    ("HTTP/1.1 200 OK\r\nContent-Len", 8),
    ("HTTP/2.0 200 OK\r\n\r\n", 1),
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nround", 8),
    ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nround\r\n0\r\n\r\n", 8),
    ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 5\r\n\r\nround", 8),
    ("HTTP/1.1 200 OK\nContent-Length: 5\n\nround", 8),
    ("HTTP/1.1 200 OK\r\nA: b\rContent-Length: 6\r\nContent-Length: 5\r\n\r\nround", 8),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nround", 8),
];

#[test]
fn bad_answers_are_refused_each_by_its_code_and_in_one_line() {
    for (answer, expected) in BAD_ANSWERS.into_iter().chain(TAKEN_BY_CURL) {
        let server = Scripted::new(answer);
        let output = fetch([server.url()]);
        assert_eq!(code(&output), expected, "{answer:?}: {output}");
        let told = output.stderr.text().into_owned();
        assert!(told.starts_with(&format!("fetch: {}: ", server.url())), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

/// Nothing that curl refuses is taken here: its codes differ from version to version, its judgement less.
#[test]
fn what_is_refused_here_and_by_curl_is_so_for_the_same_answers() {
    let Some(curl) = require("curl") else { return };
    for (answer, _) in BAD_ANSWERS {
        let server = Scripted::new(answer);
        let output = Program::new(&curl).args(["-q", "-sS", "--noproxy", "*", &server.url()]).output(PATIENCE).unwrap();
        assert_ne!(code(&output), 0, "{answer:?}: {output}");
    }
    let server = Scripted::new(ROUND);
    let output = Program::new(&curl).args(["-q", "-sS", "--noproxy", "*", &server.url()]).output(PATIENCE).unwrap();
    assert_code(&output, 0);
}

/// Whatever of it is missing, if only the last byte.
#[test]
fn an_answer_cut_off_anywhere_is_no_success() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nround\r\n0\r\n\r\n";
    for answer in [ROUND, chunked] {
        for len in (0..answer.len()).step_by(3).chain([answer.len() - 1]) {
            let server = Scripted::new(&answer[..len]);
            let output = fetch(["-s", &server.url()]);
            assert_ne!(code(&output), 0, "{len} bytes of {answer:?}");
        }
    }
}

#[test]
fn what_came_before_a_failure_is_written() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("out");
    let server = Scripted::new("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nround");
    let output = fetch(["-o", path.to_str().unwrap(), &server.url()]);
    assert_code(&output, 18);
    assert!(output.stderr.text().contains("the answer ends after 5 of 10 bytes"), "{output}");
    assert_eq!(fs::read(&path).unwrap(), b"round");
}

#[test]
fn files_belong_to_urls_in_their_order() {
    let dir = TempDir::new().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let body = pattern(1 << 20);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let (large, small) = (Scripted::new([head.as_bytes(), &body].concat()), Scripted::new(ROUND));
    let joined = format!("-so{}", one.display());
    let output = fetch([&joined, &large.url(), &small.url(), "--output", two.to_str().unwrap(), &small.url()]);
    assert_code(&output, 0);
    assert!(fs::read(&one).unwrap() == body);
    assert_eq!(fs::read(&two).unwrap(), b"round");
    assert_eq!(output.stdout.text(), "round", "the third has no file");
}

#[test]
fn the_first_failure_says_the_code_and_the_others_go_on() {
    let (bad, good) = (Scripted::new(""), Scripted::new(ROUND));
    let output = fetch([&good.url(), &bad.url(), "ftp://h/", &good.url()]);
    assert_code(&output, 52);
    assert_eq!(output.stdout.text(), "roundround");
    assert_eq!(output.stderr.text().lines().count(), 4);
}

#[test]
fn a_head_is_shown_on_request() {
    let server = Scripted::new("HTTP/1.1 200 Oh  K\r\nX-A:1\r\nContent-Length: 5\r\n\r\nround");
    let output = fetch(["-si", &server.url()]);
    assert_eq!(output.stdout.text(), "HTTP/1.1 200 Oh  K\r\nx-a: 1\r\ncontent-length: 5\r\n\r\nround");
}

#[test]
fn a_status_from_400_on_is_a_failure_on_request_only() {
    for (status, with_f) in [(200, 0), (399, 0), (400, 22), (404, 22), (500, 22), (999, 22)] {
        let server = Scripted::new(format!("HTTP/1.1 {status} x\r\nContent-Length: 5\r\n\r\nround"));
        assert_code(&fetch(["-s", &server.url()]), 0);
        let output = fetch(["-s", "-f", &server.url()]);
        assert_code(&output, with_f);
        assert_eq!(output.stdout.text(), if with_f == 0 { "round" } else { "" });
    }
}

#[test]
fn silence_holds_unless_errors_are_asked_for() {
    let server = Scripted::new("");
    assert_eq!(fetch(["-s", &server.url()]).stderr.text(), "");
    let told = fetch(["-sS", &server.url()]).stderr.text().into_owned();
    assert_eq!(told, format!("fetch: {}: the server closed the connection without an answer\n", server.url()));
}

#[test]
fn urls_that_cannot_be_asked_for_say_why() {
    for (url, expected, told) in [
        ("ftp://h/", 1, "only http and https"),
        ("h.example/page", 3, "a URL begins with http:// or https://"),
        ("http://user:password@h/", 3, "a user's name in the URL"),
        ("http://127.1/", 3, "not an address as all readers write it"),
        ("http://h/a b", 3, "byte 10: 0x20 is not percent-encoded"),
        ("http://h:99999/", 3, "the port is no number from 1 to 65535"),
        ("http://[::1/", 3, "not an address"),
    ] {
        let output = fetch([url]);
        assert_code(&output, expected);
        assert!(output.stderr.text().contains(told), "{output}");
    }
}

#[test]
fn wrong_arguments_get_a_usage_line_and_code_2() {
    let cases: [&[&str]; 8] = [
        &[],
        &["-s"],
        &["-x", "http://h/"],
        &["--insecure", "http://h/"],
        &["--max-time", "soon", "http://h/"],
        &["--resolve", "h:80", "http://h/"],
        &["--key", "k.pem", "http://h/"],
        &["http://h/", "-o"],
    ];
    for arguments in cases {
        let output = fetch(arguments);
        assert_code(&output, 2);
        assert!(output.stderr.text().contains("usage: fetch "), "{output}");
    }
}

#[test]
fn a_server_that_is_not_there_is_7() {
    let nowhere = unused_addr().unwrap();
    let output = fetch([format!("http://{nowhere}/")]);
    assert_code(&output, 7);
    assert!(output.stderr.text().contains("refused"), "{output}");
}

/// RFC 6761 section 6.4: nobody is asked for such a name.
#[test]
fn a_name_that_leads_nowhere_is_6() {
    let output = fetch(["http://shop.invalid/"]);
    assert_code(&output, 6);
    assert!(output.stderr.text().contains("looking up shop.invalid: no such name"), "{output}");
}

#[test]
fn a_name_is_looked_up_or_taken_from_the_command_line() {
    let server = Scripted::new(ROUND);
    let port = server.address.port();
    assert_code(&fetch(["-s", &format!("http://localhost:{port}/")]), 0);
    let nobody = unused_addr().unwrap().ip();
    let known = format!("Shop.Test:{port}:[::1],{nobody},127.0.0.1");
    assert_code(&fetch(["-s", "--resolve", &known, &format!("http://shop.test:{port}/")]), 0);
    assert!(server.heads()[1].contains(&format!("\r\nhost: shop.test:{port}\r\n")));
    // Another port of the same name is nobody's business.
    assert_code(&fetch(["-s", "--resolve", "shop.invalid:1:127.0.0.1", &format!("http://shop.invalid:{port}/")]), 6);
}

#[test]
fn limits_of_time_and_size_are_28_and_63() {
    // Takes connections into its backlog, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let output = fetch(["--max-time", "0.2", &url]);
    assert_code(&output, 28);
    assert!(output.stderr.text().contains("not done within 200ms"), "{output}");
    let url = url.replace("http:", "https:");
    assert_code(&fetch(["--connect-timeout", "0.2", &url]), 28);
    for answer in [ROUND, "HTTP/1.1 200 OK\r\n\r\nround"] {
        let server = Scripted::new(answer);
        assert_code(&fetch(["-s", "--max-filesize", "5", &server.url()]), 0);
        let output = fetch(["--max-filesize", "4", &server.url()]);
        assert_code(&output, 63);
        assert!(output.stderr.text().contains("the body is over the limit of 4 bytes"), "{output}");
    }
}

#[test]
fn what_cannot_be_written_is_23() {
    let server = Scripted::new(ROUND);
    let dir = TempDir::new().unwrap();
    let nowhere = dir.path().join("no/such/folder");
    let output = fetch(["-o", nowhere.to_str().unwrap(), &server.url()]);
    assert_code(&output, 23);
    assert!(output.stderr.text().contains("no/such/folder"), "{output}");
    let full = fetch(["-o", "/dev/full", &server.url()]);
    assert_code(&full, 23);
    // A reader that has seen enough.
    drop(example("fetch").unwrap());
    let large = Scripted::new([b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), pattern(8 << 20)].concat());
    let script = "\"$0\" -s \"$1\" | head -c 1 > /dev/null; echo ${PIPESTATUS[0]}";
    let output =
        Program::new("bash").args(["-c", script]).arg(path_of_fetch()).arg(large.url()).output(PATIENCE).unwrap();
    assert_eq!(output.stdout.text(), "23\n", "{output}");
}

/// Examples are built into a folder beside that of the test programs.
fn path_of_fetch() -> std::path::PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples/fetch")
}

/// What a server says must not reach a terminal as more than a line.
#[test]
fn an_error_is_one_line_whatever_it_repeats() {
    let output = fetch(["http://h\n\x1b[2J/"]);
    assert_code(&output, 3);
    assert_eq!(output.stderr.text().lines().count(), 1);
    assert!(!output.stderr.text().contains('\x1b'), "{output}");
}

//! The examples `rpc_chat` and `rpc_grep`, as a user meets them: several processes that call each other.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use grapeshot_harness::{End, Output, Program, Ready, Running, Signal, TempDir, example, unused_addr};

/// Only a failure waits this long; a debug build on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

fn code(output: &Output) -> Option<i32> {
    match output.end {
        End::Exited(status) => status.code(),
        End::Killed => None,
    }
}

fn chat_server() -> (Running, String) {
    let server = example("rpc_chat").unwrap().args(["server", "127.0.0.1:0"]);
    let server = server.ready_when(Ready::line("rpc_chat on")).start().unwrap();
    let address = server.ready_addr().unwrap().to_string();
    (server, address)
}

/// Somebody who is in the room.
fn chatter(address: &str, name: &str) -> Running {
    let client = example("rpc_chat").unwrap().args(["client", address, name]);
    client.open_input().ready_when(Ready::line("* here: ")).start().unwrap()
}

#[test]
fn the_server_calls_every_client_but_the_one_who_speaks() {
    let (_server, address) = chat_server();
    let mut ann = chatter(&address, "ann");
    let mut bob = chatter(&address, "bob");
    assert_eq!(bob.ready_line(), Some("* here: ann, bob"));
    ann.wait_line("*: bob joins", PATIENCE).unwrap();
    ann.send("round \x1b[2Jshot\n".as_bytes()).unwrap();
    bob.wait_line("ann: round [2Jshot", PATIENCE).unwrap();
    bob.send(b"grape shot\n").unwrap();
    ann.wait_line("bob: grape shot", PATIENCE).unwrap();
    bob.end_input();
    assert!(bob.wait_exit(PATIENCE).unwrap().success(), "{}", bob.stderr());
    ann.wait_line("*: bob leaves", PATIENCE).unwrap();
    assert!(!ann.stdout().text().contains("ann: round"), "{}", ann.stdout());
}

#[test]
fn what_the_room_does_not_do_it_says_and_the_chat_goes_on() {
    let (_server, address) = chat_server();
    let mut ann = chatter(&address, "ann");
    ann.send(format!("{}\nfine\n", "x".repeat(513)).as_bytes()).unwrap();
    ann.wait_line("* that has 513 bytes, and 512 are the limit", PATIENCE).unwrap();
    for (name, reason) in [("ann", "somebody here is ann already"), ("a b", "a name is one to 16 letters and digits")] {
        let output = example("rpc_chat").unwrap().args(["client", &address, name]).output(PATIENCE).unwrap();
        assert_eq!(code(&output), Some(1), "{output}");
        assert!(output.stderr.text().contains(reason), "{output}");
    }
    let mut bob = chatter(&address, "bob");
    ann.send(b"still here\n").unwrap();
    bob.wait_line("ann: still here", PATIENCE).unwrap();
    bob.end_input();
}

#[test]
fn who_stands_still_is_dropped_and_the_others_do_not_wait() {
    let (_server, address) = chat_server();
    let mut ann = chatter(&address, "ann");
    let bob = chatter(&address, "bob");
    let zoe = chatter(&address, "zoe");
    bob.signal(Signal::STOP).unwrap();
    // One more than bob may be behind, beside the one that waits for its answer.
    // One at a time: zoe would fall behind as well, were she slower than ann by as much.
    for number in 1..=102 {
        ann.send(format!("line {number}\n").as_bytes()).unwrap();
        zoe.wait_line(&format!("ann: line {number}"), PATIENCE).unwrap();
    }
    ann.wait_line("*: bob is dropped, 100 lines behind", PATIENCE).unwrap();
    ann.send(b"and on\n").unwrap();
    zoe.wait_line("ann: and on", PATIENCE).unwrap();
    assert!(zoe.stdout().text().contains("ann: line 102\n"), "{}", zoe.stdout());
}

#[test]
fn a_client_whose_server_ends_does_not_wait_for_its_keyboard() {
    let (mut server, address) = chat_server();
    let mut ann = chatter(&address, "ann");
    server.signal(Signal::INT).unwrap();
    assert_eq!(ann.wait_exit(PATIENCE).unwrap().code(), Some(1), "{}", ann.stderr());
    assert!(ann.stdout().text().contains("* the server is gone"), "{}", ann.stdout());
    assert_eq!(server.wait_exit(PATIENCE).unwrap().code(), Some(0), "{}", server.stderr());
}

fn worker(folder: &Path) -> (Running, String) {
    let worker = example("rpc_grep").unwrap().args(["serve", "127.0.0.1:0"]).arg(folder);
    let worker = worker.ready_when(Ready::line("searching")).start().unwrap();
    let address = worker.ready_line().unwrap().rsplit(' ').next().unwrap().to_owned();
    (worker, address)
}

fn find(arguments: &[&str]) -> Output {
    example("rpc_grep").unwrap().arg("find").args(arguments).output(PATIENCE).unwrap()
}

#[test]
fn lines_of_all_workers_come_together_with_where_they_were_found() {
    let folder = TempDir::new().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two/inner"));
    fs::create_dir_all(&one).unwrap();
    fs::create_dir_all(&two).unwrap();
    fs::write(one.join("a.txt"), "a shot\nnothing\ngrape\x1b[2J shot").unwrap();
    fs::write(two.join("b.txt"), b"\xff shot\n").unwrap();
    fs::write(two.join("c.txt"), "nothing\n").unwrap();
    let ((first, near), (second, far)) = (worker(&one), worker(&folder.path().join("two")));

    let output = find(&["shot", &near, &far]);
    assert_eq!(code(&output), Some(0), "{output}");
    let stdout = output.stdout.text();
    let mut lines: Vec<&str> = stdout.lines().collect();
    lines.sort_unstable();
    let mut expected = [
        format!("{near} a.txt:1: a shot"),
        format!("{near} a.txt:3: grape[2J shot"),
        format!("{far} inner/b.txt:1: \u{fffd} shot"),
    ];
    expected.sort_unstable();
    assert_eq!(lines, expected);
    first.wait_line("done: \"shot\" in 1 files", PATIENCE).unwrap();
    second.wait_line("done: \"shot\" in 2 files", PATIENCE).unwrap();
    assert_eq!(code(&find(&["no such text", &near, &far])), Some(1));
}

/// A folder with far more to be found than a window takes.
fn plenty() -> TempDir {
    let folder = TempDir::new().unwrap();
    for number in 0..20 {
        fs::write(folder.path().join(number.to_string()), "a line with shot in it\n".repeat(5000)).unwrap();
    }
    folder
}

#[test]
fn a_limit_stops_the_workers_where_they_are() {
    let folder = plenty();
    let ((first, near), (second, far)) = (worker(folder.path()), worker(folder.path()));
    let output = find(&["--limit", "7", "shot", &near, &far]);
    assert_eq!(code(&output), Some(0), "{output}");
    assert_eq!(output.stdout.text().lines().count(), 7);
    for worker in [first, second] {
        let line = worker.wait_line("stopped: \"shot\" in ", PATIENCE).unwrap();
        let files: u64 = line.split(' ').rev().nth(1).unwrap().parse().unwrap();
        assert!(files < 20, "the window holds back the worker: {line}");
    }
}

/// Its output is a pipe that nobody empties, so it is in the middle when it is told to end.
#[test]
fn the_end_of_the_one_who_asks_stops_the_worker() {
    let folder = plenty();
    let (worker, address) = worker(folder.path());
    let script = r#"
        mkfifo "$2"
        "$0" find shot "$1" > "$2" &
        asking=$!
        { read line; echo "$line"; kill -TERM $asking; wait $asking; echo "ended"; } < "$2""#;
    let program = example("rpc_grep").unwrap().start().unwrap().command().to_owned();
    let scratch = TempDir::new().unwrap();
    let shell = Program::new("sh").args(["-c", script, &program, &address]).arg(scratch.path().join("pipe"));
    let output = shell.output(PATIENCE).unwrap();
    assert!(output.stdout.text().ends_with("1: a line with shot in it\nended\n"), "{output}");
    worker.wait_line("stopped: \"shot\" in ", PATIENCE).unwrap();
}

#[test]
fn a_worker_that_cannot_be_asked_is_told_of_and_the_others_go_on() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("a"), "shot\n").unwrap();
    let (_worker, near) = worker(folder.path());
    let nobody = unused_addr().unwrap().to_string();
    let output = find(&["shot", &nobody, &near]);
    assert_eq!(code(&output), Some(2), "{output}");
    assert!(output.stdout.text().ends_with("a:1: shot\n"), "{output}");
    assert!(output.stderr.text().contains(&format!("rpc_grep: {nobody}: cannot connect")), "{output}");
}

#[test]
fn bad_arguments_get_a_usage_line_and_code_2() {
    let cases: [(&str, &[&str]); 6] = [
        ("rpc_chat", &[]),
        ("rpc_chat", &["client", "127.0.0.1:1"]),
        ("rpc_grep", &[]),
        ("rpc_grep", &["find", "shot"]),
        ("rpc_grep", &["find", "--loud", "127.0.0.1:1"]),
        ("rpc_grep", &["serve", "127.0.0.1:0"]),
    ];
    for (name, arguments) in cases {
        let output = example(name).unwrap().args(arguments).output(PATIENCE).unwrap();
        assert_eq!(code(&output), Some(2), "{output}");
        assert!(output.stderr.text().contains(&format!("usage: {name}")), "{output}");
    }
    let output = find(&["--limit", "many", "shot", "127.0.0.1:1"]);
    assert!(code(&output) == Some(2) && output.stderr.text().contains("--limit many"), "{output}");
}

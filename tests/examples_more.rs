//! The examples of the whole core, as a user meets them: started as programs, talked to over the network.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use grapeshot_harness::{End, Output, Ready, Running, Signal, example, unused_addr};

/// Only a failure waits this long; a debug build on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

fn run(name: &str, arguments: &[&str]) -> Output {
    example(name).unwrap().args(arguments).output(PATIENCE).unwrap()
}

/// Starts an example on a port of the system's choice, and waits for the line with `sign`, which holds the address.
fn serve(name: &str, arguments: &[&str], sign: &str) -> (Running, SocketAddr) {
    let program = example(name).unwrap().args(["--listen", "127.0.0.1:0"]).args(arguments);
    let running = program.ready_when(Ready::line(sign)).start().unwrap();
    let address = running.ready_addr().unwrap();
    (running, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn say(mut stream: &TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
}

/// Reads until what was read contains `text`, and returns it.
fn read_until(mut stream: &TcpStream, text: &str) -> String {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(text) {
        let mut buf = [0; 4096];
        match stream.read(&mut buf) {
            Ok(len) if len > 0 => seen.extend(&buf[..len]),
            end => panic!("{end:?} before {text:?} came, after {:?}", String::from_utf8_lossy(&seen)),
        }
    }
    String::from_utf8_lossy(&seen).into_owned()
}

fn interrupt(running: &mut Running) {
    running.signal(Signal::INT).unwrap();
    let status = running.wait_exit(PATIENCE).unwrap();
    assert_eq!(status.code(), Some(0), "after SIGINT: {}", running.stderr());
}

/// That `texts` stand in `said`, each after the one before.
fn assert_in_order(said: &str, texts: &[&str]) {
    let mut rest = said;
    for text in texts {
        let at = rest.find(text).unwrap_or_else(|| panic!("no {text:?} at its place in\n{said}"));
        rest = &rest[at + text.len()..];
    }
}

#[test]
fn bad_arguments_get_a_usage_line_and_code_2() {
    let cases: &[(&str, &[&str])] = &[("chat", &["--listen", "nowhere"]), ("chat", &["--self-test", "--listen"])];
    for (name, arguments) in cases {
        let output = run(name, arguments);
        assert!(matches!(output.end, End::Exited(status) if status.code() == Some(2)), "{output}");
        assert!(output.stderr.text().starts_with(&format!("usage: {name}")), "{output}");
    }
}

#[test]
fn people_chat_in_a_room_and_see_who_comes_and_goes() {
    let (mut server, address) = serve("chat", &[], "chat on");
    let (ann, bob) = (connect(address), connect(address));
    say(&ann, "ann\n");
    read_until(&ann, "* ann joins: ann here\n");
    say(&bob, "ann\nb o b\nbob\r\n");
    let asked = read_until(&bob, "* bob joins: ann, bob here\n");
    assert_in_order(&asked, &["somebody here has that name", "16 letters and digits"]);
    say(&bob, "round \x1b[2Jshot\r\n/names\n/quit\n");
    read_until(&bob, "* ann, bob\n");
    let seen = read_until(&ann, "* bob leaves: said goodbye\n");
    assert_in_order(&seen, &["* bob joins", "bob: round [2Jshot\n"]);
    interrupt(&mut server);
}

#[test]
fn a_chat_line_without_an_end_ends_the_visit_with_the_reason() {
    let (_server, address) = serve("chat", &[], "chat on");
    let zed = connect(address);
    say(&zed, "zed\n");
    read_until(&zed, "* zed joins: zed here\n");
    say(&zed, &"z".repeat(600));
    read_until(&zed, "* goodbye: reading up to \"\\n\": it does not end within the limit of 512 bytes");
}

#[test]
fn a_chatter_who_does_not_read_is_dropped_and_the_others_miss_nothing() {
    let output = run("chat", &["--self-test"]);
    let said = output.assert_success().stdout.text().into_owned();
    assert_in_order(&said, &["bob sees: * sleeper leaves: dropped, 200 lines behind", "ann said "]);
}

#[test]
fn a_shutdown_lets_orders_finish_refuses_new_ones_and_says_what_was_cut_off() {
    let output = run("graceful_shutdown", &["--self-test"]);
    let said = output.assert_success().stdout.text().into_owned();
    assert_in_order(
        &said,
        &["closing: orders under way: 3, with 1s", "closed: orders done: 2, cut off: 1", "long visitor was told \"\""],
    );
    for line in [
        "nobody new gets in",
        "quick visitor was told \"done",
        "late visitor was told \"done",
        "idle visitor was told \"we are closing",
    ] {
        assert!(said.contains(line), "no {line:?} in\n{said}");
    }
}

#[test]
fn an_interrupt_of_a_shop_with_an_order_under_way_waits_for_it() {
    let (mut server, address) = serve("graceful_shutdown", &[], "taking orders on");
    let visitor = connect(address);
    say(&visitor, "soon\n0.2\n");
    read_until(&visitor, "how many seconds?\n");
    server.signal(Signal::INT).unwrap();
    read_until(&visitor, "done\n");
    assert_eq!(server.wait_exit(PATIENCE).unwrap().code(), Some(0));
    assert!(server.stdout().text().ends_with("closed: orders done: 1, cut off: 0\n"), "{}", server.stdout());
}

#[test]
fn the_spy_shows_both_directions_and_passes_on_a_half_close() {
    let output = run("proxy_spy", &["--self-test"]);
    let said = output.assert_success().stdout.text().into_owned();
    assert_in_order(
        &said,
        &[
            "#1 begins: ",
            "#1 > 00000000  72 6f 75 6e 64 20 73 68 6f 74 2c 20 67 72 61 70  |round shot, grap|\n",
            "#1 > 00000010  65 20 73 68 6f 74 0a ",
            "  |e shot.|\n",
            "#1 < 00000000  52 4f 55 4e 44 ",
            "#1 ended: 23 bytes > and 23 bytes <\n",
            "the client got \"ROUND SHOT, GRAPE SHOT\\n\"",
        ],
    );
}

#[test]
fn the_spy_between_a_chat_and_its_visitor_is_not_noticed() {
    let (_chat, chat_address) = serve("chat", &[], "chat on");
    let (mut spy, address) = serve("proxy_spy", &["--to", &chat_address.to_string()], "spying on");
    let ann = connect(address);
    say(&ann, "ann\n/quit\n");
    read_until(&ann, "* ann joins: ann here\n");
    drop(ann);
    let line = spy.wait_line("#1 ended", PATIENCE).unwrap();
    assert_eq!(line.trim_end(), "#1 ended: 10 bytes > and 35 bytes <");
    interrupt(&mut spy);
}

#[test]
fn threads_count_primes_while_the_loop_goes_on() {
    let output = run("worker_pool", &["2", "3"]);
    let said = output.assert_success().stdout.text().into_owned();
    assert_in_order(
        &said,
        &[
            "a pool of 2 threads:\n  took ",
            "  25997 primes below 300000, 8013 in the last range\n",
            "offload, ",
            "  25997 primes\n",
            "on the loop, ",
            "  25997 primes\n",
        ],
    );
    let ticks = said.lines().find_map(|line| line.split(" with ").nth(1)?.split(' ').next()?.parse::<u32>().ok());
    assert!(ticks.is_some_and(|ticks| ticks > 2), "{said}");
}

#[test]
fn the_dump_says_what_everybody_waits_for_and_where() {
    let output = run("coroutine_dump", &[]);
    let said = output.assert_success().stdout.text().into_owned();
    let (listing, traces) = said.split_once("\n\n").unwrap();
    for (name, reason) in [
        ("oven", "for the end of a sleep"),
        ("cook", "for an item of a channel"),
        ("waiter", "for accept on descriptor"),
        ("butcher", "for the end of a sleep"),
        ("apprentice", "for a mutex"),
    ] {
        for part in [listing, traces] {
            let line = part.lines().find(|line| line.contains(&format!("{name:?}"))).unwrap_or_default();
            assert!(line.contains(reason), "{name}: {line:?} in\n{said}");
        }
    }
    assert!(traces.contains("coroutine_dump::take_orders|"), "{said}");
}

#[test]
fn the_crawler_takes_each_page_of_its_site_once_and_gets_over_the_bad_ones() {
    let output = run("crawler", &[]);
    let said = output.assert_success().stdout.text().into_owned();
    let endings = |ending: &str| said.lines().filter(|line| line.ends_with(ending)).count();
    for page in (0..=31).map(|number| format!("/{number}")).chain(["/missing".to_owned()]) {
        assert_eq!(endings(&page), 1, "{page} in\n{said}");
    }
    assert!(said.contains("failed: the page is larger than 256 KiB: http://"), "{said}");
    assert!(said.contains("failed: not done within the time limit of 2s: http://"), "{said}");
    assert!(said.contains("36 pages, 2 of them failed, 4 at a time at most, in "), "{said}");
}

#[test]
fn the_crawler_fetches_the_addresses_it_is_given_and_says_who_does_not_answer() {
    let (_server, address) = serve("http_echo", &[], "listening on");
    let nobody = unused_addr().unwrap();
    let (first, second, refused) =
        (format!("http://{address}/a"), format!("http://{address}/b"), format!("http://{nobody}/"));
    let output = run("crawler", &["1", &first, &refused, &second, &first]);
    let said = output.assert_success().stdout.text().into_owned();
    assert_in_order(&said, &["200        0 bytes", &first, "failed: ", "refused", &refused, "200 ", &second]);
    assert!(said.contains("3 pages, 1 of them failed, 1 at a time at most, in "), "{said}");
}

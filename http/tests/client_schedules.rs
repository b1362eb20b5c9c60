//! The client on bad lines, under any order of coroutines: an answer is whole, or an error.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod client_support;

use std::cell::Cell;
use std::io::{Read, Write};
use std::rc::Rc;

use grapeshot_core::test::Test;
use grapeshot_core::{random_u64, spawn, with_timeout};
use grapeshot_http::Method;
use grapeshot_http::client::{Client, Origin, Transport};
use grapeshot_net::memory::{Builder, Faults, MemoryStream};

use client_support::{SECOND, URL};

/// How many orders are tried.
fn seeds() -> u64 {
    std::env::var("GRAPESHOT_SEEDS").map_or(20, |seeds| seeds.parse().unwrap())
}

/// What is asked for and answered: bytes that depend on their number, so that no two bodies are alike.
fn body(number: u64) -> Vec<u8> {
    (0..number % 1013 * 37).map(|at| ((at ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// Answers requests for `/NUMBER` with that body, in one framing or another, and sends back what it gets with it.
fn serve(mut stream: MemoryStream) -> Option<()> {
    loop {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            (stream.read(&mut byte).ok()? == 1).then(|| head.push(byte[0]))?;
        }
        let head = String::from_utf8(head).ok()?;
        let number = head.split(['/', ' ']).nth(2)?.parse().ok()?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut upload = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut upload).ok()?;
        let (body, mut answer) = ([body(number), upload].concat(), b"HTTP/1.1 103\r\n\r\nHTTP/1.1 200 OK\r\n".to_vec());
        let open_end = number % 7 == 0;
        match number % 2 {
            _ if open_end => write!(answer, "\r\n").unwrap(),
            0 => write!(answer, "Content-Length: {}\r\n\r\n", body.len()).unwrap(),
            _ => write!(answer, "Transfer-Encoding: chunked\r\n\r\n").unwrap(),
        }
        match number % 2 {
            1 if !open_end => {
                body.chunks(997).for_each(|chunk| {
                    write!(answer, "{:x}\r\n", chunk.len()).unwrap();
                    answer.extend_from_slice(&[chunk, b"\r\n"].concat());
                });
                answer.extend_from_slice(b"0\r\n\r\n");
            }
            _ => answer.extend_from_slice(&body),
        }
        stream.write_all(&answer).ok()?;
        if open_end {
            return Some(());
        }
    }
}

/// A client on lines that deliver in pieces and late, and may break.
fn client(breaks: bool) -> Client {
    let connector = move |_: &Origin| {
        let faults = || {
            let faults = Faults::new().seed(random_u64()).short_reads(700).short_writes(500);
            let faults = faults.delays(SECOND / 1000..SECOND / 10);
            match (breaks, random_u64() % 3) {
                (true, 0) => faults.reset_at(random_u64() % 60_000),
                (true, 1) => faults.end_at(random_u64() % 60_000),
                _ => faults,
            }
        };
        let (near, far) = Builder::new().capacity(4096).to_far(faults()).to_near(faults()).pair();
        spawn(move || serve(far));
        Ok(Rc::new(near) as Rc<dyn Transport>)
    };
    Client::builder().connector(connector).build()
}

/// Asks for a body by one of the methods; `None` for an error, which is always one of ours or of the line.
fn ask(client: &Client, number: u64) -> Option<bool> {
    let url = URL.replace("/page", &format!("/{number}"));
    let (request, mut expected) = match number % 3 {
        0 => (client.request(Method::GET, &url), Vec::new()),
        1 => (client.request(Method::POST, &url).body(body(number + 1)), body(number + 1)),
        _ => (
            client.request(Method::PUT, &url).body_reader(std::io::Cursor::new(body(5)), Some(body(5).len() as u64)),
            body(5),
        ),
    };
    expected.splice(0..0, body(number));
    let mut response = request.send().ok()?;
    let mut came = Vec::new();
    response.read_to_end(&mut came).ok()?;
    // An open end in the clear cannot be told from a cut: what came is then the beginning.
    Some(came == expected || (response.body().ends_with_connection() && expected.starts_with(&came)))
}

/// Says how many of 24 answers came whole.
fn check(seed: u64, breaks: bool) -> u32 {
    Test::new().seed(seed).run(move || {
        let (client, whole) = (client(breaks), Rc::new(Cell::new(0)));
        let asking: Vec<_> = (0..8)
            .map(|_| {
                let (client, whole) = (client.clone(), whole.clone());
                spawn(move || {
                    for _ in 0..3 {
                        let number = random_u64() >> 1;
                        let limit = if breaks { SECOND * (random_u64() % 20) as u32 } else { SECOND * 3600 };
                        if let Ok(Some(right)) = with_timeout(limit, || ask(&client, number)) {
                            assert!(right, "seed {seed}, number {number}");
                            whole.set(whole.get() + 1);
                        }
                    }
                })
            })
            .collect();
        asking.into_iter().for_each(|asking| asking.join().unwrap());
        whole.get()
    })
}

#[test]
fn on_every_schedule_slow_lines_deliver_every_answer_whole() {
    (0..seeds()).for_each(|seed| assert_eq!(check(seed, false), 24, "seed {seed}"));
}

#[test]
fn on_every_schedule_broken_lines_and_cut_requests_never_make_a_wrong_answer() {
    let whole: u64 = (0..seeds()).map(|seed| u64::from(check(seed, true))).sum();
    assert!((seeds()..23 * seeds()).contains(&whole), "{whole} answers came: not a test of much");
}

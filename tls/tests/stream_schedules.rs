//! Full duplex under schedules drawn by chance: whoever is cut off when, the bytes of the others arrive in order.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod common;

use std::cell::RefCell;
use std::io::{Read, Write};
use std::rc::Rc;
use std::time::Duration;

use common::pair;
use grapeshot_core::{sleep, spawn, test, with_timeout, yield_now};
use grapeshot_net::memory::{Builder, Faults, MemoryStream};
use grapeshot_tls::TlsStream;
use proptest::prelude::*;

/// What one writer does, again and again.
#[derive(Clone, Copy, Debug)]
enum Deed {
    /// Writes a message of so many bytes, and is patient.
    Write(usize),
    /// Writes a message, and is cut off after so many microseconds.
    WriteCutOff(usize, u64),
    /// Asks for new keys.
    NewKeys,
    Flush,
    Pause(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (1_usize..40_000).prop_map(Deed::Write),
        3 => (1_usize..40_000, 0_u64..3000).prop_map(|(len, after)| Deed::WriteCutOff(len, after)),
        2 => Just(Deed::NewKeys),
        1 => Just(Deed::Flush),
        1 => (0_u64..2000).prop_map(Deed::Pause),
    ]
}

/// A message says its number and its length, so that the reader can tell which arrived, and whether whole.
fn message(number: u32, len: usize) -> Vec<u8> {
    let mut bytes = [number.to_be_bytes(), (len as u32).to_be_bytes()].concat();
    bytes.extend((0..len).map(|place| (place as u32).wrapping_mul(number + 7) as u8));
    bytes
}

/// Which messages were begun, and which were told to be written.
#[derive(Default)]
struct Sent {
    begun: Vec<(u32, usize)>,
    done: Vec<u32>,
}

fn carry_out(stream: &TlsStream<MemoryStream>, deeds: &[Deed]) -> Sent {
    let sent = RefCell::new(Sent::default());
    // One write call per message: it takes all or nothing, also of one that is cut off.
    let write = |number: u32, len: usize| {
        sent.borrow_mut().begun.push((number, len));
        let bytes = message(number, len);
        assert_eq!((&mut &*stream).write(&bytes).unwrap(), bytes.len());
        sent.borrow_mut().done.push(number);
    };
    for (number, deed) in (0..).zip(deeds) {
        match *deed {
            Deed::Write(len) => write(number, len),
            // Either way is fine.
            Deed::WriteCutOff(len, after) => drop(with_timeout(Duration::from_micros(after), || write(number, len))),
            Deed::NewKeys => stream.refresh_traffic_keys().unwrap(),
            Deed::Flush => (&mut &*stream).flush().unwrap(),
            Deed::Pause(time) => sleep(Duration::from_micros(time)),
        }
    }
    stream.close_write().unwrap();
    sent.into_inner()
}

/// Reads to the end; takes the messages apart and checks their bytes.
fn collect(mut stream: &TlsStream<MemoryStream>, room: usize) -> Vec<(u32, usize)> {
    let mut received = Vec::new();
    let mut buf = vec![0; room];
    loop {
        match stream.read(&mut buf).unwrap() {
            0 => break,
            count => received.extend_from_slice(&buf[..count]),
        }
    }
    let mut rest = received.as_slice();
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let number = u32::from_be_bytes(rest[..4].try_into().unwrap());
        let len = u32::from_be_bytes(rest[4..8].try_into().unwrap()) as usize;
        assert!(rest[..8 + len] == message(number, len), "message {number} has not arrived as it was written");
        messages.push((number, len));
        rest = &rest[8 + len..];
    }
    messages
}

/// Asks for new keys beside the writer, which adds to what is being sent.
fn renew_keys(stream: &TlsStream<MemoryStream>, pauses: &[u64]) {
    for &pause in pauses {
        sleep(Duration::from_micros(pause));
        // Once this end has said that it sends no more, there is nothing to renew.
        let _ = stream.refresh_traffic_keys();
    }
}

/// Runs one end: a coroutine that writes, one that renews the keys, and one that reads.
fn run_end(
    stream: TlsStream<MemoryStream>,
    deeds: Vec<Deed>,
    pauses: Vec<u64>,
    room: usize,
) -> (Sent, Vec<(u32, usize)>) {
    stream.handshake().unwrap();
    let stream = Rc::new(stream);
    let writer = spawn({
        let stream = stream.clone();
        move || carry_out(&stream, &deeds)
    });
    let renewing = spawn({
        let stream = stream.clone();
        move || renew_keys(&stream, &pauses)
    });
    let received = collect(&stream, room);
    renewing.join().unwrap();
    (writer.join().unwrap(), received)
}

/// What arrived is what was begun, in order, without those that were cut off before they were taken.
fn judge(sent: &Sent, received: &[(u32, usize)]) {
    let mut begun = sent.begun.iter();
    for message in received {
        assert!(begun.any(|begun| begun == message), "{message:?} came twice, or out of turn");
    }
    for number in &sent.done {
        assert!(received.iter().any(|(received, _)| received == number), "message {number} was written and is lost");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_repeated_or_overtaken(
        seed in any::<u64>(),
        capacity in 100_usize..60_000,
        longest in 1_usize..20_000,
        room in 1_usize..30_000,
        delay in 0_u64..500,
        deeds in prop::collection::vec(deed(), 1..25),
        others in prop::collection::vec(deed(), 1..25),
        pauses in prop::collection::vec(0_u64..1500, 0..20),
    ) {
        test::Test::new().seed(seed).run(move || {
            let faults = |seed| {
                let cut = Faults::new().seed(seed).short_reads(longest).short_writes(longest);
                cut.delays(Duration::ZERO..Duration::from_micros(delay))
            };
            let streams = Builder::new().capacity(capacity).to_far(faults(seed)).to_near(faults(seed ^ 1)).pair();
            let (near, far) = pair(streams);
            let other_pauses = pauses.iter().rev().copied().collect();
            let other = spawn(move || run_end(far, others, other_pauses, room));
            let (near_sent, near_received) = run_end(near, deeds, pauses, room);
            let (far_sent, far_received) = other.join().unwrap();
            judge(&near_sent, &far_received);
            judge(&far_sent, &near_received);
        });
    }
}

#[test]
fn a_writer_that_is_cut_off_leaves_its_bytes_to_the_next() {
    test::run(|| {
        let (near, far) = pair(Builder::new().capacity(1000).pair());
        let reader = spawn(move || {
            far.handshake().unwrap();
            sleep(Duration::from_secs(10));
            collect(&far, 500)
        });
        near.handshake().unwrap();
        let near = Rc::new(near);
        let cut_off = spawn({
            let near = near.clone();
            move || (&*near).write(&message(1, 20_000)).map(drop)
        });
        yield_now();
        cut_off.cancel();
        assert!(cut_off.join().is_err());
        assert!(near.buffered().unsent > 19_000, "it has been taken, and has not left");
        let bytes = message(2, 10);
        (&*near).write_all(&bytes).unwrap();
        near.close_write().unwrap();
        assert_eq!(reader.join().unwrap(), [(1, 20_000), (2, 10)]);
    });
}

#[test]
fn a_reader_that_is_cut_off_loses_nothing() {
    test::run(|| {
        let slow = Faults::new().short_writes(700).delays(Duration::from_millis(1)..Duration::from_millis(2));
        let (near, far) = pair(Builder::new().capacity(2000).to_near(slow).pair());
        let writer = spawn(move || {
            (&far).write_all(&message(1, 100_000)).unwrap();
            far.close().unwrap();
        });
        near.handshake().unwrap();
        let mut received = Vec::new();
        let mut buf = [0; 3000];
        let mut cuts = 0;
        loop {
            match with_timeout(Duration::from_micros(700), || (&near).read(&mut buf).unwrap()) {
                Ok(0) => break,
                Ok(count) => received.extend_from_slice(&buf[..count]),
                Err(_) => cuts += 1,
            }
        }
        assert!(received == message(1, 100_000));
        assert!(cuts > 10, "{cuts}");
        writer.join().unwrap();
    });
}

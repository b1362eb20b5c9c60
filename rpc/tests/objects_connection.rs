//! Objects over a stream: what comes out is what went in, and what is wrong has a name (BEA-8, BEA-10).
#![allow(clippy::unwrap_used, reason = "these are parts of tests")]

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{scope, spawn, test, with_timeout, yield_now};
use grapeshot_net::memory::{self, Builder, Faults, MemoryStream};
use grapeshot_rpc::objects::{Connection, ObjectError};
use grapeshot_rpc::{Limits, Value};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Shot {
    name: String,
    balls: Vec<u32>,
    note: Option<String>,
}

fn shot() -> Shot {
    Shot { name: "grape".to_owned(), balls: (0..1000).collect(), note: None }
}

fn pair() -> (Connection<MemoryStream>, Connection<MemoryStream>) {
    let (near, far) = memory::pair();
    (Connection::new(near), Connection::new(far))
}

/// A connection whose peer has said just these bytes, and then ended.
fn hearing(bytes: &[u8]) -> Connection<MemoryStream> {
    let (mut near, far) = memory::pair();
    near.write_all(bytes).unwrap();
    drop(near);
    Connection::new(far)
}

fn frame(content: &[u8]) -> Vec<u8> {
    [&u32::try_from(content.len()).unwrap().to_be_bytes(), content].concat()
}

#[test]
fn objects_arrive_in_order_and_then_the_end() {
    test::run(|| {
        let (near, far) = pair();
        near.send(&shot()).unwrap();
        near.send("text").unwrap();
        near.send(&[1.5, 2.5]).unwrap();
        drop(near);
        assert_eq!(far.recv().unwrap(), Some(shot()));
        assert_eq!(far.recv().unwrap(), Some("text".to_owned()));
        assert_eq!(far.recv().unwrap(), Some(vec![1.5, 2.5]));
        assert_eq!(far.recv::<Shot>().unwrap(), None);
        assert_eq!(far.recv::<Shot>().unwrap(), None, "the end stays the end");
    });
}

#[test]
fn a_struct_is_a_map_with_the_names_of_its_fields() {
    test::run(|| {
        let (near, mut far) = memory::pair();
        #[derive(Serialize)]
        struct Point {
            x: u8,
        }
        Connection::new(near).send(&Point { x: 7 }).unwrap();
        let mut bytes = Vec::new();
        far.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"\0\0\0\x04\x81\xa1x\x07");
    });
}

#[test]
fn objects_come_whole_out_of_pieces_of_any_size() {
    for longest in [1, 3, 64] {
        test::run(move || {
            let faults = Faults::new().short_reads(longest).seed(longest as u64);
            let (near, far) = Builder::new().to_far(faults).capacity(512).pair();
            let (near, far) = (Connection::new(near), Connection::new(far));
            let sender = spawn(move || {
                for _ in 0..5 {
                    near.send(&shot()).unwrap();
                }
            });
            for _ in 0..5 {
                assert_eq!(far.recv().unwrap(), Some(shot()));
            }
            assert_eq!(far.recv::<Shot>().unwrap(), None);
            sender.join().unwrap();
        });
    }
}

#[test]
fn an_end_within_an_object_is_an_error_wherever_it_is() {
    test::run(|| {
        let whole = frame(b"\xa5grape");
        for end in 1..whole.len() {
            let connection = hearing(&whole[..end]);
            let expected = if end < 4 { 4 } else { whole.len() };
            for _ in 0..2 {
                let error = connection.recv::<String>().unwrap_err();
                let is_named =
                    matches!(error, ObjectError::Truncated { bytes, expected: e } if bytes == end && e == expected);
                assert!(is_named, "{end}: {error:?}");
            }
        }
        assert_eq!(hearing(&whole).recv::<String>().unwrap().as_deref(), Some("grape"));
        assert_eq!(hearing(b"").recv::<String>().unwrap(), None);
    });
}

#[test]
fn a_size_above_the_limit_is_refused_before_its_bytes_come_and_nothing_is_read_after() {
    test::run(|| {
        let limits = {
            let mut limits = Limits::default();
            limits.frame_bytes = 100;
            limits
        };
        let (mut near, far) = memory::pair();
        let far = Connection::new(far).limits(&limits);
        near.write_all(&[0xff, 0xff, 0xff, 0xff]).unwrap();
        for _ in 0..2 {
            let error = far.recv::<Value>().unwrap_err();
            assert!(matches!(error, ObjectError::TooLarge { bytes: 0xffff_ffff, limit: 100 }), "{error:?}");
        }
        let exactly = hearing(&frame(&[&[0xc4, 98], &[1; 98][..]].concat())).limits(&limits);
        assert!(exactly.recv::<Value>().unwrap().is_some());
        let one_more = hearing(&frame(&[&[0xc4, 99], &[1; 99][..]].concat())).limits(&limits);
        assert!(matches!(one_more.recv::<Value>(), Err(ObjectError::TooLarge { bytes: 101, limit: 100 })));
    });
}

#[test]
fn an_own_object_above_the_limit_is_refused_and_the_next_is_sent() {
    test::run(|| {
        let (near, far) = pair();
        let limits = {
            let mut limits = Limits::default();
            limits.frame_bytes = 10;
            limits
        };
        let near = near.limits(&limits);
        assert!(matches!(near.send("longer than ten"), Err(ObjectError::TooLarge { bytes: 16, limit: 10 })));
        near.send("short").unwrap();
        assert_eq!(far.recv::<String>().unwrap().as_deref(), Some("short"));
    });
}

#[test]
fn what_is_no_object_is_named_and_the_next_one_is_read() {
    test::run(|| {
        let bad: &[&[u8]] = &[
            b"\xc1",                 // no MessagePack
            b"\xa5grap",             // cut short
            b"\x01\x02",             // two values
            &[0x91; 65],             // deeper than 64
            b"\xdd\xff\xff\xff\xff", // a list of four thousand million
            b"\xc6\xff\xff\xff\xff", // as many bytes
        ];
        for content in bad {
            let connection = hearing(&[frame(content), frame(b"\x07")].concat());
            let error = connection.recv::<Value>().unwrap_err();
            assert!(matches!(error, ObjectError::Malformed(_)), "{content:02x?}: {error:?}");
            assert_eq!(connection.recv::<u8>().unwrap(), Some(7), "{content:02x?}");
        }
    });
}

#[test]
fn an_empty_frame_is_a_demand_for_a_key_and_the_end_after_it_stays_that() {
    test::run(|| {
        let connection = hearing(&[frame(b""), frame(b"\x07"), frame(b"")].concat());
        assert!(matches!(connection.recv::<Value>(), Err(ObjectError::KeyDemanded)));
        assert_eq!(connection.recv::<u8>().unwrap(), Some(7));
        for _ in 0..3 {
            assert!(matches!(connection.recv::<Value>(), Err(ObjectError::KeyDemanded)));
        }
    });
}

#[test]
fn what_is_of_another_type_is_named_and_the_next_one_is_read() {
    test::run(|| {
        let (near, far) = pair();
        near.send("text").unwrap();
        near.send(&7).unwrap();
        assert!(matches!(far.recv::<u8>(), Err(ObjectError::Unfit(_))));
        assert_eq!(far.recv::<u8>().unwrap(), Some(7));
    });
}

#[test]
fn an_object_that_cannot_be_encoded_is_the_callers_fault_and_nothing_is_sent() {
    struct Unwilling;
    impl Serialize for Unwilling {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it will not"))
        }
    }
    test::run(|| {
        let (near, far) = pair();
        let error = near.send(&(1, Unwilling)).unwrap_err();
        assert!(matches!(&error, ObjectError::Encode(_)) && error.to_string().contains("it will not"), "{error}");
        near.send(&2).unwrap();
        assert_eq!(far.recv::<u8>().unwrap(), Some(2));
    });
}

#[test]
fn one_coroutine_sends_while_another_receives() {
    test::run(|| {
        // Either buffer is far too small for what goes through it, so neither side may wait for the other's turn.
        let (near, far) = Builder::new().capacity(64).pair();
        let (near, far) = (Connection::new(near), Connection::new(far));
        scope(|scope| {
            for connection in [&near, &far] {
                scope.spawn(|| (0..50).for_each(|_| connection.send(&shot()).unwrap()));
                scope.spawn(|| (0..50).for_each(|_| assert_eq!(connection.recv().unwrap(), Some(shot()))));
            }
        });
    });
}

#[test]
fn several_senders_and_receivers_get_whole_objects() {
    test::run(|| {
        let (near, far) = Builder::new().capacity(64).pair();
        let (near, far) = (Connection::new(near), Connection::new(far));
        let received = Cell::new(0);
        scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10).for_each(|_| near.send(&shot()).unwrap()));
                scope.spawn(|| {
                    for _ in 0..10 {
                        assert_eq!(far.recv().unwrap(), Some(shot()));
                        received.set(received.get() + 1);
                    }
                });
            }
        });
        assert_eq!(received.get(), 40);
    });
}

#[test]
fn a_receiver_that_is_cut_off_leaves_what_has_come_to_the_next() {
    test::run(|| {
        let (mut near, far) = memory::pair();
        let far = Connection::new(far);
        for part in [&b"\0\0"[..], b"\0\x06\xa5", b"gra"] {
            near.write_all(part).unwrap();
            assert!(with_timeout(Duration::from_secs(1), || far.recv::<String>()).is_err());
        }
        near.write_all(b"pe").unwrap();
        assert_eq!(far.recv::<String>().unwrap().as_deref(), Some("grape"));
    });
}

#[test]
fn a_sender_that_is_cut_off_in_an_object_breaks_the_sending_and_says_so() {
    test::run(|| {
        let (near, far) = Builder::new().capacity(64).pair();
        let (near, far) = (Connection::new(near), Connection::new(far));
        far.send("the other direction").unwrap();
        assert!(with_timeout(Duration::from_secs(1), || near.send(&shot())).is_err());
        assert!(matches!(near.send(&1), Err(ObjectError::Abandoned)));
        assert_eq!(near.recv::<String>().unwrap().as_deref(), Some("the other direction"));
        drop(near);
        assert!(matches!(far.recv::<Shot>(), Err(ObjectError::Truncated { .. })), "no half object is taken for one");
    });
}

#[test]
fn a_sender_that_is_cut_off_while_others_send_breaks_nothing() {
    test::run(|| {
        let (near, far) = Builder::new().capacity(64).pair();
        let (near, far) = (Rc::new(Connection::new(near)), Connection::new(far));
        let slow = spawn({
            let near = near.clone();
            move || near.send(&shot())
        });
        yield_now();
        assert!(with_timeout(Duration::from_secs(1), || near.send("never mind")).is_err());
        assert_eq!(far.recv().unwrap(), Some(shot()));
        slow.join().unwrap().unwrap();
        near.send("on it goes").unwrap();
        assert_eq!(far.recv::<String>().unwrap().as_deref(), Some("on it goes"));
    });
}

#[test]
fn the_streams_own_limit_on_reads_is_an_error_after_which_one_can_try_again() {
    test::run(|| {
        let (near, far) = pair();
        far.inner().set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let error = far.recv::<u8>().unwrap_err();
        assert!(matches!(&error, ObjectError::Io(cause) if cause.kind() == ErrorKind::TimedOut), "{error:?}");
        near.send(&7).unwrap();
        assert_eq!(far.recv::<u8>().unwrap(), Some(7));
    });
}

#[test]
fn a_reset_in_the_middle_is_an_error_and_stays_one_for_sending() {
    test::run(|| {
        let (near, far) = Builder::new().to_far(Faults::new().reset_at(10)).pair();
        let (near, far) = (Connection::new(near), Connection::new(far));
        for _ in 0..2 {
            let error = near.send(&shot()).unwrap_err();
            assert!(
                matches!(&error, ObjectError::Io(cause) if cause.kind() == ErrorKind::ConnectionReset),
                "{error:?}"
            );
        }
        assert!(matches!(far.recv::<Shot>(), Err(ObjectError::Io(_))));
    });
}

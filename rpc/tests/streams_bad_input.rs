//! Streams with a peer that breaks the protocol, or knows it differently: what it sends is written by hand.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::RefCell;
use std::io::{Read, Write};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{now, spawn, test, with_timeout, yield_now};
use grapeshot_net::memory::{self, MemoryStream};
use grapeshot_rpc::proto::{self, Extension, ExtensionSet, Hello, HelloLimits, Message, Meta, Scan, Scanner};
use grapeshot_rpc::stream::{CalleeStreaming, CallerStreaming, Items, Sink};
use grapeshot_rpc::{
    CallError, CallOptions, Connection, Context, Encoded, Failure, Limits, Service, StreamError, Value,
};
use proptest::prelude::*;

/// The number of the raw peer's call.
const CALL: u32 = 5;

/// A service that is a function.
struct Methods<F>(F);

impl<F: Fn(&Context) -> Result<Encoded, Failure>> Service for Methods<F> {
    fn call(&self, method: &str, _: &[u8], context: &Context) -> Result<Encoded, Failure> {
        if method == "nop" { Ok(Encoded::nil()) } else { (self.0)(context) }
    }
}

/// A peer made by hand.
struct Raw {
    stream: MemoryStream,
    buf: Vec<u8>,
}

impl Raw {
    fn new(stream: MemoryStream) -> Raw {
        Raw { stream, buf: Vec::new() }
    }

    fn hello(window_bytes: u64) -> Hello {
        let limits = HelloLimits { frame_bytes: 1 << 20, in_flight: 10, window_bytes };
        Hello { name: "raw".into(), extensions: ExtensionSet::all(), limits, ..Hello::default() }
    }

    fn send(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut out = Vec::new();
        write(&mut out);
        (&self.stream).write_all(&out).unwrap();
    }

    /// Waits for the next message, and shows it.
    fn receive<T>(&mut self, show: impl FnOnce(Message<'_>) -> T) -> T {
        loop {
            if let Ok(Scan::Complete(length)) = Scanner::new(1 << 20, 64).scan(&self.buf) {
                let shown = show(Message::parse(&self.buf[..length]).unwrap());
                self.buf.drain(..length);
                return shown;
            }
            let mut part = [0; 4096];
            let count = (&self.stream).read(&mut part).unwrap();
            assert!(count > 0, "the connection has ended");
            self.buf.extend_from_slice(&part[..count]);
        }
    }

    /// Introduces itself as a caller.
    fn introduce(&mut self) {
        let mut params = Vec::new();
        Raw::hello(100).append_params(&mut params);
        self.send(|out| proto::append_request(out, 0, proto::HELLO_METHOD, &params, None));
        self.receive(|message| assert!(matches!(message, Message::Response { id: 0, error: None, .. })));
    }

    /// Calls with streams, as a caller that takes 100 bytes.
    fn call(&self) {
        let meta = Meta { window: Some(100), ..Meta::default() };
        self.send(|out| proto::append_request(out, CALL, "method", &[0x90], Some(&meta)));
    }

    /// Takes a caller's hello and its call, whose number it returns.
    fn accept_call(&mut self, window_bytes: u64) -> u32 {
        self.accept_call_as(&Raw::hello(window_bytes))
    }

    fn accept_call_as(&mut self, own: &Hello) -> u32 {
        let id = self.receive(|message| match message {
            Message::Request { id, method: proto::HELLO_METHOD, .. } => id,
            other => panic!("{other:?} is no hello"),
        });
        let mut hello = Vec::new();
        own.append(&mut hello);
        self.send(|out| proto::append_response(out, id, &hello));
        self.receive(|message| match message {
            Message::Request { id, meta: Some(_), .. } => id,
            other => panic!("{other:?} is no call with streams"),
        })
    }

    fn nop(&mut self) {
        self.send(|out| proto::append_request(out, 99, "nop", &[0x90], None));
        self.receive(|message| {
            assert!(matches!(message, Message::Response { id: 99, error: None, .. }), "{message:?}")
        });
    }
}

fn window_of(window_bytes: usize) -> Limits {
    let mut limits = Limits::default();
    limits.window_bytes = window_bytes;
    limits
}

/// A callee with this method, and a raw caller of it that has said hello.
fn callee(limits: Limits, method: impl Fn(&Context) -> Result<Encoded, Failure> + 'static) -> (Connection, Raw) {
    let (near, far) = memory::pair();
    let callee = Connection::over(far).limits(limits).service(Methods(method)).accept().unwrap();
    let mut raw = Raw::new(near);
    raw.introduce();
    (callee, raw)
}

/// Reads all items, and answers with how many they were, or tells why they broke off.
fn count_items(seen: &Rc<RefCell<Option<StreamError>>>) -> impl Fn(&Context) -> Result<Encoded, Failure> + 'static {
    let seen = seen.clone();
    move |context| {
        let mut count = 0_u64;
        for item in Items::<u64>::of(context)? {
            match item {
                Ok(_) => count += 1,
                Err(error) => {
                    let failure = Failure::new(1, format!("after {count}: {error}"));
                    seen.replace(Some(error));
                    return Err(failure);
                }
            }
        }
        Ok(Encoded::of(&count).unwrap())
    }
}

fn failure_of(message: &Message<'_>) -> Failure {
    match message {
        Message::Response { error: Some(error), .. } => proto::read_failure(error),
        other => panic!("{other:?} is no failure"),
    }
}

#[test]
fn a_caller_that_sends_beyond_its_window_breaks_its_stream_and_no_other_call() {
    test::run(|| {
        let seen = Rc::default();
        let (callee, mut raw) = callee(window_of(40), count_items(&seen));
        raw.send(|out| {
            let meta = Meta { window: Some(100), ..Meta::default() };
            proto::append_request(out, CALL, "method", &[0x90], Some(&meta));
            (0..10).for_each(|number| proto::append_caller_item(out, CALL, &[number]));
        });
        let failure = raw.receive(|message| failure_of(&message));
        assert!(matches!(seen.take(), Some(StreamError::Malformed(_))));
        assert_eq!(failure.message, "after 3: an item cannot be read: an item came for which there was no window");
        raw.nop();
        assert!(!callee.is_closed());
    });
}

#[test]
fn an_item_after_the_end_of_the_callers_stream_breaks_it() {
    test::run(|| {
        let seen = Rc::default();
        let (_callee, mut raw) = callee(Limits::default(), count_items(&seen));
        raw.send(|out| {
            let meta = Meta { window: Some(100), ..Meta::default() };
            proto::append_request(out, CALL, "method", &[0x90], Some(&meta));
            proto::append_caller_item(out, CALL, &[1]);
            proto::append_caller_end(out, CALL, None);
            proto::append_caller_item(out, CALL, &[2]);
        });
        let failure = raw.receive(|message| failure_of(&message));
        assert_eq!(failure.message, "after 1: an item cannot be read: an item came after the end of its stream");
        raw.nop();
    });
}

#[test]
fn items_ends_and_grants_of_no_call_are_dropped() {
    test::run(|| {
        let seen = Rc::default();
        let (callee, mut raw) = callee(Limits::default(), count_items(&seen));
        raw.send(|out| {
            for id in [0, CALL, u32::MAX] {
                proto::append_caller_item(out, id, &[1]);
                proto::append_callee_item(out, id, &[1]);
                proto::append_caller_end(out, id, None);
                proto::append_grant_to_caller(out, id, u64::MAX);
                proto::append_grant_to_callee(out, id, u64::MAX);
            }
        });
        raw.nop();
        assert!(!callee.is_closed());
    });
}

#[test]
fn items_to_a_call_without_streams_are_dropped() {
    test::run(|| {
        let (callee, mut raw) = callee(Limits::default(), |context| {
            assert!(context.streams().is_none());
            Ok(Encoded::nil())
        });
        raw.send(|out| {
            proto::append_request(out, CALL, "method", &[0x90], None);
            (0..100).for_each(|number| proto::append_caller_item(out, CALL, &[number]));
        });
        raw.receive(|message| assert!(matches!(message, Message::Response { id: CALL, error: None, .. })));
        raw.nop();
        assert!(!callee.is_closed());
    });
}

#[test]
fn items_that_are_on_their_way_when_the_method_answers_are_dropped() {
    test::run(|| {
        let (callee, mut raw) = callee(Limits::default(), |_| Ok(Encoded::nil()));
        raw.call();
        raw.receive(|message| assert!(matches!(message, Message::Response { id: CALL, error: None, .. })));
        raw.send(|out| {
            proto::append_caller_item(out, CALL, &[1]);
            proto::append_caller_end(out, CALL, None);
        });
        raw.nop();
        assert!(!callee.is_closed());
    });
}

#[test]
fn a_callee_sends_no_more_than_its_caller_grants() {
    test::run(|| {
        let (_callee, mut raw) = callee(Limits::default(), |context| {
            let sink = Sink::<u8>::of(context)?;
            while sink.send(&7).is_ok() {}
            Ok(Encoded::nil())
        });
        raw.call();
        // 100 bytes hold five items of 17, and the sixth begins within them.
        for _ in 0..6 {
            raw.receive(|message| assert_eq!(message, Message::CalleeItem { id: CALL, item: &[7] }));
        }
        assert!(with_timeout(Duration::from_secs(1), || raw.receive(|_| ())).is_err());
        raw.send(|out| proto::append_grant_to_callee(out, CALL, 3));
        raw.receive(|message| assert_eq!(message, Message::CalleeItem { id: CALL, item: &[7] }));
        raw.send(|out| proto::append_cancel(out, CALL));
    });
}

#[test]
fn a_caller_that_takes_nothing_is_sent_nothing() {
    test::run(|| {
        let (_callee, mut raw) = callee(Limits::default(), |context| {
            Sink::<u8>::of(context)?.send(&7).map_err(|error| Failure::new(1, error.to_string()))?;
            Ok(Encoded::nil())
        });
        let meta = Meta { window: Some(0), ..Meta::default() };
        raw.send(|out| proto::append_request(out, CALL, "method", &[0x90], Some(&meta)));
        assert!(with_timeout(Duration::from_secs(1), || raw.receive(|_| ())).is_err());
        raw.send(|out| proto::append_grant_to_callee(out, CALL, 1));
        raw.receive(|message| assert_eq!(message, Message::CalleeItem { id: CALL, item: &[7] }));
        raw.receive(|message| assert!(matches!(message, Message::Response { id: CALL, error: None, .. })));
    });
}

#[test]
fn more_streams_than_a_callee_holds_are_refused_as_busy() {
    test::run(|| {
        let mut limits = window_of(1000);
        limits.in_flight = 1;
        limits.frame_bytes = 1000;
        let (_callee, mut raw) = callee(limits, |context| {
            let _ = Items::<u64>::of(context)?.recv();
            Ok(Encoded::nil())
        });
        let meta = Meta { window: Some(100), ..Meta::default() };
        raw.send(|out| (1..=6).for_each(|id| proto::append_request(out, id, "method", &[0x90], Some(&meta))));
        let failure = raw.receive(|message| {
            assert!(matches!(message, Message::Response { id: 6, .. }));
            failure_of(&message)
        });
        assert_eq!(failure.code, Failure::BUSY);
        raw.send(|out| (1..=5).for_each(|id| proto::append_caller_end(out, id, None)));
        for id in 1..=5 {
            raw.receive(|message| assert!(matches!(message, Message::Response { id: answered, .. } if answered == id)));
        }
    });
}

#[test]
fn a_callee_that_sends_beyond_its_window_breaks_its_stream_and_the_call_is_cancelled() {
    test::run(|| {
        let (near, far) = memory::pair();
        let raw = spawn(move || {
            let mut raw = Raw::new(far);
            let id = raw.accept_call(100);
            raw.receive(|message| assert_eq!(message, Message::CallerEnd { id, error: None }));
            raw.send(|out| (0..10).for_each(|number| proto::append_callee_item(out, id, &[number])));
            raw.receive(|message| assert_eq!(message, Message::Cancel { id }));
            raw
        });
        let caller = Connection::over(near).limits(window_of(40)).open().unwrap();
        let call = CalleeStreaming::<u64, ()>::open(&caller, "method", &(), &CallOptions::default()).unwrap();
        let items: Vec<_> = call.items().take(4).collect();
        assert!(items[..3].iter().all(Result::is_ok));
        assert!(matches!(items[3], Err(StreamError::Malformed(_))));
        assert!(matches!(call.finish(), Err(CallError::Malformed { .. })));
        drop(raw.join().unwrap());
    });
}

#[test]
fn a_callee_that_grants_nothing_gets_nothing_until_the_deadline() {
    test::run(|| {
        let (near, far) = memory::pair();
        let raw = spawn(move || {
            let mut raw = Raw::new(far);
            let id = raw.accept_call(0);
            let failure = raw.receive(|message| match message {
                Message::CallerEnd { id: ended, error: Some(error) } if ended == id => proto::read_failure(error),
                other => panic!("{other:?} is no end that tells that items are missing"),
            });
            assert_eq!(failure.code, Failure::DEADLINE);
            raw.receive(|message| assert_eq!(message, Message::Cancel { id }));
            raw
        });
        let caller = Connection::over(near).open().unwrap();
        let options = CallOptions { timeout: Some(Duration::from_secs(3)), ..CallOptions::default() };
        let call = CallerStreaming::<u64, ()>::open(&caller, "method", &(), &options).unwrap();
        assert!(matches!(call.send(&1), Err(StreamError::Over)));
        assert!(matches!(call.finish(), Err(CallError::TimedOut { .. })));
        drop(raw.join().unwrap());
    });
}

#[test]
fn a_callee_that_knows_no_cancel_is_told_that_the_stream_breaks_off() {
    test::run(|| {
        let (near, far) = memory::pair();
        let raw = spawn(move || {
            let mut raw = Raw::new(far);
            let extensions = [Extension::Meta, Extension::Streams].into_iter().collect();
            let id = raw.accept_call_as(&Hello { extensions, ..Raw::hello(100) });
            raw.receive(|message| assert_eq!(message, Message::CallerItem { id, item: &[1] }));
            raw.receive(|message| assert!(matches!(message, Message::CallerEnd { error: Some(_), .. }), "{message:?}"));
            raw
        });
        let caller = Connection::over(near).open().unwrap();
        let call = CallerStreaming::<u64, ()>::open(&caller, "method", &(), &CallOptions::default()).unwrap();
        call.send(&1).unwrap();
        drop(call);
        drop(raw.join().unwrap());
    });
}

#[test]
fn items_that_come_after_the_answer_are_dropped() {
    test::run(|| {
        let (near, far) = memory::pair();
        let raw = spawn(move || {
            let mut raw = Raw::new(far);
            let id = raw.accept_call(100);
            raw.send(|out| {
                proto::append_callee_item(out, id, &[1]);
                proto::append_response(out, id, &[2]);
                proto::append_callee_item(out, id, &[3]);
            });
            raw
        });
        let caller = Connection::over(near).open().unwrap();
        let call = CalleeStreaming::<u64, u64>::open(&caller, "method", &(), &CallOptions::default()).unwrap();
        assert_eq!(call.items().map(Result::unwrap).collect::<Vec<_>>(), [1]);
        assert_eq!(call.finish().unwrap(), 2);
        assert!(!caller.is_closed());
        drop(raw.join().unwrap());
    });
}

/// What a caller can say that concerns streams.
#[derive(Clone, Copy, Debug)]
enum Word {
    Call(u32, u64),
    Item(u32, u8),
    End(u32),
    Grant(u32, u64),
    CalleeItem(u32),
    CalleeGrant(u32, u64),
    Cancel(u32),
}

fn word() -> impl Strategy<Value = Word> {
    let id = 1_u32..4;
    let bytes = prop_oneof![0_u64..100, Just(u64::MAX)];
    prop_oneof![
        3 => (id.clone(), bytes.clone()).prop_map(|(id, window)| Word::Call(id, window)),
        6 => (id.clone(), 0_u8..60).prop_map(|(id, len)| Word::Item(id, len)),
        2 => id.clone().prop_map(Word::End),
        2 => (id.clone(), bytes.clone()).prop_map(|(id, bytes)| Word::Grant(id, bytes)),
        1 => id.clone().prop_map(Word::CalleeItem),
        1 => (id.clone(), bytes).prop_map(|(id, bytes)| Word::CalleeGrant(id, bytes)),
        2 => id.prop_map(Word::Cancel),
    ]
}

fn say(out: &mut Vec<u8>, word: Word) {
    let item = |len: u8| [&[0xc4, len], &*vec![0; usize::from(len)]].concat();
    match word {
        Word::Call(id, window) => {
            let meta = Meta { window: Some(window), ..Meta::default() };
            proto::append_request(out, id, "method", &[0x90], Some(&meta));
        }
        Word::Item(id, len) => proto::append_caller_item(out, id, &item(len)),
        Word::End(id) => proto::append_caller_end(out, id, None),
        Word::Grant(id, bytes) => proto::append_grant_to_callee(out, id, bytes),
        Word::CalleeItem(id) => proto::append_callee_item(out, id, &[1]),
        Word::CalleeGrant(id, bytes) => proto::append_grant_to_caller(out, id, bytes),
        Word::Cancel(id) => proto::append_cancel(out, id),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_caller_says_of_streams_its_calls_end_and_others_go_on(
        words in prop::collection::vec(word(), 0..60),
        at_once in 1_usize..20,
    ) {
        test::run(move || {
            let (callee, mut raw) = callee(window_of(50), |context| {
                let (items, sink) = (Items::<Value>::of(context)?, Sink::<Value>::of(context)?);
                let told = |error: StreamError| Failure::new(1, error.to_string());
                for item in items {
                    sink.send(&item.map_err(told)?).map_err(told)?;
                }
                Ok(Encoded::nil())
            });
            for words in words.chunks(at_once) {
                raw.send(|out| words.iter().for_each(|&word| say(out, word)));
                yield_now();
            }
            raw.send(|out| (1..4).for_each(|id| proto::append_cancel(out, id)));
            raw.send(|out| proto::append_request(out, 99, "nop", &[0x90], None));
            while !raw.receive(|message| matches!(message, Message::Response { id: 99, error: None, .. })) {}
            assert!(callee.wait_idle(Some(now() + Duration::from_secs(1))));
            assert!(!callee.is_closed());
        });
    }
}

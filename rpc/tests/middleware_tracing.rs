//! Traces that calls carry from one service to the next, and the spans around them.
//!
//! With the feature: `cargo test -p grapeshot-rpc --features tracing --test middleware_tracing`.
#![cfg(feature = "tracing")]
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grapeshot_core::{CoroutineSpans, sleep, spawn, test, with_timeout};
use grapeshot_net::memory;
use grapeshot_rpc::middleware::{AroundCaller, CallerWith, ServiceWith, Tracing, current_trace};
use grapeshot_rpc::proto::TraceContext;
use grapeshot_rpc::stream::{CalleeStreaming, Sink};
use grapeshot_rpc::{CallOptions, CallerExt, Connection, Context, Failure, Router, Service};
use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{self, Layer};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

const SECOND: Duration = Duration::from_secs(1);
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A span that has ended: its name, and what was written into it.
#[derive(Clone, Debug, Default)]
struct Ended {
    name: &'static str,
    fields: BTreeMap<&'static str, String>,
}

impl Ended {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

/// Keeps all spans that have ended, in the order in which they did.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Ended>>>);

struct Fields<'a>(&'a mut Ended);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.fields.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.fields.insert(field.name(), format!("{value:?}"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: layer::Context<'_, S>) {
        let mut ended = Ended { name: attributes.metadata().name(), ..Ended::default() };
        attributes.record(&mut Fields(&mut ended));
        context.span(id).unwrap().extensions_mut().insert(ended);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: layer::Context<'_, S>) {
        let span = context.span(id).unwrap();
        values.record(&mut Fields(span.extensions_mut().get_mut().unwrap()));
    }

    fn on_close(&self, id: Id, context: layer::Context<'_, S>) {
        let ended = context.span(&id).unwrap().extensions().get::<Ended>().cloned().unwrap();
        self.0.lock().unwrap().push(ended);
    }
}

/// Runs `body` under a subscriber that keeps spans, and returns those of this crate.
fn spans_of(body: impl FnOnce() + 'static) -> Vec<Ended> {
    let spans = Spans::default();
    let registry = tracing_subscriber::registry().with(CoroutineSpans::new()).with(spans.clone());
    let _default = tracing::subscriber::set_default(registry);
    test::run(body);
    let all = std::mem::take(&mut *spans.0.lock().unwrap());
    all.into_iter().filter(|span| span.name.starts_with("rpc.")).collect()
}

type Traced = AroundCaller<Connection, Tracing>;

/// A traced service, and a traced connection to it.
fn pair(service: impl Service + 'static) -> (Traced, Connection) {
    let (near, far) = memory::pair();
    let far = Connection::over(far).service(service.with(Tracing::new())).accept().unwrap();
    (Connection::over(near).open().unwrap().with(Tracing::new()), far)
}

/// The trace that its method runs for.
fn leaf() -> Router {
    Router::new().method("where", |()| Ok(current_trace().unwrap().parent)).method("fail", |()| {
        sleep(SECOND);
        Err::<(), _>(Failure::new(7, "so it is"))
    })
}

/// Asks the leaf, itself and from a coroutine that it spawns.
fn middle(leaf: Traced) -> Router {
    let leaf = Rc::new(leaf);
    let spawning = leaf.clone();
    Router::new()
        .method("itself", move |()| {
            sleep(SECOND);
            Ok(leaf.call::<String>("where", &()).unwrap())
        })
        .method("spawned", move |()| {
            let leaf = spawning.clone();
            Ok(spawn(move || leaf.call::<String>("where", &()).unwrap()).join().unwrap())
        })
}

fn trace_id(parent: &str) -> &str {
    parent.split('-').nth(1).unwrap()
}

fn options(parent: &str) -> CallOptions {
    let trace = TraceContext { parent: parent.to_owned(), state: "vendor=1".to_owned() };
    CallOptions { trace: Some(trace), ..CallOptions::default() }
}

/// That each span is the parent of the one that ended before it, all in one trace.
fn assert_chain(spans: &[Ended], names: &[&str]) {
    assert_eq!(spans.iter().map(|span| span.name).collect::<Vec<_>>(), names, "{spans:#?}");
    for pair in spans.windows(2) {
        assert_eq!(pair[0].field("parent_id"), pair[1].field("span_id"), "{spans:#?}");
        assert_eq!(pair[0].field("trace_id"), pair[1].field("trace_id"), "{spans:#?}");
    }
}

const TWO_HOPS: [&str; 4] = ["rpc.serve", "rpc.call", "rpc.serve", "rpc.call"];

#[test]
fn a_trace_goes_over_two_hops_by_itself() {
    let spans = spans_of(|| {
        let (to_leaf, _leaf) = pair(leaf());
        let (to_middle, _middle) = pair(middle(to_leaf));
        let first: String = to_middle.call("itself", &()).unwrap();
        let second: String = to_middle.call("itself", &()).unwrap();
        assert_ne!(trace_id(&first), trace_id(&second));
    });
    assert_chain(&spans[..4], &TWO_HOPS);
    assert_chain(&spans[4..], &TWO_HOPS);
    assert_eq!(spans[3].field("parent_id"), "");
    assert_eq!((spans[3].field("method"), spans[3].field("took_us")), ("itself", "1000000"));
    assert_eq!((spans[0].field("method"), spans[0].field("ending")), ("where", "ok"));
}

#[test]
fn a_trace_goes_on_in_a_coroutine_that_the_method_spawned() {
    let spans = spans_of(|| {
        let (to_leaf, _leaf) = pair(leaf());
        let (to_middle, _middle) = pair(middle(to_leaf));
        to_middle.call::<String>("spawned", &()).unwrap();
    });
    assert_chain(&spans, &TWO_HOPS);
}

#[test]
fn calls_at_the_same_time_keep_their_traces_apart() {
    let spans = spans_of(|| {
        let (to_leaf, _leaf) = pair(leaf());
        let (to_middle, _middle) = pair(middle(to_leaf));
        let to_middle = Rc::new(to_middle);
        let calls: Vec<_> = (1..=8)
            .map(|number| {
                let to_middle = to_middle.clone();
                spawn(move || {
                    let own = format!("00-{number:032x}-00f067aa0ba902b7-01");
                    let seen: String = to_middle.call_with(&options(&own), "itself", &()).unwrap();
                    assert_eq!(trace_id(&seen), trace_id(&own));
                })
            })
            .collect();
        calls.into_iter().for_each(|call| call.join().unwrap());
    });
    assert_eq!(spans.len(), 8 * TWO_HOPS.len());
}

#[test]
fn a_trace_that_the_caller_names_is_continued_with_its_state() {
    let spans = spans_of(|| {
        let service = Router::new().method_with_context("trace", |context: &Context, ()| {
            let (sent, here) = (context.trace().unwrap(), current_trace().unwrap());
            Ok((sent.state.clone(), here.state, sent.parent.clone(), here.parent))
        });
        let (near, _far) = pair(service);
        let (sent_state, state, sent, here): (String, String, String, String) =
            near.call_with(&options(PARENT), "trace", &()).unwrap();
        assert_eq!((sent_state.as_str(), state.as_str()), ("vendor=1", "vendor=1"));
        assert_eq!((trace_id(&sent), trace_id(&here)), (trace_id(PARENT), trace_id(PARENT)));
        assert_ne!(sent, here);
    });
    assert_eq!(spans[1].field("parent_id"), "00f067aa0ba902b7");
    assert_eq!(spans[1].field("trace_id"), trace_id(PARENT));
}

#[test]
fn a_context_that_is_not_well_formed_begins_a_new_trace() {
    let spans = spans_of(|| {
        let (near, far) = memory::pair();
        let _far = Connection::over(far).service(leaf().with(Tracing::new())).accept().unwrap();
        let near = Connection::over(near).open().unwrap();
        let here: String = near.call_with(&options("00-nonsense"), "where", &()).unwrap();
        assert!(here.ends_with("-01"));
    });
    assert_eq!((spans.len(), spans[0].field("parent_id")), (1, ""));
}

#[test]
fn spans_say_how_their_calls_ended() {
    let spans = spans_of(|| {
        let (near, _far) = pair(leaf());
        near.call::<()>("fail", &()).unwrap_err();
        near.call::<()>("no such method", &()).unwrap_err();
        with_timeout(SECOND / 2, || near.call::<()>("fail", &())).unwrap_err();
        sleep(SECOND);
    });
    let told: Vec<_> = spans.iter().map(|span| (span.name, span.field("ending"), span.field("code"))).collect();
    assert_eq!(told[..2], [("rpc.serve", "failed", "7"), ("rpc.call", "failed", "7")]);
    assert_eq!(told[2..4], [("rpc.serve", "refused", "-32601"), ("rpc.call", "refused", "-32601")]);
    assert!(told[4..].contains(&("rpc.call", "cut off", "")), "{told:?}");
    assert_eq!(spans[0].field("took_us"), "1000000");
    assert_ne!(spans[0].field("peer"), "");
}

#[test]
fn the_span_of_a_call_with_streams_ends_with_the_call() {
    let spans = spans_of(|| {
        let service = Router::new().callee_stream("upto", |_: &Context, (n,): (u64,), numbers: Sink<u64>| {
            sleep(SECOND);
            (0..n).try_for_each(|number| numbers.send(&number)).map(|()| n).map_err(Failure::from)
        });
        let (near, _far) = pair(service);
        let open = || CalleeStreaming::<u64, u64>::open(&near, "upto", &(3,), &CallOptions::default()).unwrap();
        let call = open();
        assert_eq!(call.items().map(Result::unwrap).sum::<u64>(), 3);
        assert_eq!(call.finish().unwrap(), 3);
        drop(open());
        sleep(2 * SECOND);
    });
    assert_chain(&spans[..2], &["rpc.serve", "rpc.call"]);
    assert_eq!((spans[1].field("ending"), spans[1].field("took_us")), ("ok", "1000000"));
    assert!(spans[2..].iter().any(|span| span.name == "rpc.call" && span.field("ending") == "cut off"), "{spans:#?}");
}

#[test]
fn without_a_subscriber_traces_pass_through_and_none_begins() {
    test::run(|| {
        let trace = Router::new().method_with_context("trace", |context: &Context, ()| {
            Ok(context.trace().map(|trace| trace.parent.clone()))
        });
        let (to_leaf, _leaf) = pair(trace);
        let middle = Router::new().method("pass", move |()| Ok(to_leaf.call::<Option<String>>("trace", &()).unwrap()));
        let (near, _far) = pair(middle);
        assert_eq!(near.call::<Option<String>>("pass", &()).unwrap(), None);
        let seen: Option<String> = near.call_with(&options(PARENT), "pass", &()).unwrap();
        assert_eq!(seen.as_deref(), Some(PARENT));
        // What was served before left nothing behind.
        assert_eq!(near.call::<Option<String>>("pass", &()).unwrap(), None);
        assert_eq!(current_trace(), None);
    });
}

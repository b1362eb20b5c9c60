//! Spans of `tracing` that switch with their coroutine: every event has the right parents.
//!
//! With the feature: `cargo test -p grapeshot-core --features tracing --test spans`.
#![cfg(feature = "tracing")]
#![allow(clippy::unwrap_used, reason = "these are parts of tests")]

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grapeshot_core::test::{self, Test};
use grapeshot_core::{Builder, CoroutineSpans, sleep, spawn, with_timeout, yield_now};
use tracing::field::{Field, Visit};
use tracing::{Event, Span, Subscriber, info, info_span};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

/// Writes each event with the spans it is in, outermost first, and each end of a span.
#[derive(Clone, Default)]
struct Tree(Arc<Mutex<Vec<String>>>);

impl Tree {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Tree {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let spans = context.event_scope(event).into_iter().flat_map(|scope| scope.from_root());
        let path: Vec<_> = spans.map(|span| span.name()).collect();
        self.0.lock().unwrap().push(format!("{}: {}", path.join("/"), message.0));
    }

    fn on_close(&self, id: tracing::span::Id, context: Context<'_, S>) {
        self.0.lock().unwrap().push(format!("end of {}", context.span(&id).unwrap().name()));
    }
}

/// Runs `body` under a subscriber that writes the span tree, and returns what it wrote.
fn tree_of(layer: CoroutineSpans, body: impl FnOnce() + 'static) -> Vec<String> {
    let tree = Tree::default();
    let _default = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer).with(tree.clone()));
    test::run(body);
    tree.take()
}

#[test]
fn two_coroutines_that_take_turns_inside_spans_keep_their_own() {
    let lines = tree_of(CoroutineSpans::new(), || {
        let both = [("a", info_span!("a")), ("b", info_span!("b"))].map(|(name, span)| {
            spawn(move || {
                let _outer = span.entered();
                info!("{name} begins");
                yield_now();
                let inner = info_span!("inner").entered();
                info!("{name} is inside");
                sleep(Duration::from_secs(1));
                info!("{name} is still inside");
                drop(inner);
                yield_now();
                info!("{name} ends");
            })
        });
        yield_now();
        info!("main");
        both.into_iter().for_each(|one| one.join().unwrap());
        info!("main ends");
    });
    let expected = [
        "a: a begins",
        "b: b begins",
        ": main",
        "a/inner: a is inside",
        "b/inner: b is inside",
        "a/inner: a is still inside",
        "end of inner",
        "b/inner: b is still inside",
        "end of inner",
        "a: a ends",
        "end of a",
        "b: b ends",
        "end of b",
        ": main ends",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_child_begins_in_the_span_of_its_spawner_and_keeps_it_open() {
    let lines = tree_of(CoroutineSpans::new(), || {
        let child = {
            let _span = info_span!("request").entered();
            spawn(|| {
                info!("child");
                let _own = info_span!("query").entered();
                yield_now();
                info!("child goes on");
                spawn(|| info!("grandchild")).join().unwrap();
            })
        };
        info!("parent");
        child.join().unwrap();
    });
    let expected = [
        ": parent",
        "request: child",
        "request/query: child goes on",
        "request/query: grandchild",
        "end of query",
        "end of request",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn without_inheritance_a_child_begins_outside_any_span() {
    let lines = tree_of(CoroutineSpans::new().inherit(false), || {
        let _span = info_span!("request").entered();
        spawn(|| info!("child")).join().unwrap();
        info!("parent");
    });
    assert_eq!(lines, [": child", "request: parent", "end of request"]);
}

#[test]
fn a_child_that_works_for_others_too_begins_outside_any_span_and_keeps_none_open() {
    let lines = tree_of(CoroutineSpans::new(), || {
        let child = {
            let _span = info_span!("request").entered();
            Builder::new().spanless().spawn(|| info!("child")).unwrap()
        };
        info!("parent");
        child.join().unwrap();
    });
    assert_eq!(lines, ["end of request", ": parent", ": child"]);
}

#[test]
fn a_span_that_is_unwound_is_exited() {
    let lines = tree_of(CoroutineSpans::new(), || {
        let cut_off = with_timeout(Duration::from_secs(1), || {
            let _span = info_span!("work").entered();
            sleep(Duration::from_secs(10));
        });
        assert!(cut_off.is_err());
        info!("after");
    });
    assert_eq!(lines, ["end of work", ": after"]);
}

#[test]
fn a_child_that_never_ran_keeps_no_span_open() {
    let lines = tree_of(CoroutineSpans::new(), || {
        let child = info_span!("request").in_scope(|| spawn(|| info!("child")));
        child.cancel();
        yield_now();
        info!("after");
        drop(child);
    });
    assert_eq!(lines, ["end of request", ": after"]);
}

#[test]
fn every_event_has_its_own_parents_under_random_schedules() {
    for seed in 0..50 {
        let tree = Tree::default();
        let subscriber = tracing_subscriber::registry().with(CoroutineSpans::new()).with(tree.clone());
        let _default = tracing::subscriber::set_default(subscriber);
        Test::new().seed(seed).run(|| {
            let children: Vec<_> = ["a", "b", "c", "d"]
                .into_iter()
                .map(|name| {
                    spawn(move || {
                        for _ in 0..10 {
                            let span = match name {
                                "a" => info_span!("a"),
                                "b" => info_span!("b"),
                                "c" => info_span!("c"),
                                _ => Span::none(),
                            };
                            span.in_scope(|| {
                                yield_now();
                                info!("{name}");
                            });
                            yield_now();
                            info!("none");
                        }
                    })
                })
                .collect();
            children.into_iter().for_each(|child| child.join().unwrap());
        });
        for line in tree.take() {
            assert!(["a: a", "b: b", "c: c", ": d", ": none"].contains(&&*line) || line.starts_with("end"), "{line}");
        }
    }
}

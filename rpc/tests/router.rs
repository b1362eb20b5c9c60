//! The dynamic side: closures and services under names, called by name with values of any type.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod service_direct;

use std::cell::Cell;
use std::rc::Rc;

use grapeshot_core::test;
use grapeshot_rpc::stream::{BothStreaming, CalleeStreaming, CallerStreaming, Items, Sink};
use grapeshot_rpc::{CallError, CallOptions, Context, Encoded, Failure, MethodInfo, Router, Service, Value};

use service_direct::Direct;

fn told(result: Result<Value, CallError>) -> (i64, String) {
    let failure = result.unwrap_err().failure().unwrap().clone();
    (failure.code, failure.message)
}

#[test]
fn a_closure_takes_a_tuple_and_returns_anything() {
    let direct = Direct::to(
        Router::new()
            .method("add", |(a, b): (i64, i64)| Ok(a + b))
            .method("nothing", |()| Ok(()))
            .method("greet", |(name, mark): (String, Option<String>)| Ok(name + &mark.unwrap_or_default())),
    );
    assert_eq!(direct.raw("add", (1, 2)).unwrap(), Value::from(3));
    assert_eq!(direct.raw("nothing", [0u8; 0]).unwrap(), Value::Nil);
    assert_eq!(direct.raw("greet", ("ann", "!")).unwrap(), Value::from("ann!"));
    assert_eq!(direct.raw("greet", ("ann",)).unwrap(), Value::from("ann"));
}

#[test]
fn any_number_of_parameters_comes_as_a_list() {
    let direct = Direct::to(
        Router::new()
            .method("sum", |numbers: Vec<i64>| Ok(numbers.iter().sum::<i64>()))
            .method("echo", |values: Vec<Value>| Ok(values)),
    );
    assert_eq!(direct.raw("sum", [0i64; 0]).unwrap(), Value::from(0));
    assert_eq!(direct.raw("sum", (1, 2, 3)).unwrap(), Value::from(6));
    assert_eq!(direct.raw("echo", (1, "b", ())).unwrap(), Value::Array(vec![1.into(), "b".into(), Value::Nil]));
    let (code, message) = told(direct.raw("sum", (1, 2, "x")));
    assert_eq!(code, Failure::INVALID_PARAMS);
    assert!(message.starts_with("parameter 3 of `sum`, `values`, is no i64: "), "{message}");
}

#[test]
fn parameters_that_do_not_fit_are_named() {
    let ran = Rc::new(Cell::new(false));
    let add = {
        let ran = ran.clone();
        move |(a, b): (i64, i64)| {
            ran.set(true);
            Ok(a + b)
        }
    };
    let direct = Direct::to(Router::new().method(MethodInfo::named("add").params(&["a"]), add));
    let expected = "`add` takes 2 parameters (a: i64, 2: i64), and 1 came".to_owned();
    assert_eq!(told(direct.raw("add", (1,))), (Failure::INVALID_PARAMS, expected));
    let (_, message) = told(direct.raw("add", (1, "two")));
    assert!(message.starts_with("parameter 2 of `add`, `2`, is no i64: "), "{message}");
    assert!(!ran.get());
}

#[test]
fn a_closure_fails_with_what_it_says() {
    let fail = |(message,): (String,)| Err::<(), _>(Failure::new(7, message).with_data(Value::from(1)));
    let direct = Direct::to(Router::new().method("fail", fail));
    let error = direct.raw("fail", ("oops",)).unwrap_err();
    assert_eq!(error.failure(), Some(&Failure::new(7, "oops").with_data(Value::from(1))));
}

#[test]
fn a_closure_may_see_the_context() {
    let router = Router::new()
        .method_with_context("waits", |context: &Context, ()| Ok(!context.is_notification()))
        .notification_with_context("tell", |context: &Context, (_line,): (String,)| {
            assert!(context.peer().key.is_none())
        });
    let direct = Direct::to(router);
    assert_eq!(direct.raw("waits", [0u8; 0]).unwrap(), Value::from(true));
    assert_eq!(direct.raw("tell", ("hello",)).unwrap(), Value::Nil);
}

#[test]
fn streams_go_both_ways() {
    test::run(|| {
        let direct = Direct::to(
            Router::new()
                .callee_stream("upto", |_: &Context, (n,): (u64,), sink: Sink<u64>| {
                    (0..n).try_for_each(|number: u64| sink.send(&number))?;
                    Ok(n)
                })
                .caller_stream("sum", |_: &Context, (), numbers: Items<u64>| Ok(numbers.sum::<Result<u64, _>>()?))
                .both_streams("shout", |_: &Context, (), words: Items<String>, sink: Sink<String>| {
                    for word in words {
                        let word: String = word?;
                        sink.send(&word.to_uppercase())?;
                    }
                    Ok(())
                }),
        );
        let options = CallOptions::default();
        let upto = CalleeStreaming::<u64, u64>::open(&direct, "upto", &(3,), &options).unwrap();
        assert_eq!(upto.items().map(Result::unwrap).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(upto.finish().unwrap(), 3);
        let sum = CallerStreaming::<u64, u64>::open(&direct, "sum", &(), &options).unwrap();
        (1..=4).for_each(|number| sum.send(&number).unwrap());
        assert_eq!(sum.finish().unwrap(), 10);
        let shout = BothStreaming::<String, String, ()>::open(&direct, "shout", &(), &options).unwrap();
        shout.send(&"a".to_owned()).unwrap();
        assert_eq!(shout.recv().unwrap().unwrap(), "A");
        shout.finish().unwrap();
    });
}

#[test]
fn a_merged_service_answers_behind_its_prefix() {
    let inner = || Router::new().method("add", |(a, b): (i64, i64)| Ok(a + b));
    let direct = Direct::to(Router::new().merge("calc.", inner()).method("ping", |()| Ok("pong")));
    assert_eq!(direct.raw("calc.add", (1, 2)).unwrap(), Value::from(3));
    assert_eq!(direct.raw("ping", [0u8; 0]).unwrap(), Value::from("pong"));
    assert_eq!(told(direct.raw("add", (1, 2))).0, Failure::METHOD_NOT_FOUND);
    assert_eq!(told(direct.raw("calc.", (1, 2))).0, Failure::METHOD_NOT_FOUND);
}

#[test]
fn services_without_a_prefix_lie_beside_each_other() {
    let one = |name: &'static str, answer: i64| Router::new().method(name, move |()| Ok(answer));
    let direct = Direct::to(Router::new().merge("", one("a", 1)).merge("", one("b", 2)).merge("", one("both", 3)));
    assert_eq!(direct.raw("a", [0u8; 0]).unwrap(), Value::from(1));
    assert_eq!(direct.raw("b", [0u8; 0]).unwrap(), Value::from(2));
    assert_eq!(told(direct.raw("c", [0u8; 0])).0, Failure::METHOD_NOT_FOUND);
}

#[test]
fn what_was_added_last_under_a_name_counts() {
    let one = |answer: i64| Router::new().method("a", move |()| Ok(answer));
    let direct = Direct::to(Router::new().merge("", one(1)).merge("", one(2)));
    assert_eq!(direct.raw("a", [0u8; 0]).unwrap(), Value::from(2));
    let router = one(1).method("b", |()| Ok(0)).method("a", |()| Ok(2)).method("c", |()| Ok(0));
    let names: Vec<String> = router.methods().into_iter().map(|info| info.name).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(Direct::to(router).raw("a", [0u8; 0]).unwrap(), Value::from(2));
}

#[test]
fn a_name_is_listed_once_with_the_signature_that_counts() {
    let router = Router::new()
        .merge("", Router::new().method("a", |(_n,): (u8,)| Ok(())).method("b", |()| Ok(())))
        .merge("", Router::new().method("a", |(_n,): (u16,)| Ok(())).method("c", |()| Ok(())))
        .method("c", |(_n,): (u32,)| Ok(()));
    let listed: Vec<String> = router.methods().iter().map(MethodInfo::to_string).collect();
    assert_eq!(listed, ["c(1: u32)", "b()", "a(1: u16)"]);
}

#[test]
fn a_number_of_parameters_that_lies_is_refused() {
    let router = Router::new().method("sum", |numbers: Vec<i64>| Ok(numbers.iter().sum::<i64>()));
    let four_thousand_million_and_two_came = [0xdd, 0xff, 0xff, 0xff, 0xff, 1, 2];
    let failure = router.call("sum", &four_thousand_million_and_two_came, &Context::detached()).unwrap_err();
    assert_eq!(failure.code, Failure::INVALID_PARAMS);
}

#[test]
fn a_failure_of_a_merged_method_goes_no_further() {
    let fails = Router::new().method("a", |()| Err::<(), _>(Failure::new(7, "no")));
    let direct = Direct::to(Router::new().fallback(|_, _, _| Ok(Encoded::nil())).merge("", fails));
    assert_eq!(told(direct.raw("a", [0u8; 0])).0, 7);
    assert_eq!(direct.raw("b", [0u8; 0]).unwrap(), Value::Nil);
}

#[test]
fn the_fallback_sees_what_nothing_else_answers() {
    let router = Router::new()
        .method("known", |()| Ok(1))
        .fallback(|method, params, _| Encoded::of(&(method, params.len())).map_err(|_| Failure::new(1, "")));
    let direct = Direct::to(router);
    assert_eq!(direct.raw("known", [0u8; 0]).unwrap(), Value::from(1));
    assert_eq!(direct.raw("other", (1,)).unwrap(), Value::Array(vec!["other".into(), 2.into()]));
}

#[test]
fn a_listing_has_the_types_of_the_closures() {
    let router = Router::new()
        .method(MethodInfo::named("add").params(&["a", "b"]).doc("Adds.").since(2), |(a, b): (i64, i64)| Ok(a + b))
        .notification("log", |(_line,): (String,)| {})
        .merge("inner.", Router::new().method("list", |numbers: Vec<u8>| Ok(numbers)))
        .callee_stream("upto", |_: &Context, (_n,): (Option<u64>,), _sink: Sink<u8>| Ok(()));
    let methods = router.methods();
    let signatures: Vec<String> = methods.iter().map(MethodInfo::to_string).collect();
    let expected = [
        "add(a: i64, b: i64) -> i64",
        "log(1: String)",
        "upto(1: Option<u64>) -> stream of u8, then ()",
        "inner.list(values: u8…) -> Vec<u8>",
    ];
    assert_eq!(signatures, expected);
    assert_eq!((methods[0].version, methods[0].doc.as_str()), (2, "Adds."));
    assert_eq!((methods[1].kind.as_str(), methods[2].kind.as_str()), ("notification", "callee_stream"));
}

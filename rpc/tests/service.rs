//! What the attribute makes of a trait: the typed path from client to implementation, without a connection between them.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod service_direct;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test;
use grapeshot_rpc::stream::{Items, Sink};
use grapeshot_rpc::{
    CallError, CallOptions, Context, Failure, MethodInfo, MethodKind, Outcome, Repeat, Service, ServiceError, Value,
};
use proptest::collection::vec;
use proptest::prelude::{any, proptest};
use serde::{Deserialize, Serialize};

use service_direct::Direct;

#[derive(Clone, Debug, PartialEq, ServiceError)]
#[rpc(crate = grapeshot_rpc)]
enum CalcError {
    #[rpc(code = 1)]
    DivisionByZero,
    #[rpc(code = 2)]
    Overdrawn { account: String, cents: u64 },
    #[rpc(code = -3)]
    Odd(u8, Vec<String>),
}

impl fmt::Display for CalcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CalcError::DivisionByZero => f.write_str("nothing can be divided by zero"),
            CalcError::Overdrawn { account, cents } => write!(f, "{account} has only {cents} cents"),
            CalcError::Odd(code, words) => write!(f, "odd: {code} {words:?}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    x: i32,
    y: i32,
}

#[grapeshot_rpc::service(crate = grapeshot_rpc)]
trait Calculator {
    /// Divides.
    ///
    /// Rounds towards zero.
    #[rpc(idempotent, alias = "div", alias = "quotient")]
    fn divide(&self, a: i64, b: i64) -> Result<i64, CalcError>;

    #[rpc(sequenced, since = 2)]
    fn withdraw(&self, context: &Context, account: String, cents: u64) -> Result<u64, CalcError>;

    fn version(&self) -> u32;

    #[rpc(notification)]
    fn log(&self, line: String);

    fn mirror(&self, point: Point, scale: Option<i32>, label: Option<String>) -> Point;

    /// What is lent to the client's method is lent to the server's.
    fn join(&self, words: &[String], between: &str, origin: &Point) -> String;

    #[rpc(name = "type")]
    fn kind_of(&self, r#type: Value) -> String {
        format!("{}", r#type)
    }

    fn odd(&self) -> Result<(), CalcError>;

    fn upto(&self, n: u64, numbers: Sink<u64>) -> Result<u64, Failure>;

    fn sum(&self, context: &Context, numbers: Items<u64>) -> Result<u64, Failure>;

    fn shout(&self, words: Items<String>, loud: Sink<String>, mark: Option<String>) -> Result<(), Failure>;
}

#[derive(Default)]
struct Bank {
    lines: Rc<RefCell<Vec<String>>>,
    calls: Cell<u32>,
}

impl Calculator for Bank {
    fn divide(&self, a: i64, b: i64) -> Result<i64, CalcError> {
        self.calls.set(self.calls.get() + 1);
        a.checked_div(b).ok_or(CalcError::DivisionByZero)
    }

    fn withdraw(&self, context: &Context, account: String, cents: u64) -> Result<u64, CalcError> {
        assert!(context.streams().is_none());
        5u64.checked_sub(cents).ok_or(CalcError::Overdrawn { account, cents: 5 })
    }

    fn version(&self) -> u32 {
        3
    }

    fn log(&self, line: String) {
        self.lines.borrow_mut().push(line);
    }

    fn mirror(&self, point: Point, scale: Option<i32>, label: Option<String>) -> Point {
        self.lines.borrow_mut().extend(label);
        let scale = scale.unwrap_or(1);
        Point { x: -point.x * scale, y: -point.y * scale }
    }

    fn join(&self, words: &[String], between: &str, origin: &Point) -> String {
        format!("{} at {}", words.join(between), origin.x)
    }

    fn odd(&self) -> Result<(), CalcError> {
        Err(CalcError::Odd(7, vec!["a".into(), "b".into()]))
    }

    fn upto(&self, n: u64, numbers: Sink<u64>) -> Result<u64, Failure> {
        (0..n).try_for_each(|number| numbers.send(&number))?;
        Ok(n)
    }

    fn sum(&self, context: &Context, numbers: Items<u64>) -> Result<u64, Failure> {
        assert!(context.streams().is_some());
        Ok(numbers.sum::<Result<u64, _>>()?)
    }

    fn shout(&self, words: Items<String>, loud: Sink<String>, mark: Option<String>) -> Result<(), Failure> {
        let mark = mark.unwrap_or("!".into());
        for word in words {
            loud.send(&(word?.to_uppercase() + &mark))?;
        }
        Ok(())
    }
}

fn client() -> CalculatorClient<Direct> {
    CalculatorClient::new(Direct::to(CalculatorService(Bank::default())))
}

fn failure(result: Result<Value, CallError>) -> Failure {
    result.unwrap_err().failure().unwrap().clone()
}

#[test]
fn a_call_goes_to_the_implementation_and_its_result_comes_back() {
    let client = client();
    assert_eq!(client.divide(7, -2).unwrap(), -3);
    assert_eq!(client.version().unwrap(), 3);
    assert_eq!(client.caller().last().method, "version");
    assert_eq!(client.caller().last().params, Value::Array(vec![]));
}

#[test]
fn a_services_own_error_comes_back_as_itself() {
    let error = client().divide(1, 0).unwrap_err();
    assert_eq!(error.service(), Some(CalcError::DivisionByZero));
    assert_eq!(error.outcome(), Outcome::Ran);
    let error = client().withdraw("ann".into(), 6).unwrap_err();
    assert_eq!(error.service(), Some(CalcError::Overdrawn { account: "ann".into(), cents: 5 }));
    assert_eq!(error.to_string(), "the callee failed: ann has only 5 cents (code 2)");
    let error = client().odd().unwrap_err();
    assert_eq!(error.service(), Some(CalcError::Odd(7, vec!["a".into(), "b".into()])));
}

#[test]
fn an_errors_data_are_a_map_or_a_list_that_other_languages_read() {
    let overdrawn = Failure::from(CalcError::Overdrawn { account: "ann".into(), cents: 5 });
    let map = Value::Map(vec![("account".into(), "ann".into()), ("cents".into(), 5.into())]);
    assert_eq!(overdrawn.data, map);
    let odd = Failure::from(CalcError::Odd(7, vec!["a".into()]));
    assert_eq!(odd.data, Value::Array(vec![7.into(), Value::Array(vec!["a".into()])]));
    assert_eq!(Failure::from(CalcError::DivisionByZero).data, Value::Nil);
}

#[test]
fn a_failure_that_is_not_the_services_stays_a_failure() {
    let other = Failure::new(99, "something else");
    assert_eq!(CalcError::try_from(other.clone()), Err(other));
    let without_data = Failure::new(2, "overdrawn");
    assert_eq!(CalcError::try_from(without_data.clone()), Err(without_data));
}

#[test]
fn how_a_call_may_repeat_is_the_methods_to_say() {
    let client = client();
    client.divide(1, 1).unwrap();
    assert_eq!(client.caller().last().options.repeat, Repeat::Idempotent);
    client.withdraw("ann".into(), 1).unwrap();
    assert_eq!(client.caller().last().options.repeat, Repeat::Sequenced);
    client.with(CallOptions { repeat: Repeat::Idempotent, ..CallOptions::default() }).version().unwrap();
    assert_eq!(client.caller().last().options.repeat, Repeat::Never);
}

#[test]
fn options_of_a_client_go_with_its_calls() {
    let client = client();
    let second = Duration::from_secs(1);
    client.with_timeout(second).divide(1, 1).unwrap();
    let options = CallOptions { timeout: Some(second), repeat: Repeat::Idempotent, ..CallOptions::default() };
    assert_eq!(client.caller().last().options, options);
    client.version().unwrap();
    assert_eq!(client.caller().last().options, CallOptions::default());
}

#[test]
fn options_at_the_end_are_left_out_when_there_are_none() {
    let client = client();
    let point = Point { x: 1, y: 2 };
    let sent = || client.caller().last().params.as_array().unwrap().len();
    assert_eq!(client.mirror(point.clone(), None, None).unwrap(), Point { x: -1, y: -2 });
    assert_eq!(sent(), 1);
    assert_eq!(client.mirror(point.clone(), Some(2), None).unwrap(), Point { x: -2, y: -4 });
    assert_eq!(sent(), 2);
    assert_eq!(client.mirror(point.clone(), None, Some("here".into())).unwrap(), Point { x: -1, y: -2 });
    assert_eq!(sent(), 3);
}

#[test]
fn what_is_lent_arrives() {
    let words = ["a".to_owned(), "b".to_owned()];
    assert_eq!(client().join(&words, "-", &Point { x: 3, y: 0 }).unwrap(), "a-b at 3");
}

#[test]
fn a_renamed_method_and_a_raw_name_are_what_they_say_on_the_wire() {
    let client = client();
    assert_eq!(client.kind_of(Value::from(5)).unwrap(), "5");
    assert_eq!(client.caller().last().method, "type");
    assert_eq!(failure(client.caller().raw("kind_of", (5,))).code, Failure::METHOD_NOT_FOUND);
}

#[test]
fn a_former_name_is_still_answered() {
    let client = client();
    for name in ["divide", "div", "quotient"] {
        assert_eq!(client.caller().raw(name, (6, 3)).unwrap(), Value::from(2), "{name}");
    }
}

#[test]
fn a_notification_arrives_and_returns_nothing() {
    let bank = Bank::default();
    let lines = bank.lines.clone();
    let client = CalculatorClient::new(Direct::to(CalculatorService(bank)));
    client.log("hello".into()).unwrap();
    assert_eq!(*lines.borrow(), ["hello"]);
    // A plain peer may call it all the same.
    assert_eq!(client.caller().raw("log", ("again",)).unwrap(), Value::Nil);
}

#[test]
fn parameters_that_do_not_fit_are_answered_and_the_method_does_not_run() {
    let service = Rc::new(CalculatorService(Bank::default()));
    let direct = Direct::to(service.clone());
    let told = failure(direct.raw("divide", (1,)));
    assert_eq!(told.code, Failure::INVALID_PARAMS);
    assert_eq!(told.message, "`divide` takes 2 parameters (a: i64, b: i64), and 1 came");
    let told = failure(direct.raw("divide", (1, 2, 3)));
    assert_eq!(told.message, "`divide` takes 2 parameters (a: i64, b: i64), and 3 came");
    let told = failure(direct.raw("version", (1,)));
    assert_eq!(told.message, "`version` takes no parameters, and 1 came");
    let told = failure(direct.raw("div", (1, "two")));
    assert!(told.message.starts_with("parameter 2 of `divide`, `b`, is no i64: "), "{}", told.message);
    let told = failure(direct.raw("join", (["a"], 1, ())));
    assert!(told.message.starts_with("parameter 2 of `join`, `between`, is no str: "), "{}", told.message);
    assert_eq!(service.0.calls.get(), 0);
}

#[test]
fn an_unknown_method_is_named_but_not_at_any_length() {
    let direct = Direct::to(CalculatorService(Bank::default()));
    let told = failure(direct.raw("cube", (1,)));
    assert_eq!((told.code, told.message.as_str()), (Failure::METHOD_NOT_FOUND, "there is no method `cube`"));
    assert!(failure(direct.raw(&"x".repeat(10_000), ())).message.len() < 200);
}

#[test]
fn an_answer_of_another_type_is_malformed_and_names_both() {
    #[grapeshot_rpc::service(crate = grapeshot_rpc)]
    trait Newer {
        fn version(&self) -> String;
    }
    let client = NewerClient::new(Direct::to(CalculatorService(Bank::default())));
    let error = client.version().unwrap_err();
    assert!(error.to_string().contains("the result of `version` is no String: "), "{error}");
    assert!(matches!(error, CallError::Malformed { .. }));
}

#[test]
fn a_listing_tells_names_types_kinds_versions_and_what_methods_do() {
    let methods = CalculatorService(Bank::default()).methods();
    let find = |name: &str| methods.iter().find(|info| info.name == name).unwrap();
    let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|&(name, ty)| (name.into(), ty.into())).collect::<Vec<_>>();
    let divide = MethodInfo {
        name: "divide".into(),
        params: owned(&[("a", "i64"), ("b", "i64")]),
        result: "i64".into(),
        kind: MethodKind::Call,
        version: 1,
        doc: "Divides.\n\nRounds towards zero.".into(),
    };
    assert_eq!(*find("divide"), divide);
    assert_eq!(find("div").doc, "Former name of `divide`.");
    assert_eq!(find("div").params, divide.params);
    assert_eq!((find("withdraw").version, find("log").kind), (2, MethodKind::Notification));
    let signatures = [
        ("withdraw", "withdraw(account: String, cents: u64) -> u64"),
        ("log", "log(line: String)"),
        ("mirror", "mirror(point: Point, scale: Option<i32>, label: Option<String>) -> Point"),
        ("join", "join(words: [String], between: str, origin: Point) -> String"),
        ("type", "type(type: Value) -> String"),
        ("upto", "upto(n: u64) -> stream of u64, then u64"),
        ("sum", "sum() -> of a stream of u64: u64"),
        ("shout", "shout(mark: Option<String>) -> of a stream of String: stream of String, then ()"),
    ];
    for (name, signature) in signatures {
        assert_eq!(find(name).to_string(), signature);
    }
    let kinds = [MethodKind::CalleeStream, MethodKind::CallerStream, MethodKind::BothStreams];
    assert_eq!(["upto", "sum", "shout"].map(|name| find(name).kind), kinds);
    assert_eq!(methods.len(), 13);
}

#[test]
fn a_prefix_stands_before_all_names() {
    #[grapeshot_rpc::service(name = "math", crate = grapeshot_rpc)]
    trait Doubler {
        #[rpc(alias = "dbl", full_alias = "double")]
        fn double(&self, n: u32) -> u32;

        #[cfg(any())]
        fn not_in_this_build(&self);
    }
    struct Plain;
    impl Doubler for Plain {
        fn double(&self, n: u32) -> u32 {
            2 * n
        }
    }
    let client = DoublerClient::new(Direct::to(DoublerService(Plain)));
    assert_eq!(client.double(4).unwrap(), 8);
    assert_eq!(client.caller().last().method, "math.double");
    assert_eq!(client.caller().raw("math.dbl", (4,)).unwrap(), Value::from(8));
    assert_eq!(client.caller().raw("double", (4,)).unwrap(), Value::from(8), "its name before there was a prefix");
    assert!(client.caller().raw("math.math.double", (4,)).is_err() && client.caller().raw("dbl", (4,)).is_err());
    let names: Vec<String> = DoublerService(Plain).methods().into_iter().map(|info| info.name).collect();
    assert_eq!(names, ["math.double", "math.dbl", "double"]);
}

#[test]
fn a_callee_streams_items_before_its_answer() {
    test::run(|| {
        let call = client().upto(5).unwrap();
        let numbers: Vec<u64> = call.items().map(Result::unwrap).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        assert_eq!(call.finish().unwrap(), 5);
    });
}

#[test]
fn a_caller_streams_items_before_the_answer() {
    test::run(|| {
        let call = client().sum().unwrap();
        (1..=10).for_each(|number| call.send(&number).unwrap());
        assert_eq!(call.finish().unwrap(), 55);
    });
}

#[test]
fn both_stream_at_once() {
    test::run(|| {
        let call = client().shout(Some("?".into())).unwrap();
        call.send(&"who".to_owned()).unwrap();
        assert_eq!(call.recv().unwrap().unwrap(), "WHO?");
        call.send(&"goes".to_owned()).unwrap();
        let rest = call.finish_sending();
        assert_eq!(rest.recv().unwrap().unwrap(), "GOES?");
        rest.finish().unwrap();
    });
}

#[test]
fn a_method_with_streams_refuses_a_call_without() {
    let told = failure(client().caller().raw("upto", (5,)));
    assert_eq!(told.code, Failure::INVALID_REQUEST);
    assert!(told.message.contains("streams"), "{}", told.message);
}

#[test]
fn a_service_without_methods_answers_so() {
    #[grapeshot_rpc::service(crate = grapeshot_rpc)]
    trait Nothing {}
    struct Void;
    impl Nothing for Void {}
    let client = NothingClient::new(Direct::to(NothingService(Void)));
    assert_eq!(failure(client.caller().raw("anything", ())).code, Failure::METHOD_NOT_FOUND);
    assert!(NothingService(Void).methods().is_empty());
}

#[test]
fn a_trait_may_come_from_a_macro() {
    macro_rules! numbers {
        ($name:ident, $ty:ty) => {
            #[grapeshot_rpc::service(crate = grapeshot_rpc)]
            trait $name {
                fn half(&self, number: $ty, by: Option<$ty>) -> $ty;
                fn checked(&self, number: &$ty) -> Result<$ty, Failure>;
            }
        };
    }
    numbers!(Numbers, u64);
    struct Halves;
    impl Numbers for Halves {
        fn half(&self, number: u64, by: Option<u64>) -> u64 {
            number / by.unwrap_or(2)
        }
        fn checked(&self, number: &u64) -> Result<u64, Failure> {
            Ok(*number)
        }
    }
    let client = NumbersClient::new(Direct::to(NumbersService(Halves)));
    assert_eq!((client.half(8, None).unwrap(), client.half(9, Some(3)).unwrap()), (4, 3));
    assert_eq!(client.checked(&1).unwrap(), 1);
}

#[test]
fn types_of_short_names_do_not_clash_with_generated_ones() {
    type T = u8;
    type C = Vec<T>;
    #[grapeshot_rpc::service(crate = grapeshot_rpc)]
    trait Short {
        fn first(&self, c: C, t: T) -> Option<T>;
    }
    impl Short for () {
        fn first(&self, c: C, t: T) -> Option<T> {
            c.first().copied().or(Some(t))
        }
    }
    let client = ShortClient::new(Direct::to(ShortService(())));
    assert_eq!((client.first(vec![3], 4).unwrap(), client.first(vec![], 4).unwrap()), (Some(3), Some(4)));
}

proptest! {
    /// What comes from a peer that lies is answered, whatever it is, and never with a panic.
    #[test]
    fn any_bytes_get_an_answer(bytes in vec(any::<u8>(), 0..40)) {
        let service = CalculatorService(Bank::default());
        for info in service.methods() {
            if let Err(failure) = service.call(&info.name, &bytes, &Context::detached()) {
                assert!(failure.message.len() < 1000, "{failure}");
            }
        }
    }
}

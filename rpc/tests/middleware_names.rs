//! Middleware that goes by the names of methods, and methods with several names.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod service_direct;

use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{scope, sleep, test, yield_now};
use grapeshot_net::memory;
use grapeshot_rpc::middleware::{Authorize, Logging, MethodLimit, MethodLimits, Metrics, ServiceWith, Who};
use grapeshot_rpc::replies::{AtMostOnce, BEGIN};
use grapeshot_rpc::retry::Retrying;
use grapeshot_rpc::{
    CallError, CallOptions, CallerExt, Connection, Context, Encoded, Failure, Identity, Repeat, Router, Service,
};

use service_direct::Direct;

const SECOND: Duration = Duration::from_secs(1);

#[grapeshot_rpc::service(crate = grapeshot_rpc)]
trait Reports {
    #[rpc(alias = "slowly", alias = "at_leisure")]
    fn slow(&self) -> u64;

    fn quick(&self) -> u64;
}

struct Desk;

impl Reports for Desk {
    fn slow(&self) -> u64 {
        sleep(SECOND);
        1
    }

    fn quick(&self) -> u64 {
        2
    }
}

fn code<T>(result: Result<T, CallError>) -> Option<i64> {
    result.err().and_then(|error| error.failure().map(|failure| failure.code))
}

/// What two calls at the same time come to, by their codes.
fn two_at_a_time(service: impl Service + 'static, first: &str, second: &str) -> [Option<i64>; 2] {
    let caller = Direct::to(service);
    let mut codes = [None; 2];
    let [one, two] = &mut codes;
    scope(|scope| {
        scope.spawn(|| *one = code(caller.call::<u64>(first, &())));
        yield_now();
        *two = code(caller.call::<u64>(second, &()));
    });
    codes
}

#[test]
fn a_limit_on_a_method_holds_under_each_of_its_names() {
    test::run(|| {
        let limits = || MethodLimits::new().method("slow", MethodLimit::new().in_flight(1));
        for (first, second) in [("slow", "slowly"), ("slowly", "at_leisure"), ("at_leisure", "slow")] {
            let codes = two_at_a_time(ReportsService(Desk).with(limits()), first, second);
            assert_eq!(codes, [None, Some(Failure::BUSY)], "{first} and {second}");
        }
        let codes = two_at_a_time(ReportsService(Desk).with(limits()), "slowly", "quick");
        assert_eq!(codes, [None, None]);
    });
}

#[test]
fn names_are_known_through_whatever_wraps_a_service() {
    test::run(|| {
        let limits = || MethodLimits::new().method("desk.slow", MethodLimit::new().in_flight(1));
        let wrapped = AtMostOnce::new(ReportsService(Desk).with(Logging::new(|_| ())));
        let merged = Router::new().merge("desk.", Rc::new(wrapped)).merge("desk.", Router::new());
        let service = Router::new().method("other", |()| Ok(3)).merge("", merged).with(limits());
        let codes = two_at_a_time(service, "desk.slowly", "desk.at_leisure");
        assert_eq!(codes, [None, Some(Failure::BUSY)]);
    });
}

#[test]
fn a_method_that_hides_another_ones_alias_is_itself() {
    let hiding = Router::new().merge("", ReportsService(Desk)).merge("", Router::new().method("slowly", |()| Ok(9)));
    assert_eq!(hiding.canonical("slowly").as_deref(), Some("slowly"));
    assert_eq!(hiding.canonical("at_leisure").as_deref(), Some("slow"));
    assert_eq!(hiding.canonical("nowhere"), None);
    let own = Router::new().method("slowly", |()| Ok(9)).merge("", ReportsService(Desk));
    assert_eq!(own.canonical("slowly").as_deref(), Some("slowly"));
    let fallback = own.fallback(|_, _, _| Ok(Encoded::nil()));
    assert_eq!(fallback.canonical("nowhere").as_deref(), Some("nowhere"));
}

#[test]
fn a_limit_that_names_only_an_alias_holds_for_calls_by_it() {
    test::run(|| {
        let limits = MethodLimits::new().method("slowly", MethodLimit::new().in_flight(0));
        let caller = Direct::to(ReportsService(Desk).with(limits));
        assert_eq!(code(caller.call::<u64>("slowly", &())), Some(Failure::BUSY));
        assert_eq!(code(caller.call::<u64>("slow", &())), None);
    });
}

#[test]
fn a_right_to_a_method_is_one_to_each_of_its_names() {
    test::run(|| {
        let caller = Direct::to(ReportsService(Desk).with(Authorize::new().allow("slow", Who::Anyone)));
        assert_eq!(code(caller.call::<u64>("at_leisure", &())), None);
        assert_eq!(code(caller.call::<u64>("quick", &())), Some(Failure::FORBIDDEN));
        let caller = Direct::to(ReportsService(Desk).with(Authorize::new().allow("slow", Who::AnyKey)));
        assert_eq!(code(caller.call::<u64>("at_leisure", &())), Some(Failure::FORBIDDEN));
    });
}

#[test]
fn a_method_is_counted_under_its_own_name() {
    test::run(|| {
        let metrics = Metrics::new();
        let caller = Direct::to(ReportsService(Desk).with(metrics.clone()));
        for name in ["slow", "slowly", "at_leisure"] {
            caller.call::<u64>(name, &()).unwrap();
        }
        assert_eq!(metrics.method("slow").map(|counts| counts.succeeded), Some(3));
        assert!(metrics.method("slowly").is_none());
    });
}

#[test]
fn a_numbered_call_keeps_its_number_behind_rights_by_method() {
    test::run(|| {
        let service = AtMostOnce::new(ReportsService(Desk));
        let service = Rc::new(service);
        let guarded = service.clone().with(Authorize::new().allow("quick", Who::Anyone));
        let (near, far) = memory::pair();
        let _far = Connection::over(far).service(guarded).accept().unwrap();
        let client = Retrying::new(Connection::over(near).open().unwrap());
        let options = CallOptions { repeat: Repeat::Sequenced, ..CallOptions::default() };
        assert_eq!(client.call_with::<u64>(&options, "quick", &()).unwrap(), 2);
        assert_eq!(service.counts().run, 1, "it ran under a number");
        assert_eq!(code(client.call_with::<u64>(&options, "slow", &())), Some(Failure::FORBIDDEN));
    });
}

#[test]
fn who_may_call_nothing_gets_no_client_id() {
    let allows = |who, peer: &Identity| Authorize::new().allow("quick", who).allows(peer, BEGIN);
    let nobody = Context::detached();
    let mut known = Identity::default();
    known.key = Some("ann".into());
    assert!(!Authorize::new().allows(&known, BEGIN));
    assert!(!allows(Who::AnyKey, nobody.peer()));
    assert!(allows(Who::AnyKey, &known));
    let only_quick = || Who::matching(|peer, method| peer.key.is_some() && method == "quick");
    assert!(allows(only_quick(), &known));
    assert!(!allows(only_quick(), nobody.peer()));
    // It is this one alone of the protocol's names.
    assert!(!Authorize::new().allow("quick", Who::Anyone).allows(&known, "$/methods"));
}

//! `in_parallel` (REQUIREMENTS 1.5).

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::{self, Log, Test};
use grapeshot_core::{InParallelError, JoinError, in_parallel, now, scope, sleep, spawn, stats, with_timeout};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn results_come_in_the_order_of_the_functions_and_not_of_their_ends() {
    test::run(|| {
        let began = now();
        let results = in_parallel([3, 1, 2].map(|seconds| {
            move || {
                sleep(seconds * SECOND);
                seconds
            }
        }));
        assert_eq!(results.unwrap(), [3, 1, 2]);
        assert_eq!(now() - began, 3 * SECOND);
    });
}

#[test]
fn no_functions_give_no_results_without_waiting() {
    test::run(|| {
        let ran = Rc::new(Cell::new(false));
        spawn({
            let ran = ran.clone();
            move || ran.set(true)
        });
        assert_eq!(in_parallel(Vec::<fn()>::new()).unwrap(), []);
        assert!(!ran.get());
    });
}

#[test]
fn a_failure_is_told_with_every_outcome_when_all_have_ended() {
    test::run(|| {
        let began = now();
        let functions: [fn() -> i32; 3] = [
            || panic!("powder wet"),
            || {
                sleep(SECOND);
                7
            },
            || {
                grapeshot_core::current().cancel();
                sleep(SECOND);
                8
            },
        ];
        let error: InParallelError<i32> = in_parallel(functions).unwrap_err();
        assert_eq!(now() - began, SECOND);
        let text = error.to_string();
        assert!(
            text.starts_with("2 of 3 functions run in parallel failed; number 0: the coroutine panicked: powder wet"),
            "{text}"
        );
        assert!(text.ends_with("; number 2: the coroutine was cancelled"), "{text}");
        let [panicked, returned, cancelled] = error.outcomes.try_into().unwrap();
        assert!(matches!(panicked, Err(JoinError::Panicked(panic)) if panic.message() == "powder wet"));
        assert_eq!(returned.unwrap(), 7);
        assert!(matches!(cancelled, Err(JoinError::Cancelled)));
    });
}

/// The ancestor's test `in_parallel: timeout`; scoped children would have ended with their parent.
#[test]
fn functions_go_on_when_their_caller_is_cut_off() {
    test::run(|| {
        let log = Log::new();
        let sleepers = || {
            [4_u32, 5, 6].map(|number| {
                let log = log.clone();
                move || {
                    sleep(5 * SECOND);
                    log.add(number.to_string());
                    number
                }
            })
        };
        assert!(with_timeout(2 * SECOND, || in_parallel(sleepers())).is_err());
        assert!(log.take().is_empty());
        assert_eq!(stats().coroutines, 4);
        assert_eq!(in_parallel(sleepers()).unwrap(), [4, 5, 6]);
        assert_eq!(log.take(), ["4", "5", "6", "4", "5", "6"]);
    });
}

/// What goes on by itself is reported by itself.
#[test]
fn the_panic_of_a_function_whose_caller_was_cut_off_goes_to_the_notifier() {
    Test::new().allow_crashes().run(|| {
        let reported = Log::new();
        let notified = reported.clone();
        grapeshot_core::set_panic_notifier(move |_, panic| notified.add(panic.message()));
        let panics = || {
            sleep(2 * SECOND);
            panic!("powder wet");
        };
        assert!(with_timeout(SECOND, || in_parallel([panics])).is_err());
        sleep(2 * SECOND);
        assert_eq!(reported.take(), ["powder wet"]);
    });
}

/// The variant that ends its functions with the caller is a scope.
#[test]
fn a_scope_ends_its_functions_with_their_caller() {
    test::run(|| {
        let cut = with_timeout(SECOND, || {
            scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| sleep(5 * SECOND));
                }
            });
        });
        assert!(cut.is_err());
        assert_eq!(stats().coroutines, 1);
    });
}

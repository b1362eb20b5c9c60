//! The life of a task.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::{self, Log, Test};
use grapeshot_core::work::{
    Mailbox, StartError, Task, TaskContext, TaskError, TaskFailure, TaskHandle, TaskJoinError, TaskState,
};
use grapeshot_core::{now, random_u64, set_panic_notifier, sleep, spawn, stats, with_timeout, yield_now};

use support::Note;

const SECOND: Duration = Duration::from_secs(1);

/// Logs the states it goes through.
struct Logged {
    log: Log,
    handle: Rc<std::cell::OnceCell<TaskHandle>>,
    run: fn(&TaskContext) -> Result<(), TaskError>,
    _dropped: Note,
}

impl Logged {
    fn task(log: &Log, run: fn(&TaskContext) -> Result<(), TaskError>) -> TaskHandle {
        let handle = Rc::new(std::cell::OnceCell::new());
        let task = Logged { log: log.clone(), handle: handle.clone(), run, _dropped: Note(log.clone(), "dropped") };
        handle.get_or_init(|| TaskHandle::new("logged", task)).clone()
    }

    fn log(&self, what: &str) {
        self.log.add(format!("{what} in {:?}", self.handle.get().unwrap().state()));
    }
}

impl Task for Logged {
    fn run(&mut self, context: &TaskContext) -> Result<(), TaskError> {
        self.log("run");
        (self.run)(context)
    }

    fn finalize(&mut self) {
        self.log("finalize");
    }
}

/// BEA-1.
#[test]
fn a_task_goes_from_init_through_running_and_exit_to_final() {
    test::run(|| {
        let log = Log::new();
        let task = Logged::task(&log, |_| Ok(()));
        assert_eq!((task.state(), task.name()), (TaskState::Init, "logged"));
        task.start().unwrap();
        assert_eq!((task.state(), log.take().len()), (TaskState::Running, 0));
        task.join().unwrap();
        assert_eq!(task.state(), TaskState::Final);
        assert_eq!(log.take(), ["run in Running", "finalize in Exit", "dropped"]);
        assert!(task.last_error().is_none());
    });
}

/// BEA-1: the flag is cooperative, and ends the waits that the context offers.
#[test]
fn a_stop_ends_the_waits_of_the_context() {
    test::run(|| {
        let tasks = [
            TaskHandle::new("sleeps", |context: &TaskContext| Ok(context.sleep(100 * SECOND)?)),
            TaskHandle::new("waits", |context: &TaskContext| {
                context.wait_stop();
                Ok(context.check()?)
            }),
            TaskHandle::new("looks", |context: &TaskContext| {
                while !context.is_stopping() {
                    sleep(SECOND);
                }
                Ok(context.sleep(SECOND)?)
            }),
        ];
        tasks.iter().for_each(|task| task.start().unwrap());
        let began = now();
        sleep(SECOND / 2);
        tasks.iter().for_each(TaskHandle::stop);
        tasks.iter().for_each(|task| task.join().unwrap());
        assert_eq!((now() - began, stats().timers), (SECOND, 0));
    });
}

#[test]
fn a_sleep_of_the_context_ends_by_itself_too() {
    test::run(|| {
        let task = TaskHandle::new("sleeps", |context: &TaskContext| Ok(context.sleep(SECOND)?));
        task.start().unwrap();
        task.join().unwrap();
        assert!(task.last_error().is_none());
    });
}

/// BEA-1.
#[test]
fn a_stop_reaches_waits_that_others_offer() {
    test::run(|| {
        let log = Log::new();
        let (mailbox, seen) = (Mailbox::new(), log.clone());
        let letters = mailbox.clone();
        let task = TaskHandle::new("reader", move |context: &TaskContext| {
            let stopped = letters.clone();
            context.on_stop(move || stopped.stop());
            letters.iter().for_each(|message: &str| seen.add(message));
            let late = seen.clone();
            context.on_stop(move || late.add("late"));
            Ok(())
        });
        task.start().unwrap();
        mailbox.send("one").unwrap();
        yield_now();
        mailbox.send("two").unwrap();
        task.stop();
        task.join().unwrap();
        assert_eq!(log.take(), ["one", "two", "late"]);
    });
}

/// BEA-1: the exception is saved and logged.
#[test]
fn an_error_is_kept_and_reported() {
    Test::new().allow_crashes().run(|| {
        let log = Log::new();
        let seen = log.clone();
        set_panic_notifier(move |info, panic| seen.add(format!("{:?}: {}", info.name, panic.message())));
        let task = Logged::task(&log, |_| Err("no paper".into()));
        task.start().unwrap();
        let error = task.join().unwrap_err();
        assert_eq!(error.to_string(), "the task logged failed: no paper");
        assert!(matches!(task.last_error(), Some(TaskFailure::Failed(_))));
        assert_eq!(
            log.take(),
            ["run in Running", "Some(\"logged\"): the task logged failed: no paper", "finalize in Exit", "dropped"]
        );
    });
}

/// BEA-1.
#[test]
fn a_panic_is_kept_and_reported_and_cleaned_up_after() {
    Test::new().allow_crashes().run(|| {
        let log = Log::new();
        let seen = log.clone();
        set_panic_notifier(move |_, panic| seen.add(panic.message()));
        let task = Logged::task(&log, |_| panic!("a crash"));
        task.start().unwrap();
        assert!(task.join().is_err());
        let failure = task.last_error().unwrap().to_string();
        assert!(failure.starts_with("panicked: a crash, at ") && failure.contains("tasks.rs:"), "{failure}");
        assert_eq!(log.take(), ["run in Running", "a crash", "finalize in Exit", "dropped"]);
    });
}

/// BEA-1.
#[test]
fn a_failure_of_the_clean_up_is_reported_and_the_first_failure_kept() {
    struct FailsTwice;
    impl Task for FailsTwice {
        fn run(&mut self, _: &TaskContext) -> Result<(), TaskError> {
            Err("first".into())
        }
        fn finalize(&mut self) {
            panic!("second");
        }
    }
    Test::new().allow_crashes().run(|| {
        let log = Log::new();
        let seen = log.clone();
        set_panic_notifier(move |_, panic| seen.add(panic.message()));
        let task = TaskHandle::new("twice", FailsTwice);
        task.start().unwrap();
        assert_eq!(task.join().unwrap_err().to_string(), "the task twice failed: first");
        assert_eq!(
            (log.take(), task.state()),
            (vec!["the task twice failed: first".into(), "second".into()], TaskState::Final)
        );
    });
}

#[test]
fn a_task_starts_once() {
    test::run(|| {
        let task = TaskHandle::new("once", |_: &TaskContext| Ok(()));
        task.start().unwrap();
        assert!(matches!(task.start(), Err(StartError::Started { state: TaskState::Running, .. })));
        task.join().unwrap();
        let error = task.start().unwrap_err().to_string();
        assert_eq!(error, "the task once cannot be started: it is in state Final, and starts once");
    });
}

/// BEA-1.
#[test]
fn a_task_stopped_before_its_start_is_final_without_having_run() {
    test::run(|| {
        let log = Log::new();
        let task = Logged::task(&log, |_| Ok(()));
        let joining = spawn({
            let task = task.clone();
            move || task.join().is_ok()
        });
        yield_now();
        task.stop();
        assert!(joining.join().unwrap());
        assert_eq!((log.take(), task.state()), (vec!["dropped".to_owned()], TaskState::Final));
        assert!(task.start().is_err());
    });
}

#[test]
fn a_start_outside_a_runtime_fails_and_says_so() {
    let task = TaskHandle::new("early", |_: &TaskContext| Ok(()));
    let error = task.start().unwrap_err();
    assert!(matches!(error, StartError::NoCoroutine { .. }));
    assert_eq!((task.state(), task.last_error().is_some()), (TaskState::Final, true));
}

#[test]
fn a_task_whose_coroutine_is_cancelled_is_cleaned_up_after() {
    test::run(|| {
        let log = Log::new();
        let task = Logged::task(&log, |context| Ok(context.sleep(SECOND)?));
        task.start().unwrap();
        yield_now();
        task.coroutine().unwrap().cancel();
        assert!(matches!(task.join(), Err(TaskJoinError::Failed { failure: TaskFailure::Cancelled, .. })));
        assert_eq!(log.take(), ["run in Running", "finalize in Exit", "dropped"]);
    });
}

#[test]
fn a_task_cancelled_before_its_first_turn_is_final_too() {
    test::run(|| {
        let log = Log::new();
        let task = Logged::task(&log, |_| Ok(()));
        task.start().unwrap();
        task.coroutine().unwrap().cancel();
        assert!(matches!(task.join(), Err(TaskJoinError::Failed { failure: TaskFailure::Cancelled, .. })));
        assert_eq!((log.take(), task.state()), (vec!["dropped".to_owned()], TaskState::Final));
    });
}

#[test]
fn a_task_that_joins_itself_is_told_so() {
    test::run(|| {
        let own = Rc::new(std::cell::OnceCell::<TaskHandle>::new());
        let (log, handle) = (Log::new(), own.clone());
        let seen = log.clone();
        let task = own.get_or_init(|| {
            TaskHandle::new("ouroboros", move |_: &TaskContext| {
                seen.add(handle.get().unwrap().join().unwrap_err().to_string());
                Ok(())
            })
        });
        task.start().unwrap();
        task.join().unwrap();
        assert_eq!(log.take(), ["the task ouroboros joins itself, which would never end"]);
    });
}

#[test]
fn a_coroutine_that_unwinds_is_refused_the_join() {
    struct JoinInDrop(TaskHandle, Log);
    impl Drop for JoinInDrop {
        fn drop(&mut self) {
            self.1.add(self.0.join().unwrap_err().to_string());
        }
    }
    test::run(|| {
        let log = Log::new();
        let joining = JoinInDrop(TaskHandle::new("idle", |_: &TaskContext| Ok(())), log.clone());
        let ended = with_timeout(SECOND, move || {
            let _joining = joining;
            sleep(2 * SECOND);
        });
        assert!(ended.is_err());
        assert_eq!(log.take(), ["a coroutine that unwinds cannot wait for the end of the task idle"]);
    });
}

/// "Cancelled, then woken", and "woken, then cancelled", for those who join.
#[test]
fn whoever_is_cancelled_the_others_learn_of_the_end() {
    test::run(|| {
        let log = Log::new();
        let task = TaskHandle::new("waits", |context: &TaskContext| {
            context.wait_stop();
            Ok(())
        });
        task.start().unwrap();
        let [before, after, never] = ["before", "after", "never"].map(|name| {
            let (task, log) = (task.clone(), log.clone());
            spawn(move || {
                let joined = task.join();
                log.add(format!("{name} {}", joined.is_ok()));
            })
        });
        yield_now();
        before.cancel();
        task.stop();
        task.join().unwrap();
        after.cancel();
        never.join().unwrap();
        assert!(before.join().is_err());
        assert_eq!(log.take(), ["after true", "never true"]);
    });
}

/// BEA-1: every task that is started or stopped becomes final, and everyone who joins learns of it.
#[test]
fn on_every_schedule_every_task_becomes_final() {
    support::on_every_schedule(|| {
        let tasks: Vec<_> = (0..6)
            .map(|_| {
                TaskHandle::new("some", |context: &TaskContext| {
                    for _ in 0..random_u64() % 4 {
                        context.sleep(SECOND / 2)?;
                        yield_now();
                    }
                    context.wait_stop();
                    Ok(())
                })
            })
            .collect();
        let joiners: Vec<_> = (0..12)
            .map(|index| {
                let task = tasks[index % 6].clone();
                spawn(move || drop(task.join()))
            })
            .collect();
        for task in &tasks {
            if !random_u64().is_multiple_of(4) {
                task.start().unwrap();
            }
        }
        sleep(SECOND * (random_u64() % 3) as u32);
        if let Some(coroutine) = tasks[random_u64() as usize % 6].coroutine() {
            coroutine.cancel();
        }
        joiners[random_u64() as usize % 12].cancel();
        tasks.iter().for_each(TaskHandle::stop);
        joiners.into_iter().for_each(|joiner| drop(joiner.join()));
        tasks.iter().for_each(|task| drop(task.join()));
        assert!(tasks.iter().all(|task| task.state() == TaskState::Final));
    });
}

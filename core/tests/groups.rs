//! Groups: coroutines that somebody answers for, and that fail one by one.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::{self, Log, Test};
use grapeshot_core::{
    Builder, Group, JoinError, now, random_u64, set_panic_notifier, sleep, spawn, stats, with_timeout, yield_now,
};

use self::support::Note;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn add_sleeper(group: &Group, duration: Duration) {
    group.spawn(Builder::new(), move || sleep(duration)).unwrap();
}

#[test]
fn a_group_counts_the_members_that_have_not_ended() {
    test::run(|| {
        let group = Group::new();
        assert!(group.is_empty());
        for seconds in 1..=3 {
            add_sleeper(&group, seconds * SECOND);
        }
        assert_eq!((group.len(), group.members().len()), (3, 3));
        assert_eq!(format!("{group:?}"), "Group(3 members)");
        sleep(2 * SECOND);
        yield_now();
        assert_eq!((group.len(), group.members().len()), (1, 1));
        assert!(group.wait_empty(None));
        assert!(group.is_empty() && group.members().is_empty());
    });
}

#[test]
fn a_group_that_is_dropped_cancels_its_members() {
    test::run(|| {
        let log = Log::new();
        let group = Group::new();
        for name in ["parked", "never run"] {
            let note = Note(log.clone(), name);
            group
                .spawn(Builder::new(), move || {
                    let _note = note;
                    sleep(HOUR);
                })
                .unwrap();
            if name == "parked" {
                yield_now();
            }
        }
        drop(group);
        yield_now();
        assert_eq!(log.take(), ["never run", "parked"]);
        assert_eq!(stats().coroutines, 1);
    });
}

#[test]
fn to_cancel_all_members_leaves_the_group_open_for_others() {
    test::run(|| {
        let group = Group::new();
        add_sleeper(&group, HOUR);
        group.cancel_all();
        assert!(group.wait_empty(Some(now())));
        add_sleeper(&group, SECOND);
        assert_eq!(group.len(), 1);
        assert!(group.wait_empty(None));
    });
}

#[test]
fn a_member_that_panics_is_reported_and_leaves_the_others_alone() {
    Test::new().allow_crashes().run(|| {
        let reported = Log::new();
        let notified = reported.clone();
        set_panic_notifier(move |_, panic| notified.add(panic.message()));
        let group = Group::new();
        let other = group.spawn(Builder::new(), || sleep(SECOND)).unwrap();
        drop(group.spawn(Builder::new(), || panic!("powder wet")).unwrap());
        other.join().unwrap();
        assert_eq!(reported.take(), ["powder wet"]);
        assert!(group.is_empty());
    });
}

#[test]
fn a_member_that_is_joined_tells_its_joiner_alone() {
    test::run(|| {
        let group = Group::new();
        assert_eq!(group.spawn(Builder::new(), || 7).unwrap().join().unwrap(), 7);
        let member = group.spawn(Builder::new(), || panic!("powder wet")).unwrap();
        assert!(matches!(member.join(), Err(JoinError::Panicked(panic)) if panic.message() == "powder wet"));
    });
}

#[test]
fn a_group_can_be_waited_for_until_it_is_small_enough() {
    test::run(|| {
        let began = now();
        let group = Group::new();
        for seconds in 1..=4 {
            add_sleeper(&group, seconds * SECOND);
        }
        assert!(group.wait_below(5, None));
        assert_eq!(now(), began);
        assert!(group.wait_below(3, None));
        assert_eq!((now() - began, group.len()), (2 * SECOND, 2));
        assert!(!group.wait_below(2, Some(began + 2 * SECOND)));
        assert_eq!((now() - began, group.len()), (2 * SECOND, 2));
    });
}

#[test]
fn a_limit_cuts_the_wait_for_a_group_and_leaves_its_members() {
    test::run(|| {
        let group = Group::new();
        add_sleeper(&group, HOUR);
        assert!(with_timeout(SECOND, || group.wait_empty(None)).is_err());
        assert_eq!(group.len(), 1);
    });
}

#[test]
fn members_may_come_and_go_without_number() {
    test::run(|| {
        let group = Group::new();
        let ended = Rc::new(Cell::new(0));
        for _ in 0..5000 {
            let ended = ended.clone();
            group.spawn(Builder::new(), move || ended.set(ended.get() + 1)).unwrap();
            group.wait_empty(None);
        }
        assert_eq!(ended.get(), 5000);
    });
}

/// A server's way to bound its connections.
#[test]
fn on_every_schedule_a_group_stays_within_the_bound_its_owner_keeps() {
    support::on_every_schedule(|| {
        let group = Rc::new(Group::new());
        let owner = spawn({
            let group = group.clone();
            move || {
                for _ in 0..50 {
                    assert!(group.wait_below(5, None));
                    add_sleeper(&group, SECOND * (random_u64() % 4) as u32);
                    assert!(group.len() <= 5);
                }
                group.wait_empty(None)
            }
        });
        for _ in 0..10 {
            sleep(SECOND);
            if let Some(member) = group.members().first() {
                member.cancel();
            }
        }
        assert!(owner.join().unwrap());
    });
}

#[test]
#[should_panic(expected = "there are never fewer members than none")]
fn to_wait_for_fewer_members_than_none_is_a_mistake() {
    test::run(|| {
        Group::new().wait_below(0, None);
    });
}

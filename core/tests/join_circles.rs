//! Joins that would never end, since the one joined waits for the one that joins.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::select::after;
use grapeshot_core::{
    Builder, Coroutine, JoinError, current, scope, select, sleep, spawn, test, with_timeout, yield_now,
};

type Shared = Rc<RefCell<Option<Coroutine>>>;

/// A coroutine that waits for the end of whoever is named in `whom` by then.
fn waits_for(name: &str, whom: Shared) -> grapeshot_core::JoinHandle<Result<(), JoinError>> {
    let wait = move || {
        let whom = whom.borrow().clone().unwrap();
        whom.wait_finished()
    };
    Builder::new().name(name).spawn(wait).unwrap()
}

/// `THR-7`
#[test]
fn two_that_join_each_other_are_told_both_names() {
    test::run(|| {
        let (left, right) = (Shared::default(), Shared::default());
        let first = waits_for("left", right.clone());
        let second = waits_for("right", left.clone());
        *left.borrow_mut() = Some(first.coroutine());
        *right.borrow_mut() = Some(second.coroutine());
        let error = second.join().unwrap().unwrap_err();
        let said = error.to_string();
        let (left, right) = (left.take().unwrap().id(), right.take().unwrap().id());
        assert!(said.starts_with(&format!("coroutine {right} \"right\" spawned at ")), "{said}");
        assert!(said.contains(&format!(" joins coroutine {left} \"left\" spawned at ")), "{said}");
        assert!(said.contains(&format!(", which waits for the end of coroutine {right} \"right\"")), "{said}");
        first.join().unwrap().unwrap();
    });
}

#[test]
fn a_longer_circle_names_everyone_in_it() {
    test::run(|| {
        let shared: Vec<Shared> = (0..5).map(|_| Shared::default()).collect();
        let handles: Vec<_> = (0..5).map(|index| waits_for(&format!("c{index}"), shared[index].clone())).collect();
        for (index, whom) in shared.iter().enumerate() {
            *whom.borrow_mut() = Some(handles[(index + 1) % 5].coroutine());
        }
        yield_now();
        let mut errors: Vec<_> = handles.into_iter().filter_map(|handle| handle.join().unwrap().err()).collect();
        assert_eq!(errors.len(), 1, "only who closes it is refused");
        let JoinError::WouldDeadlock { coroutine, circle } = errors.remove(0) else { panic!("another error") };
        let name = |described: &String| described.split('"').nth(1).unwrap().to_owned();
        assert_eq!(name(&coroutine), "c4");
        let names: Vec<_> = circle.iter().map(name).collect();
        assert_eq!(names, ["c0", "c1", "c2", "c3"]);
    });
}

#[test]
fn a_child_cannot_wait_for_the_owner_of_its_scope() {
    test::run(|| {
        let owner = current();
        let error = scope(|scope| scope.spawn(|| owner.wait_finished().unwrap_err()).join().unwrap());
        assert!(matches!(&error, JoinError::WouldDeadlock { circle, .. } if circle.len() == 1), "{error}");
    });
}

#[test]
fn a_grandchild_cannot_wait_for_the_owner_of_the_outer_scope() {
    test::run(|| {
        let owner = current();
        let error = scope(|outer| {
            let child =
                outer.spawn(|| scope(|inner| inner.spawn(|| owner.wait_finished().unwrap_err()).join().unwrap()));
            child.join().unwrap()
        });
        assert!(matches!(&error, JoinError::WouldDeadlock { circle, .. } if circle.len() == 2), "{error}");
    });
}

#[test]
fn a_join_within_a_time_limit_is_no_circle() {
    test::run(|| {
        let (left, right) = (Shared::default(), Shared::default());
        let limited = spawn({
            let right = right.clone();
            move || {
                let right = right.borrow().clone().unwrap();
                with_timeout(Duration::from_secs(1), || right.wait_finished()).is_err()
            }
        });
        let second = waits_for("right", left.clone());
        *left.borrow_mut() = Some(limited.coroutine());
        *right.borrow_mut() = Some(second.coroutine());
        assert!(limited.join().unwrap(), "the limit ended it");
        second.join().unwrap().unwrap();
    });
}

#[test]
fn one_arm_of_a_select_is_no_circle() {
    test::run(|| {
        let (left, right) = (Shared::default(), Shared::default());
        let second = waits_for("right", left.clone());
        *right.borrow_mut() = Some(second.coroutine());
        let selecting = spawn(move || {
            select! {
                _ended = &second => panic!("it waits for us"),
                () = after(Duration::from_secs(1)) => {}
            }
        });
        *left.borrow_mut() = Some(selecting.coroutine());
        selecting.join().unwrap();
    });
}

#[test]
fn brothers_and_sisters_may_join_in_a_row() {
    test::run(|| {
        scope(|scope| {
            let slow = scope.spawn(|| sleep(Duration::from_secs(1))).coroutine();
            let next = scope.spawn(move || slow.wait_finished()).coroutine();
            scope.spawn(move || next.wait_finished()).join().unwrap().unwrap();
        });
    });
}

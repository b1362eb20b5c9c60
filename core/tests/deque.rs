//! The queue with two ends.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::channel::Deque;
use grapeshot_core::test::{self, Log};
use grapeshot_core::{JoinHandle, RefusedError, random_u64, sleep, spawn, with_timeout, yield_now};

const SECOND: Duration = Duration::from_secs(1);

type Pop = fn(&Deque<u32>) -> Result<u32, RefusedError>;

fn receiver(deque: &Rc<Deque<u32>>, log: &Log, name: &'static str, pop: Pop) -> JoinHandle<()> {
    let (deque, log) = (deque.clone(), log.clone());
    spawn(move || {
        let item = pop(&deque).unwrap();
        log.add(format!("{name} {item}"));
    })
}

fn deque_and_log() -> (Rc<Deque<u32>>, Log) {
    (Rc::new(Deque::new()), Log::new())
}

/// SYL-3.
#[test]
fn pop_is_last_in_first_out_and_pop_left_first_in_first_out() {
    test::run(|| {
        let deque = Deque::new();
        (1..=4).for_each(|item| deque.append(item));
        assert_eq!([deque.pop(), deque.pop_left(), deque.pop(), deque.pop_left()], [Ok(4), Ok(1), Ok(3), Ok(2)]);
        assert_eq!((deque.try_pop(), deque.try_pop_left()), (None, None));
    });
}

/// SYL-3.
#[test]
fn an_item_appended_left_is_first_from_the_left() {
    test::run(|| {
        let deque = Deque::new();
        deque.append(1);
        deque.append_left(2);
        assert_eq!(deque.len(), 2);
        assert_eq!([deque.pop_left(), deque.pop_left()], [Ok(2), Ok(1)]);
        assert!(deque.is_empty());
    });
}

/// SYL-3.
#[test]
fn items_are_handed_to_waiting_receivers_in_order_whichever_end_they_ask_for() {
    test::run(|| {
        let (deque, log) = deque_and_log();
        let _receivers = [
            receiver(&deque, &log, "a", Deque::pop),
            receiver(&deque, &log, "b", Deque::pop_left),
            receiver(&deque, &log, "c", Deque::pop),
        ];
        yield_now();
        assert_eq!(deque.pending_receivers(), 3);
        deque.append(1);
        deque.append_left(2);
        deque.append(3);
        deque.append(4);
        assert_eq!((deque.pending_receivers(), deque.len()), (0, 1));
        yield_now();
        assert_eq!(log.take(), ["a 1", "b 2", "c 3"]);
        assert_eq!(deque.pop(), Ok(4));
    });
}

/// SYL-3: handed over when the receiver has its turn, not within the append.
#[test]
fn an_append_does_not_switch_to_the_receiver() {
    test::run(|| {
        let (deque, log) = deque_and_log();
        let receiver = receiver(&deque, &log, "a", Deque::pop);
        yield_now();
        deque.append(1);
        assert_eq!(log.take(), [""; 0]);
        receiver.join().unwrap();
        assert_eq!(log.take(), ["a 1"]);
    });
}

/// "Cancelled, then woken".
#[test]
fn an_item_appended_after_a_cancel_goes_to_the_next_receiver() {
    test::run(|| {
        let (deque, log) = deque_and_log();
        let [first, second] = ["a", "b"].map(|name| receiver(&deque, &log, name, Deque::pop_left));
        yield_now();
        first.cancel();
        deque.append(1);
        second.join().unwrap();
        assert_eq!(log.take(), ["b 1"]);
    });
}

/// "Woken, then cancelled".
#[test]
fn a_receiver_cancelled_after_the_append_keeps_its_item() {
    test::run(|| {
        let (deque, log) = deque_and_log();
        let [first, second] = ["a", "b"].map(|name| receiver(&deque, &log, name, Deque::pop));
        yield_now();
        deque.append(1);
        first.cancel();
        yield_now();
        assert_eq!((log.take(), deque.pending_receivers()), (vec!["a 1".to_owned()], 1));
        second.cancel();
    });
}

#[test]
fn receivers_that_gave_up_are_not_counted() {
    test::run(|| {
        let deque = Deque::<u32>::new();
        assert!(with_timeout(SECOND, || deque.pop()).is_err());
        assert_eq!(deque.pending_receivers(), 0);
        assert_eq!(format!("{deque:?}"), "Deque(0 items, 0 waiting)");
    });
}

/// SYL-3: no item is lost and none comes twice, whoever is cancelled.
#[test]
fn on_every_schedule_each_item_is_received_exactly_once() {
    support::on_every_schedule(|| {
        let deque = Rc::new(Deque::new());
        let received = Rc::new(RefCell::new(Vec::new()));
        let receivers: Vec<_> = (0..6)
            .map(|index| {
                let (deque, received) = (deque.clone(), received.clone());
                spawn(move || {
                    loop {
                        let item = if index % 2 == 0 {
                            deque.pop_left().unwrap()
                        } else {
                            let Ok(item) = with_timeout(SECOND, || deque.pop()) else { continue };
                            item.unwrap()
                        };
                        received.borrow_mut().push(item);
                        sleep(SECOND / 4 * (random_u64() % 3) as u32);
                    }
                })
            })
            .collect();
        for number in 0..40 {
            if random_u64().is_multiple_of(2) {
                deque.append(number);
            } else {
                deque.append_left(number);
            }
            match random_u64() % 4 {
                0 => yield_now(),
                1 => sleep(SECOND / 4),
                2 => receivers[random_u64() as usize % 4].cancel(),
                _ => {}
            }
        }
        receivers.iter().for_each(|receiver| receiver.cancel());
        receivers.into_iter().for_each(|receiver| drop(receiver.join()));
        assert_eq!(deque.pending_receivers(), 0);
        let mut all = received.take();
        all.extend(std::iter::from_fn(|| deque.try_pop()));
        all.sort_unstable();
        assert!(all.into_iter().eq(0..40));
    });
}

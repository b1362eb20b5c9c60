//! Publish and subscribe by the channel's name.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::channel::BroadcastRecvError::{self, Closed, Empty, Lagged, Refused, TimedOut};
use grapeshot_core::test::{self, Log};
use grapeshot_core::work::{Gateway, Subscription, gateway};
use grapeshot_core::{JoinHandle, random_u64, sleep, spawn, stats, with_timeout, yield_now};

const SECOND: Duration = Duration::from_secs(1);

/// What a subscription gives, without the channel.
fn recv(subscription: &Subscription<u32>) -> Result<u32, BroadcastRecvError> {
    subscription.recv().map(|delivery| *delivery)
}

fn try_recv(subscription: &Subscription<u32>) -> Result<u32, BroadcastRecvError> {
    subscription.try_recv().map(|delivery| *delivery)
}

fn listener(subscription: Subscription<u32>, log: &Log, name: &'static str) -> JoinHandle<()> {
    let log = log.clone();
    spawn(move || log.add(format!("{name} {:?}", subscription.recv())))
}

/// BEA-3.
#[test]
fn a_message_reaches_everyone_who_has_subscribed_to_its_channel_and_nobody_else() {
    test::run(|| {
        let gateway = Gateway::new();
        let (a, b, other) = (gateway.subscribe("x"), gateway.subscribe("x"), gateway.subscribe("y"));
        assert_eq!(gateway.publish("x", 1), 2);
        assert_eq!(gateway.publish("x", 2), 2);
        assert_eq!([recv(&a), recv(&a), recv(&b), recv(&b)], [Ok(1), Ok(2), Ok(1), Ok(2)]);
        assert_eq!([try_recv(&a), try_recv(&other)], [Err(Empty), Err(Empty)]);
        assert_eq!((a.channel(), gateway.subscriptions("x")), (Some("x"), 2));
        assert_eq!(gateway.publish("z", 3), 0);
    });
}

/// BEA-3: unsubscribed on exit.
#[test]
fn a_subscription_ends_with_its_owner() {
    test::run(|| {
        let gateway = Gateway::new();
        let subscription = gateway.subscribe("x");
        let owner = spawn(move || recv(&subscription));
        let monitor = gateway.monitor();
        yield_now();
        assert_eq!(gateway.subscriptions("x"), 1);
        owner.cancel();
        drop(monitor);
        assert!(owner.join().is_err());
        assert_eq!(gateway.subscriptions("x"), 0);
        assert_eq!(gateway.publish("x", 1), 0);
        assert_eq!(format!("{gateway:?}"), "Gateway(unnamed, 0 channels)");
    });
}

/// BEA-3: monitors can listen in.
#[test]
fn a_monitor_sees_everything_and_is_told_the_channel() {
    test::run(|| {
        let gateway = Gateway::new();
        let monitor = gateway.monitor();
        let _subscription = gateway.subscribe("x");
        assert_eq!([gateway.publish("x", 1), gateway.publish("y", 2)], [1, 0]);
        let seen = [monitor.recv().unwrap(), monitor.recv().unwrap()];
        assert_eq!(format!("{seen:?}"), "[x: 1, y: 2]");
        assert_eq!(monitor.channel(), None);
    });
}

/// BEA-3: like the registry of `logging`.
#[test]
fn a_name_leads_everyone_to_the_same_gateway() {
    test::run(|| {
        let subscription = gateway::<u32>("shop").subscribe("orders");
        assert_eq!(gateway("shop").publish("orders", 1_u32), 1);
        assert_eq!(recv(&subscription), Ok(1));
        // Another name, and another type of message.
        assert_eq!(gateway("office").publish("orders", 2_u32), 0);
        assert_eq!(gateway("shop").publish("orders", "text"), 0);
        // Nobody holds a handle now, and the subscription holds its place all the same.
        assert_eq!(try_recv(&subscription), Err(Empty));
        drop(subscription);
        assert_eq!(gateway("shop").publish("orders", 3_u32), 0);
    });
}

/// BEA-3.
#[test]
fn a_name_belongs_to_one_runtime() {
    let kept = test::run(|| gateway::<u32>("shop").subscribe("orders"));
    test::run(|| assert_eq!(gateway("shop").publish("orders", 1_u32), 0));
    assert!(kept.is_empty());
}

#[test]
#[should_panic = "gateway: not inside a coroutine"]
fn a_name_outside_a_runtime_is_refused() {
    gateway::<u32>("shop");
}

/// BEA-3: publishing never waits, and no subscriber pays for another.
#[test]
fn a_slow_subscriber_misses_the_oldest_and_is_told_how_many() {
    test::run(|| {
        let gateway = Gateway::new();
        let (slow, quick) = (gateway.subscribe_with("x", 2), gateway.subscribe("x"));
        (0..5).for_each(|number| assert_eq!(gateway.publish("x", number), 2));
        assert_eq!((slow.len(), quick.len()), (2, 5));
        assert_eq!([recv(&slow), recv(&slow), recv(&slow)], [Err(Lagged(3)), Ok(3), Ok(4)]);
        assert_eq!(recv(&quick), Ok(0));
    });
}

#[test]
fn subscribers_of_a_gateway_without_a_name_learn_of_its_end() {
    test::run(|| {
        let (gateway, log) = (Gateway::new(), Log::new());
        let last = gateway.subscribe("x");
        let listeners = [
            listener(gateway.subscribe("y"), &log, "subscriber"),
            listener(gateway.monitor(), &log, "monitor"),
            listener(gateway.monitor(), &log, "monitor"),
        ];
        gateway.publish("x", 1);
        yield_now();
        drop(gateway.clone());
        yield_now();
        assert_eq!(log.take(), ["monitor Ok(x: 1)", "monitor Ok(x: 1)"]);
        drop(gateway);
        listeners.into_iter().for_each(|listener| listener.join().unwrap());
        assert_eq!(log.take(), ["subscriber Err(Closed)"]);
        assert_eq!([recv(&last), recv(&last)], [Ok(1), Err(Closed)]);
    });
}

#[test]
fn a_receive_has_a_time_limit_if_wanted() {
    test::run(|| {
        let gateway = Gateway::<u32>::new();
        let subscription = gateway.subscribe("x");
        assert_eq!(subscription.recv_timeout(SECOND).map(|delivery| *delivery), Err(TimedOut));
        assert_eq!(stats().timers, 0);
    });
}

/// "Cancelled, then woken": the message is for the next who receives from the subscription.
#[test]
fn a_message_published_after_a_cancel_stays_for_the_next() {
    test::run(|| {
        let gateway = Gateway::new();
        let subscription = Rc::new(gateway.subscribe("x"));
        let [first, second] = [(); 2].map(|()| {
            let subscription = subscription.clone();
            spawn(move || recv(&subscription))
        });
        yield_now();
        first.cancel();
        gateway.publish("x", 1);
        assert_eq!(second.join().unwrap(), Ok(1));
        assert!(first.join().is_err());
    });
}

/// "Woken, then cancelled".
#[test]
fn a_receiver_cancelled_after_the_message_has_it() {
    test::run(|| {
        let (gateway, log) = (Gateway::new(), Log::new());
        let listener = listener(gateway.subscribe("x"), &log, "a");
        yield_now();
        gateway.publish("x", 1);
        listener.cancel();
        yield_now();
        assert_eq!(log.take(), ["a Ok(x: 1)"]);
    });
}

#[test]
fn a_coroutine_that_unwinds_is_refused_the_wait() {
    struct RecvInDrop(Subscription<u32>, Rc<Cell<Option<BroadcastRecvError>>>);
    impl Drop for RecvInDrop {
        fn drop(&mut self) {
            self.1.set(recv(&self.0).err());
        }
    }
    test::run(|| {
        let gateway = Gateway::new();
        let seen = Rc::new(Cell::new(None));
        let receiving = RecvInDrop(gateway.subscribe("x"), seen.clone());
        let ended = with_timeout(SECOND, move || {
            let _receiving = receiving;
            sleep(2 * SECOND);
        });
        assert!(ended.is_err());
        assert_eq!(seen.get(), Some(Refused));
    });
}

#[test]
fn a_destructor_of_a_message_may_publish_and_unsubscribe() {
    struct PublishInDrop(Option<(Gateway<PublishInDrop>, Subscription<PublishInDrop>)>);
    impl Drop for PublishInDrop {
        fn drop(&mut self) {
            if let Some((gateway, subscription)) = self.0.take() {
                gateway.publish("x", PublishInDrop(None));
                drop(subscription);
            }
        }
    }
    test::run(|| {
        let gateway = Gateway::new();
        let subscription = gateway.subscribe_with("x", 1);
        gateway.publish("x", PublishInDrop(Some((gateway.clone(), gateway.subscribe("x")))));
        // It pushes the first one out of both queues' reach: one lost it here, the other goes with it.
        gateway.publish("x", PublishInDrop(None));
        assert!(matches!(subscription.recv(), Err(Lagged(_))));
        assert!(subscription.recv().is_ok());
        drop(subscription);
    });
}

/// BEA-3: what a subscription got and missed adds up to what was published, in order, whoever comes and goes.
#[test]
fn on_every_schedule_what_was_received_and_missed_adds_up() {
    support::on_every_schedule(|| {
        let gateway = Gateway::new();
        let totals = Rc::new(RefCell::new(Vec::new()));
        let listen = |gateway: &Gateway<u32>| {
            let (subscription, totals) = (gateway.subscribe_with("x", 3), totals.clone());
            spawn(move || {
                let (mut first, mut seen) = (None, 0);
                loop {
                    match with_timeout(SECOND, || recv(&subscription)) {
                        Err(_) => {}
                        Ok(Ok(number)) => {
                            assert_eq!(*first.get_or_insert(number - seen) + seen, number);
                            seen += 1;
                        }
                        Ok(Err(Lagged(missed))) => seen += missed as u32,
                        Ok(Err(end)) => {
                            assert_eq!(end, Closed);
                            return totals.borrow_mut().push((first, seen));
                        }
                    }
                    sleep(SECOND / 4 * (random_u64() % 3) as u32);
                }
            })
        };
        let mut listeners: Vec<_> = (0..4).map(|_| listen(&gateway)).collect();
        for number in 0..30 {
            assert!(gateway.publish("x", number) <= 4);
            match random_u64() % 4 {
                0 => yield_now(),
                1 => sleep(SECOND / 2),
                2 => {
                    let index = random_u64() as usize % 4;
                    listeners[index].cancel();
                    let _ = std::mem::replace(&mut listeners[index], listen(&gateway)).join();
                }
                _ => {}
            }
        }
        assert_eq!(gateway.subscriptions("x"), 4);
        drop(gateway);
        listeners.into_iter().for_each(|listener| listener.join().unwrap());
        let totals = totals.take();
        assert_eq!(totals.len(), 4);
        assert!(totals.iter().all(|&(first, seen)| first.is_none_or(|first| first + seen == 30)));
    });
}

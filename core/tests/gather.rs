//! The lines of one coroutine as one block (FIB-4).
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are parts of tests")]

use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::gather::{Gather, println};
use grapeshot_core::test;
use grapeshot_core::{sleep, spawn, with_timeout, yield_now};

const SECOND: Duration = Duration::from_secs(1);

/// Keeps each block that is written to it.
#[derive(Clone, Default)]
struct Blocks(Rc<RefCell<Vec<String>>>);

impl Blocks {
    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

impl io::Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().push(String::from_utf8(bytes.to_vec()).unwrap());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// FIB-4
#[test]
fn each_coroutine_writes_one_block_with_stamps_when_it_ends() {
    test::run(|| {
        let blocks = Blocks::default();
        let both = [("a", 2), ("b", 1)].map(|(name, seconds)| {
            let gather = Gather::new().to(blocks.clone());
            spawn(move || {
                gather.run(|| {
                    println(format_args!("{name} begins"));
                    sleep(SECOND * seconds);
                    println(format_args!("{name} ends"));
                })
            })
        });
        both.into_iter().for_each(|one| one.join().unwrap());
        let expected = ["[  0.000] b begins\n[  1.000] b ends\n", "[  0.000] a begins\n[  2.000] a ends\n"];
        assert_eq!(blocks.take(), expected);
    });
}

/// FIB-4
#[test]
fn the_immediate_mode_writes_each_line_at_once_with_the_number() {
    test::run(|| {
        let blocks = Blocks::default();
        let gather = Gather::new().to(blocks.clone()).immediate();
        let child = spawn(move || {
            gather.run(|| {
                println("one");
                sleep(SECOND);
                println("two");
            })
        });
        let id = child.coroutine().id();
        yield_now();
        assert_eq!(blocks.take(), [format!("{id}:\t[  0.000] one\n")]);
        child.join().unwrap();
        assert_eq!(blocks.take(), [format!("{id}:\t[  1.000] two\n")]);
    });
}

#[test]
fn a_panic_is_a_line_of_the_block_and_goes_on() {
    test::run(|| {
        let blocks = Blocks::default();
        let gather = Gather::new().to(blocks.clone());
        let work = || {
            println("before");
            panic!("on\npurpose");
        };
        let payload = catch_unwind(AssertUnwindSafe(|| gather.run(work))).unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"on\npurpose"));
        let block = blocks.take().concat();
        assert!(
            block.starts_with("[  0.000] before\n[  0.000] panicked: on; purpose, at core/tests/gather.rs:"),
            "{block}"
        );
        assert_eq!(block.lines().count(), 2);
    });
}

#[test]
fn work_that_is_cut_off_writes_what_it_printed() {
    test::run(|| {
        let blocks = Blocks::default();
        let gather = Gather::new().to(blocks.clone());
        let cut_off = with_timeout(SECOND, || {
            gather.run(|| {
                println("before");
                sleep(SECOND * 5);
            })
        });
        assert!(cut_off.is_err());
        assert_eq!(blocks.take(), ["[  0.000] before\n[  1.000] cancelled\n"]);
    });
}

#[test]
fn what_is_held_is_bounded_and_no_line_is_lost() {
    test::run(|| {
        let blocks = Blocks::default();
        Gather::new().to(blocks.clone()).max_bytes(100).run(|| {
            for number in 0..100 {
                println(number);
            }
            println("x".repeat(500));
        });
        let blocks = blocks.take();
        let (last, full) = blocks.split_last().unwrap();
        assert!(full.iter().all(|block| block.len() < 100 + 40 && block.contains(" follows ]\n")), "{full:?}");
        assert!(last.contains(&"x".repeat(500)));
        let numbers: Vec<u32> =
            blocks.concat().lines().filter_map(|line| line.strip_prefix("[  0.000] ")?.parse().ok()).collect();
        assert!(numbers.into_iter().eq(0..100));
    });
}

#[test]
fn a_gather_inside_another_has_its_own_block() {
    test::run(|| {
        let (outer, inner) = (Blocks::default(), Blocks::default());
        let nested = Gather::new().to(inner.clone());
        Gather::new().to(outer.clone()).run(|| {
            println("out");
            nested.run(|| println("in\nside"));
            println("out again");
        });
        assert_eq!(inner.take(), ["[  0.000] in\n[  0.000] side\n"]);
        assert_eq!(outer.take(), ["[  0.000] out\n[  0.000] out again\n"]);
    });
}

#[test]
fn lines_of_a_child_are_its_own() {
    test::run(|| {
        let blocks = Blocks::default();
        Gather::new().to(blocks.clone()).run(|| {
            spawn(|| println("a line of a child's, which goes to stdout")).join().unwrap();
            println("parent");
        });
        assert_eq!(blocks.take(), ["[  0.000] parent\n"]);
    });
}

//! Output that stays together: the lines of one coroutine as one block, written when its work is done (FIB-4).
//!
//! The lines of many coroutines on one terminal get mixed. [`gather`] holds those of a piece of work, each stamped with
//! the seconds since its start, and writes them at once; [`Gather::immediate`] is for watching instead, and writes
//! each at once behind the coroutine's number.
//!
//! ```text
//!   println ──► inside a gather? ──no──► stdout
//!                     └──yes──► held ──┬─ the work returns, panics or is cancelled ──► one block
//!                                      └─ the limit is reached ──► a block, to be continued
//! ```
//!
//! # Invariants
//!
//! - What is held stays within [`Gather::max_bytes`]; a line that would exceed it sends what is held on its way first,
//!   so no line is ever lost.
//! - A block is written in one call, without a wait in between, so nothing of another coroutine comes into it.
//! - Nothing is borrowed while the user's writer runs.
//!
//! The writer is called on the loop, as that of the panic reports is: stdout may block where its reader is slow.
//! A gather belongs to its coroutine; the children of the work print, or gather, for themselves.
//!
//! Source: the fibers of J. van Zwieten's `HTTP Replicator`, whose modes these are.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::time::Instant;

use crate::coro_local;
use crate::panics::{Panic, in_one_line, is_cancellation};
use crate::scheduler::{expect_coroutine, now};

/// How much a gather holds unless told otherwise.
const MAX_BYTES: usize = 64 << 10;

coro_local! {
    /// What the running coroutine's lines go to.
    static HELD: RefCell<Option<Rc<Held>>> = RefCell::new(None);
}

/// Runs `f` and writes the lines it prints with [`println()`] as one block to stdout, when it is done.
///
/// # Panics
///
/// Outside a coroutine; and whatever `f` panics with, after a line that says so.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_core::gather::{gather, println};
/// use grapeshot_core::{scope, sleep, test};
///
/// test::run(|| {
///     scope(|scope| {
///         for guest in ["Ann", "Bob"] {
///             scope.spawn(move || gather(|| {
///                 println(format_args!("{guest} comes in"));
///                 sleep(Duration::from_secs(1));
///                 println(format_args!("{guest} goes"));
///             }));
///         }
///     });
/// });
/// ```
pub fn gather<T>(f: impl FnOnce() -> T) -> T {
    Gather::new().run(f)
}

/// Prints a line: into the block of the [`gather`] that the coroutine is in, or else to stdout.
///
/// Never suspends. Errors of the output are ignored, as nobody could be told.
pub fn println(line: impl fmt::Display) {
    match HELD.try_with(|held| held.borrow().clone()) {
        Ok(Some(held)) => held.add(&line.to_string()),
        _ => {
            let _ = io::stdout().lock().write_all(format!("{line}\n").as_bytes());
        }
    }
}

/// The settings of a [`gather`].
///
/// # Examples
///
/// ```
/// use std::{cell::RefCell, io, rc::Rc};
/// use grapeshot_core::gather::{Gather, println};
/// use grapeshot_core::test;
///
/// struct Shared(Rc<RefCell<Vec<u8>>>);
///
/// impl io::Write for Shared {
///     fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
///         self.0.borrow_mut().write(bytes)
///     }
///     fn flush(&mut self) -> io::Result<()> {
///         Ok(())
///     }
/// }
///
/// test::run(|| {
///     let block = Rc::new(RefCell::new(Vec::new()));
///     Gather::new().to(Shared(block.clone())).run(|| println("hello"));
///     assert_eq!(*block.borrow(), b"[  0.000] hello\n");
/// });
/// ```
#[must_use = "it does nothing until it runs something"]
pub struct Gather {
    output: Box<dyn Write>,
    max_bytes: usize,
    immediate: bool,
}

impl Gather {
    /// The settings that [`gather`] uses.
    pub fn new() -> Gather {
        Gather { output: Box::new(io::stdout()), max_bytes: MAX_BYTES, immediate: false }
    }

    /// Where the block goes; stdout unless set. It must not wait, and its errors are ignored.
    pub fn to(mut self, output: impl Write + 'static) -> Gather {
        self.output = Box::new(output);
        self
    }

    /// How many bytes are held; 64 KiB unless set.
    ///
    /// A line that would exceed them first has what is held written, with a last line that says so.
    /// A line that is longer still is written by itself.
    pub fn max_bytes(mut self, limit: usize) -> Gather {
        self.max_bytes = limit;
        self
    }

    /// Holds nothing, and writes each line at once behind the coroutine's number.
    pub fn immediate(mut self) -> Gather {
        self.immediate = true;
        self
    }

    /// Runs `f` and writes its lines: see [`gather`]. Inside another, the inner one has the lines while it runs.
    ///
    /// # Panics
    ///
    /// As [`gather`].
    pub fn run<T>(self, f: impl FnOnce() -> T) -> T {
        let record = expect_coroutine("gather").current_record();
        let held = Rc::new(Held {
            id: record.id().as_u64(),
            began: now(),
            lines: RefCell::default(),
            output: Cell::new(Some(self.output)),
            max_bytes: self.max_bytes,
            immediate: self.immediate,
        });
        let outer = HELD.replace(Some(held.clone()));
        let result = panic::catch_unwind(AssertUnwindSafe(f));
        // In a destructor of another local this one is gone, and so is whoever would print.
        let _ = HELD.try_with(|held| held.replace(outer));
        match result {
            Ok(value) => {
                held.write_out();
                value
            }
            Err(payload) if is_cancellation(&*payload) => {
                held.add("cancelled");
                held.write_out();
                panic::resume_unwind(payload)
            }
            Err(payload) => {
                let panic = Panic::from_payload(payload);
                held.add(in_one_line(format!("panicked: {panic} {}", panic.trace()).trim_end()).as_str());
                held.write_out();
                panic.resume()
            }
        }
    }
}

impl Default for Gather {
    fn default() -> Gather {
        Gather::new()
    }
}

impl fmt::Debug for Gather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut settings = f.debug_struct("Gather");
        settings.field("max_bytes", &self.max_bytes).field("immediate", &self.immediate).finish_non_exhaustive()
    }
}

/// The lines of a piece of work that runs.
struct Held {
    id: u64,
    began: Instant,
    lines: RefCell<String>,
    /// Absent while it writes.
    output: Cell<Option<Box<dyn Write>>>,
    max_bytes: usize,
    immediate: bool,
}

impl Held {
    /// Takes a text in, line by line.
    fn add(&self, text: &str) {
        for line in text.split('\n') {
            self.add_line(line);
        }
        if self.immediate {
            self.write_out();
        }
    }

    fn add_line(&self, line: &str) {
        let mut stamped = String::new();
        if self.immediate {
            let _ = write!(stamped, "{}:\t", self.id);
        }
        let _ = writeln!(stamped, "[{:>7.3}] {line}", (now() - self.began).as_secs_f64());
        let held = self.lines.borrow().len();
        if held > 0 && held + stamped.len() > self.max_bytes && !self.immediate {
            let _ = writeln!(self.lines.borrow_mut(), "[ more of coroutine {} follows ]", self.id);
            self.write_out();
        }
        self.lines.borrow_mut().push_str(&stamped);
    }

    fn write_out(&self) {
        // A writer that prints a line itself finds none, and its line comes with the next block.
        let Some(mut output) = self.output.take() else { return };
        let block = self.lines.take();
        if !block.is_empty() {
            let _ = output.write_all(block.as_bytes()).and_then(|()| output.flush());
        }
        self.output.set(Some(output));
    }
}

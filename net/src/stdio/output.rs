//! Stdout: a queue that one thread writes out.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use grapeshot_core::in_coroutine;

use super::bell::{Bell, Rope};

/// The most bytes that are given to the thread in one piece.
const PIECE: usize = 64 << 10;

/// What all handles share. It holds at most one piece of each handle.
struct Queue {
    state: Mutex<State>,
    queued: Condvar,
}

struct State {
    has_thread: bool,
    pieces: VecDeque<Arc<Piece>>,
}

/// Bytes on their way out.
#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    /// Rung when it is out.
    rope: Arc<Rope>,
    outcome: Mutex<Outcome>,
}

#[derive(Debug)]
enum Outcome {
    Waiting,
    Done(io::Result<()>),
}

static QUEUE: Queue =
    Queue { state: Mutex::new(State { has_thread: false, pieces: VecDeque::new() }), queued: Condvar::new() };

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    fn push(&'static self, piece: Arc<Piece>) -> io::Result<()> {
        let mut state = lock(&self.state);
        if !state.has_thread {
            thread::Builder::new().name("stdout".to_owned()).spawn(|| self.write_out())?;
            state.has_thread = true;
        }
        state.pieces.push_back(piece);
        self.queued.notify_one();
        Ok(())
    }

    /// The thread: writes what is queued, as long as the process lives.
    fn write_out(&self) {
        loop {
            let mut state = lock(&self.state);
            let piece = loop {
                match state.pieces.pop_front() {
                    Some(piece) => break piece,
                    None => state = self.queued.wait(state).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(state);
            let mut stdout = io::stdout().lock();
            let written = stdout.write_all(&piece.bytes).and_then(|()| stdout.flush());
            drop(stdout);
            *lock(&piece.outcome) = Outcome::Done(written);
            piece.rope.ring();
        }
    }
}

/// The standard output of the process, as `std::io::Stdout`, except that a write returns when it is out.
///
/// Many small writes are best gathered in a `std::io::BufWriter` or `LineWriter`.
/// Two coroutines write on two handles; on one, the second gets
/// [`SimultaneousError`](grapeshot_core::SimultaneousError).
///
/// # Examples
///
/// ```
/// use std::io::Write;
/// use grapeshot_core::test;
/// use grapeshot_net::stdio::stdout;
///
/// test::run(|| writeln!(stdout(), "hello").unwrap());
/// ```
#[derive(Debug, Default)]
pub struct Stdout {
    bell: OnceLock<Bell>,
    /// What this handle has on its way: of a writer that was cancelled, if nobody writes.
    on_its_way: Mutex<Option<Arc<Piece>>>,
}

/// A new handle to the standard output.
pub fn stdout() -> Stdout {
    Stdout::default()
}

impl Stdout {
    fn bell(&self) -> io::Result<&Bell> {
        if let Some(bell) = self.bell.get() {
            return Ok(bell);
        }
        let made = Bell::new()?;
        // If another thread was faster, the one made here is dropped.
        Ok(self.bell.get_or_init(|| made))
    }

    /// Waits until a piece is out; how that went is for its writer to take.
    fn wait_for(&self, bell: &Bell, piece: &Arc<Piece>) -> io::Result<()> {
        while !piece.is_out() {
            // The thread may have rung since the look: then this returns at once.
            let waited = bell.wait();
            if !piece.is_out() {
                waited?;
            }
        }
        lock(&self.on_its_way).take_if(|known| Arc::ptr_eq(known, piece));
        Ok(())
    }
}

impl Piece {
    fn is_out(&self) -> bool {
        matches!(*lock(&self.outcome), Outcome::Done(_))
    }

    fn take_outcome(&self) -> io::Result<()> {
        match std::mem::replace(&mut *lock(&self.outcome), Outcome::Done(Ok(()))) {
            Outcome::Done(written) => written,
            Outcome::Waiting => unreachable!("its writer has waited until it was out"),
        }
    }
}

impl Write for &Stdout {
    /// Waits until as much as is written at a time, 64 KiB at most, is out.
    ///
    /// Unwinds when cancelled; what has been given to the thread is written all the same, before what this handle
    /// writes next. In a coroutine that unwinds it does not wait, and what goes wrong then is not told.
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let bell = self.bell()?;
        let earlier = lock(&self.on_its_way).clone();
        if let Some(earlier) = earlier {
            self.wait_for(bell, &earlier)?;
        }
        let len = buf.len().min(PIECE);
        let piece =
            Piece { bytes: buf[..len].to_vec(), rope: bell.rope().clone(), outcome: Mutex::new(Outcome::Waiting) };
        let piece = Arc::new(piece);
        QUEUE.push(piece.clone())?;
        *lock(&self.on_its_way) = Some(piece.clone());
        if thread::panicking() && in_coroutine() {
            return Ok(len);
        }
        self.wait_for(bell, &piece)?;
        piece.take_outcome().map(|()| len)
    }

    /// Does nothing: what has been written is out.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Stdout {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

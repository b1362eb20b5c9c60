//! Stdin: a buffer that one thread fills and any coroutine empties.

use std::io::{self, BufRead, Read};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;

use super::bell::{Bell, Rope};

/// The longest line that [`Stdin::read_line`] reads, in bytes.
pub const MAX_LINE: usize = 1 << 20;

/// What all handles share.
struct Input {
    state: Mutex<State>,
    wanted: Condvar,
}

struct State {
    has_thread: bool,
    /// Whether the thread is to read, or reads already.
    wanted: bool,
    buffer: Vec<u8>,
    /// How the last read ended, if with an end or an error; it is told to one reader.
    ended: Option<io::Result<()>>,
    /// The handles on which somebody may wait.
    bells: Vec<Weak<Rope>>,
}

static INPUT: Input = Input {
    state: Mutex::new(State { has_thread: false, wanted: false, buffer: Vec::new(), ended: None, bells: Vec::new() }),
    wanted: Condvar::new(),
};

impl Input {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the thread read, unless it does.
    fn ask(&'static self, state: &mut State) -> io::Result<()> {
        if !state.has_thread {
            thread::Builder::new().name("stdin".to_owned()).spawn(|| self.fill())?;
            state.has_thread = true;
        }
        state.wanted = true;
        self.wanted.notify_one();
        Ok(())
    }

    /// The thread: reads when asked, as long as the process lives.
    fn fill(&self) {
        loop {
            let mut state = self.state();
            while !state.wanted {
                state = self.wanted.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            drop(state);
            let read = read_some();
            let mut state = self.state();
            state.wanted = false;
            match read {
                Ok(bytes) if bytes.is_empty() => state.ended = Some(Ok(())),
                Ok(bytes) => state.buffer.extend(bytes),
                Err(error) => state.ended = Some(Err(error)),
            }
            state.bells.retain(|rope| {
                rope.upgrade().is_some_and(|rope| {
                    rope.ring();
                    true
                })
            });
        }
    }
}

/// Blocks until there is something, or the end.
fn read_some() -> io::Result<Vec<u8>> {
    let mut stdin = io::stdin().lock();
    loop {
        let read = match stdin.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?.to_vec(),
        };
        stdin.consume(read.len());
        return Ok(read);
    }
}

/// The standard input of the process, as `std::io::Stdin`.
///
/// Two coroutines wait for input on two handles; on one, the second gets
/// [`SimultaneousError`](grapeshot_core::SimultaneousError).
///
/// # Examples
///
/// ```
/// use grapeshot_core::test;
/// use grapeshot_net::stdio::stdin;
///
/// # if false {
/// test::run(|| {
///     for line in stdin().lines() {
///         assert!(!line.unwrap().is_empty());
///     }
/// });
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Stdin {
    bell: OnceLock<Bell>,
}

/// A new handle to the standard input.
pub fn stdin() -> Stdin {
    Stdin::default()
}

impl Stdin {
    /// Reads a line, with the line feed that ends it, and appends it; the last may have none. Zero bytes are the end.
    ///
    /// # Errors
    ///
    /// `InvalidData` for a line that is not UTF-8, and for one of more than [`MAX_LINE`] bytes, which is left for
    /// [`read`](Read::read); what the system says.
    ///
    /// # Cancellation
    ///
    /// Unwinds; what has come of the line is there for the next reader.
    pub fn read_line(&self, line: &mut String) -> io::Result<usize> {
        let bytes = self.obtain(
            |buffer| match buffer.iter().position(|&byte| byte == b'\n') {
                Some(end) if end < MAX_LINE => Some(Ok(buffer.drain(..=end).collect())),
                None if buffer.len() < MAX_LINE => None,
                _ => Some(Err(invalid(format!("a line of stdin is longer than {MAX_LINE} bytes")))),
            },
            mem::take,
        )?;
        let text = String::from_utf8(bytes).map_err(|error| invalid(format!("a line of stdin: {error}")))?;
        line.push_str(&text);
        Ok(text.len())
    }

    /// The lines, without what ends them (a line feed, or a carriage return and one), until the end.
    pub fn lines(self) -> Lines {
        Lines { stdin: self }
    }

    /// Takes what `some` finds enough of, or, at the end, what `rest` leaves over.
    fn obtain(
        &self,
        mut some: impl FnMut(&mut Vec<u8>) -> Option<io::Result<Vec<u8>>>,
        rest: impl FnOnce(&mut Vec<u8>) -> Vec<u8>,
    ) -> io::Result<Vec<u8>> {
        let bell = self.bell()?;
        loop {
            let mut state = INPUT.state();
            if let Some(taken) = some(&mut state.buffer) {
                return taken;
            }
            if let Some(ended) = state.ended.take() {
                return ended.map(|()| rest(&mut state.buffer));
            }
            INPUT.ask(&mut state)?;
            drop(state);
            // Between the look above and this, the thread may have rung: then it returns at once.
            bell.wait()?;
        }
    }

    fn bell(&self) -> io::Result<&Bell> {
        if let Some(bell) = self.bell.get() {
            return Ok(bell);
        }
        let made = Bell::new()?;
        INPUT.state().bells.push(Arc::downgrade(made.rope()));
        // If another thread was faster, the one made here is forgotten.
        Ok(self.bell.get_or_init(|| made))
    }
}

impl Read for &Stdin {
    /// Waits for something to read; zero bytes are the end. Unwinds when cancelled; nothing is lost then.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let some = |buffer: &mut Vec<u8>| {
            let len = buffer.len().min(buf.len());
            (len > 0).then(|| Ok(buffer.drain(..len).collect()))
        };
        let bytes = self.obtain(some, |_| Vec::new())?;
        buf[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

impl Read for Stdin {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

/// The lines of stdin: made by [`Stdin::lines`].
#[derive(Debug)]
pub struct Lines {
    stdin: Stdin,
}

impl Iterator for Lines {
    type Item = io::Result<String>;

    /// Waits for the next line. Unwinds when cancelled; what has come of it is there for the next reader.
    fn next(&mut self) -> Option<io::Result<String>> {
        let mut line = String::new();
        match self.stdin.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => {
                if line.ends_with('\n') {
                    line.pop();
                    if line.ends_with('\r') {
                        line.pop();
                    }
                }
                Some(Ok(line))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

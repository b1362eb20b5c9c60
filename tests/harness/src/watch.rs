//! Two threads that watch one program: one reads what it prints, the other waits for its end.
//!
//! Both report to [`Watch`] through one lock and one condition, so every wait for a line or for the end is woken by it.
//! The reader listens to a control pipe as well: a byte asks it to read all that is there now, closing ends it even if a stray process still holds the program's stdout.
//! The waiter leaves the program unreaped (`WNOWAIT`), so its pid stays its own until [`Running`](crate::Running) takes the status.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::mem;
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::log::Log;
use crate::output::Captured;

/// The most a pipe holds without privileges (`/proc/sys/fs/pipe-max-size`): all that an ended program can have left unread.
const PIPE_CAPACITY: usize = 1 << 20;

const READ_SIZE: usize = 64 << 10;

/// How long to wait for the reader to catch up; it only has to copy [`PIPE_CAPACITY`].
const CATCH_UP: Duration = Duration::from_secs(10);

pub(crate) struct Watch {
    shared: Arc<Shared>,
    /// Dropped to end the reader.
    control: Option<PipeWriter>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// Why a line did not come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoLine {
    /// Both streams have ended.
    Ended,
    TimedOut,
}

/// The moment `timeout` from now; a timeout too long to be added never ends as far as a test can tell.
pub(crate) fn deadline_after(timeout: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or(now + FAR)
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    stdout: Log,
    stderr: Log,
    exited: bool,
    catch_ups_asked: u64,
    catch_ups_done: u64,
}

impl Watch {
    /// Watches `child`, whose stdout and stderr are pipes, keeping the last `keep` bytes of each.
    pub(crate) fn start(child: &mut Child, keep: usize) -> io::Result<Watch> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                stdout: Log::new(keep),
                stderr: Log::new(keep),
                exited: false,
                catch_ups_asked: 0,
                catch_ups_done: 0,
            }),
            changed: Condvar::new(),
        });
        let (control_reader, control) = io::pipe()?;
        let mut reader = Reader {
            shared: Arc::clone(&shared),
            stdout: child.stdout.take().map(|pipe| File::from(OwnedFd::from(pipe))),
            stderr: child.stderr.take().map(|pipe| File::from(OwnedFd::from(pipe))),
            buf: vec![0; READ_SIZE],
        };
        let pid = Pid::from_child(child);
        let waiter_shared = Arc::clone(&shared);
        let mut watch = Watch { shared, control: Some(control), threads: Vec::new() };
        watch.thread("harness reader", move || reader.run(control_reader))?;
        watch.thread("harness waiter", move || wait_without_reaping(pid, &waiter_shared))?;
        Ok(watch)
    }

    /// Whether the program ended by `deadline`.
    pub(crate) fn wait_exit(&self, deadline: Instant) -> bool {
        self.shared.wait_until(deadline, |state| state.exited.then_some(())).is_some()
    }

    /// The next line of either stream that contains `text`.
    pub(crate) fn wait_line(&self, text: &str, deadline: Instant) -> Result<String, NoLine> {
        let outcome = self.shared.wait_until(deadline, |state| {
            if let Some(line) = state.stdout.next_line(text).or_else(|| state.stderr.next_line(text)) {
                return Some(Ok(line));
            }
            (state.stdout.has_ended() && state.stderr.has_ended()).then_some(Err(NoLine::Ended))
        });
        outcome.unwrap_or(Err(NoLine::TimedOut))
    }

    /// Returns once all that the program has printed so far can be seen.
    pub(crate) fn catch_up(&self) {
        let Some(mut control) = self.control.as_ref() else {
            return;
        };
        let asked = {
            let mut state = self.shared.lock();
            state.catch_ups_asked += 1;
            state.catch_ups_asked
        };
        if control.write_all(&[0]).is_err() {
            return; // The reader has seen the end of both streams: nothing is missing.
        }
        self.shared.wait_until(Instant::now() + CATCH_UP, |state| {
            let ended = state.stdout.has_ended() && state.stderr.has_ended();
            (ended || state.catch_ups_done >= asked).then_some(())
        });
    }

    pub(crate) fn captured(&self, stream: Stream) -> Captured {
        self.shared.lock().log(stream).captured()
    }

    /// Ends both threads; the program has ended before.
    pub(crate) fn close(&mut self) {
        self.control = None;
        for thread in mem::take(&mut self.threads) {
            // They do not panic; if one did, the test has better things to report.
            let _ = thread.join();
        }
    }

    /// Lets the threads go on by themselves, for a program that not even SIGKILL ends.
    pub(crate) fn abandon(&mut self) {
        self.control = None;
        self.threads.clear();
    }

    fn thread(&mut self, name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(thread::Builder::new().name(name.to_owned()).spawn(body)?);
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks after every change until `look` finds something; one last time at the deadline.
    fn wait_until<T>(&self, deadline: Instant, mut look: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(found) = look(&mut state) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

impl State {
    fn log(&mut self, stream: Stream) -> &mut Log {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

fn wait_without_reaping(pid: Pid, shared: &Shared) {
    let ended_but_unreaped = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    // The only other error is that there is no such child, which is an end as well.
    let _ = retry_on_intr(|| waitid(WaitId::Pid(pid), ended_but_unreaped));
    shared.change(|state| state.exited = true);
}

/// The reading thread. A stream is `None` from its end on.
struct Reader {
    shared: Arc<Shared>,
    stdout: Option<File>,
    stderr: Option<File>,
    buf: Vec<u8>,
}

impl Reader {
    fn run(&mut self, mut control: PipeReader) {
        while self.stdout.is_some() || self.stderr.is_some() {
            if !self.wait_readable(&control) {
                self.read_available(Stream::Stdout, READ_SIZE);
                self.read_available(Stream::Stderr, READ_SIZE);
                continue;
            }
            let asked = control.read(&mut [0; 64]).unwrap_or(0);
            self.read_available(Stream::Stdout, PIPE_CAPACITY);
            self.read_available(Stream::Stderr, PIPE_CAPACITY);
            if asked == 0 {
                break;
            }
            self.shared.change(|state| state.catch_ups_done += asked as u64);
        }
        self.end(Stream::Stdout);
        self.end(Stream::Stderr);
    }

    /// Blocks until there is something to read; true when it is the control pipe.
    fn wait_readable(&self, control: &PipeReader) -> bool {
        let mut fds = vec![PollFd::new(control, PollFlags::IN)];
        fds.extend([&self.stdout, &self.stderr].into_iter().flatten().map(|file| PollFd::new(file, PollFlags::IN)));
        // An error other than an interruption cannot happen with three open descriptors; after one, the control pipe decides.
        let _ = poll(&mut fds, None);
        !fds[0].revents().is_empty()
    }

    /// Reads without blocking, up to about `limit` bytes.
    fn read_available(&mut self, stream: Stream, limit: usize) {
        let mut total = 0;
        while total < limit {
            let file = match stream {
                Stream::Stdout => &mut self.stdout,
                Stream::Stderr => &mut self.stderr,
            };
            let Some(file) = file else { return };
            if !is_readable(file) {
                return;
            }
            match file.read(&mut self.buf) {
                Ok(0) => return self.end(stream),
                Ok(count) => {
                    let bytes = &self.buf[..count];
                    self.shared.change(|state| state.log(stream).push(bytes));
                    total += count;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.end(stream),
            }
        }
    }

    fn end(&mut self, stream: Stream) {
        match stream {
            Stream::Stdout => self.stdout = None,
            Stream::Stderr => self.stderr = None,
        }
        self.shared.change(|state| state.log(stream).end());
    }
}

/// Whether a read would return at once: bytes, or the end.
fn is_readable(file: &File) -> bool {
    let at_once = Timespec::default();
    let mut fds = [PollFd::new(file, PollFlags::IN)];
    matches!(poll(&mut fds, Some(&at_once)), Ok(ready) if ready > 0)
}

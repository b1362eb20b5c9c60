//! Changes of files and directories, as the kernel sees them (inotify).
//!
//! ```text
//!   watch(path) ─► watched ──► next() ─► Event { path, change } …
//!                    │ its file is deleted, moved away or unmounted
//!                    ▼
//!                  Event { change: WatchEnded } ─► forgotten; watch(path) again, once there is a file again
//! ```
//!
//! A watch belongs to the file that had the name when it was watched, not to the name.
//! A program that replaces a file by renaming another over it, as editors do, ends the watch on it:
//! watch the directory and look at the names, or call [`Watcher::watch`] again for each [`Change::WatchEnded`].
//!
//! # Invariants
//!
//! - Events come in the order in which they happened; a wait that is cancelled loses none.
//! - When the kernel's queue ran over, [`Change::Overflow`] says so: look at everything anew.
//!
//! # What is absent
//!
//! Directories inside a watched directory are not watched with it.
//! Changes made by another machine on a network file system are not seen. Reads are not reported.
//!
//! Sources: inotify(7).

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use crate::slots::Direction;
use crate::source::{Source, WaitLimit};

/// How many bytes of events are taken from the kernel at a time: sixteen with the longest names.
const READ_SIZE: usize = 16 * (16 + 256);

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// It was made in a watched directory, or linked into it.
    Created,
    /// Its content was changed: written to or cut.
    Modified,
    /// It was closed by somebody who had it open for writing.
    Closed,
    /// Its mode, owner, times, number of links or extended attributes changed.
    Attributes,
    /// It was moved out of a watched directory, or to another name in it.
    MovedFrom {
        /// The same as in the [`MovedTo`](Change::MovedTo) of the same move, if that place is watched too.
        cookie: u32,
    },
    /// It was moved into a watched directory, or has another name in it.
    MovedTo {
        /// The same as in the [`MovedFrom`](Change::MovedFrom) of the same move, if that place is watched too.
        cookie: u32,
    },
    /// It was deleted from a watched directory.
    Deleted,
    /// The watched file itself was deleted; [`WatchEnded`](Change::WatchEnded) follows.
    WatchedDeleted,
    /// The watched file itself was moved; the watch ends, and [`WatchEnded`](Change::WatchEnded) follows.
    WatchedMoved,
    /// Nothing more will be reported of this watched path: its file is gone, or is no longer under this name.
    WatchEnded,
    /// Events were lost, of any watched path: they came faster than they were taken.
    Overflow,
}

/// One change of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The watched path, with the file's name joined to it if that is a directory; empty for an overflow.
    pub path: PathBuf,
    /// What happened.
    pub change: Change,
    /// Whether `path` is a directory.
    pub is_directory: bool,
}

/// Reports the changes of the files and directories it is told to watch (POL-6).
///
/// # Examples
///
/// ```
/// use grapeshot_core::{events::watch::{Change, Watcher}, test};
///
/// test::run(|| {
///     let directory = std::env::temp_dir().join(format!("grapeshot-watch-{}", std::process::id()));
///     std::fs::create_dir_all(&directory).unwrap();
///     let watcher = Watcher::new().unwrap();
///     watcher.watch(&directory).unwrap();
///     std::fs::write(directory.join("new"), "text").unwrap();
///     let event = watcher.next().unwrap();
///     assert_eq!((event.path, event.change), (directory.join("new"), Change::Created));
///     std::fs::remove_dir_all(&directory).unwrap();
/// });
/// ```
#[derive(Debug)]
pub struct Watcher {
    source: Source<OwnedFd>,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The watched paths by the kernel's number for their file; two names of one file share it.
    paths: HashMap<i32, Vec<PathBuf>>,
    events: VecDeque<Event>,
}

impl Watcher {
    /// Makes a watcher of nothing.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left, or the user has too many watchers (`fs.inotify.max_user_instances`).
    pub fn new() -> io::Result<Watcher> {
        let descriptor = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Watcher { source: Source::new(descriptor), state: RefCell::default() })
    }

    /// Watches a file, or a directory and what is directly in it.
    ///
    /// Watching a path again is how one goes on after [`Change::WatchEnded`], and harmless before.
    /// Never suspends.
    ///
    /// # Errors
    ///
    /// What the system says, with the path: there is no such file, it must not be read, or the user watches too many
    /// (`fs.inotify.max_user_watches`).
    pub fn watch(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        let changes = WatchFlags::CREATE
            | WatchFlags::MODIFY
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::MOVE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF;
        let added = inotify::add_watch(self.source.inner(), path, changes);
        let number = added.map_err(|errno| with_path("watch", path, errno))?;
        let mut state = self.state.borrow_mut();
        // The name may have belonged to another file before.
        let stale = state.release(path, Some(number));
        let paths = state.paths.entry(number).or_default();
        if !paths.iter().any(|known| known == path) {
            paths.push(path.to_owned());
        }
        drop(state);
        self.remove(stale);
        Ok(())
    }

    /// Stops watching a path; answers whether it was watched. What has happened before is still reported.
    ///
    /// Never suspends.
    pub fn unwatch(&self, path: impl AsRef<Path>) -> bool {
        let mut state = self.state.borrow_mut();
        let known = state.paths.values().flatten().any(|known| known == path.as_ref());
        // What is still in the kernel's queue carries only the number of the watch.
        if known {
            // The queue is empty, or fails as the next wait for it will.
            let _ = state.take_in(self.source.inner());
        }
        let unused = state.release(path.as_ref(), None);
        drop(state);
        self.remove(unused);
        known
    }

    fn remove(&self, number: Option<i32>) {
        if let Some(number) = number {
            // It fails when the file is gone, and the kernel has removed the watch itself.
            let _ = inotify::remove_watch(self.source.inner(), number);
        }
    }

    /// Waits for the next change.
    ///
    /// # Errors
    ///
    /// As [`Source::attempt`].
    ///
    /// # Cancellation
    ///
    /// Unwinds; no event is lost.
    pub fn next(&self) -> io::Result<Event> {
        self.next_within(WaitLimit::Never)
    }

    /// Waits for the next change, at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`]; else as [`Source::attempt`].
    ///
    /// # Cancellation
    ///
    /// Unwinds; no event is lost.
    pub fn next_within(&self, limit: WaitLimit) -> io::Result<Event> {
        loop {
            let queued = self.state.borrow_mut().events.pop_front();
            if let Some(event) = queued {
                self.end_watch_of_moved(&event);
                return Ok(event);
            }
            let take_in = |descriptor: &OwnedFd| self.state.borrow_mut().take_in(descriptor);
            self.source.attempt(Direction::Read, "wait for a change of a file", limit, |()| false, take_in)?;
        }
    }

    /// A file that was moved would still be reported, under the name that it no longer has.
    fn end_watch_of_moved(&self, event: &Event) {
        if event.change == Change::WatchedMoved {
            let mut state = self.state.borrow_mut();
            let unused = state.release(&event.path, None);
            let ended = Event { change: Change::WatchEnded, ..event.clone() };
            state.events.push_front(ended);
            drop(state);
            self.remove(unused);
        }
    }

    /// Ends the wait on it, and every later one, with [`ClosedError`](crate::ClosedError). Never suspends.
    pub fn close(&self) -> bool {
        self.source.close()
    }
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

impl State {
    /// Forgets that `path` names the file of any watch but `kept`; returns the watch that has no name left by that.
    fn release(&mut self, path: &Path, kept: Option<i32>) -> Option<i32> {
        let mut unused = None;
        self.paths.retain(|&number, paths| {
            if Some(number) != kept && paths.iter().any(|known| known == path) {
                paths.retain(|known| known != path);
                if paths.is_empty() {
                    unused = Some(number);
                }
            }
            !paths.is_empty()
        });
        unused
    }

    /// Takes what the kernel has queued, at least one event.
    fn take_in(&mut self, descriptor: &OwnedFd) -> io::Result<()> {
        let mut buf = [MaybeUninit::uninit(); READ_SIZE];
        let mut reader = inotify::Reader::new(descriptor, &mut buf);
        loop {
            let event = reader.next()?;
            let flags = event.events();
            let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
            for change in changes(flags, event.cookie()) {
                self.note(event.wd(), name, change, flags.contains(ReadFlags::ISDIR));
            }
            if reader.is_buffer_empty() {
                return Ok(());
            }
        }
    }

    fn note(&mut self, number: i32, name: Option<&OsStr>, change: Change, is_directory: bool) {
        if change == Change::Overflow {
            self.events.push_back(Event { path: PathBuf::new(), change, is_directory });
            return;
        }
        let paths = match change {
            Change::WatchEnded => self.paths.remove(&number),
            _ => self.paths.get(&number).cloned(),
        };
        // Without a path it is of a watch that was given up.
        for path in paths.into_iter().flatten() {
            let path = name.map_or_else(|| path.clone(), |name| path.join(name));
            self.events.push_back(Event { path, change, is_directory });
        }
    }
}

fn changes(flags: ReadFlags, cookie: u32) -> impl Iterator<Item = Change> {
    [
        (ReadFlags::CREATE, Change::Created),
        (ReadFlags::MODIFY, Change::Modified),
        (ReadFlags::CLOSE_WRITE, Change::Closed),
        (ReadFlags::ATTRIB, Change::Attributes),
        (ReadFlags::MOVED_FROM, Change::MovedFrom { cookie }),
        (ReadFlags::MOVED_TO, Change::MovedTo { cookie }),
        (ReadFlags::DELETE, Change::Deleted),
        (ReadFlags::DELETE_SELF, Change::WatchedDeleted),
        (ReadFlags::MOVE_SELF, Change::WatchedMoved),
        (ReadFlags::IGNORED, Change::WatchEnded),
        (ReadFlags::QUEUE_OVERFLOW, Change::Overflow),
    ]
    .into_iter()
    .filter(move |(flag, _)| flags.contains(*flag))
    .map(|(_, change)| change)
}

fn with_path(operation: &str, path: &Path, errno: Errno) -> io::Error {
    let error = io::Error::from(errno);
    io::Error::new(error.kind(), format!("{operation} {}: {error}", path.display()))
}

//! Child processes with std's names, for coroutines: to wait for one, or for what it says, holds up nobody else.
//!
//! ```text
//!   Command ──► spawn ──► Child ─┬─ wait ◄── pidfd, readable when the process has ended
//!      │                         ├─ stdin, stdout, stderr ◄── pipes, non-blocking at our end only
//!      │                         └─ dropped: waited for by a coroutine, so that it does not stay a zombie
//!      └──► output_timeout ──► both pipes drained at once ─┬─ ended ──► Output
//!                                                          └─ too late, too long, cancelled ──► its group is killed
//! ```
//!
//! # Invariants
//!
//! - A process is reaped once: its status is kept, and no process but our own child is ever waited for.
//! - A process group is killed only while the process that leads it has not been reaped, so its number means no other.
//! - Every descriptor made here is close-on-exec, so a child inherits its three and no more of ours.
//! - SIGCHLD is neither needed nor touched. If the program ignores it, the system forgets how children ended,
//!   and waiting for one gives an error.
//!
//! # Fork
//!
//! To fork a process that runs a runtime, and to go on in the child without exec, is not supported: parent and child
//! would share one epoll instance, in which each takes the other's events away, and of the threads only the one that
//! forked exists in the child. What a forked child may do is what POSIX allows it: exec, or `_exit`; one whose loop is
//! about to wait for events is aborted with a sentence on stderr.
//! [`Command`] is safe, since nothing of this program runs between its fork and its exec.
//!
//! # What is absent
//!
//! Code of the caller's between fork and exec (`pre_exec`, which is unsafe), and terminals for children.
//!
//! Sources: pidfd_open(2), which asks for Linux 5.3; requirements PRC-1 and PRC-2.

mod command;
mod child;
mod pipes;
mod collect;
mod reap;

pub use self::child::Child;
pub use self::collect::{MAX_OUTPUT, OutputError, Said};
pub use self::command::Command;
pub use self::pipes::{ChildStderr, ChildStdin, ChildStdout};
pub use self::reap::wait_exit;
pub use std::process::{ExitStatus, Output, Stdio};

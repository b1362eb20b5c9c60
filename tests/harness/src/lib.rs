//! Starts, waits for, stops and cleans up real programs in integration tests.
//!
//! A test that talks to curl, wrk or a server of another make needs four things that [`std::process`] leaves to it:
//! to know when the program is ready, to see what it printed when something went wrong, to give up in time, and to leave nothing behind, whatever happened.
//!
//! ```
//! use grapeshot_harness::{Program, Ready};
//! use std::time::Duration;
//!
//! # fn main() -> std::io::Result<()> {
//! // A server would print its address; so does this one line of shell, which then waits for its end.
//! let mut server = Program::new("sh")
//!     .args(["-c", "echo listening on 127.0.0.1:4000; read _"])
//!     .open_input()
//!     .ready_when(Ready::line("listening on"))
//!     .start()?;
//! assert_eq!(server.ready_addr(), Some("127.0.0.1:4000".parse().unwrap()));
//!
//! // The client: one shot, with a limit.
//! let client = Program::new("echo").arg("hello").output(Duration::from_secs(10))?;
//! assert_eq!(client.assert_success().stdout.text(), "hello\n");
//!
//! server.stop(Duration::from_secs(5))?;
//! # Ok(())
//! # }
//! ```
//!
//! # How it works
//! Every program gets a process group of its own, held open by a small `sh` (the guard) that reads from a pipe.
//! [`Running`] ends the whole group when it is dropped, in a panic as well.
//! When the test process itself dies, killed or interrupted at the terminal, the pipe closes and the guard kills the group.
//! A thread reads stdout and stderr into bounded buffers, so a program that prints much never blocks on a full pipe; a second one learns of the program's end.
//! All waits end at a deadline and are woken by what they wait for.
//! Two things tell nobody when they happen, a port that opens and a file that appears, and those alone are tried every few milliseconds.
//!
//! # Limits
//! - A program that leaves its process group (a daemon that calls `setsid`) escapes; keep programs in the foreground.
//! - All calls block the calling thread: from a coroutine, go through a thread.
//! - Needs Linux, whose abstract names keep a port for one program at a time, with `sh` on the path.
//!
//! # Where to start
//! [`Program`] to describe one, [`Running`] to hold it, [`require`] for programs that may not be installed, [`example`] for the examples of your own package, [`TempDir`] for files.

#![forbid(unsafe_code)]

mod address;
mod example;
mod group;
mod log;
mod output;
mod program;
mod ready;
mod report;
mod require;
mod running;
mod temp_dir;
mod watch;

pub use address::{find_addr, unused_addr};
pub use example::example;
pub use output::{Captured, End, Output};
pub use program::Program;
pub use ready::Ready;
pub use require::{REQUIRE_PEERS, require, require_from};
pub use running::Running;
pub use rustix::process::Signal;
pub use temp_dir::TempDir;

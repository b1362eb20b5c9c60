//! Stdin and stdout for coroutines: neither holds up the loop, and neither is changed for the programs that share them.
//!
//! ```text
//!   read, read_line ─► buffer ◄── a thread that reads std's stdin, once for each time that somebody wants more
//!   write ───────────► queue ───► a thread that writes std's stdout, and tells the writer when it is out
//! ```
//!
//! A terminal or pipe on stdin or stdout is an open file that the shell, and every other program of the pipeline, has
//! as well. To make it non-blocking would make it so for them, and they would fail with EAGAIN; so it stays as it is,
//! and a thread of its own blocks on it. To open the same terminal or pipe anew through `/proc/self/fd` would give an
//! open file to make non-blocking, but not of a socket, not after a change of user, and not without `/proc`;
//! a thread works on whatever stdin and stdout are, and a program has one of each.
//!
//! # Invariants
//!
//! - A wait for input that is cancelled loses nothing: what the thread has read, or reads later, stays in the buffer.
//! - The thread reads only when asked, so what nobody wanted is left to programs started from here. It reads through
//!   std's stdin, whose buffer both share.
//! - A write returns when its bytes are out, so what follows is behind it, by whichever way it is written.
//!
//! # What is absent
//!
//! Stderr, which is for what must be said at once. A write that is cancelled cannot be taken back.

mod input;
mod output;
mod bell;

pub use self::input::{Lines, MAX_LINE, Stdin, stdin};
pub use self::output::{Stdout, stdout};

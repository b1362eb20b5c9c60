//! Terminals: raw mode, for as long as a guard lives (DIA-8).
//!
//! In raw mode a terminal hands over every key at once and echoes nothing, which a console, an editor or a game wants,
//! and which the shell afterwards does not. The mode belongs to the terminal and not to the program, so it must be put
//! back whatever happens: the guard does so when it is dropped, which a panic and a cancellation see to as well.
//!
//! # What is absent
//!
//! Putting the mode back when the process is killed, aborts, or ends without unwinding (`std::process::exit`):
//! nothing of the program runs then. SIGINT and SIGTERM end [`run`](grapeshot_core::run), which cancels and so restores.
//!
//! Sources: termios(3).

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::termios::{OptionalActions, Termios};

/// Keeps a terminal in raw mode, and restores the mode it had when dropped.
///
/// Two guards of one terminal are dropped in the opposite order, as variables of a function are.
///
/// # Examples
///
/// ```no_run
/// use std::io::Read;
/// use grapeshot_core::run;
/// use grapeshot_net::{stdio::stdin, tty::RawMode};
///
/// run(|| {
///     let _raw = RawMode::stdin().unwrap();
///     let mut key = [0];
///     stdin().read_exact(&mut key).unwrap();
/// });
/// ```
#[must_use = "the terminal's mode is restored when this is dropped"]
pub struct RawMode {
    terminal: OwnedFd,
    before: Termios,
}

impl RawMode {
    /// Puts the terminal on stdin into raw mode. Never suspends.
    ///
    /// # Errors
    ///
    /// As [`enable`](Self::enable).
    pub fn stdin() -> io::Result<RawMode> {
        RawMode::enable(io::stdin())
    }

    /// Puts a terminal into raw mode. Never suspends.
    ///
    /// The guard has a descriptor of its own, so `terminal` may be closed before.
    ///
    /// # Errors
    ///
    /// What the system says: above all ENOTTY for what is no terminal.
    pub fn enable(terminal: impl AsFd) -> io::Result<RawMode> {
        let before = rustix::termios::tcgetattr(&terminal)?;
        let guard = RawMode { terminal: terminal.as_fd().try_clone_to_owned()?, before };
        let mut raw = guard.before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(&guard.terminal, OptionalActions::Now, &raw)?;
        Ok(guard)
    }

    /// Restores the mode as dropping does, and says whether that went well.
    ///
    /// # Errors
    ///
    /// What the system says: that the terminal was hung up.
    pub fn restore(self) -> io::Result<()> {
        self.put_back()
    }

    fn put_back(&self) -> io::Result<()> {
        rustix::termios::tcsetattr(&self.terminal, OptionalActions::Now, &self.before)?;
        Ok(())
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that is gone needs no mode.
        let _ = self.put_back();
    }
}

impl fmt::Debug for RawMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawMode").field("terminal", &self.terminal).finish_non_exhaustive()
    }
}

//! Signals of the operating system, handled in coroutines.
//!
//! ```text
//!   kill ──► handler ──┬── a byte to each registration's pipe ──► its coroutine: f(signal)      `on`, `once`, `wait`
//!           (process)  ├── or, if there is none, a byte to each run that it ends                SIGINT, SIGTERM
//!                      └── or, if there is none, the default effect
//! ```
//!
//! A handler that the system calls may do next to nothing; a coroutine may do anything.
//! So the handler only writes a byte to a pipe, and a coroutine that waits for it does the work.
//!
//! # Invariants
//!
//! - All registrations of a signal hear of it, in whichever runtime they are.
//! - Who registers for SIGINT or SIGTERM takes it over: it does not end runs as long as the registration lives,
//!   and from its drop on it does so again.
//! - Signals of one number that come while they are being handled are handled once more, not once each:
//!   the system does not count them either.
//! - A signal that nobody listens to any more has its default effect again. A real-time signal, and one that the
//!   program was started to ignore (`nohup`), are the exceptions: the first has no effect then, the second the default.
//!
//! # What is absent
//!
//! Who sent a signal, and with which value. Signals that the code itself raises by a fault.
//!
//! Sources: signal(7), sigaction(2); signal-hook 0.4 for handlers in safe code; requirement SIG-1.

mod disposition;
mod ending;
mod listener;

use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::rc::{Rc, Weak};

use signal_hook::low_level::signal_name;

pub use signal_hook::consts::{
    SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2,
    SIGWINCH,
};

use self::listener::Listener;
use crate::panics::{self, Panic};
use crate::spawn::{Builder, Coroutine};

pub(crate) use self::ending::Signals;

/// Calls `f` with the signal's number whenever the signal comes, in a coroutine of its own, until the registration is
/// dropped (SIG-1).
///
/// `f` may wait, and is not called again before it has returned. Its panic goes to the panic notifier, and the
/// registration goes on. Never suspends; from its return on no signal is missed.
///
/// # Errors
///
/// [`SignalError`] of kind `InvalidInput` for a signal that nobody can handle;
/// what the system says, above all that there is no descriptor left; as [`Builder::spawn`] outside a runtime.
///
/// # Examples
///
/// ```no_run
/// use grapeshot_core::{run, signal, sleep};
/// use std::time::Duration;
///
/// run(|| {
///     let _rereads = signal::on(signal::SIGHUP, |_| println!("reading the settings again")).unwrap();
///     sleep(Duration::MAX);
/// });
/// ```
#[track_caller]
pub fn on(signal: i32, mut f: impl FnMut(i32) + 'static) -> io::Result<Registration> {
    Registration::start(signal, move |listener| {
        while listener.expect() {
            call(|| f(signal));
        }
    })
}

/// Calls `f` with the signal's number when the signal comes for the first time, in a coroutine of its own.
///
/// The registration ends before `f` is called, so the next signal has the effect it had before.
/// Else as [`on`].
///
/// # Errors
///
/// As [`on`].
#[track_caller]
pub fn once(signal: i32, f: impl FnOnce(i32) + 'static) -> io::Result<Registration> {
    Registration::start(signal, move |listener| {
        let came = listener.expect();
        drop(listener);
        if came {
            f(signal);
        }
    })
}

/// Waits for the signal to come.
///
/// It is listened to only while this waits: before and afterwards the signal has the effect it otherwise has,
/// so a loop of waits misses some. For that there is [`on`].
///
/// # Errors
///
/// As [`on`].
///
/// # Cancellation
///
/// Unwinds.
///
/// # Examples
///
/// ```no_run
/// use grapeshot_core::{run, signal};
///
/// run(|| {
///     // As the program's own: it takes over from the signal that would end the run.
///     signal::wait(signal::SIGTERM).unwrap();
///     println!("finishing what has begun");
/// });
/// ```
pub fn wait(signal: i32) -> io::Result<()> {
    Listener::new(signal)?.wait().map(|_| ())
}

/// Calls what the user gave; its panic must not end the registration.
fn call(f: impl FnOnce()) {
    match panic::catch_unwind(AssertUnwindSafe(f)) {
        Ok(()) => {}
        Err(payload) if panics::is_cancellation(&*payload) => panic::resume_unwind(payload),
        Err(payload) => panics::report_panic(&Panic::from_payload(payload)),
    }
}

/// Has a function called on a signal, until it is dropped: made by [`on`] and [`once`].
///
/// From its drop on, the signal has the effect that it otherwise has: it goes to the other registrations, ends the run,
/// or does what is its default. When it is dropped while the function runs, the function is cancelled.
/// A signal that came before the drop was this registration's: the function may or may not be called for it.
#[must_use = "the registration ends when this is dropped"]
pub struct Registration {
    signal: i32,
    coroutine: Coroutine,
    /// The coroutine's, as long as it listens.
    listener: Weak<Listener>,
}

impl Registration {
    #[track_caller]
    fn start(signal: i32, f: impl FnOnce(Rc<Listener>) + 'static) -> io::Result<Registration> {
        let listens = Rc::new(Listener::new(signal)?);
        let listener = Rc::downgrade(&listens);
        let handle = Builder::new().name(format!("on {}", name(signal))).spawn(move || f(listens))?;
        Ok(Registration { signal, coroutine: handle.coroutine(), listener })
    }

    /// The signal's number.
    pub fn signal(&self) -> i32 {
        self.signal
    }

    /// The coroutine that waits for the signal and calls the function.
    pub fn coroutine(&self) -> Coroutine {
        self.coroutine.clone()
    }

    /// Lets it live as long as the runtime.
    pub fn detach(self) {
        std::mem::forget(self);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.coroutine.cancel();
        // The coroutine drops its listener in its next turn, and a signal that came until then would be nobody's.
        if let Some(listener) = self.listener.upgrade() {
            listener.end();
        }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registration({}, {:?})", name(self.signal), self.coroutine)
    }
}

/// A signal as a person calls it.
fn name(signal: i32) -> String {
    signal_name(signal).map_or_else(|| format!("signal {signal}"), str::to_owned)
}

/// Why nothing can be called on a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignalError {
    /// SIGKILL and SIGSTOP: the system lets no program handle them.
    Unstoppable(i32),
    /// SIGSEGV, SIGBUS, SIGILL and SIGFPE: the code that runs has gone wrong, and would go wrong again at once.
    Fault(i32),
    /// There is no signal of this number.
    Unknown(i32),
}

impl fmt::Display for SignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            SignalError::Unstoppable(signal) => {
                write!(f, "{} cannot be handled: the system gives it to no program", name(signal))
            }
            SignalError::Fault(signal) => {
                write!(f, "{} cannot be handled: it says that the running code has gone wrong", name(signal))
            }
            SignalError::Unknown(signal) => write!(f, "there is no signal {signal}"),
        }
    }
}

impl std::error::Error for SignalError {}

impl From<SignalError> for io::Error {
    fn from(error: SignalError) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}

//! A child process that is talked to over its stdin and stdout.
//!
//! ```text
//!   runs ──┬─ close, drop ──► stdin ends ──┬─ ends by itself ─────────────────► reaped
//!          │                               └─ not within the grace ──► killed ─► reaped
//!          └─ ends by itself ─────────────────────────────────────────────────► reaped
//! ```
//!
//! A coroutine, the keeper, waits for the child from its start on, so there is no moment at which nobody would reap it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use grapeshot_core::sync::OnceEvent;
use grapeshot_core::{
    Builder, ClosedError, NotInRuntime, OperationTimedOut, TimeLimit, WaitLimit, in_coroutine, shield, with_time_limit,
};
use grapeshot_net::process::{Child, Command};
use grapeshot_net::{PipeReader, PipeWriter, pipe};

use super::{Transport, write_all};

/// How long a child may take to end once its stdin has ended, unless [`ChildTransport::grace`] says otherwise.
const GRACE: Duration = Duration::from_secs(2);

/// How long the system may take to end a child that has been killed.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Calls over the stdin and stdout of a child process, such as `nvim --embed`.
///
/// The child belongs to the transport: when that is closed or dropped the child's stdin ends, and a child that has not
/// ended within a grace of 2 s is killed, with its process group if it leads one (`Command::process_group(0)`).
/// It is reaped in any case, also when it ends by itself. Its stderr is this program's unless the command says otherwise.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{WaitLimit, test::Test};
/// use grapeshot_net::process::Command;
/// use grapeshot_rpc::Transport;
/// use grapeshot_rpc::transport::ChildTransport;
///
/// Test::new().real_time().run(|| {
///     let cat = ChildTransport::spawn(Command::new("cat")).unwrap();
///     cat.write_all_within(b"meow", WaitLimit::Never).unwrap();
///     let mut buf = [0; 16];
///     assert_eq!(cat.read_within(&mut buf, WaitLimit::Never).unwrap(), 4);
///     let exit = cat.exit();
///     cat.close();
///     assert!(exit.wait().unwrap().success());
/// });
/// ```
pub struct ChildTransport {
    /// None once nothing more is written: the child sees the end when the last user has let go.
    stdin: RefCell<Option<Rc<PipeWriter>>>,
    stdout: PipeReader,
    keeping: Rc<Keeping>,
    grace: Cell<Duration>,
    name: String,
}

/// What the keeper and the transport share.
struct Keeping {
    /// How long the child may still take once it has been asked to end.
    ending: Cell<Option<Duration>>,
    /// The limit on the child's life, none until it is asked to end.
    life: RefCell<Option<TimeLimit>>,
    exit: OnceEvent<Result<ExitStatus, Arc<io::Error>>>,
    id: u32,
}

impl ChildTransport {
    /// Starts a program, whose stdin and stdout are set here.
    ///
    /// Does not suspend, but holds the thread until the system has loaded the program.
    ///
    /// # Errors
    ///
    /// As [`Command::spawn`]; `Unsupported` outside a coroutine; what the system says when it has no descriptors left,
    /// or no memory for the keeper.
    pub fn spawn(mut command: Command) -> io::Result<ChildTransport> {
        if !in_coroutine() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, NotInRuntime));
        }
        let (child_stdin, stdin) = pipe()?;
        let (stdout, child_stdout) = pipe()?;
        let child = command.stdin(child_stdin.into_stdio()?).stdout(child_stdout.into_stdio()?).spawn()?;
        let id = child.id();
        let program = Path::new(command.program()).file_name().unwrap_or(command.program());
        let name = format!("{} (process {id})", program.to_string_lossy());
        // The child's ends of the pipes are the command's, and must not stay open here.
        drop(command);
        let keeping = Keeping { ending: Cell::new(None), life: RefCell::new(None), exit: OnceEvent::new(), id };
        let keeping = Rc::new(keeping);
        let kept = Kept { child, keeping: keeping.clone() };
        Builder::new().name(format!("keeper of {name}")).spawn(move || kept.keep())?;
        let stdin = RefCell::new(Some(Rc::new(stdin)));
        Ok(ChildTransport { stdin, stdout, keeping, grace: Cell::new(GRACE), name })
    }

    /// Sets how long the child may take to end by itself once the transport is closed; 2 s unless set.
    pub fn grace(self, grace: Duration) -> ChildTransport {
        self.grace.set(grace);
        self
    }

    /// The process's number. It may mean another process once this one has ended.
    pub fn id(&self) -> u32 {
        self.keeping.id
    }

    /// How the child ends: for whoever wants to know after the transport has been given away.
    pub fn exit(&self) -> ChildExit {
        ChildExit { keeping: self.keeping.clone() }
    }
}

/// How a child ends, or has ended. Cheap to clone.
#[derive(Clone)]
pub struct ChildExit {
    keeping: Rc<Keeping>,
}

impl ChildExit {
    /// Waits for the child's end. It does not ask it to end: to close the transport does.
    ///
    /// # Errors
    ///
    /// What the system says; `TimedOut` when the child was killed and the system has not ended it within 5 s.
    ///
    /// # Cancellation
    ///
    /// Unwinds while it waits.
    pub fn wait(&self) -> io::Result<ExitStatus> {
        told(self.keeping.exit.wait())
    }

    /// Waits for the child's end, until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait); `TimedOut` when it runs on.
    ///
    /// # Cancellation
    ///
    /// Unwinds while it waits.
    pub fn wait_until(&self, deadline: Instant) -> io::Result<ExitStatus> {
        match self.keeping.exit.wait_until(deadline) {
            Ok(exit) => told(exit),
            Err(_) => Err(OperationTimedOut::new("wait for a process").into()),
        }
    }

    /// How it ended, if it has. Never suspends.
    pub fn status(&self) -> Option<ExitStatus> {
        self.keeping.exit.value()?.as_ref().ok().copied()
    }
}

impl fmt::Debug for ChildExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildExit").field("id", &self.keeping.id).field("status", &self.status()).finish()
    }
}

fn told(exit: &Result<ExitStatus, Arc<io::Error>>) -> io::Result<ExitStatus> {
    exit.clone().map_err(|error| io::Error::new(error.kind(), error))
}

/// The child in its keeper's hands. One that is dropped before it was waited for is killed.
struct Kept {
    child: Child,
    keeping: Rc<Keeping>,
}

impl Kept {
    /// Waits for the child's end.
    ///
    /// Nothing interrupts it: whoever ends the program, or cancels all of it, closes the transport with it,
    /// and from then on there is a limit.
    fn keep(mut self) {
        let exit = shield(None, || match self.outwait() {
            Some(exit) => exit,
            None => {
                self.kill();
                self.child.wait_timeout(LAST_WAIT)
            }
        });
        if let Ok(exit) = exit {
            // It fires here only.
            let _ = self.keeping.exit.fire(exit.map_err(Arc::new));
        }
    }

    /// Waits for an end by itself; none when it was asked to end and has not.
    fn outwait(&mut self) -> Option<io::Result<ExitStatus>> {
        let Kept { child, keeping } = self;
        let waited = with_time_limit(Duration::MAX, |life| {
            if let Some(grace) = keeping.ending.get() {
                life.change(grace);
            }
            keeping.life.replace(Some(life.clone()));
            child.wait()
        });
        keeping.life.take();
        waited.ok()
    }

    fn kill(&mut self) {
        // It leads a group only if its command said so, and either fails when it has ended meanwhile.
        if self.child.kill_group().is_err() {
            let _ = self.child.kill();
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if !self.keeping.exit.has_fired() {
            self.kill();
        }
    }
}

impl Keeping {
    /// Asks for the end, within a time.
    fn end_within(&self, grace: Duration) {
        if self.ending.replace(Some(grace)).is_some() {
            return;
        }
        if let Some(life) = &*self.life.borrow() {
            life.change(grace);
        }
    }
}

impl Transport for ChildTransport {
    fn read_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
        self.stdout.read_within(buf, limit)
    }

    fn write_all_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<()> {
        let stdin = self.stdin.borrow().clone().ok_or_else(|| ClosedError::new("write"))?;
        write_all(bytes, |rest| stdin.write_within(rest, limit))
    }

    fn end_writing(&self) -> io::Result<()> {
        self.stdin.borrow_mut().take();
        Ok(())
    }

    fn close(&self) {
        if let Some(stdin) = self.stdin.borrow_mut().take() {
            stdin.close();
        }
        self.stdout.close();
        self.keeping.end_within(self.grace.get());
    }

    fn peer(&self) -> String {
        self.name.clone()
    }
}

impl Drop for ChildTransport {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for ChildTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildTransport").field("child", &self.name).finish_non_exhaustive()
    }
}

//! The state of a connection that is made again and again.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use grapeshot_core::channel::{WatchReceiver, WatchSender, watch};
use grapeshot_core::{WaitQueue, now};

use super::options::ReconnectOptions;
use crate::connect::{Connect, Connected};

/// Whether there is a connection, for a person or a program that watches.
#[derive(Clone, Debug)]
pub enum LinkState {
    /// There is none, and nobody has asked for one since the last was lost.
    Idle,
    /// One is being made.
    Connecting,
    /// There is one.
    Up,
    /// The last attempt has failed, or what it made was lost at once.
    Down {
        /// Why.
        error: Arc<io::Error>,
        /// When the next attempt may be made.
        until: Instant,
    },
    /// This side has closed it for good.
    Closed,
}

/// The shortest wait after an attempt that failed, whatever is drawn or set: one that fails at once is not made in a loop.
const SHORTEST: Duration = Duration::from_millis(1);

pub(super) struct Link<K: Connect> {
    pub(super) connect: K,
    pub(super) options: ReconnectOptions,
    state: RefCell<State<K::Caller>>,
    /// Attempts that failed in a row.
    failures: Cell<u32>,
    last_error: RefCell<Option<Arc<io::Error>>>,
    shown: WatchSender<LinkState>,
    /// Calls that wait for a connection.
    pub(super) waiting: WaitQueue,
    /// Whether a coroutine is about to connect, or does.
    pub(super) is_dialing: Cell<bool>,
}

enum State<C> {
    Idle,
    Connecting,
    Up {
        caller: Rc<C>,
        since: Instant,
        /// Whether a method has answered through it.
        has_answered: Cell<bool>,
    },
    Down {
        error: Arc<io::Error>,
        until: Instant,
    },
    Closed,
}

/// What a call finds.
pub(super) enum Found<C> {
    Up(Rc<C>),
    Idle,
    Connecting,
    Down { error: Arc<io::Error>, until: Instant },
    Closed,
}

impl<K: Connect> Link<K> {
    pub(super) fn new(connect: K, options: ReconnectOptions) -> Link<K> {
        Link {
            connect,
            options,
            state: RefCell::new(State::Idle),
            failures: Cell::new(0),
            last_error: RefCell::new(None),
            shown: watch(LinkState::Idle).0,
            waiting: WaitQueue::new(),
            is_dialing: Cell::new(false),
        }
    }

    /// Looks for a connection that can be used, and notices when it is lost.
    pub(super) fn look(&self) -> Found<K::Caller> {
        self.notice_loss();
        match &*self.state.borrow() {
            State::Up { caller, .. } => Found::Up(caller.clone()),
            State::Idle => Found::Idle,
            State::Connecting => Found::Connecting,
            State::Down { error, until } => Found::Down { error: error.clone(), until: *until },
            State::Closed => Found::Closed,
        }
    }

    /// The connection, if that is what it is and it has ended, is there no longer.
    pub(super) fn notice_loss(&self) {
        let (lived, has_answered) = match &*self.state.borrow() {
            State::Up { caller, since, has_answered } if caller.is_closed() => {
                (now().saturating_duration_since(*since), has_answered.get())
            }
            _ => return,
        };
        if has_answered || lived >= self.options.steady {
            self.failures.set(0);
            self.set(State::Idle);
        } else {
            let text = format!("the connection was lost {lived:?} after it was made");
            self.set_down(io::Error::new(io::ErrorKind::ConnectionAborted, text));
        }
    }

    /// A method has answered through this connection: whatever becomes of it, it was one.
    pub(super) fn note_answer(&self, from: &Rc<K::Caller>) {
        if let State::Up { caller, has_answered, .. } = &*self.state.borrow()
            && Rc::ptr_eq(caller, from)
        {
            has_answered.set(true);
        }
    }

    pub(super) fn set_connecting(&self) {
        self.set(State::Connecting);
    }

    /// Takes a new connection, and hands it to those who wait; false if it is too late for one.
    pub(super) fn set_up(&self, caller: Rc<K::Caller>) -> bool {
        if self.is_closed() {
            caller.close();
            return false;
        }
        self.set(State::Up { caller, since: now(), has_answered: Cell::new(false) });
        true
    }

    pub(super) fn set_down(&self, error: io::Error) {
        if self.is_closed() {
            return;
        }
        let failures = self.failures.get().saturating_add(1);
        self.failures.set(failures);
        let error = Arc::new(error);
        self.last_error.replace(Some(error.clone()));
        let pause = self.options.backoff.delay(failures).max(SHORTEST);
        self.set(State::Down { error, until: now() + pause });
    }

    pub(super) fn close(&self) {
        if let State::Up { caller, .. } = self.state.replace(State::Closed) {
            caller.close();
        }
        self.show();
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(&*self.state.borrow(), State::Closed)
    }

    pub(super) fn is_connecting(&self) -> bool {
        matches!(&*self.state.borrow(), State::Connecting)
    }

    /// Why there is no connection, if an attempt has failed since there was one.
    pub(super) fn last_error(&self) -> Option<Arc<io::Error>> {
        self.last_error.borrow().clone()
    }

    pub(super) fn watch(&self) -> WatchReceiver<LinkState> {
        self.shown.subscribe()
    }

    fn set(&self, state: State<K::Caller>) {
        if matches!(state, State::Up { .. }) {
            self.last_error.replace(None);
        }
        // Dropped after the borrow: the end of a connection is somebody else's code.
        let old = self.state.replace(state);
        drop(old);
        self.show();
    }

    /// Tells those who wait and those who watch.
    fn show(&self) {
        let shown = match &*self.state.borrow() {
            State::Idle => LinkState::Idle,
            State::Connecting => LinkState::Connecting,
            State::Up { .. } => LinkState::Up,
            State::Down { error, until } => LinkState::Down { error: error.clone(), until: *until },
            State::Closed => LinkState::Closed,
        };
        self.shown.set(shown);
        self.waiting.wake_all();
    }
}

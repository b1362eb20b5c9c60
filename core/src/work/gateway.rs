//! Publish and subscribe: messages go to a channel by name, and to whoever has subscribed to it.
//!
//! ```text
//!   publish("orders", m) ──► "orders": [ queue ] ──► Subscription
//!                              │       [ queue ] ──► Subscription
//!                              └─ monitors: [ queue ] ──► Subscription to everything
//! ```
//!
//! Publisher and subscriber know the gateway and the channel's name, and nothing of each other.
//! Publishing never waits. Each subscription has a bounded queue of its own; when it is full its oldest message goes,
//! and the subscriber is told how many it missed, as on a [broadcast channel](crate::channel::broadcast()).
//! One slow subscriber costs the others nothing.
//!
//! # Invariants
//!
//! - A subscription ends with its owner: what is published afterwards is not kept for it.
//! - A message is shared and never changed, so each is stored once however many have subscribed.
//! - No borrow is alive while a message is dropped, and a subscription may be dropped while one is published.
//! - A name in the registry belongs to one runtime, and holds nothing: a gateway without handles and subscriptions is gone,
//!   and had nothing to lose.

use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::Deref;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use crate::cancel;
use crate::channel::{BroadcastRecvError, instant_after};
use crate::park::{Reason, Unparked};
use crate::scheduler::{self, NotInRuntime};
use crate::wait_queue::WaitQueue;

/// How many messages a subscription keeps, unless set.
const CAPACITY: usize = 1024;

/// What a gateway of this runtime is found by.
type Key = (u32, TypeId, Rc<str>);

thread_local! {
    static REGISTRY: RefCell<HashMap<Key, Weak<dyn Any>>> = RefCell::default();
}

/// The gateway of this name for messages of type `M`, the same one for everyone in the runtime (BEA-3).
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{spawn, test, work};
///
/// test::run(|| {
///     let orders = work::gateway::<String>("shop").subscribe("orders");
///     spawn(|| work::gateway("shop").publish("orders", String::from("one teapot")));
///     assert_eq!(*orders.recv().unwrap(), "one teapot");
/// });
/// ```
#[track_caller]
pub fn gateway<M: 'static>(name: &str) -> Gateway<M> {
    let Some(runtime) = scheduler::with(|scheduler| scheduler.id) else { panic!("gateway: {NotInRuntime}") };
    let key = (runtime, TypeId::of::<M>(), Rc::from(name));
    let known = REGISTRY.with_borrow(|registry| registry.get(&key).and_then(Weak::upgrade));
    if let Some(Ok(shared)) = known.map(Rc::downcast::<Shared<M>>) {
        return Gateway::of(shared);
    }
    let shared: Rc<Shared<M>> = Rc::new(Shared::new(Some(key.clone())));
    let known: Rc<dyn Any> = shared.clone();
    REGISTRY.with_borrow_mut(|registry| registry.insert(key, Rc::downgrade(&known)));
    Gateway::of(shared)
}

/// A place to publish and to subscribe (BEA-3). A clone is the same one.
///
/// One that is made here is known to those it is handed to; [`gateway`] finds one by its name.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{test, work::Gateway};
///
/// test::run(|| {
///     let gateway = Gateway::new();
///     let monitor = gateway.monitor();
///     assert_eq!(gateway.publish("weather", "rain"), 0);
///     let seen = monitor.recv().unwrap();
///     assert_eq!((&*seen.channel, *seen.message), ("weather", "rain"));
/// });
/// ```
pub struct Gateway<M> {
    shared: Rc<Shared<M>>,
}

type Queues<M> = Rc<Vec<Rc<Queue<M>>>>;

struct Shared<M> {
    /// Lists are replaced as a whole, so that publishing can go through one while it changes.
    channels: RefCell<HashMap<Rc<str>, Queues<M>>>,
    monitors: RefCell<Queues<M>>,
    handles: Cell<usize>,
    key: Option<Key>,
}

struct Queue<M> {
    messages: RefCell<VecDeque<Delivery<M>>>,
    capacity: usize,
    missed: Cell<u64>,
    waiting: WaitQueue,
}

/// A message as a subscriber gets it. It stands for the message itself where that is asked for.
pub struct Delivery<M> {
    /// The channel it was published to.
    pub channel: Rc<str>,
    /// What was published, shared with all who have subscribed.
    pub message: Rc<M>,
}

impl<M> Gateway<M> {
    /// A gateway without a name.
    ///
    /// Once it and its clones are dropped, its subscribers get what is left and then
    /// [`BroadcastRecvError::Closed`]; those of a named one wait, since anyone may ask for the name again.
    pub fn new() -> Gateway<M> {
        Gateway::of(Rc::new(Shared::new(None)))
    }

    fn of(shared: Rc<Shared<M>>) -> Gateway<M> {
        shared.handles.set(shared.handles.get() + 1);
        Gateway { shared }
    }

    /// Gives a message to everyone who has subscribed to the channel, and to the monitors. Never waits.
    ///
    /// Says how many subscriptions it went to, monitors not counted; with none, and no monitor, the message is dropped.
    pub fn publish(&self, channel: &str, message: M) -> usize {
        let (channel, subscribers) = self.shared.subscribers(channel);
        let monitors = self.shared.monitors.borrow().clone();
        let delivery = Delivery { channel, message: Rc::new(message) };
        for queue in subscribers.iter().chain(monitors.iter()) {
            queue.push(delivery.clone());
        }
        subscribers.len()
    }

    /// Subscribes to a channel: from now on what is published to it is kept for the subscription, up to 1024 messages.
    pub fn subscribe(&self, channel: &str) -> Subscription<M> {
        self.subscribe_with(channel, CAPACITY)
    }

    /// Subscribes to a channel, with at most `capacity` messages kept; the oldest go first.
    ///
    /// # Panics
    ///
    /// When `capacity` is zero.
    #[track_caller]
    pub fn subscribe_with(&self, channel: &str, capacity: usize) -> Subscription<M> {
        let queue = Queue::new(capacity);
        let (channel, _) = self.shared.subscribers(channel);
        Rc::make_mut(self.shared.channels.borrow_mut().entry(channel.clone()).or_default()).push(queue.clone());
        Subscription { shared: self.shared.clone(), channel: Some(channel), queue }
    }

    /// Subscribes to all channels, those included that nobody has subscribed to; keeps up to 1024 messages.
    pub fn monitor(&self) -> Subscription<M> {
        self.monitor_with(CAPACITY)
    }

    /// Subscribes to all channels, with at most `capacity` messages kept; the oldest go first.
    ///
    /// # Panics
    ///
    /// When `capacity` is zero.
    #[track_caller]
    pub fn monitor_with(&self, capacity: usize) -> Subscription<M> {
        let queue = Queue::new(capacity);
        Rc::make_mut(&mut *self.shared.monitors.borrow_mut()).push(queue.clone());
        Subscription { shared: self.shared.clone(), channel: None, queue }
    }

    /// How many have subscribed to a channel, monitors not counted.
    pub fn subscriptions(&self, channel: &str) -> usize {
        self.shared.channels.borrow().get(channel).map_or(0, |queues| queues.len())
    }
}

impl<M> Shared<M> {
    fn new(key: Option<Key>) -> Shared<M> {
        Shared { channels: RefCell::default(), monitors: RefCell::default(), handles: Cell::new(0), key }
    }

    /// The name as it is kept, and who has subscribed.
    fn subscribers(&self, channel: &str) -> (Rc<str>, Queues<M>) {
        match self.channels.borrow().get_key_value(channel) {
            Some((name, queues)) => (name.clone(), queues.clone()),
            None => (Rc::from(channel), Rc::default()),
        }
    }

    fn unsubscribe(&self, channel: Option<&str>, queue: &Rc<Queue<M>>) {
        let Some(channel) = channel else { return remove(&mut self.monitors.borrow_mut(), queue) };
        let mut channels = self.channels.borrow_mut();
        let Some(queues) = channels.get_mut(channel) else { return };
        remove(queues, queue);
        if queues.is_empty() {
            channels.remove(channel);
        }
    }

    fn is_closed(&self) -> bool {
        self.handles.get() == 0 && self.key.is_none()
    }

    /// Lets everyone who waits find out that nothing will come any more.
    fn wake_everyone(&self) {
        let channels = self.channels.borrow();
        let monitors = self.monitors.borrow();
        for queue in channels.values().chain([&*monitors]).flat_map(|queues| queues.iter()) {
            queue.waiting.wake_all();
        }
    }
}

fn remove<M>(queues: &mut Queues<M>, queue: &Rc<Queue<M>>) {
    Rc::make_mut(queues).retain(|other| !Rc::ptr_eq(other, queue));
}

impl<M> Drop for Shared<M> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            // At the end of the thread the registry may be gone before.
            let _ = REGISTRY.try_with(|registry| registry.borrow_mut().remove(&key));
        }
    }
}

impl<M> Queue<M> {
    #[track_caller]
    fn new(capacity: usize) -> Rc<Queue<M>> {
        assert!(capacity > 0, "a subscription keeps at least one message, not 0");
        let (messages, waiting) = (RefCell::default(), WaitQueue::new());
        Rc::new(Queue { messages, capacity, missed: Cell::new(0), waiting })
    }

    fn push(&self, delivery: Delivery<M>) {
        let mut messages = self.messages.borrow_mut();
        let oldest = if messages.len() == self.capacity { messages.pop_front() } else { None };
        messages.push_back(delivery);
        drop(messages);
        if oldest.is_some() {
            self.missed.set(self.missed.get() + 1);
        }
        self.waiting.wake_one();
        drop(oldest);
    }
}

impl<M> Clone for Gateway<M> {
    fn clone(&self) -> Gateway<M> {
        Gateway::of(self.shared.clone())
    }
}

impl<M> Default for Gateway<M> {
    fn default() -> Gateway<M> {
        Gateway::new()
    }
}

impl<M> Drop for Gateway<M> {
    fn drop(&mut self) {
        self.shared.handles.set(self.shared.handles.get() - 1);
        if self.shared.is_closed() {
            self.shared.wake_everyone();
        }
    }
}

impl<M> fmt::Debug for Gateway<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.shared.key.as_ref().map_or("unnamed", |key| &*key.2);
        write!(f, "Gateway({name}, {} channels)", self.shared.channels.borrow().len())
    }
}

/// A subscription to a channel, or to all; dropping it ends it.
pub struct Subscription<M> {
    shared: Rc<Shared<M>>,
    /// None for a monitor.
    channel: Option<Rc<str>>,
    queue: Rc<Queue<M>>,
}

impl<M> Subscription<M> {
    /// Takes the next message, and waits while there is none.
    ///
    /// # Errors
    ///
    /// [`BroadcastRecvError::Lagged`] once after messages were missed, and the next call goes on with the oldest kept;
    /// [`BroadcastRecvError::Closed`] when the gateway has no name and all its handles are gone;
    /// [`BroadcastRecvError::Refused`] when it would have to wait and the coroutine unwinds.
    ///
    /// # Cancellation
    ///
    /// Unwinds; no message is taken then.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it has to wait.
    #[track_caller]
    pub fn recv(&self) -> Result<Delivery<M>, BroadcastRecvError> {
        self.recv_until("Subscription::recv", None)
    }

    /// As [`recv`](Self::recv), for at most `timeout`.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv), and [`BroadcastRecvError::TimedOut`].
    ///
    /// # Cancellation
    ///
    /// Unwinds; no message is taken then.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it has to wait.
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Delivery<M>, BroadcastRecvError> {
        self.recv_until("Subscription::recv_timeout", Some(instant_after(timeout)))
    }

    #[track_caller]
    fn recv_until(&self, called: &str, deadline: Option<Instant>) -> Result<Delivery<M>, BroadcastRecvError> {
        cancel::checkpoint_current();
        loop {
            match self.try_recv() {
                Err(BroadcastRecvError::Empty) => {}
                ended => return ended,
            }
            match self.queue.waiting.wait_for(called, Reason::Other("a published message"), deadline) {
                Unparked::Woken => {}
                Unparked::TimedOut => return Err(BroadcastRecvError::TimedOut),
                Unparked::Refused => return Err(BroadcastRecvError::Refused),
            }
        }
    }

    /// Takes the next message, if there is one; never waits.
    ///
    /// # Errors
    ///
    /// [`BroadcastRecvError::Empty`], [`BroadcastRecvError::Lagged`], [`BroadcastRecvError::Closed`].
    pub fn try_recv(&self) -> Result<Delivery<M>, BroadcastRecvError> {
        let missed = self.queue.missed.take();
        if missed > 0 {
            return Err(BroadcastRecvError::Lagged(missed));
        }
        let next = self.queue.messages.borrow_mut().pop_front();
        let is_closed = self.shared.is_closed();
        next.ok_or(if is_closed { BroadcastRecvError::Closed } else { BroadcastRecvError::Empty })
    }

    /// Where its waits are, for those that select.
    pub(crate) fn queue(&self) -> &WaitQueue {
        &self.queue.waiting
    }

    /// The channel; `None` for a monitor, which is told with each message.
    pub fn channel(&self) -> Option<&str> {
        self.channel.as_deref()
    }

    /// How many messages are kept for it.
    pub fn len(&self) -> usize {
        self.queue.messages.borrow().len()
    }

    /// Whether no message is kept for it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<M> Drop for Subscription<M> {
    fn drop(&mut self) {
        self.shared.unsubscribe(self.channel.as_deref(), &self.queue);
    }
}

impl<M> fmt::Debug for Subscription<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscription({}, {} messages)", self.channel().unwrap_or("all channels"), self.len())
    }
}

impl<M> Clone for Delivery<M> {
    fn clone(&self) -> Delivery<M> {
        Delivery { channel: self.channel.clone(), message: self.message.clone() }
    }
}

impl<M> Deref for Delivery<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.message
    }
}

impl<M: fmt::Debug> fmt::Debug for Delivery<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.channel, self.message)
    }
}

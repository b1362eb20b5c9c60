//! A lock for each key of a kind, one lock over them all, and the search for those who wait in circles.
//!
//! ```text
//!   lock(key)   ─► gate, to read ─► the key's line ─► KeyGuard     holds both until it is dropped
//!   lock_all()  ─► gate, to write ──────────────────► AllKeysGuard
//! ```
//!
//! # Invariants
//!
//! - A key is in the table exactly while somebody holds it; it is handed to the first who waits for it.
//! - Whoever holds the gate to read has passed it: a waiting `lock_all` holds up nobody who holds a key, so there is
//!   no way to wait in a circle through the gate, and the search looks at keys alone.
//! - A coroutine waits for one key at a time. What is left of "who waits for whom" when all are removed for whom
//!   nobody waits, again and again, is therefore the circles and nothing else.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::deadlock::{DeadlockError, Edge, circles};
use super::error::abort_refused;
use super::holder::Holder;
use super::line::Line;
use super::raw_rw_lock::{RawRwLock, Reading, Recursion, Writing};
use crate::park::Reason;
use crate::scheduler::random_u64;
use crate::spawn::{Builder, Coroutine};
use crate::yielding::sleep;

/// How often those who wait for keys are looked at, for circles.
const SCAN_INTERVAL: Duration = Duration::from_secs(60);

/// Locks by key, made when they are asked for and gone when nobody holds them (SYN-9).
///
/// Coroutines that take several keys in different orders may come to wait for each other in a circle.
/// While anybody waits, a coroutine looks for circles every 60 s, and breaks each by failing the
/// [`lock`](Self::lock) of one of its members, picked at random. It sees these locks only: who waits for something
/// else, with a key in hand, is not part of a circle.
///
/// The keys' `Hash`, `Eq` and `Clone` must not use these locks.
///
/// # Examples
///
/// ```
/// use grapeshot_core::sync::KeyedLocks;
/// use grapeshot_core::test;
///
/// test::run(|| {
///     let accounts = KeyedLocks::new();
///     let ann = accounts.lock("ann").unwrap();
///     assert!(accounts.try_lock("ann").is_none());
///     assert!(accounts.try_lock("bob").is_some());
///     drop(ann);
///     let _everyone = accounts.lock_all().unwrap();
/// });
/// ```
#[doc(alias = "locksmith")]
pub struct KeyedLocks<K> {
    gate: RawRwLock,
    table: Rc<Table<K>>,
    scanner: Cell<Option<Coroutine>>,
}

struct Table<K> {
    keys: RefCell<HashMap<K, Entry>>,
    /// How many calls of `lock` wait for a key.
    waiting: Cell<usize>,
}

/// A key that somebody holds.
struct Entry {
    holder: Holder,
    /// Made for the first who waits.
    line: Option<Rc<Line<Rc<Wait>>>>,
}

/// One who waits for a key.
struct Wait {
    waiter: Holder,
    /// Why it is to have the key never, if it is so.
    verdict: Cell<Option<DeadlockError>>,
}

impl<K> KeyedLocks<K>
where
    K: Eq + Hash + Clone + fmt::Debug + 'static,
{
    /// Makes locks of which nobody holds any.
    pub fn new() -> KeyedLocks<K> {
        let table = Table { keys: RefCell::new(HashMap::new()), waiting: Cell::new(0) };
        KeyedLocks { gate: RawRwLock::new(Recursion::Allowed), table: Rc::new(table), scanner: Cell::new(None) }
    }

    /// Takes the lock of a key, waiting while another holds it or all.
    ///
    /// # Errors
    ///
    /// [`DeadlockError`] when the coroutine holds the key already, and when it was picked to break a circle:
    /// it is to let go of the keys it has, and to begin anew.
    ///
    /// # Cancellation
    ///
    /// Unwinds, if it has to wait.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it has to wait.
    ///
    /// # Aborts
    ///
    /// When it has to wait in a coroutine that unwinds.
    #[track_caller]
    pub fn lock(&self, key: K) -> Result<KeyGuard<'_, K>, DeadlockError> {
        let passed = match self.gate.read("KeyedLocks::lock", None) {
            Ok(passed) => passed,
            Err(refused) => abort_refused("KeyedLocks::lock", refused),
        };
        let Err(held_by) = self.table.take(&key) else {
            return Ok(self.guard(key, passed));
        };
        let current = Holder::current();
        if held_by == current && current.id().is_some() {
            return Err(DeadlockError::of_one(current, format!("{key:?}")));
        }
        let _watched = self.watch();
        let wait = Rc::new(Wait { waiter: current, verdict: Cell::new(None) });
        let Some(line) = self.table.line_of(&key) else {
            unreachable!("nobody has run since the key was seen to be held");
        };
        if let Err(refused) = line.wait("KeyedLocks::lock", wait.clone(), Reason::Other("a keyed lock"), None, || {}) {
            abort_refused("KeyedLocks::lock", refused);
        }
        match wait.verdict.take() {
            None => Ok(self.guard(key, passed)),
            Some(deadlock) => Err(deadlock),
        }
    }

    /// Takes the lock of a key if that takes no wait. Never suspends.
    pub fn try_lock(&self, key: K) -> Option<KeyGuard<'_, K>> {
        let passed = self.gate.try_read()?;
        self.table.take(&key).ok()?;
        Some(self.guard(key, passed))
    }

    fn guard<'a>(&'a self, key: K, passed: Reading<'a>) -> KeyGuard<'a, K> {
        KeyGuard { key: HeldKey { table: &self.table, key }, passed }
    }

    /// Takes the lock over all keys, waiting until nobody else holds any; others wait from now on.
    ///
    /// Its holder may take single keys as well.
    ///
    /// # Errors
    ///
    /// [`DeadlockError`] when the coroutine holds a key, and would wait for itself.
    ///
    /// # Cancellation
    ///
    /// Unwinds, if it has to wait; those whom it held up go ahead.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it has to wait.
    ///
    /// # Aborts
    ///
    /// When it has to wait in a coroutine that unwinds.
    #[track_caller]
    pub fn lock_all(&self) -> Result<AllKeysGuard<'_>, DeadlockError> {
        let current = Holder::current();
        if self.gate.only_reads(current) {
            return Err(DeadlockError::of_one(current, "all keys".to_owned()));
        }
        match self.gate.write("KeyedLocks::lock_all", None) {
            Ok(writing) => Ok(AllKeysGuard { writing }),
            Err(refused) => abort_refused("KeyedLocks::lock_all", refused),
        }
    }

    /// Looks for circles now, breaks them, and says how many there were. Never suspends.
    pub fn deadlock_scan(&self) -> usize {
        self.table.break_circles()
    }

    /// Has those who wait looked at every now and then, as long as there are any.
    fn watch(&self) -> Watched<'_, K> {
        self.table.waiting.update(|count| count + 1);
        let scanner = self.scanner.take().filter(|scanner| !scanner.is_finished());
        let scanner = scanner.or_else(|| {
            let table = Rc::downgrade(&self.table);
            let spawned = Builder::new().name("keyed locks: deadlock scan").spawn(move || watch(&table));
            // Without room for one more coroutine there is no scan until somebody else has to wait.
            spawned.ok().map(|handle| handle.coroutine())
        });
        self.scanner.set(scanner);
        Watched(self)
    }
}

/// One wait that the scanner looks at; the last to end ends the scanner.
struct Watched<'a, K>(&'a KeyedLocks<K>);

impl<K> Drop for Watched<'_, K> {
    fn drop(&mut self) {
        let table = &self.0.table;
        table.waiting.update(|count| count - 1);
        if table.waiting.get() == 0
            && let Some(scanner) = self.0.scanner.take()
        {
            scanner.cancel();
        }
    }
}

/// Breaks circles until nobody waits, or the locks are gone.
fn watch<K: Eq + Hash + Clone + fmt::Debug>(table: &Weak<Table<K>>) {
    loop {
        sleep(SCAN_INTERVAL);
        match table.upgrade() {
            Some(table) if table.waiters() > 0 => table.break_circles(),
            _ => return,
        };
    }
}

impl<K> KeyedLocks<K> {
    /// How many keys are held.
    pub fn len(&self) -> usize {
        self.table.keys.borrow().len()
    }

    /// Whether no key is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many coroutines wait, for keys or for all.
    pub fn waiters(&self) -> usize {
        self.table.waiters() + self.gate.waiters()
    }
}

impl<K> Default for KeyedLocks<K>
where
    K: Eq + Hash + Clone + fmt::Debug + 'static,
{
    fn default() -> KeyedLocks<K> {
        KeyedLocks::new()
    }
}

impl<K> Drop for KeyedLocks<K> {
    fn drop(&mut self) {
        if let Some(scanner) = self.scanner.take() {
            scanner.cancel();
        }
    }
}

impl<K> fmt::Debug for KeyedLocks<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyedLocks({} held, {} waiting)", self.len(), self.waiters())
    }
}

impl<K> Table<K> {
    fn waiters(&self) -> usize {
        self.keys.borrow().values().filter_map(|entry| entry.line.as_ref()).map(|line| line.len()).sum()
    }
}

impl<K: Eq + Hash + Clone> Table<K> {
    /// Takes a key that nobody holds, or says who does.
    fn take(&self, key: &K) -> Result<(), Holder> {
        let mut keys = self.keys.borrow_mut();
        match keys.get(key) {
            Some(entry) => Err(entry.holder),
            None => {
                keys.insert(key.clone(), Entry { holder: Holder::current(), line: None });
                Ok(())
            }
        }
    }

    /// Where one waits for a key that somebody holds.
    fn line_of(&self, key: &K) -> Option<Rc<Line<Rc<Wait>>>> {
        let mut keys = self.keys.borrow_mut();
        let entry = keys.get_mut(key)?;
        Some(entry.line.get_or_insert_with(|| Rc::new(Line::new())).clone())
    }
}

impl<K: Eq + Hash> Table<K> {
    /// Hands a key to the first who waits for it, or forgets it.
    fn pass_on(&self, key: &K) {
        let mut keys = self.keys.borrow_mut();
        let Some(entry) = keys.get_mut(key) else { return };
        let next = entry.line.as_ref().and_then(|line| line.wake_first());
        let forgotten = match next {
            Some(next) => {
                entry.holder = next;
                None
            }
            None => keys.remove_entry(key),
        };
        drop(keys);
        drop(forgotten);
    }
}

impl<K: Eq + Hash + Clone + fmt::Debug> Table<K> {
    fn break_circles(&self) -> usize {
        let circles = circles(self.who_waits_for_whom());
        for circle in &circles {
            let victim = (random_u64() % circle.len() as u64) as usize;
            let keys = circle.iter().map(|edge| format!("{:?}", edge.wanted.key)).collect::<Vec<_>>();
            let mut links: Vec<_> = circle.iter().map(|edge| edge.waiter).zip(keys).collect();
            links.rotate_left(victim);
            let Wanted { line, wait, .. } = &circle[victim].wanted;
            let deadlock = DeadlockError::new(links);
            if line.wake_that(|candidate| Rc::ptr_eq(candidate, wait)) {
                wait.verdict.set(Some(deadlock));
            }
        }
        circles.len()
    }

    fn who_waits_for_whom(&self) -> Vec<Edge<Wanted<K>>> {
        let mut edges = Vec::new();
        for (key, entry) in &*self.keys.borrow() {
            let Some(line) = &entry.line else { continue };
            line.for_each_waiting(|wait| {
                let wanted = Wanted { key: key.clone(), line: line.clone(), wait: wait.clone() };
                edges.push(Edge { waiter: wait.waiter, holder: entry.holder, wanted });
            });
        }
        edges
    }
}

/// What somebody waits for, and how to end that.
struct Wanted<K> {
    key: K,
    line: Rc<Line<Rc<Wait>>>,
    wait: Rc<Wait>,
}

/// A key's lock, held. Dropping it unlocks.
#[must_use = "the lock is given back at once when its guard is not kept"]
pub struct KeyGuard<'a, K: Eq + Hash> {
    // Fields are dropped from top to bottom: the gate is left last.
    key: HeldKey<'a, K>,
    #[expect(dead_code, reason = "it is there to be dropped")]
    passed: Reading<'a>,
}

struct HeldKey<'a, K: Eq + Hash> {
    table: &'a Table<K>,
    key: K,
}

impl<K: Eq + Hash> KeyGuard<'_, K> {
    /// The key.
    pub fn key(&self) -> &K {
        &self.key.key
    }
}

impl<K: Eq + Hash> Drop for HeldKey<'_, K> {
    fn drop(&mut self) {
        self.table.pass_on(&self.key);
    }
}

impl<K: Eq + Hash + fmt::Debug> fmt::Debug for KeyGuard<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyGuard({:?})", self.key())
    }
}

/// The lock over all keys, held. Dropping it unlocks.
#[must_use = "the lock is given back at once when its guard is not kept"]
pub struct AllKeysGuard<'a> {
    #[expect(dead_code, reason = "it is there to be dropped")]
    writing: Writing<'a>,
}

impl fmt::Debug for AllKeysGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AllKeysGuard")
    }
}

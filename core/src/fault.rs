//! The report of a stack overflow: which coroutine, where it was spawned, how large its stack is,
//! what to change.
//!
//! **How.** [`watch`] marks the coroutine that runs on this thread for as long as it runs. A fault
//! inside the guard of its stack ends in the handler of this file, on the thread's alternate signal
//! stack, for the coroutine's own has no room left. The handler writes the report to standard
//! error, puts the default action back and returns; the faulting instruction runs again and the
//! process dies of the signal, as it would have without us. A fault anywhere else goes to the
//! handler that was installed before, std's own for the overflow of a thread among them.
//!
//! **Invariants.** What runs in the handler neither allocates nor locks: it reads what [`watch`]
//! borrowed, formats into an array and calls `write`, `sigaction` and `raise`, all of which
//! signal-safety(7) allows. The previous handlers are recorded before ours can be called.
//!
//! **Known weakness.** A previous handler that did not ask for the alternate stack runs on it
//! nevertheless. A wild pointer into the guard of the coroutine's own stack is reported as an
//! overflow. The alternate stack of a thread that had none (only threads that std did not make) is
//! never freed: the kernel may use it until the thread is gone.
//!
//! **Sources.** sigaction(2), sigaltstack(2), signal-safety(7).

use std::cell::Cell;
use std::fmt::{self, Write};
use std::sync::atomic::{Ordering, compiler_fence};
use std::sync::{Once, OnceLock};
use std::{io, mem, ptr};

use crate::identity::Identity;
use crate::stack::LARGEST_STACK;

/// The signals of a memory fault.
const SIGNALS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// The size of the alternate stack of a thread that has none, and of the guard below it.
const ALTERNATE_STACK: usize = 64 << 10;

/// The most that a report says of a name and of a path, in characters, and the bytes it may have.
const NAME_SHOWN: usize = 64;
const PATH_SHOWN: usize = 128;
const REPORT_SIZE: usize = 1024;

/// What was installed for [`SIGNALS`] when [`install`] was called.
static PREVIOUS: OnceLock<[libc::sigaction; SIGNALS.len()]> = OnceLock::new();

thread_local! {
    /// What [`watch`] borrows at the moment, or null. Constant and without a destructor, so that
    /// the handler reads it without running any initialisation.
    static CURRENT: Cell<*const Identity> = const { Cell::new(ptr::null()) };
}

/// Installs the handler of memory faults, for the whole process and once; further calls do nothing.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = SIGNALS.map(action);
        // Nobody else sets it, and this runs once.
        let _ = PREVIOUS.set(previous);
        for (signal, previous) in SIGNALS.into_iter().zip(&previous) {
            let mut ours = *previous;
            ours.sa_sigaction = on_fault as extern "C" fn(_, _, _) as usize;
            ours.sa_flags &= libc::SA_NODEFER | libc::SA_RESTART;
            ours.sa_flags |= libc::SA_SIGINFO | libc::SA_ONSTACK;
            set_action(signal, &ours);
        }
    });
}

/// Gives the calling thread an alternate signal stack if it has none. The threads that std makes
/// have one.
///
/// # Errors
///
/// When the system refuses the memory for it.
pub(crate) fn ensure_alternate_stack() -> io::Result<()> {
    // SAFETY: a stack_t is plain data, for which all zeros are valid.
    let mut current: libc::stack_t = unsafe { mem::zeroed() };
    // SAFETY: `current` is a valid place for the answer, and nothing is changed.
    check(unsafe { libc::sigaltstack(ptr::null(), &mut current) })?;
    if current.ss_flags & libc::SS_DISABLE == 0 {
        return Ok(());
    }
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let len = 2 * ALTERNATE_STACK;
    // SAFETY: a new mapping at a place of the kernel's choice touches nothing that exists.
    let guard = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
    if guard == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let stack = guard.wrapping_byte_add(ALTERNATE_STACK);
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the upper half of the mapping made above, which nobody uses yet.
    check(unsafe { libc::mprotect(stack, ALTERNATE_STACK, protection) })?;
    let alternate = libc::stack_t { ss_sp: stack, ss_flags: 0, ss_size: ALTERNATE_STACK };
    // SAFETY: the memory is readable, writable, nobody else's, and never unmapped.
    check(unsafe { libc::sigaltstack(&alternate, ptr::null_mut()) })
}

/// Runs a coroutine, from its resumption until it suspends or ends, as the one that an overflow is
/// blamed on.
///
/// It costs a store before and one after, and no more: it is on the path of every switch.
#[inline]
pub(crate) fn watch<R>(info: &Identity, resume: impl FnOnce() -> R) -> R {
    /// Puts the previous value back, on a panic too. Until then the borrow of `info` lasts, which
    /// makes the pointer in `CURRENT` valid whenever it is not null.
    struct Restore(*const Identity);
    impl Drop for Restore {
        #[inline]
        fn drop(&mut self) {
            compiler_fence(Ordering::SeqCst);
            CURRENT.set(self.0);
        }
    }
    let _restore = Restore(CURRENT.replace(info));
    // The fences keep the compiler from moving the stores into what the handler may interrupt.
    compiler_fence(Ordering::SeqCst);
    resume()
}

/// Shows who runs on this thread now, if a coroutine does; for signal handlers.
pub(crate) fn with_watched(look: impl FnOnce(&Identity)) {
    // SAFETY: null, or borrowed by the call of `watch` that this thread is in.
    if let Some(current) = unsafe { CURRENT.get().as_ref() } {
        look(current);
    }
}

/// The signal handler.
extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo_t to a handler that was installed with SA_SIGINFO.
    let details = unsafe { &*info };
    // Not positive: sent by a process, and not caused by what this thread did.
    let sent = details.si_code <= 0;
    // SAFETY: every siginfo_t has bytes at the place of the address; for a fault the kernel has set
    // them.
    let addr = unsafe { details.si_addr() } as usize;
    // SAFETY: null, or borrowed by the call of `watch` that this thread is in.
    let current = unsafe { CURRENT.get().as_ref() };
    match current {
        Some(current) if !sent && current.guards(addr) => {
            Report::of(current).print();
            set_default(signal);
        }
        _ => forward(signal, sent, info, context),
    }
}

/// Does with a signal what would have been done with it without us.
fn forward(signal: libc::c_int, sent: bool, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    type Plain = extern "C" fn(libc::c_int);
    type Detailed = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

    let position = SIGNALS.iter().position(|&known| known == signal);
    let (Some(position), Some(previous)) = (position, PREVIOUS.get()) else {
        return set_default(signal);
    };
    let previous = &previous[position];
    match previous.sa_sigaction {
        libc::SIG_IGN if sent => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // A fault is not ignored, even if the signal is: the instruction would run again for
            // ever. It runs again after our return, to the default action. A signal that was sent
            // comes but once, so it is sent again.
            set_default(signal);
            if sent {
                // SAFETY: raise has no preconditions, and may be called in a handler.
                unsafe { libc::raise(signal) };
            }
        }
        handler => {
            if previous.sa_flags & libc::SA_RESETHAND != 0 {
                set_default(signal);
            }
            if previous.sa_flags & libc::SA_SIGINFO != 0 {
                // SAFETY: with this flag, and neither SIG_DFL nor SIG_IGN, the number is such a
                // function's address.
                let handler = unsafe { mem::transmute::<usize, Detailed>(handler) };
                handler(signal, info, context);
            } else {
                // SAFETY: without the flag, and neither SIG_DFL nor SIG_IGN, the number is such a
                // function's address.
                let handler = unsafe { mem::transmute::<usize, Plain>(handler) };
                handler(signal);
            }
        }
    }
}

/// The text for standard error, in a fixed buffer; what has no room is left out.
struct Report {
    bytes: [u8; REPORT_SIZE],
    len: usize,
}

impl Report {
    fn of(overflowed: &Identity) -> Self {
        let mut report = Self { bytes: [0; REPORT_SIZE], len: 0 };
        // A report that is cut short is still one.
        let _ = report.describe(overflowed);
        report
    }

    fn describe(&mut self, overflowed: &Identity) -> fmt::Result {
        let Identity { id, name, spawned_at, stack } = overflowed;
        let Some(stack) = stack.get() else {
            return Ok(());
        };
        write!(self, "\ncoroutine {id}")?;
        // The fault may have come while the name was being set; then it is left out.
        let name = name.try_borrow();
        if let Ok(Some(name)) = name.as_deref() {
            write!(self, " '{}'", Printable(name, NAME_SHOWN))?;
        }
        let (path, line) = (Printable(spawned_at.file(), PATH_SHOWN), spawned_at.line());
        let (size, guard) = (stack.size(), stack.guard().len());
        write!(
            self,
            " overflowed its stack\n  spawned at {path}:{line}\n  \
             stack size {size} bytes, of which {guard} are the guard that was hit\n  \
             to change it: Builder::stack_size for this coroutine, Runtime::stack_size for all; \
             the largest is {LARGEST_STACK}\n"
        )
    }

    fn print(&self) {
        let mut rest = &self.bytes[..self.len];
        while !rest.is_empty() {
            // SAFETY: the pointer and the length are those of one slice.
            let written = unsafe { libc::write(2, rest.as_ptr().cast(), rest.len()) };
            match usize::try_from(written) {
                Ok(written) if written > 0 => rest = &rest[written..],
                _ => return,
            }
        }
    }
}

impl Write for Report {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + text.len());
        room.ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

/// The first characters of a text, without what would command a terminal.
struct Printable<'a>(&'a str, usize);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars().take(self.1) {
            f.write_char(if char.is_control() { '?' } else { char })?;
        }
        Ok(())
    }
}

fn set_default(signal: libc::c_int) {
    // SAFETY: a sigaction is plain data, for which all zeros are valid: the default action, nothing
    // masked.
    let default: libc::sigaction = unsafe { mem::zeroed() };
    set_action(signal, &default);
}

fn action(signal: libc::c_int) -> libc::sigaction {
    // SAFETY: a sigaction is plain data, for which all zeros are valid.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: `action` is a valid place for the answer, and nothing is changed.
    let result = unsafe { libc::sigaction(signal, ptr::null(), &mut action) };
    debug_assert_eq!(result, 0, "sigaction failed to tell the action of a signal");
    action
}

fn set_action(signal: libc::c_int, action: &libc::sigaction) {
    // SAFETY: the action is the default, `on_fault` or one that was installed before, all sound for
    // any signal here.
    let result = unsafe { libc::sigaction(signal, action, ptr::null_mut()) };
    debug_assert_eq!(result, 0, "sigaction refused an action for a memory fault");
}

fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::hint::black_box;
    use std::num::NonZeroU64;
    use std::os::unix::process::ExitStatusExt;
    use std::panic::Location;

    use corosensei::Coroutine;

    use super::*;
    use crate::identity::CoroutineId;
    use crate::stack::tests::{in_child, rerun};
    use crate::stack::{StackOptions, StackPool};

    const EXIT_OF_PREVIOUS: i32 = 77;

    /// Runs `body` on a coroutine that is being watched.
    fn run_watched(name: &str, body: impl FnOnce() + 'static) {
        let pool = StackPool::new(StackOptions::default()).unwrap();
        let stack = pool.take(pool.default_size()).unwrap();
        let info = Identity {
            id: CoroutineId(NonZeroU64::new(4711).unwrap()),
            name: RefCell::new(Some(name.into())),
            spawned_at: Location::caller(),
            stack: Cell::new(Some(stack.extent())),
        };
        let mut coroutine = Coroutine::<(), (), (), _>::with_stack(stack, |_, ()| body());
        watch(&info, || coroutine.resume(()));
        pool.give_back(coroutine.into_stack());
    }

    fn recurse(depth: u64) -> u64 {
        let frame = black_box([depth; 32]);
        frame[3] + if depth == u64::MAX { 0 } else { recurse(depth + 1) } + frame[5]
    }

    /// Reads from an address that is never mapped.
    fn fault() {
        let nowhere = ptr::without_provenance::<u64>(64);
        // SAFETY: it is not sound; the child process that does this dies of it, as its test
        // expects.
        black_box(unsafe { nowhere.read_volatile() });
    }

    extern "C" fn plain_handler(_: libc::c_int) {
        // SAFETY: ends the process without running anything of it.
        unsafe { libc::_exit(EXIT_OF_PREVIOUS) }
    }

    extern "C" fn detailed_handler(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        // SAFETY: installed with SA_SIGINFO, so what the handler forwards is a valid siginfo_t.
        let details = unsafe { &*info };
        // SAFETY: the signal is a fault's, so the address is set.
        let addr = unsafe { details.si_addr() } as usize;
        if addr == 64 {
            plain_handler(0);
        }
    }

    fn set_handler(handler: usize, flags: libc::c_int) {
        // SAFETY: a sigaction is plain data, for which all zeros are valid.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        action.sa_sigaction = handler;
        action.sa_flags = flags | libc::SA_ONSTACK;
        set_action(libc::SIGSEGV, &action);
    }

    fn report_of(test: &str) -> String {
        let output = rerun("fault::tests", test, "");
        let report = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{report}");
        report
    }

    #[test]
    fn an_overflow_names_the_coroutine_its_spawn_its_size_and_the_remedy() {
        if in_child().is_some() {
            install();
            run_watched("reader\x1b of peer", || _ = black_box(recurse(0)));
        }
        let report = report_of("an_overflow_names_the_coroutine_its_spawn_its_size_and_the_remedy");
        assert!(report.contains("coroutine 4711 'reader? of peer' overflowed its stack"), "{report}");
        assert!(report.contains("fault.rs:"), "{report}");
        assert!(report.contains("stack size 262144 bytes"), "{report}");
        assert!(report.contains("Builder::stack_size"), "{report}");
    }

    #[test]
    fn a_thread_without_an_alternate_stack_gets_one_that_carries_the_report() {
        if in_child().is_some() {
            install();
            let none = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
            // SAFETY: no handler runs on the stack that this takes away.
            check(unsafe { libc::sigaltstack(&none, ptr::null_mut()) }).unwrap();
            ensure_alternate_stack().unwrap();
            run_watched("lonely", || _ = black_box(recurse(0)));
        }
        let report = report_of("a_thread_without_an_alternate_stack_gets_one_that_carries_the_report");
        assert!(report.contains("'lonely' overflowed its stack"), "{report}");
    }

    #[test]
    fn an_overflow_of_a_thread_is_still_reported_by_std() {
        if in_child().is_some() {
            install();
            run_watched("innocent", || {});
            black_box(recurse(0));
        }
        let output = rerun("fault::tests", "an_overflow_of_a_thread_is_still_reported_by_std", "");
        let report = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{report}");
        assert!(report.contains("has overflowed its stack"), "{report}");
        assert!(!report.contains("coroutine"), "{report}");
    }

    #[test]
    fn a_fault_elsewhere_goes_to_the_handler_that_was_there_before() {
        if let Some(kind) = in_child() {
            match kind.as_str() {
                "plain" => set_handler(plain_handler as extern "C" fn(_) as usize, 0),
                _ => set_handler(detailed_handler as extern "C" fn(_, _, _) as usize, libc::SA_SIGINFO),
            }
            install();
            run_watched("faulty", fault);
        }
        for kind in ["plain", "detailed"] {
            let test = "a_fault_elsewhere_goes_to_the_handler_that_was_there_before";
            let output = rerun("fault::tests", test, kind);
            let report = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(EXIT_OF_PREVIOUS), "{kind}: {report}");
            assert!(!report.contains("coroutine"), "{report}");
        }
    }

    #[test]
    fn a_fault_kills_as_before_if_the_signal_had_no_handler() {
        if let Some(kind) = in_child() {
            set_handler(if kind == "default" { libc::SIG_DFL } else { libc::SIG_IGN }, 0);
            install();
            run_watched("faulty", fault);
        }
        for kind in ["default", "ignored"] {
            let test = "a_fault_kills_as_before_if_the_signal_had_no_handler";
            let output = rerun("fault::tests", test, kind);
            assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{kind}");
        }
    }

    #[test]
    fn a_signal_that_was_sent_keeps_its_default_action_or_stays_ignored() {
        if let Some(kind) = in_child() {
            set_handler(if kind == "default" { libc::SIG_DFL } else { libc::SIG_IGN }, 0);
            install();
            // SAFETY: raise has no preconditions.
            unsafe { libc::raise(libc::SIGSEGV) };
            std::process::exit(EXIT_OF_PREVIOUS);
        }
        let test = "a_signal_that_was_sent_keeps_its_default_action_or_stays_ignored";
        let killed = rerun("fault::tests", test, "default");
        assert_eq!(killed.status.signal(), Some(libc::SIGSEGV));
        let spared = rerun("fault::tests", test, "ignored");
        assert_eq!(spared.status.code(), Some(EXIT_OF_PREVIOUS));
    }

    #[test]
    fn nobody_is_blamed_after_the_coroutine_has_suspended_or_panicked() {
        run_watched("short", || {});
        assert!(CURRENT.get().is_null());
        let outcome = std::panic::catch_unwind(|| {
            run_watched("loud", || std::panic::resume_unwind(Box::new(())));
        });
        assert!(outcome.is_err());
        assert!(CURRENT.get().is_null());
    }

    #[test]
    fn a_report_without_room_is_cut_and_not_lost() {
        let mut report = Report { bytes: [0; REPORT_SIZE], len: 0 };
        while report.write_str("0123456789").is_ok() {}
        assert_eq!(report.len, REPORT_SIZE / 10 * 10);
    }
}

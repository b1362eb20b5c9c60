//! The watchdog: a thread that names the coroutine which holds the loop, while it holds it (DIA-1).
//!
//! ```text
//!   loop's thread                          watchdog's thread
//!   ─────────────                          ─────────────────
//!   beat, once a resume ──── Pulse ──────► the same beat for 0.2 s?
//!   handler ◄──────────── signal ───────── ask
//!     copies registers and stack ────────► unwind the copy, report; names come from a third thread
//! ```
//!
//! **How.** The loop counts its resumes in [`Pulse`], one relaxed store each. The watchdog looks at
//! the count a few times within the limit; when it stands still, and the loop does not wait in its
//! poller, somebody holds the loop. A signal sent to that thread alone then has its handler copy
//! who runs, three registers and a bounded piece of the coroutine's stack into a [`Sample`] that was
//! made beforehand. Everything else, unwinding above all, is done with the copy by the watchdog's
//! thread: a walk inside the handler would take locks that the interrupted code may hold.
//!
//! **Invariants.** What runs in the handler neither allocates nor locks nor calls the system. A
//! [`Sample`] is written by the handler alone while it is `WRITING` and read by the watchdog alone
//! while it is `TAKEN`. `SAMPLE` names the sample of the runtime that runs on the thread, or nothing.
//!
//! **Known weaknesses.** The signal is SIGURG, whose default is to be ignored; a program with a
//! handler of its own keeps it, if it installed it before the first run; one that it installs later
//! must call ours, as signal-hook's does, and should run on the alternate stack as well. A few system calls are not
//! resumed after a handler whatever its flags (poll(2), nanosleep(2)) and say EINTR once a hold. A
//! thread in an uninterruptible sleep answers when that is over. Of a stack the innermost 64 KiB are
//! copied. Of the loop's own stack, where no coroutine runs, there is no copy.
//!
//! **Sources.** tgkill(2), sigaction(2), signal(7) on system calls that a handler interrupts,
//! dl_iterate_phdr(3), the Linux Standard Base 5.0, 10.6.2, on `.eh_frame_hdr`.

mod monitor;
mod names;
mod pulse;
mod report;
mod unwind;

use std::cell::{Cell, UnsafeCell};
use std::io;
use std::mem;
use std::panic::Location;
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Once, OnceLock};

#[doc(hidden)]
pub use self::monitor::stacks_sampled;
pub(crate) use self::monitor::{Watchdog, watch};
pub(crate) use self::pulse::{Pulse, excused};
pub use self::report::{
    LatencyNotifier, LatencyWarning, restore_latency_notifier, set_latency_notifier, set_latency_warning,
};

use crate::fault;
use crate::identity::CoroutineId;

/// Nobody takes it for more than it is: its default action is none, and programs that use it expect it for no reason.
const SIGNAL: libc::c_int = libc::SIGURG;

/// How much of a stack is copied, from the innermost frame on.
const STACK_COPIED: usize = 64 << 10;
const WORDS_COPIED: usize = STACK_COPIED / size_of::<u64>();

/// How much of a name is copied.
const NAME_COPIED: usize = 64;

/// What was installed for [`SIGNAL`] before.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

thread_local! {
    /// The sample of this thread's runtime, or null. Constant and without a destructor, so that the handler reads it
    /// without running any initialisation.
    static SAMPLE: Cell<*const Sample> = const { Cell::new(ptr::null()) };
}

/// The states of a [`Sample`].
const IDLE: u8 = 0;
const ASKED: u8 = 1;
const WRITING: u8 = 2;
const TAKEN: u8 = 3;

/// Where the handler leaves what it saw.
pub(crate) struct Sample {
    /// Whose turn it is with `taken`.
    state: AtomicU8,
    taken: UnsafeCell<Taken>,
}

// SAFETY: `taken` is touched by the handler alone while `state` is `WRITING`, and by the watchdog alone while it is
// `TAKEN`; the steps into and out of these states are acquire and release.
unsafe impl Sync for Sample {}

/// What the handler saw.
pub(crate) struct Taken {
    pub(crate) registers: Registers,
    pub(crate) holder: Option<Holder>,
    /// The address of the first word of `stack`.
    pub(crate) stack_start: u64,
    /// How many words of `stack` are those of the interrupted stack.
    pub(crate) words: usize,
    pub(crate) stack: Box<[u64; WORDS_COPIED]>,
}

/// The registers that an unwinder starts from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Registers {
    pub(crate) pc: u64,
    pub(crate) sp: u64,
    pub(crate) fp: u64,
    #[cfg(target_arch = "aarch64")]
    pub(crate) link: u64,
}

/// Who holds the loop.
#[derive(Clone, Copy)]
pub(crate) struct Holder {
    pub(crate) id: CoroutineId,
    pub(crate) spawned_at: &'static Location<'static>,
    name: [u8; NAME_COPIED],
    name_len: usize,
}

impl Holder {
    /// Its name, cut short where there was no room.
    pub(crate) fn name(&self) -> Option<String> {
        let name = &self.name[..self.name_len];
        (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
    }
}

impl Sample {
    fn new() -> Sample {
        let taken = Taken {
            registers: Registers::default(),
            holder: None,
            stack_start: 0,
            words: 0,
            stack: Box::new([0; WORDS_COPIED]),
        };
        Sample { state: AtomicU8::new(IDLE), taken: UnsafeCell::new(taken) }
    }

    /// Asks the thread for a sample. False if the system refused to send the signal, or the last one was not collected.
    pub(crate) fn ask(&self, thread: libc::pid_t) -> bool {
        if self.state.compare_exchange(IDLE, ASKED, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return false;
        }
        // SAFETY: getpid has no preconditions.
        let process = unsafe { libc::getpid() };
        // SAFETY: sends a signal that a handler is installed for to a thread of this process, or to nobody.
        let sent = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, SIGNAL) };
        sent == 0 || !self.withdraw()
    }

    /// Takes the question back; false if it is being answered, or has been.
    pub(crate) fn withdraw(&self) -> bool {
        self.state.compare_exchange(ASKED, IDLE, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Shows the answer, if it is there, and makes room for the next.
    pub(crate) fn collect<R>(&self, look: impl FnOnce(&Taken) -> R) -> Option<R> {
        if self.state.load(Ordering::Acquire) != TAKEN {
            return None;
        }
        // SAFETY: the sample is `TAKEN`, so it is the watchdog's, which is one thread, until the store below.
        let taken = unsafe { &*self.taken.get() };
        let seen = look(taken);
        self.state.store(IDLE, Ordering::Release);
        Some(seen)
    }

    /// Answers, in the handler, if asked.
    fn answer(&self, registers: Registers) -> bool {
        if self.state.compare_exchange(ASKED, WRITING, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return false;
        }
        // SAFETY: the sample is `WRITING`, so it is this handler's until the store below.
        let taken = unsafe { &mut *self.taken.get() };
        taken.registers = registers;
        taken.words = 0;
        taken.holder = None;
        fault::with_watched(|identity| {
            taken.holder = Some(holder(identity));
            if let Some(extent) = identity.stack.get() {
                taken.copy_stack(extent.usable(), registers.sp);
            }
        });
        self.state.store(TAKEN, Ordering::Release);
        true
    }
}

/// Copies who it is without allocating.
fn holder(identity: &crate::identity::Identity) -> Holder {
    let mut holder = Holder { id: identity.id, spawned_at: identity.spawned_at, name: [0; NAME_COPIED], name_len: 0 };
    // The signal may have come while the name was being set; then it is left out.
    if let Ok(Some(name)) = identity.name.try_borrow().as_deref() {
        let bytes = &name.as_bytes()[..name.len().min(NAME_COPIED)];
        holder.name[..bytes.len()].copy_from_slice(bytes);
        holder.name_len = bytes.len();
    }
    holder
}

impl Taken {
    /// Copies the words from `sp` on, as far as the stack and the room for them go.
    fn copy_stack(&mut self, stack: std::ops::Range<usize>, sp: u64) {
        const WORD: usize = size_of::<u64>();
        let start = (sp as usize) & !(WORD - 1);
        // The coroutine may be about to leave its stack, or have just come to it.
        if !stack.contains(&start) {
            return;
        }
        let words = ((stack.end - start) / WORD).min(WORDS_COPIED);
        let from = ptr::with_exposed_provenance::<u64>(start);
        // SAFETY: aligned words of the mapped stack that this thread was interrupted on, all in use by what was
        // interrupted: the handler runs on another stack or below them, so nobody writes to them meanwhile.
        // The copy has room for as many.
        unsafe { ptr::copy_nonoverlapping(from, self.stack.as_mut_ptr(), words) };
        self.stack_start = start as u64;
        self.words = words;
    }
}

/// The number by which the system knows the calling thread.
fn own_thread() -> libc::pid_t {
    // SAFETY: gettid has no preconditions.
    unsafe { libc::gettid() }
}

/// Lets signals to this thread be answered in `sample`, or in none.
///
/// The sample must be in place for as long: [`Watchdog`] sees to that, which owns it and takes it out when it ends.
fn install_sample(sample: *const Sample) {
    SAMPLE.set(sample);
}

/// Installs the handler, for the whole process and once.
fn install_handler() -> io::Result<()> {
    static INSTALLED: Once = Once::new();
    let mut outcome = Ok(());
    INSTALLED.call_once(|| outcome = replace_handler());
    outcome
}

fn replace_handler() -> io::Result<()> {
    // SAFETY: a sigaction is plain data, for which all zeros are valid.
    let mut previous: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: `previous` is a valid place for the answer, and nothing is changed.
    check(unsafe { libc::sigaction(SIGNAL, ptr::null(), &mut previous) })?;
    // Nobody else sets it, and this runs once.
    let _ = PREVIOUS.set(previous);
    let mut ours = previous;
    ours.sa_sigaction = on_signal as extern "C" fn(_, _, _) as usize;
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    // SAFETY: `on_signal` has the form that SA_SIGINFO asks for, and does only what a handler may.
    check(unsafe { libc::sigaction(SIGNAL, &ours, ptr::null_mut()) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The signal handler.
extern "C" fn on_signal(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: null, or set by `install_sample` on this thread, whose caller keeps it in place.
    let sample = unsafe { SAMPLE.get().as_ref() };
    // SAFETY: the kernel passes a valid ucontext_t to a handler that was installed with SA_SIGINFO.
    let interrupted = unsafe { &*context.cast::<libc::ucontext_t>() };
    if !sample.is_some_and(|sample| sample.answer(registers_of(interrupted))) {
        forward(signal, info, context);
    }
}

#[cfg(target_arch = "x86_64")]
fn registers_of(context: &libc::ucontext_t) -> Registers {
    let register = |number: libc::c_int| context.uc_mcontext.gregs[number as usize] as u64;
    Registers { pc: register(libc::REG_RIP), sp: register(libc::REG_RSP), fp: register(libc::REG_RBP) }
}

#[cfg(target_arch = "aarch64")]
fn registers_of(context: &libc::ucontext_t) -> Registers {
    let machine = &context.uc_mcontext;
    Registers { pc: machine.pc, sp: machine.sp, fp: machine.regs[29], link: machine.regs[30] }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn registers_of(_context: &libc::ucontext_t) -> Registers {
    Registers::default()
}

/// Gives a signal that is not ours to the handler there was.
fn forward(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    type Plain = extern "C" fn(libc::c_int);
    type Detailed = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

    let Some(previous) = PREVIOUS.get() else { return };
    match previous.sa_sigaction {
        // The default action of this signal is none as well.
        libc::SIG_IGN | libc::SIG_DFL => {}
        handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: with this flag, and neither SIG_DFL nor SIG_IGN, the number is such a function's address.
            let handler = unsafe { mem::transmute::<usize, Detailed>(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: without the flag, and neither SIG_DFL nor SIG_IGN, the number is such a function's address.
            let handler = unsafe { mem::transmute::<usize, Plain>(handler) };
            handler(signal);
        }
    }
}

/// How often libraries had been loaded and unloaded when the modules were listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModulesVersion(u64, u64);

/// A program or library in memory, and a copy of what says how to unwind its functions.
pub(crate) struct LoadedModule {
    /// What is added to the addresses of its file.
    pub(crate) bias: u64,
    /// From its lowest address to its highest.
    pub(crate) range: std::ops::Range<u64>,
    /// `.eh_frame_hdr`, a table to search `.eh_frame` by, with its address.
    pub(crate) index: (u64, Vec<u8>),
    /// `.eh_frame`, perhaps with something behind it, with its address.
    pub(crate) frames: (u64, Vec<u8>),
}

/// The modules in memory, unless they are those of `known`.
pub(crate) fn modules_unless(known: Option<ModulesVersion>) -> Option<(ModulesVersion, Vec<LoadedModule>)> {
    struct Listing {
        known: Option<ModulesVersion>,
        version: Option<ModulesVersion>,
        modules: Vec<LoadedModule>,
    }
    extern "C" fn note(info: *mut libc::dl_phdr_info, _size: usize, data: *mut libc::c_void) -> libc::c_int {
        // SAFETY: `data` is the listing that dl_iterate_phdr was given below, and nobody else's meanwhile.
        let listing = unsafe { &mut *data.cast::<Listing>() };
        // SAFETY: the loader passes a valid description, and keeps it so during this call.
        let info = unsafe { &*info };
        let version = ModulesVersion(info.dlpi_adds, info.dlpi_subs);
        listing.version = Some(version);
        if listing.known == Some(version) {
            return 1;
        }
        listing.modules.extend(loaded_module(info));
        0
    }
    let mut listing = Listing { known, version: None, modules: Vec::new() };
    // SAFETY: `note` gets back the listing that is passed here, which outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(note), (&raw mut listing).cast()) };
    let version = listing.version?;
    (known != Some(version)).then_some((version, listing.modules))
}

/// Copies what there is to unwind a module; only while the loader describes it, for it is not unloaded meanwhile.
fn loaded_module(info: &libc::dl_phdr_info) -> Option<LoadedModule> {
    // SAFETY: the loader's description points to as many program headers as it says.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let bias = info.dlpi_addr;
    let segments = || headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
    let range_of = |header: &libc::Elf64_Phdr| {
        let start = bias.wrapping_add(header.p_vaddr);
        start..start.wrapping_add(header.p_memsz)
    };
    let copy = |start: u64, end: u64| {
        let readable = |segment: &libc::Elf64_Phdr| {
            let range = range_of(segment);
            segment.p_flags & libc::PF_R != 0 && range.start <= start && start <= end && end <= range.end
        };
        segments().find(|segment| readable(segment))?;
        let from = ptr::with_exposed_provenance::<u8>(start as usize);
        // SAFETY: the range lies in a readable segment of a module that the loader keeps in memory during this call,
        // and such tables are never written to.
        Some(unsafe { std::slice::from_raw_parts(from, (end - start) as usize) }.to_vec())
    };
    let header = headers.iter().find(|header| header.p_type == libc::PT_GNU_EH_FRAME)?;
    let index = range_of(header);
    let index_bytes = copy(index.start, index.end)?;
    let frames = unwind::frames_address(index.start, &index_bytes)?;
    let segment = segments().map(range_of).find(|segment| segment.contains(&frames))?;
    let frames_bytes = copy(frames, segment.end)?;
    let start = segments().map(|segment| range_of(segment).start).min()?;
    let end = segments().map(|segment| range_of(segment).end).max()?;
    Some(LoadedModule { bias, range: start..end, index: (index.start, index_bytes), frames: (frames, frames_bytes) })
}

//! The memory that coroutines run on: guarded stacks, cut from a growing arena.
//!
//! **How.** A size class has slots of one size, cut from chunks of address space that are reserved
//! without being committed: only touched pages cost memory. The lowest 64 KiB of a slot are its
//! guard, installed when the stack is cut, as markers in the page tables (`MADV_GUARD_INSTALL`,
//! Linux 6.13) that need no mapping of their own, or else by `mprotect`, which costs two mappings a
//! stack. [`StackPool`] keeps the stacks that coroutines have done with, for reuse.
//!
//! ```text
//!   limit             floor                                     base
//!     | guard, 64 KiB   | the stack, which grows from base down   |
//! ```
//!
//! A coroutine that is suspended for long can give back the pages below its frames, with
//! [`Extent::release_below`].
//!
//! **Invariants.** No stack exists without its guard. A [`Stack`] owns its slot: whoever has the
//! value, and has not moved it into a coroutine, is the only user of that memory. The arena is
//! unmapped only after every stack it made was handed back to it; one that never is, because its
//! coroutine refused to end, keeps the memory mapped for ever. All unsafe code of the stacks is in
//! this file, and [`Stack`] values are made in it alone. This layer knows nothing of coroutines;
//! the fault handler learns from it where the guards are.
//!
//! **Sources.** madvise(2), proc_sys_vm(5), Linux `mm/madvise.c`.

mod error;
mod options;
mod pool;
#[cfg(test)]
pub(crate) mod tests;

use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) use self::error::StackError;
pub use self::options::Guards;
pub(crate) use self::options::{GuardKind, StackOptions, StackStats};
pub(crate) use self::pool::StackPool;

/// The bytes at the low end of every slot that fault when they are touched.
///
/// Sixteen pages and not one, because C code has no stack probes: a frame of up to this size that
/// starts inside the stack cannot jump into the neighbour.
pub(crate) const GUARD_SIZE: usize = 64 << 10;

/// The sizes of the slots, guard included, smallest first. All are multiples of every page size in
/// use.
const SLOT_SIZES: [usize; 4] = [128 << 10, 256 << 10, 1 << 20, 8 << 20];

/// The largest slot.
pub(crate) const LARGEST_STACK: usize = SLOT_SIZES[SLOT_SIZES.len() - 1];

/// Where a [`Stack`] keeps its class: bits that are clear in the address of a page.
const CLASS_BITS: usize = SLOT_SIZES.len() - 1;

/// A class reserves its first chunk in this size and doubles up to [`LAST_CHUNK`].
const FIRST_CHUNK: usize = 16 << 20;
const LAST_CHUNK: usize = 1 << 30;

/// What a suspended coroutine may use below its [`stack_pointer`]: the frames of corosensei's
/// `suspend` and the registers it saves. At most 80 bytes were seen in release builds and 600 in
/// debug builds; a test looks.
const SUSPEND_MARGIN: usize = 1024;

/// The mappings of the process that stacks never take, so that the allocator and new threads still
/// find some.
const SPARE_MAPPINGS: usize = 1024;

/// `MADV_GUARD_INSTALL`, from the kernel's `mman-common.h`.
const MADV_GUARD_INSTALL: libc::c_int = 102;

/// The guards in force that `mprotect` made, over all pools: each takes two of the mappings the
/// process may have.
static MAPPED_GUARDS: AtomicUsize = AtomicUsize::new(0);

/// A guarded stack that nobody else uses: one slot, owned.
///
/// When its coroutine has ended it goes back through [`StackPool::give_back`]. Dropping it instead
/// gives its slot up: that is never reused, and the arena stays mapped for ever. A value without a
/// destructor and without a pointer to its pool is what keeps a spawn cheap.
#[derive(Debug)]
#[must_use = "a stack that is dropped is never reused"]
pub(crate) struct Stack {
    /// The slot's upper end, a page's boundary, and in the bits of [`CLASS_BITS`] the index of its
    /// size in [`SLOT_SIZES`]. One word and not two fields: a pair that is stored by halves and
    /// loaded whole stalls the processor, and doubled the cost of taking a stack.
    base_and_class: NonZeroUsize,
}

impl Stack {
    /// Names the slot of this class that ends at `base` as a stack. For [`Arena::cut`] only.
    fn new(base: usize, class: usize) -> Self {
        Self { base_and_class: mapped_address(base | class) }
    }

    #[inline]
    fn class(&self) -> usize {
        self.base_and_class.get() & CLASS_BITS
    }

    /// Where the stack lies; a copy that may be kept while a coroutine owns the stack.
    #[inline]
    pub(crate) fn extent(&self) -> Extent {
        let base = self.base_and_class.get() & !CLASS_BITS;
        Extent { limit: base - SLOT_SIZES[self.class()], base }
    }

    /// Gives back the memory of the stack but for the `kept` bytes at its upper end, whole pages.
    fn trim(&mut self, kept: usize) {
        let extent = self.extent();
        let kept = kept.min(extent.base - extent.floor());
        // SAFETY: a stack that exists is mapped, and this one is not in a coroutine, or we could
        // not borrow it: nothing on it is live.
        unsafe { discard(extent.floor()..extent.base - kept) };
    }
}

// SAFETY: `Arena::cut` is the only maker of a `Stack`. Its slot is readable and writable, aligned
// to a page, at least 64 KiB above a guard of 64 KiB that faults, nobody else's, and mapped for as
// long as the value exists or if it is leaked (`Arena`'s destructor).
unsafe impl corosensei::stack::Stack for Stack {
    #[inline]
    fn base(&self) -> NonZeroUsize {
        let base = self.extent().base;
        mapped_address(base - stagger(base))
    }

    #[inline]
    fn limit(&self) -> NonZeroUsize {
        mapped_address(self.extent().limit)
    }
}

/// How far below its slot's end a stack begins, in bytes; a multiple of the stack alignment.
///
/// Slots begin at multiples of a page, so without this the few lines that each suspended coroutine is resumed from
/// would all fall into the same sets of the caches, which index by the offset in a page. The steps stay within the
/// half of a page that a shallow coroutine does not need.
#[inline]
fn stagger(base: usize) -> usize {
    const STEPS: usize = 32;
    const CACHE_LINE: usize = 64;
    (base / SLOT_SIZES[0] / 2 % STEPS) * CACHE_LINE
}

/// Where a stack lies, as addresses: `limit..limit + GUARD_SIZE` is the guard, the rest up to
/// `base` the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    limit: usize,
    base: usize,
}

impl Extent {
    /// The addresses that fault.
    pub(crate) fn guard(self) -> Range<usize> {
        self.limit..self.floor()
    }

    /// The slot's size in bytes, guard included: what was asked for, rounded up to its class.
    pub(crate) fn size(self) -> usize {
        self.base - self.limit
    }

    /// The addresses of the stack itself.
    pub(crate) fn usable(self) -> Range<usize> {
        self.floor()..self.base
    }

    /// Gives back the memory of the whole pages that a suspended coroutine does not use, those
    /// below `sp` less a margin for what corosensei keeps there. Makes one system call, or none if
    /// there is no such page.
    ///
    /// # Safety
    ///
    /// The [`Stack`] must exist, and no coroutine may be running on it. If one is suspended on it,
    /// `sp` must be the [`stack_pointer`] taken by the function that then called `suspend`, in
    /// which the coroutine still is.
    pub(crate) unsafe fn release_below(self, sp: usize) {
        let unused = self.floor()..page_floor(sp.min(self.base) - SUSPEND_MARGIN);
        // SAFETY: a stack that exists is mapped; the margin makes these pages lie below all that a
        // coroutine suspended on it uses.
        unsafe { discard(unused) };
    }

    /// The lowest address of the stack itself.
    fn floor(self) -> usize {
        self.limit + GUARD_SIZE
    }
}

/// How far down the stack reaches that this thread runs on, for [`Extent::release_below`].
///
/// It is a call of its own, because the address of a local says little: the rest of the frame may
/// lie far below it.
#[inline(never)]
pub(crate) fn stack_pointer() -> usize {
    let local = 0_u8;
    std::hint::black_box(&raw const local).addr()
}

/// The address space of one pool's stacks: it makes them, and is unmapped when it has all back.
#[derive(Debug)]
struct Arena {
    slots: [Slots; SLOT_SIZES.len()],
    guards: GuardKind,
    /// The stacks made and not retired.
    out: usize,
    /// This arena's share of [`MAPPED_GUARDS`].
    mapped_guards: usize,
    /// `vm.max_map_count` when last read; 0 before.
    mapping_limit: usize,
}

/// The chunks of one class.
#[derive(Debug)]
struct Slots {
    size: usize,
    /// Whole mappings, each made by [`reserve`] and unmapped with the arena.
    chunks: Vec<Range<usize>>,
    /// The part of the last chunk that no stack was made of: whole slots, without guards.
    unused: Range<usize>,
}

impl Arena {
    /// Makes an arena that has reserved nothing yet.
    fn new(guards: Guards) -> Result<Self, StackError> {
        Ok(Self {
            slots: SLOT_SIZES.map(|size| Slots { size, chunks: Vec::new(), unused: 0..0 }),
            guards: match guards {
                Guards::Auto => probe_guards()?,
                Guards::Mprotect => GuardKind::MprotectAsked,
            },
            out: 0,
            mapped_guards: 0,
            mapping_limit: 0,
        })
    }

    /// Makes a stack of a slot that has not been one, and guards it. After an error nothing has
    /// changed, and the next call tries again.
    fn cut(&mut self, class: usize) -> Result<Stack, StackError> {
        let slot = self.slots[class].next_unused()?;
        // SAFETY: the slot is mapped, and it is nobody's before this function returns it.
        unsafe { self.guard(slot.start) }?;
        self.slots[class].unused.start = slot.end;
        self.out += 1;
        Ok(Stack::new(slot.end, class))
    }

    /// Takes a stack out of existence. One of another arena stays that arena's debt for ever.
    fn retire(&mut self, stack: Stack) {
        let slot = stack.extent().limit;
        let mut chunks = self.slots[stack.class()].chunks.iter();
        if chunks.any(|chunk| chunk.contains(&slot)) {
            self.out -= 1;
        }
    }

    fn reserved(&self, class: usize) -> usize {
        let slots = &self.slots[class];
        slots.chunks.iter().map(|chunk| chunk.len() / slots.size).sum()
    }

    /// Installs the guard that begins at `start`.
    ///
    /// # Safety
    ///
    /// `start` must be the low end of a mapped slot that has not been a stack.
    unsafe fn guard(&mut self, start: usize) -> Result<(), StackError> {
        if self.guards == GuardKind::Markers {
            // SAFETY: nobody uses the slot, as the caller promises.
            match unsafe { install_markers(start, GUARD_SIZE) } {
                // The probe succeeded, so the kernel has markers: the memory has been locked since.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    self.guards = GuardKind::MprotectLockedMemory;
                }
                result => return result.map_err(StackError::guard),
            }
        }
        // SAFETY: the caller's promise, passed on.
        unsafe { self.map_guard(start) }
    }

    /// # Safety
    ///
    /// As for [`Arena::guard`].
    unsafe fn map_guard(&mut self, start: usize) -> Result<(), StackError> {
        let mappings = 2 * (MAPPED_GUARDS.load(Ordering::Relaxed) + 1) + SPARE_MAPPINGS;
        if mappings > self.mapping_limit {
            // Read again each time, for it may have been raised since.
            self.mapping_limit = error::max_map_count().unwrap_or(usize::MAX);
        }
        if mappings > self.mapping_limit {
            return Err(self.at_mapping_limit());
        }
        // SAFETY: nobody uses the slot, as the caller promises.
        match unsafe { protect(start, GUARD_SIZE) } {
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => Err(self.at_mapping_limit()),
            Err(error) => Err(StackError::guard(error)),
            Ok(()) => {
                MAPPED_GUARDS.fetch_add(1, Ordering::Relaxed);
                self.mapped_guards += 1;
                Ok(())
            }
        }
    }

    fn at_mapping_limit(&self) -> StackError {
        StackError::mapping_limit(MAPPED_GUARDS.load(Ordering::Relaxed), self.guards)
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        if self.out > 0 {
            return;
        }
        MAPPED_GUARDS.fetch_sub(self.mapped_guards, Ordering::Relaxed);
        for chunk in self.slots.iter_mut().flat_map(|slots| slots.chunks.drain(..)) {
            // SAFETY: no stack exists that was made of the chunk, and the arena forgets it here.
            unsafe { unmap(chunk) };
        }
    }
}

impl Slots {
    /// The next slot that has not been a stack, from a new chunk if need be.
    fn next_unused(&mut self) -> Result<Range<usize>, StackError> {
        if self.unused.is_empty() {
            let largest = self.chunks.last().map_or(FIRST_CHUNK, |last| (2 * last.len()).min(LAST_CHUNK));
            self.unused = reserve_at_most(largest, self.size)?;
            self.chunks.push(self.unused.clone());
        }
        Ok(self.unused.start..self.unused.start + self.size)
    }
}

/// Reserves a chunk of `largest` bytes, or of a half, a quarter and so on down to one slot if
/// address space is short.
fn reserve_at_most(largest: usize, slot_size: usize) -> Result<Range<usize>, StackError> {
    let mut len = largest;
    loop {
        match reserve(len) {
            Err(_) if len > slot_size => len /= 2,
            result => return result.map_err(|error| StackError::reserve(len, error)),
        }
    }
}

/// Finds out by which means guards can be made, on a page mapped for that.
fn probe_guards() -> Result<GuardKind, StackError> {
    let len = page_size();
    let page = reserve(len).map_err(|error| StackError::reserve(len, error))?;
    // SAFETY: the page was mapped above for this.
    let kind = if unsafe { install_markers(page.start, len) }.is_ok() {
        GuardKind::Markers
    } else {
        // An old kernel and locked memory (`mlockall` with MCL_FUTURE) give the same error, so
        // unlock and ask again.
        // SAFETY: unlocking a page that is mapped and ours has no effect on its content.
        unsafe { libc::munlock(page.start as *const libc::c_void, len) };
        // SAFETY: as above.
        match unsafe { install_markers(page.start, len) } {
            Ok(()) => GuardKind::MprotectLockedMemory,
            Err(_) => GuardKind::MprotectOldKernel,
        }
    };
    // SAFETY: the page was mapped above, and nothing refers to it.
    unsafe { unmap(page) };
    Ok(kind)
}

fn page_size() -> usize {
    // SAFETY: sysconf has no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(GUARD_SIZE)
}

/// An address in or at the end of a mapping of ours.
#[expect(clippy::expect_used, reason = "the kernel puts no mapping at address zero that did not ask for it")]
#[inline]
fn mapped_address(addr: usize) -> NonZeroUsize {
    NonZeroUsize::new(addr).expect("mappings lie above address zero")
}

/// The start of the page that holds `addr`.
fn page_floor(addr: usize) -> usize {
    addr - addr % page_size()
}

/// Maps `len` bytes that take no memory until they are touched.
///
/// They do at once in a program that locks its memory to come (`mlockall` with MCL_FUTURE and
/// without MCL_ONFAULT): it asked for that, and a limit on locked memory makes the chunks smaller.
fn reserve(len: usize) -> io::Result<Range<usize>> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at a place of the kernel's choice touches nothing that exists.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // A huge page would commit many stacks at the touch of one. The error is that of a kernel
    // without huge pages.
    // SAFETY: the advice changes how the mapping made above is backed, not what it holds.
    unsafe { libc::madvise(start, len, libc::MADV_NOHUGEPAGE) };
    Ok(start as usize..start as usize + len)
}

/// Makes the pages fault from now on, by markers in the page tables.
///
/// # Safety
///
/// The pages must be mapped by [`reserve`], and nobody may use them.
unsafe fn install_markers(start: usize, len: usize) -> io::Result<()> {
    // SAFETY: what the pages hold is lost, and the caller promises that nobody misses it.
    check(unsafe { libc::madvise(start as *mut libc::c_void, len, MADV_GUARD_INSTALL) })
}

/// Makes the pages fault from now on, by splitting their mapping.
///
/// # Safety
///
/// As for [`install_markers`].
unsafe fn protect(start: usize, len: usize) -> io::Result<()> {
    // SAFETY: the pages become inaccessible, and the caller promises that nobody uses them.
    check(unsafe { libc::mprotect(start as *mut libc::c_void, len, libc::PROT_NONE) })
}

/// Gives the pages back to the system; they read as zeros when touched next. No pages, no call.
///
/// # Safety
///
/// `pages` must lie in a chunk's mapping and hold nothing that is read again.
unsafe fn discard(pages: Range<usize>) {
    if pages.is_empty() {
        return;
    }
    // The kernel refuses for locked memory only, and there the program has asked that pages stay.
    // SAFETY: mapped, and nothing in it is live, as the caller promises.
    unsafe { libc::madvise(pages.start as *mut libc::c_void, pages.len(), libc::MADV_DONTNEED) };
}

/// # Safety
///
/// `mapping` must be whole results of [`reserve`], and no reference into it may be used again.
unsafe fn unmap(mapping: Range<usize>) {
    // SAFETY: ours, and unused from now on, as the caller promises.
    let result = unsafe { libc::munmap(mapping.start as *mut libc::c_void, mapping.len()) };
    debug_assert_eq!(result, 0, "munmap refused a mapping of the arena");
}

fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What tests do to a stack's memory; here because it takes unsafe code.
#[cfg(test)]
impl Extent {
    /// The number of pages of the stack, without its guard, that have memory.
    pub(crate) fn resident_pages(self) -> usize {
        let mut pages = vec![0_u8; (self.base - self.floor()) / page_size()];
        let start = self.floor() as *mut libc::c_void;
        // SAFETY: the vector has a byte for each page of the range; nothing else is written.
        let result = unsafe { libc::mincore(start, self.base - self.floor(), pages.as_mut_ptr()) };
        assert_eq!(result, 0, "mincore refused a stack");
        pages.iter().filter(|&&page| page & 1 == 1).count()
    }

    /// Writes to a word of the slot that no coroutine uses.
    fn write(self, addr: usize) {
        let word = std::ptr::with_exposed_provenance_mut::<usize>(addr);
        // SAFETY: in the stack it is memory that nobody uses; in the guard the process dies, as the
        // test expects.
        unsafe { word.write_volatile(1) };
    }

    /// [`Extent::release_below`], for a stack at rest.
    fn release(self, sp: usize) {
        // SAFETY: the tests call this as the contract demands: whether that suffices is what they
        // are to find out.
        unsafe { self.release_below(sp) };
    }

    /// The lowest address of the stack that holds anything but zeros.
    fn lowest_used(self) -> usize {
        let words = (self.floor()..self.base).step_by(size_of::<usize>());
        let mut addrs = words.map(std::ptr::with_exposed_provenance::<usize>);
        // SAFETY: aligned words of a mapping that is readable, and that no running coroutine writes
        // to.
        addrs.find(|word| unsafe { word.read_volatile() } != 0).map_or(self.base, <*const _>::addr)
    }
}

/// Locks the memory that is mapped from now on, without committing it; `false` if the test may not.
#[cfg(test)]
fn lock_future_memory() -> bool {
    // SAFETY: changes how memory is backed, not what it holds.
    unsafe { libc::mlockall(libc::MCL_FUTURE | libc::MCL_ONFAULT) == 0 }
}

//! What can be set about the stacks of a runtime, and what can be asked.

/// How the guard below each coroutine's stack is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Guards {
    /// By markers in the page tables where the kernel has them (Linux 6.13), else as
    /// [`Guards::Mprotect`]. Markers cost no mappings, so the number of stacks is bounded by memory
    /// alone.
    #[default]
    Auto,
    /// By `mprotect`, on any kernel. Each stack costs two mappings, so that `vm.max_map_count`
    /// bounds their number (by default to about 32,000 in a process). For tests, and for tools that
    /// do not understand the markers.
    Mprotect,
}

/// The settings of a [`StackPool`](super::StackPool).
#[derive(Clone, Copy, Debug)]
pub(crate) struct StackOptions {
    /// The slot of a coroutine that asks for no size, in bytes of address space, the guard
    /// included.
    pub(crate) default_size: usize,
    pub(crate) guards: Guards,
    /// The bytes at the upper end that a pooled stack keeps for the time being when it is trimmed, rounded up to whole pages.
    pub(crate) high_water: usize,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self { default_size: 256 << 10, guards: Guards::Auto, high_water: 16 << 10 }
    }
}

/// How the guards of a pool are made, and if by `mprotect`, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GuardKind {
    Markers,
    MprotectAsked,
    MprotectOldKernel,
    MprotectLockedMemory,
}

/// A count of a pool's slots, over all classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StackStats {
    /// Slots of address space reserved, handed out before or not.
    pub(crate) reserved: usize,
    /// Stacks taken and not given back.
    pub(crate) in_use: usize,
    /// Stacks that wait for reuse.
    pub(crate) pooled: usize,
    pub(crate) guards: GuardKind,
}

//! Why there is no stack: what was asked, which limit refused it and how that can be changed.

use std::error::Error;
use std::{fmt, fs, io};

use super::options::GuardKind;
use super::{GUARD_SIZE, LARGEST_STACK};

/// A stack that could not be made.
#[derive(Debug)]
pub(crate) enum StackError {
    /// The caller asked for more than the largest class has.
    TooLarge { asked: usize, largest: usize },
    /// The process has no mappings left for guards made by `mprotect`.
    MappingLimit {
        /// `vm.max_map_count`, if it could be read.
        limit: Option<usize>,
        stacks: usize,
        guards: GuardKind,
    },
    /// The system refused address space for the arena.
    Reserve { bytes: usize, source: io::Error },
    /// The system refused a guard for another reason than the limit on mappings.
    Guard { bytes: usize, source: io::Error },
}

impl StackError {
    pub(super) fn too_large(asked: usize) -> Self {
        Self::TooLarge { asked, largest: LARGEST_STACK }
    }

    pub(super) fn mapping_limit(stacks: usize, guards: GuardKind) -> Self {
        Self::MappingLimit { limit: max_map_count(), stacks, guards }
    }

    pub(super) fn reserve(bytes: usize, source: io::Error) -> Self {
        Self::Reserve { bytes, source }
    }

    pub(super) fn guard(source: io::Error) -> Self {
        Self::Guard { bytes: GUARD_SIZE, source }
    }
}

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { asked, largest } => {
                write!(f, "a coroutine's stack of {asked} bytes was asked for, and the largest has {largest}")
            }
            Self::MappingLimit { limit, stacks, guards } => {
                write!(
                    f,
                    "no memory mapping is left to guard another coroutine's stack: \
                     {stacks} stacks take two each, and vm.max_map_count "
                )?;
                match limit {
                    Some(limit) => write!(f, "is {limit}")?,
                    None => f.write_str("limits them")?,
                }
                f.write_str("; raise it (sysctl -w vm.max_map_count=1048576)")?;
                f.write_str(", run fewer coroutines")?;
                f.write_str(match guards {
                    GuardKind::Markers => "",
                    GuardKind::MprotectAsked => {
                        ", or use Guards::Auto, which needs no mappings on Linux 6.13 and later"
                    }
                    GuardKind::MprotectOldKernel => ", or run on Linux 6.13 or later, where guards need no mappings",
                    GuardKind::MprotectLockedMemory => {
                        ", or do not lock all memory (mlockall), so that guards need no mappings"
                    }
                })
            }
            Self::Reserve { bytes, source } => write!(
                f,
                "cannot reserve {bytes} bytes of address space for coroutine stacks: {source}; \
                 ulimit -v, vm.overcommit_memory and vm.max_map_count limit it"
            ),
            Self::Guard { bytes, source } => {
                write!(f, "cannot make the guard of {bytes} bytes below a coroutine's stack: {source}")
            }
        }
    }
}

impl Error for StackError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::TooLarge { .. } | Self::MappingLimit { .. } => None,
            Self::Reserve { source, .. } | Self::Guard { source, .. } => Some(source),
        }
    }
}

impl From<StackError> for io::Error {
    fn from(error: StackError) -> Self {
        let kind = match error {
            StackError::TooLarge { .. } => io::ErrorKind::InvalidInput,
            StackError::MappingLimit { .. } | StackError::Reserve { .. } => io::ErrorKind::OutOfMemory,
            StackError::Guard { .. } => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// The number of mappings that a process may have (`vm.max_map_count`), if the system tells.
pub(super) fn max_map_count() -> Option<usize> {
    fs::read_to_string("/proc/sys/vm/max_map_count").ok()?.trim().parse().ok()
}

//! Unwinding a copied stack, on the watchdog's thread, with framehop.
//!
//! It knows registers, a copy of stack bytes and the modules' unwind tables, and nothing of threads or signals.
//! A wrong table or a torn copy gives a wrong or a short list, never a fault: all memory it reads is its own.
//!
//! Sources: framehop 0.16; the Linux Standard Base 5.0, 10.6.2; DWARF 5, 6.4.

use super::Taken;

/// The most frames that are reported of one stack.
pub(crate) const MAX_FRAMES: usize = 64;

/// The addresses of one stack, innermost first; return addresses are moved back into the call they return from.
pub(crate) struct Addresses {
    pub(crate) addresses: Vec<usize>,
    /// There were more frames.
    pub(crate) is_cut: bool,
}

/// Where `.eh_frame` is, according to the head of an `.eh_frame_hdr` at `address`.
///
/// Linkers write that place in one form only, as a signed offset of four bytes from itself.
pub(super) fn frames_address(address: u64, index: &[u8]) -> Option<u64> {
    const VERSION: u8 = 1;
    const RELATIVE_SIGNED_4: u8 = 0x1b;
    let &[VERSION, RELATIVE_SIGNED_4, _, _, a, b, c, d, ..] = index else { return None };
    Some(address.wrapping_add(4).wrapping_add_signed(i32::from_ne_bytes([a, b, c, d]).into()))
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) use self::native::StackUnwinder;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod native {
    use framehop::{
        CacheNative, ExplicitModuleSectionInfo, MayAllocateDuringUnwind, Module, UnwindRegsNative, Unwinder,
        UnwinderNative,
    };

    use super::super::{LoadedModule, ModulesVersion, Registers, modules_unless};
    use super::{Addresses, MAX_FRAMES, Taken};

    /// The unwind tables of everything in memory.
    pub(crate) struct StackUnwinder {
        unwinder: UnwinderNative<Vec<u8>, MayAllocateDuringUnwind>,
        cache: CacheNative<MayAllocateDuringUnwind>,
        version: Option<ModulesVersion>,
    }

    impl StackUnwinder {
        /// Reads no tables yet.
        pub(crate) fn new() -> StackUnwinder {
            StackUnwinder { unwinder: UnwinderNative::new(), cache: CacheNative::new(), version: None }
        }

        pub(crate) fn unwind(&mut self, taken: &Taken) -> Addresses {
            self.refresh();
            let mut read = |address: u64| {
                let offset = address.checked_sub(taken.stack_start).ok_or(())?;
                let word = usize::try_from(offset / 8).map_err(|_| ())?;
                // The unwinder only asks for aligned words of a stack that makes sense.
                if offset % 8 != 0 || word >= taken.words {
                    return Err(());
                }
                taken.stack.get(word).copied().ok_or(())
            };
            let registers = registers(taken.registers);
            let mut frames = self.unwinder.iter_frames(taken.registers.pc, registers, &mut self.cache, &mut read);
            let mut addresses = Vec::new();
            while let Ok(Some(frame)) = frames.next() {
                if addresses.len() == MAX_FRAMES {
                    return Addresses { addresses, is_cut: true };
                }
                addresses.push(frame.address_for_lookup() as usize);
            }
            Addresses { addresses, is_cut: taken.words == taken.stack.len() }
        }

        /// Reads the tables anew if a library has been loaded or unloaded.
        fn refresh(&mut self) {
            let Some((version, modules)) = modules_unless(self.version) else { return };
            self.version = Some(version);
            self.unwinder = UnwinderNative::new();
            modules.into_iter().for_each(|module| self.unwinder.add_module(described(module)));
        }
    }

    fn described(module: LoadedModule) -> Module<Vec<u8>> {
        let LoadedModule { bias, range, index: (index_at, index), frames: (frames_at, frames) } = module;
        let in_file = |address: u64, bytes: &[u8]| {
            let start = address.wrapping_sub(bias);
            start..start + bytes.len() as u64
        };
        let sections = ExplicitModuleSectionInfo {
            base_svma: 0,
            eh_frame_svma: Some(in_file(frames_at, &frames)),
            eh_frame_hdr_svma: Some(in_file(index_at, &index)),
            eh_frame: Some(frames),
            eh_frame_hdr: Some(index),
            ..Default::default()
        };
        Module::new(String::new(), range, bias, sections)
    }

    #[cfg(target_arch = "x86_64")]
    fn registers(registers: Registers) -> UnwindRegsNative {
        UnwindRegsNative::new(registers.pc, registers.sp, registers.fp)
    }

    #[cfg(target_arch = "aarch64")]
    fn registers(registers: Registers) -> UnwindRegsNative {
        UnwindRegsNative::new(registers.link, registers.sp, registers.fp)
    }
}

/// Where framehop does not know the processor: the innermost function alone.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) struct StackUnwinder;

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
impl StackUnwinder {
    pub(crate) fn new() -> StackUnwinder {
        StackUnwinder
    }

    pub(crate) fn unwind(&mut self, taken: &Taken) -> Addresses {
        Addresses { addresses: vec![taken.registers.pc as usize], is_cut: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_the_frames_is_an_offset_from_where_it_is_written() {
        let index = |offset: i32| [&[1, 0x1b, 3, 0x3b][..], &offset.to_ne_bytes()].concat();
        assert_eq!(frames_address(0x1000, &index(0x20)), Some(0x1024));
        assert_eq!(frames_address(0x1000, &index(-0x20)), Some(0xfe4));
    }

    #[test]
    fn an_index_of_another_form_is_left_alone() {
        assert_eq!(frames_address(0x1000, &[2, 0x1b, 3, 0x3b, 0, 0, 0, 0]), None);
        assert_eq!(frames_address(0x1000, &[1, 0x00, 3, 0x3b, 0, 0, 0, 0]), None);
        assert_eq!(frames_address(0x1000, &[1, 0x1b, 3]), None);
    }
}

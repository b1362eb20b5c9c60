//! What can go wrong on the way.

use std::ops::Range;
use std::time::Duration;

/// What happens to the bytes of one direction.
///
/// Positions count the bytes written in this direction, from zero.
/// Each fault is drawn from the seed, in the order of the calls.
#[derive(Clone, Debug)]
#[must_use = "faults do nothing until a Builder has them"]
pub struct Faults {
    pub(super) longest_read: usize,
    pub(super) longest_write: usize,
    pub(super) delays: Range<Duration>,
    pub(super) garbage: Range<u64>,
    pub(super) reset_at: Option<u64>,
    pub(super) stop_at: Option<u64>,
    pub(super) end_at: Option<u64>,
    pub(super) random: Random,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults {
            longest_read: usize::MAX,
            longest_write: usize::MAX,
            delays: Duration::ZERO..Duration::ZERO,
            garbage: 0..0,
            reset_at: None,
            stop_at: None,
            end_at: None,
            random: Random(1),
        }
    }
}

impl Faults {
    /// None.
    pub fn new() -> Faults {
        Faults::default()
    }

    /// What chance is drawn from; 1 unless set.
    pub fn seed(mut self, seed: u64) -> Faults {
        self.random = Random(seed);
        self
    }

    /// Each read gets between one byte and this many, however many are there.
    pub fn short_reads(mut self, longest: usize) -> Faults {
        self.longest_read = longest.max(1);
        self
    }

    /// Each write takes between one byte and this many, however many there is room for.
    pub fn short_writes(mut self, longest: usize) -> Faults {
        self.longest_write = longest.max(1);
        self
    }

    /// What one write took arrives after a time from this range, in the runtime's time, and behind what was written before.
    ///
    /// An empty range is its beginning.
    pub fn delays(mut self, range: Range<Duration>) -> Faults {
        self.delays = range;
        self
    }

    /// The bytes at these positions arrive as others, each of them different from what it was.
    pub fn garbage(mut self, positions: Range<u64>) -> Faults {
        self.garbage = positions;
        self
    }

    /// The connection is reset, in both directions, as soon as so many bytes have been written.
    ///
    /// Who reads gets what was on the way first, and who writes gets the error at once.
    pub fn reset_at(mut self, position: u64) -> Faults {
        self.reset_at = Some(position);
        self
    }

    /// From this byte on nothing arrives, neither bytes nor the end, as behind a cable that was cut.
    ///
    /// The bytes count as held, so that the writer waits when the buffer is full.
    pub fn stop_at(mut self, position: u64) -> Faults {
        self.stop_at = Some(position);
        self
    }

    /// The stream ends here: who reads sees the end, and who writes is told that the pipe is broken.
    pub fn end_at(mut self, position: u64) -> Faults {
        self.end_at = Some(position);
        self
    }

    pub(super) fn delay(&mut self) -> Duration {
        let width = self.delays.end.saturating_sub(self.delays.start);
        let width = u64::try_from(width.as_nanos()).unwrap_or(u64::MAX);
        self.delays.start + Duration::from_nanos(self.random.below(width))
    }

    pub(super) fn has_delays(&self) -> bool {
        self.delays.start > Duration::ZERO || self.delays.start < self.delays.end
    }

    /// How much of `count` a call gets, where `longest` limits it.
    pub(super) fn shorten(&mut self, count: usize, longest: usize) -> usize {
        if longest == usize::MAX {
            return count;
        }
        count.min(1 + self.random.below(longest as u64) as usize)
    }

    /// Spoils what is written at `position`.
    pub(super) fn spoil(&mut self, position: u64, bytes: &mut [u8]) {
        for (at, byte) in (position..).zip(bytes) {
            if self.garbage.contains(&at) {
                // Never zero, so that the byte does change.
                *byte ^= 1 + self.random.below(255) as u8;
            }
        }
    }
}

/// The generator splitmix64 (Steele, Lea and Flood, 2014): eight lines, and any seed will do.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, or zero.
    fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }
}

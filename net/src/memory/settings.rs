//! How a pair is made.

use super::faults::Faults;
use super::link::Link;
use super::stream::MemoryStream;

/// What a direction holds unless told otherwise, as Linux's sockets do.
const CAPACITY: usize = 64 << 10;

/// Makes the two ends of a stream without faults that holds 64 KiB in each direction.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use grapeshot_core::{spawn, test};
/// use grapeshot_net::memory;
///
/// test::run(|| {
///     let (mut near, mut far) = memory::pair();
///     spawn(move || far.write_all(b"hello").unwrap());
///     let mut greeting = String::new();
///     near.read_to_string(&mut greeting).unwrap();
///     assert_eq!(greeting, "hello");
/// });
/// ```
pub fn pair() -> (MemoryStream, MemoryStream) {
    Builder::new().pair()
}

/// The settings of a pair, whose ends are called near and far.
///
/// # Examples
///
/// A line that breaks off after ten bytes:
///
/// ```
/// use std::io::{ErrorKind, Read, Write};
/// use grapeshot_core::test;
/// use grapeshot_net::memory::{Builder, Faults};
///
/// test::run(|| {
///     let (mut near, mut far) = Builder::new().to_far(Faults::new().reset_at(10)).pair();
///     assert_eq!(near.write_all(b"hello, world").unwrap_err().kind(), ErrorKind::ConnectionReset);
///     let mut received = Vec::new();
///     assert_eq!(far.read_to_end(&mut received).unwrap_err().kind(), ErrorKind::ConnectionReset);
///     assert_eq!(received, b"hello, wor");
/// });
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    capacity: usize,
    to_far: Faults,
    to_near: Faults,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder { capacity: CAPACITY, to_far: Faults::new(), to_near: Faults::new() }
    }
}

impl Builder {
    /// No faults, and 64 KiB in each direction.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// How many bytes each direction holds that have been written and not been read; one at least.
    pub fn capacity(mut self, bytes: usize) -> Builder {
        self.capacity = bytes.max(1);
        self
    }

    /// What happens to the bytes that go from near to far.
    pub fn to_far(mut self, faults: Faults) -> Builder {
        self.to_far = faults;
        self
    }

    /// What happens to the bytes that go from far to near.
    pub fn to_near(mut self, faults: Faults) -> Builder {
        self.to_near = faults;
        self
    }

    /// Makes the two ends, near and far.
    pub fn pair(self) -> (MemoryStream, MemoryStream) {
        let link = Link::new(self.capacity, self.to_far, self.to_near);
        MemoryStream::ends(link)
    }
}

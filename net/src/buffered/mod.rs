//! A stream with buffers: lines, delimiters, exact counts, and writes that are gathered.
//!
//! ```text
//!             fill                      read_line, read_until, read_exact_vec, …
//!   stream ──────────► read buffer ───────────────────────────────────────────────► caller
//!          ◄────────── write buffer ◄──────────────────────────────────────────────
//!             flush                     write, under a WriteMode
//! ```
//!
//! # Invariants
//!
//! - Whatever a call fails with, no byte is lost: what has been read and not handed out is in the read buffer,
//!   what has been accepted and not sent is in the write buffer, and the same call may be made again.
//! - Every read-until has a limit, and holds no more than that, and one block more, in memory.
//! - A delimiter is found wherever reads cut it, and whatever comes before it; `"\r\r\n"` ends with a `"\r\n"`.
//! - No byte is sent twice: the write buffer forgets what the stream has taken as soon as it says so.
//!
//! The read side is that of the ancestor's `buffered_stream` (REQUIREMENTS 1.11), the rest that of Syncless's `nbfile` (SYL-7).

mod stream;
mod reading;
mod writing;
mod read_buffer;
mod errors;

pub use self::errors::{ReadLimit, WriteLimit};
pub use self::reading::Blocks;
pub use self::stream::{BufStream, Parts};
pub use self::writing::WriteMode;

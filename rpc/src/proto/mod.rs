//! Bytes to messages and back, without I/O.

mod metadata;

pub use self::metadata::{MetaValue, Metadata, TraceContext};

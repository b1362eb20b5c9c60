//! The half of RPC without I/O: what is read and written, byte for byte, with rmpv as the second opinion.

mod values;

mod scan;
mod message;
mod malformed;
mod encode;
mod meta;
mod hello;
mod failure;
mod framed;

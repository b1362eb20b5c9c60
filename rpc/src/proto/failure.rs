//! The error of an answer: how this crate writes it, and how many forms others have for it.
//!
//! MessagePack-RPC leaves the error's form to the service.
//! This crate writes `[code, message]` or `[code, message, data]`; the first of them is Neovim's own form (`:help rpc`).
//! Neovim 0.7 shows the message only where the code is 0 or 1, which are its own, and "unknown error" otherwise.
//! It reads these, a text alone (the Python and C++ libraries), a map with `code`, `message` and `data`
//! (JSON-RPC 2.0 §5.1), and takes anything else for data.

use rmpv::Value;

use super::encode::{append_text, append_uint};
use super::reader::Reader;
use crate::Failure;

/// Data of more bytes than this are dropped: as a value, each of theirs takes forty bytes of memory and more.
pub const MAX_FAILURE_BYTES: usize = 256 << 10;

/// Appends a failure as the error of an answer.
pub fn append_failure(out: &mut Vec<u8>, failure: &Failure) {
    let has_data = !failure.data.is_nil();
    out.push(0x92 + u8::from(has_data));
    append_int(out, failure.code);
    append_text(out, &failure.message);
    if has_data {
        let start = out.len();
        if rmpv::encode::write_value(out, &failure.data).is_err() {
            // A vector takes whatever is written; if it ever does not, the array still has its three elements.
            out.truncate(start);
            out.push(super::head::NIL);
        }
    }
}

/// Reads the error of an answer: one MessagePack value that is not nil. Every value is some failure.
pub fn read_failure(error: &[u8]) -> Failure {
    if let Some(failure) = read_list(error) {
        return failure;
    }
    match read_value(error) {
        Ok(Value::String(text)) => Failure::new(Failure::UNNAMED, String::from_utf8_lossy(text.as_bytes())),
        Ok(Value::Map(pairs)) => read_map(pairs),
        Ok(data) => unnamed(data),
        Err(reason) => Failure::new(Failure::UNNAMED, reason),
    }
}

/// `[code, message]` or `[code, message, data]`.
fn read_list(error: &[u8]) -> Option<Failure> {
    let mut reader = Reader::new(error);
    let length = reader.array().ok().filter(|length| (2..=3).contains(length))?;
    let code = read_value(reader.value().ok()?).ok()?.as_i64()?;
    let message = reader.text().ok()?;
    let failure = Failure::new(code, message);
    if length == 2 {
        return Some(failure);
    }
    match read_value(reader.value().ok()?) {
        Ok(data) => Some(failure.with_data(data)),
        Err(reason) => Some(Failure::new(code, format!("{message} ({reason})"))),
    }
}

/// A map of JSON-RPC's form; any other is data.
fn read_map(pairs: Vec<(Value, Value)>) -> Failure {
    let value = |name: &str| pairs.iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value);
    let code = value("code").and_then(Value::as_i64);
    let message = value("message").and_then(Value::as_str);
    if code.is_none() && message.is_none() {
        return unnamed(Value::Map(pairs));
    }
    let message = message.unwrap_or("the callee gives no reason");
    let data = value("data").cloned().unwrap_or(Value::Nil);
    Failure::new(code.unwrap_or(Failure::UNNAMED), message).with_data(data)
}

fn unnamed(data: Value) -> Failure {
    Failure::new(Failure::UNNAMED, "the callee gives only a value as its error").with_data(data)
}

/// Reads one value, or says why not.
fn read_value(bytes: &[u8]) -> Result<Value, String> {
    if bytes.len() > MAX_FAILURE_BYTES {
        return Err(format!("its data have {} bytes, and more than {MAX_FAILURE_BYTES} are dropped", bytes.len()));
    }
    let mut rest = bytes;
    rmpv::decode::read_value(&mut rest).map_err(|cause| format!("the callee's error cannot be read: {cause}"))
}

/// Appends a number that may be negative, in its shortest form.
fn append_int(out: &mut Vec<u8>, number: i64) {
    if let Ok(number) = u64::try_from(number) {
        return append_uint(out, number);
    }
    let digits = number.to_be_bytes();
    match number {
        -32..=-1 => out.push(digits[7]),
        -0x80..=-33 => out.extend_from_slice(&[0xd0, digits[7]]),
        -0x8000..=-0x81 => out.extend_from_slice(&[0xd1, digits[6], digits[7]]),
        -0x8000_0000..=-0x8001 => out.extend_from_slice(&[0xd2, digits[4], digits[5], digits[6], digits[7]]),
        _ => {
            out.push(0xd3);
            out.extend_from_slice(&digits);
        }
    }
}

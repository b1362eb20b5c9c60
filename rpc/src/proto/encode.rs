//! Appends messages to a buffer, many of which may go out in one write.
//!
//! Values are written by whoever has them: as bytes that are encoded already, or by a closure straight into the buffer.
//! Whatever fails leaves the buffer as it was.

use super::head::NIL;
use super::message::{
    CALLEE_ITEM, CALLER_END, CALLER_ITEM, CANCEL, GO_AWAY, GRANT_TO_CALLEE, GRANT_TO_CALLER, NOTIFICATION, PING, PONG,
    REQUEST, RESPONSE,
};
use super::meta::Meta;

/// Appends a call. `params` is one MessagePack array.
pub fn append_request(out: &mut Vec<u8>, id: u32, method: &str, params: &[u8], meta: Option<&Meta<'_>>) {
    begin_request(out, id, method, meta.is_some());
    out.extend_from_slice(params);
    append_meta(out, meta);
}

/// Appends a call whose parameters `write` appends: one MessagePack array.
///
/// # Errors
///
/// What `write` fails with; nothing is appended then.
///
/// ```
/// use grapeshot_rpc::proto::append_request_with;
///
/// let mut out = Vec::new();
/// let written = append_request_with(&mut out, 7, "nop", None, |out| {
///     out.push(0x90);
///     Ok::<(), ()>(())
/// });
/// assert!(written.is_ok());
/// assert_eq!(out, [0x94, 0x00, 0x07, 0xa3, b'n', b'o', b'p', 0x90]);
/// ```
pub fn append_request_with<E>(
    out: &mut Vec<u8>,
    id: u32,
    method: &str,
    meta: Option<&Meta<'_>>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    all_or_nothing(out, |out| {
        begin_request(out, id, method, meta.is_some());
        write(out)?;
        append_meta(out, meta);
        Ok(())
    })
}

/// Appends a call to which no answer comes. `params` is one MessagePack array.
pub fn append_notification(out: &mut Vec<u8>, method: &str, params: &[u8], meta: Option<&Meta<'_>>) {
    out.extend_from_slice(&[array_of(3 + u8::from(meta.is_some())), NOTIFICATION]);
    append_text(out, method);
    out.extend_from_slice(params);
    append_meta(out, meta);
}

/// Appends the answer to a call that succeeded. `result` is one MessagePack value.
pub fn append_response(out: &mut Vec<u8>, id: u32, result: &[u8]) {
    begin_response(out, id);
    out.push(NIL);
    out.extend_from_slice(result);
}

/// Appends the answer to a call that succeeded, whose result `write` appends: one MessagePack value.
///
/// # Errors
///
/// What `write` fails with; nothing is appended then.
pub fn append_response_with<E>(
    out: &mut Vec<u8>,
    id: u32,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    all_or_nothing(out, |out| {
        begin_response(out, id);
        out.push(NIL);
        write(out)
    })
}

/// Appends the answer to a call that failed. `error` is one MessagePack value, which is not nil;
/// [`append_failure`](super::append_failure) writes it.
pub fn append_error_response(out: &mut Vec<u8>, id: u32, error: &[u8]) {
    begin_response(out, id);
    out.extend_from_slice(error);
    out.push(NIL);
}

/// Appends that the caller no longer waits for the answer to its call `id`.
pub fn append_cancel(out: &mut Vec<u8>, id: u32) {
    append_numbers(out, CANCEL, &[u64::from(id)]);
}

/// Appends an item of the stream from caller to callee. `item` is one MessagePack value.
pub fn append_caller_item(out: &mut Vec<u8>, id: u32, item: &[u8]) {
    append_about(out, CALLER_ITEM, id, item);
}

/// Appends the end of the stream from caller to callee: whole, or with an error as in an answer.
pub fn append_caller_end(out: &mut Vec<u8>, id: u32, error: Option<&[u8]>) {
    append_about(out, CALLER_END, id, error.unwrap_or(&[NIL]));
}

/// Appends an item of the stream from callee to caller. `item` is one MessagePack value.
pub fn append_callee_item(out: &mut Vec<u8>, id: u32, item: &[u8]) {
    append_about(out, CALLEE_ITEM, id, item);
}

/// Appends that the caller of `id` may send so many bytes more.
pub fn append_grant_to_caller(out: &mut Vec<u8>, id: u32, bytes: u64) {
    append_numbers(out, GRANT_TO_CALLER, &[u64::from(id), bytes]);
}

/// Appends that the callee of `id` may send so many bytes more.
pub fn append_grant_to_callee(out: &mut Vec<u8>, id: u32, bytes: u64) {
    append_numbers(out, GRANT_TO_CALLEE, &[u64::from(id), bytes]);
}

/// Appends the question for a sign of life.
pub fn append_ping(out: &mut Vec<u8>, number: u64) {
    append_numbers(out, PING, &[number]);
}

/// Appends the answer to a ping, which has the same number.
pub fn append_pong(out: &mut Vec<u8>, number: u64) {
    append_numbers(out, PONG, &[number]);
}

/// Appends that this side takes no new calls.
pub fn append_go_away(out: &mut Vec<u8>) {
    append_numbers(out, GO_AWAY, &[]);
}

fn begin_request(out: &mut Vec<u8>, id: u32, method: &str, has_meta: bool) {
    out.extend_from_slice(&[array_of(4 + u8::from(has_meta)), REQUEST]);
    append_uint(out, u64::from(id));
    append_text(out, method);
}

fn begin_response(out: &mut Vec<u8>, id: u32) {
    out.extend_from_slice(&[array_of(4), RESPONSE]);
    append_uint(out, u64::from(id));
}

fn append_meta(out: &mut Vec<u8>, meta: Option<&Meta<'_>>) {
    if let Some(meta) = meta {
        meta.append(out);
    }
}

fn append_about(out: &mut Vec<u8>, kind: u8, id: u32, value: &[u8]) {
    out.extend_from_slice(&[array_of(3), kind]);
    append_uint(out, u64::from(id));
    out.extend_from_slice(value);
}

fn append_numbers(out: &mut Vec<u8>, kind: u8, numbers: &[u64]) {
    // At most two of them, so it fits.
    out.extend_from_slice(&[array_of(1 + numbers.len() as u8), kind]);
    for &number in numbers {
        append_uint(out, number);
    }
}

fn all_or_nothing<E>(out: &mut Vec<u8>, append: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
    let start = out.len();
    append(out).inspect_err(|_| out.truncate(start))
}

/// The head of an array of at most 15 values.
fn array_of(values: u8) -> u8 {
    0x90 | values
}

/// Appends a number in its shortest form.
#[inline]
pub(super) fn append_uint(out: &mut Vec<u8>, number: u64) {
    let digits = number.to_be_bytes();
    match number {
        0..=0x7f => out.push(digits[7]),
        0x80..=0xff => out.extend_from_slice(&[0xcc, digits[7]]),
        0x100..=0xffff => out.extend_from_slice(&[0xcd, digits[6], digits[7]]),
        0x1_0000..=0xffff_ffff => {
            out.extend_from_slice(&[0xce, digits[4], digits[5], digits[6], digits[7]]);
        }
        _ => {
            out.push(0xcf);
            out.extend_from_slice(&digits);
        }
    }
}

/// Appends a text.
#[inline]
pub(super) fn append_text(out: &mut Vec<u8>, text: &str) {
    match text.len() {
        length @ 0..=31 => out.push(0xa0 | length as u8),
        length @ 32..=0xff => out.extend_from_slice(&[0xd9, length as u8]),
        length => append_head(out, [0xda, 0xdb], length),
    }
    out.extend_from_slice(text.as_bytes());
}

/// Appends a string of bytes.
pub(super) fn append_binary(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        length @ 0..=0xff => out.extend_from_slice(&[0xc4, length as u8]),
        length => append_head(out, [0xc5, 0xc6], length),
    }
    out.extend_from_slice(bytes);
}

/// Appends the head of a map of so many pairs.
pub(super) fn append_map(out: &mut Vec<u8>, pairs: usize) {
    match pairs {
        0..=15 => out.push(0x80 | pairs as u8),
        pairs => append_head(out, [0xde, 0xdf], pairs),
    }
}

/// Appends a head with a length of 2 or of 4 bytes.
///
/// MessagePack cannot say a length beyond 4 GiB; what is so long makes a message that the peer refuses as too large.
fn append_head(out: &mut Vec<u8>, leads: [u8; 2], length: usize) {
    match u16::try_from(length) {
        Ok(short) => {
            out.push(leads[0]);
            out.extend_from_slice(&short.to_be_bytes());
        }
        Err(_) => {
            out.push(leads[1]);
            out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
}

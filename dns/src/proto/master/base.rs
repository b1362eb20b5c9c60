//! Bytes as text: base 16, 32 and 64 (RFC 4648).

use std::fmt::{self, Write};

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE32_HEX: &[u8; 32] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";

/// Base 16, in upper case (RFC 4648 §8).
pub(super) fn write_hex(f: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
}

/// Base 64 (RFC 4648 §4).
pub(super) fn write_base64(f: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    write_digits(f, bytes, 6, BASE64)?;
    // Filled up to a multiple of four digits.
    let padding = (3 - bytes.len() % 3) % 3;
    (0..padding).try_for_each(|_| f.write_char('='))
}

/// Base 32 with the digits of hexadecimal numbers first, without padding, as NSEC3 has it (RFC 5155 §3.3).
pub(super) fn write_base32_hex(f: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    write_digits(f, bytes, 5, BASE32_HEX)
}

/// Writes a digit for every `width` bits, the last filled up with zeros.
fn write_digits(f: &mut impl Write, bytes: &[u8], width: u32, digits: &[u8]) -> fmt::Result {
    let mut held = 0_u32;
    let mut count = 0;
    for &byte in bytes {
        held = held << 8 | u32::from(byte);
        count += 8;
        while count >= width {
            count -= width;
            f.write_char(digit(held >> count, digits))?;
        }
        held &= (1 << count) - 1;
    }
    if count > 0 { f.write_char(digit(held << (width - count), digits)) } else { Ok(()) }
}

fn digit(value: u32, digits: &[u8]) -> char {
    char::from(digits[value as usize % digits.len()])
}

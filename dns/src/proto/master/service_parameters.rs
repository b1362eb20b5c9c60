//! The parameters of SVCB and HTTPS records as text (RFC 9460 §2.1, appendix A).

use std::fmt::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::base::write_base64;
use super::{fields::Fields, write_quoted};

/// The registered keys, by number (RFC 9460 §14.3.2, RFC 9461 §5).
const KEYS: [&str; 8] = ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath"];

/// Writes the parameters, each with a blank before it. None where they are malformed.
pub(super) fn write(f: &mut String, fields: &mut Fields<'_>) -> Option<()> {
    while !fields.is_empty() {
        let key = fields.u16()?;
        let length = usize::from(fields.u16()?);
        let value = fields.take(length)?;
        f.push(' ');
        write_key(f, key).ok()?;
        if !value.is_empty() {
            f.push('=');
            write_value(f, key, value)?;
        }
    }
    Some(())
}

fn write_key(f: &mut String, key: u16) -> fmt::Result {
    match KEYS.get(usize::from(key)) {
        Some(name) => f.write_str(name),
        None => write!(f, "key{key}"),
    }
}

fn write_value(f: &mut String, key: u16, value: &[u8]) -> Option<()> {
    match key {
        0 => write_list(f, value, 2, |f, key| write_key(f, u16::from_be_bytes(key.try_into().unwrap_or_default()))),
        1 => write_protocols(f, value),
        3 => write!(f, "{}", u16::from_be_bytes(value.try_into().ok()?)).ok(),
        4 => write_list(f, value, 4, |f, hint| {
            write!(f, "{}", Ipv4Addr::from(<[u8; 4]>::try_from(hint).unwrap_or_default()))
        }),
        5 => write_base64(f, value).ok(),
        6 => write_list(f, value, 16, |f, hint| {
            write!(f, "{}", Ipv6Addr::from(<[u8; 16]>::try_from(hint).unwrap_or_default()))
        }),
        _ => {
            f.push('"');
            write_quoted(f, value).ok()?;
            f.push('"');
            Some(())
        }
    }
}

/// Writes items of `size` bytes with commas between them.
fn write_list(
    f: &mut String,
    value: &[u8],
    size: usize,
    write_item: impl Fn(&mut String, &[u8]) -> fmt::Result,
) -> Option<()> {
    if !value.len().is_multiple_of(size) {
        return None;
    }
    for (index, item) in value.chunks_exact(size).enumerate() {
        if index > 0 {
            f.push(',');
        }
        write_item(f, item).ok()?;
    }
    Some(())
}

/// Writes the names of protocols, each behind its length; commas and backslashes in them are escaped twice, once as
/// part of a list and once as part of a string (RFC 9460 appendix A.1).
fn write_protocols(f: &mut String, value: &[u8]) -> Option<()> {
    let mut list = Vec::new();
    let mut fields = Fields::new(value);
    while !fields.is_empty() {
        let length = usize::from(fields.u8()?);
        if !list.is_empty() {
            list.push(b',');
        }
        for &byte in fields.take(length)? {
            if matches!(byte, b',' | b'\\') {
                list.push(b'\\');
            }
            list.push(byte);
        }
    }
    f.push('"');
    write_quoted(f, &list).ok()?;
    f.push('"');
    Some(())
}

//! Version 2: binary (section 2.2).
//!
//! ```text
//!   0          12            13                    14..16   16 …                    … 16 + length
//!   signature  version|cmd   family|transport      length   addresses by the family  type, length, value …
//! ```

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::header::{Announced, Header, MalformedHeader, Tlv, Transport, Version, first_difference, malformed};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Up to and with the length.
const FIXED: usize = 16;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// The families, in the upper half of their byte, and how long their addresses are.
const UNSPECIFIED: u8 = 0x00;
const INET: u8 = 0x10;
const INET6: u8 = 0x20;
const UNIX: u8 = 0x30;

/// A path in an address of the Unix family, filled up with zeros.
const PATH_LEN: usize = 108;

pub(super) fn parse(bytes: &[u8], max_len: usize) -> Result<Option<(Header, usize)>, MalformedHeader> {
    if let Some(offset) = first_difference(bytes, SIGNATURE) {
        return malformed(offset, "a version 2 header begins with its signature");
    }
    match bytes.get(12) {
        Some(&(LOCAL | PROXY)) | None => {}
        Some(command) if command >> 4 != 2 => return malformed(12, "the version is not 2"),
        Some(_) => return malformed(12, "the command is neither LOCAL nor PROXY"),
    }
    let Some(&[.., command, family, high, low]) = bytes.get(..FIXED) else { return Ok(None) };
    let len = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if len > max_len {
        return malformed(14, "the header is longer than the limit");
    }
    let Some(header) = bytes.get(..len) else { return Ok(None) };
    // "The receiver must accept this connection as valid, and must discard the protocol block including the family."
    let (announced, tlvs) = if command == LOCAL { (Announced::Local, Vec::new()) } else { announced(header, family)? };
    Ok(Some((Header { version: Version::Two, announced, tlvs }, len)))
}

fn announced(header: &[u8], family: u8) -> Result<(Announced, Vec<Tlv>), MalformedHeader> {
    let transport = match family & 0x0f {
        0 if family == UNSPECIFIED => return Ok((Announced::Unknown, Vec::new())),
        1 => Transport::Stream,
        2 => Transport::Datagram,
        _ => return malformed(13, "unknown transport"),
    };
    let block = &header[FIXED..];
    let (announced, used) = match family & 0xf0 {
        INET => {
            let [a, b, c, d, e, f, g, h, ports @ ..] = first::<12>(block)?;
            let addresses = [Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h)];
            (inet(addresses, ports, transport), 12)
        }
        INET6 => {
            let block = first::<36>(block)?;
            let addresses = [0, 16].map(|at| Ipv6Addr::from(copied::<16>(&block[at..])));
            (inet(addresses, copied::<4>(&block[32..]), transport), 36)
        }
        UNIX => {
            let block = first::<{ 2 * PATH_LEN }>(block)?;
            let (source, destination) = block.split_at(PATH_LEN);
            let (source, destination) = (without_zeros(source), without_zeros(destination));
            (Announced::Unix { source, destination, transport }, 2 * PATH_LEN)
        }
        _ => return malformed(13, "unknown family"),
    };
    Ok((announced, tlvs(header, FIXED + used)?))
}

/// The addresses of the family, which the length must have room for.
fn first<const N: usize>(block: &[u8]) -> Result<[u8; N], MalformedHeader> {
    match block.first_chunk::<N>() {
        Some(addresses) => Ok(*addresses),
        None => malformed(14, "the length has no room for the addresses of the family"),
    }
}

/// The first `N` bytes; what is missing is zero.
fn copied<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk::<N>().copied().unwrap_or([0; N])
}

fn inet<A: Into<std::net::IpAddr>>([source, destination]: [A; 2], ports: [u8; 4], transport: Transport) -> Announced {
    let [a, b, c, d] = ports;
    Announced::Inet {
        source: SocketAddr::new(source.into(), u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(destination.into(), u16::from_be_bytes([c, d])),
        transport,
    }
}

fn without_zeros(path: &[u8]) -> Vec<u8> {
    let len = path.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    path[..len].to_vec()
}

/// The statements from `position` on, up to the end of the header.
fn tlvs(header: &[u8], mut position: usize) -> Result<Vec<Tlv>, MalformedHeader> {
    let mut tlvs = Vec::new();
    while position < header.len() {
        let Some(&[kind, high, low]) = header.get(position..position + 3) else {
            return malformed(position, "a statement is cut off before its length");
        };
        let start = position + 3;
        let end = start + usize::from(u16::from_be_bytes([high, low]));
        let Some(value) = header.get(start..end) else {
            return malformed(position + 1, "a statement goes on after the end of the header");
        };
        if kind == Tlv::CRC32C {
            verify(header, start, value)?;
        }
        if kind != Tlv::NOOP {
            tlvs.push(Tlv { kind, value: value.to_vec() });
        }
        position = end;
    }
    Ok(tlvs)
}

/// "The checksum is computed over the whole header with the field itself set to zero" (2.2.4).
fn verify(header: &[u8], at: usize, value: &[u8]) -> Result<(), MalformedHeader> {
    let Ok(stated) = <[u8; 4]>::try_from(value) else {
        return malformed(at, "a checksum has four bytes");
    };
    let rest = &header[at + value.len()..];
    let computed = [&header[..at], &[0; 4], rest].into_iter().fold(!0, crc32c);
    if !computed == u32::from_be_bytes(stated) { Ok(()) } else { malformed(at, "the checksum is wrong") }
}

/// RFC 3720, appendix B.4, a bit at a time: headers are short, and few have a checksum.
fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    const REVERSED_POLYNOMIAL: u32 = 0x82f6_3b78;
    bytes.iter().fold(crc, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (REVERSED_POLYNOMIAL & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    /// RFC 3720, B.4: 32 bytes of zeros, and of ones.
    #[test]
    fn the_checksum_is_that_of_the_rfc() {
        assert_eq!(!crc32c(!0, &[0; 32]), 0x8a91_36aa);
        assert_eq!(!crc32c(!0, &[0xff; 32]), 0x62a8_ab43);
    }
}

//! Walking over a message without decoding it: where names and fields end.
//!
//! The decoder below us follows pointers as far as they go, which a hostile message can stretch to thousands of steps
//! for every name. So each name is walked here first, within a bound and with faults that say where they are.

use hickory_proto::rr::RecordType;

use super::malformed::Fault;

/// How many pointers one name may take: as many as it can have labels (RFC 1035 §2.3.4, §4.1.4).
pub const MAX_POINTERS: usize = 127;

/// The length of a message's header (RFC 1035 §4.1.1).
pub(super) const HEADER_LENGTH: usize = 12;

/// The longest name, with its length bytes and the root's (RFC 1035 §2.3.4).
const MAX_NAME: usize = 255;

/// A fault and the offset of the byte that shows it.
pub(super) type Located<T> = Result<T, (usize, Fault)>;

/// Gives the offset behind the name at `start`.
///
/// A pointer must lead to before the start of what it was found in, and what it leads to must end before that start,
/// so no name can go in circles.
pub(super) fn name_end(message: &[u8], start: usize) -> Located<usize> {
    let mut at = start;
    let mut segment = start;
    let mut limit = message.len();
    let mut end = None;
    let mut length = 1;
    let mut pointers = 0;
    loop {
        if at >= limit {
            return Err((at, if end.is_none() { Fault::CutShort } else { Fault::Pointer { target: segment } }));
        }
        let byte = message[at];
        match byte >> 6 {
            0 if byte == 0 => return Ok(end.unwrap_or(at + 1)),
            0 => {
                length += 1 + usize::from(byte);
                if length > MAX_NAME {
                    return Err((at, Fault::NameTooLong));
                }
                at += 1 + usize::from(byte);
            }
            3 => {
                let Some(&low) = message.get(at + 1) else { return Err((at, Fault::CutShort)) };
                let target = usize::from(byte & 0x3F) << 8 | usize::from(low);
                if target < HEADER_LENGTH || target >= segment {
                    return Err((at, Fault::Pointer { target }));
                }
                pointers += 1;
                if pointers > MAX_POINTERS {
                    return Err((at, Fault::TooManyPointers));
                }
                end = end.or(Some(at + 2));
                limit = segment;
                segment = target;
                at = target;
            }
            _ => return Err((at, Fault::LabelKind { byte })),
        }
    }
}

/// Walks the names in the data of a record, which lies at `start` and ends at `end`.
///
/// Only of the types whose names may be compressed; in others the decoder takes names as the bytes they are.
pub(super) fn check_names_in_data(message: &[u8], record_type: RecordType, start: usize, end: usize) -> Located<()> {
    let data = &message[..end];
    match record_type {
        RecordType::NS | RecordType::CNAME | RecordType::PTR | RecordType::ANAME | RecordType::TSIG => {
            name_end(data, start)?;
        }
        RecordType::SOA => {
            name_end(data, name_end(data, start)?)?;
        }
        RecordType::MX | RecordType::SVCB | RecordType::HTTPS => {
            name_end(data, start + 2)?;
        }
        RecordType::SRV => {
            name_end(data, start + 6)?;
        }
        RecordType::NAPTR => {
            // Three strings stand before the name (RFC 3403 §4.1).
            let mut at = start + 4;
            for _ in 0..3 {
                at += 1 + usize::from(*data.get(at).ok_or((at, Fault::CutShort))?);
            }
            name_end(data, at)?;
        }
        _ => {}
    }
    Ok(())
}

/// The 16-bit number at `at`.
pub(super) fn u16_at(message: &[u8], at: usize) -> Located<u16> {
    match message.get(at..at + 2) {
        Some(&[high, low]) => Ok(u16::from_be_bytes([high, low])),
        _ => Err((at.min(message.len()), Fault::CutShort)),
    }
}

/// The 32-bit number at `at`.
pub(super) fn u32_at(message: &[u8], at: usize) -> Located<u32> {
    Ok(u32::from(u16_at(message, at)?) << 16 | u32::from(u16_at(message, at + 2)?))
}

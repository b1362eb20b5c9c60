//! The head of one MessagePack value: how long the value is, or how many others it holds.
//!
//! The formats are those of the [MessagePack specification](https://github.com/msgpack/msgpack/blob/master/spec.md).

/// What the first bytes of a value say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// A value that holds no others, and its bytes, head and all.
    Scalar(usize),
    /// An array or a map.
    Container {
        /// The bytes of the head.
        head: usize,
        /// How many values follow that belong to it; a pair of a map counts as two.
        values: usize,
    },
    /// The head has more bytes than there are.
    Short,
    /// 0xc1, which the specification never uses.
    Reserved,
}

/// Looks at the value at the start of `bytes`; its body need not be there yet.
#[inline]
pub(super) fn head(bytes: &[u8]) -> Head {
    let Some(&lead) = bytes.first() else {
        return Head::Short;
    };
    // One look instead of a jump: messages have all formats mixed, and no processor guesses which comes next.
    let length = SCALAR_LENGTHS[usize::from(lead)];
    if length > 0 {
        return Head::Scalar(usize::from(length));
    }
    match lead {
        // Binaries and texts of up to 255 bytes, before the others with a length, which are seldom.
        0xc4 | 0xd9 => bytes.get(1).map_or(Head::Short, |&length| Head::Scalar(2 + usize::from(length))),
        0x80..=0x8f => Head::Container { head: 1, values: 2 * usize::from(lead & 0x0f) },
        0x90..=0x9f => Head::Container { head: 1, values: usize::from(lead & 0x0f) },
        0xc1 => Head::Reserved,
        _ => long_head(lead, bytes),
    }
}

/// By its first byte, the length of a scalar whose first byte says it; 0 for all else.
const SCALAR_LENGTHS: [u8; 256] = {
    let mut lengths = [0; 256];
    let mut lead = 0;
    while lead < lengths.len() {
        lengths[lead] = scalar_length(lead as u8);
        lead += 1;
    }
    lengths
};

const fn scalar_length(lead: u8) -> u8 {
    match lead {
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => 1,
        0xa0..=0xbf => 1 + (lead & 0x1f),
        0xcc | 0xd0 => 2,
        0xcd | 0xd1 => 3,
        0xca | 0xce | 0xd2 => 5,
        0xcb | 0xcf | 0xd3 => 9,
        // Extensions of 1, 2, 4, 8 and 16 bytes, with one byte for their type.
        0xd4..=0xd8 => 2 + (1 << (lead - 0xd4)),
        _ => 0,
    }
}

/// Heads with a length of their own.
fn long_head(lead: u8, bytes: &[u8]) -> Head {
    // bin, ext and str have lengths of 1, 2 or 4 bytes, arrays and maps of 2 or 4.
    let width = match lead {
        0xc7 => 1,
        0xc5 | 0xc8 | 0xda | 0xdc | 0xde => 2,
        _ => 4,
    };
    let Some(digits) = bytes.get(1..1 + width) else {
        return Head::Short;
    };
    let length = digits.iter().fold(0_u64, |length, &digit| length << 8 | u64::from(digit));
    // Saturated lengths are beyond every limit.
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let head = 1 + width;
    match lead {
        0xdc | 0xdd => Head::Container { head, values: length },
        0xde | 0xdf => Head::Container { head, values: length.saturating_mul(2) },
        0xc7..=0xc9 => Head::Scalar(length.saturating_add(head + 1)),
        _ => Head::Scalar(length.saturating_add(head)),
    }
}

/// Whether a value that begins with this byte is an array.
pub(super) fn is_array(lead: u8) -> bool {
    matches!(lead, 0x90..=0x9f | 0xdc | 0xdd)
}

/// Whether a value that begins with this byte is a map.
pub(super) fn is_map(lead: u8) -> bool {
    matches!(lead, 0x80..=0x8f | 0xde | 0xdf)
}

/// The one byte of nil.
pub(super) const NIL: u8 = 0xc0;

//! Decimal numbers as HTTP writes them: digits only, no sign, no space.

use std::ops::Range;

/// Reads `1*DIGIT` that fits 64 bits; leading zeros are part of the grammar.
pub(super) fn parse(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// Appends a number in decimal digits.
#[inline]
pub(super) fn write(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut used: Range<usize> = digits.len()..digits.len();
    loop {
        used.start -= 1;
        digits[used.start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[used]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_std_writes_them_and_read_back() {
        for number in [0, 1, 9, 10, 99, 100, 12_345, u64::MAX / 10, u64::MAX - 1, u64::MAX] {
            let mut out = b"x".to_vec();
            write(&mut out, number);
            assert_eq!(out, format!("x{number}").as_bytes());
            assert_eq!(parse(&out[1..]), Some(number));
        }
    }

    #[test]
    fn what_is_not_digits_alone_is_no_number() {
        for text in ["", "+1", "-1", " 1", "1 ", "1,1", "0x1", "1.0", "1_0", "\u{661}"] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_none() {
        assert_eq!(parse(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse(b"18446744073709551616"), None);
        assert_eq!(parse(b"184467440737095516150"), None);
        assert_eq!(parse(b"000000000000000000000018446744073709551615"), Some(u64::MAX));
    }
}

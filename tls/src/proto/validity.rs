//! From when to when a certificate holds (RFC 5280 section 4.1.2.5), and nothing else of it.
//!
//! ```text
//!   Certificate { TBSCertificate { [0] version?, serialNumber, signature, issuer, validity { notBefore, notAfter } … } … }
//! ```
//!
//! rustls looks at the dates only while it verifies a peer, and does not tell them.

use super::date::Date;

const SEQUENCE: u8 = 0x30;
/// The version's, which is left out in certificates of version 1.
const EXPLICIT_0: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The first and the last moment at which a certificate holds.
pub(crate) struct Validity {
    pub(crate) not_before: Date,
    pub(crate) not_after: Date,
}

/// What a certificate in DER says of its dates; nothing if it cannot be read.
pub(crate) fn validity(certificate: &[u8]) -> Option<Validity> {
    let mut certificate = Values(Values(certificate).expect(SEQUENCE)?);
    let mut signed = Values(certificate.expect(SEQUENCE)?);
    if signed.0.first() == Some(&EXPLICIT_0) {
        signed.next()?;
    }
    let (_serial_number, _signature, _issuer) = (signed.next()?, signed.next()?, signed.next()?);
    let mut dates = Values(signed.expect(SEQUENCE)?);
    Some(Validity { not_before: time(dates.next()?)?, not_after: time(dates.next()?)? })
}

/// Values in DER that follow each other: a tag of one byte, a length, and as many bytes (X.690 section 8.1).
struct Values<'a>(&'a [u8]);

impl<'a> Values<'a> {
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        let (len, rest) = match first {
            ..=0x7f => (usize::from(first), rest),
            // Certificates of more than 4 GiB there are none.
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
                (digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((tag, content))
    }

    fn expect(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.next().filter(|(tag, _)| *tag == wanted).map(|(_, content)| content)
    }
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`: RFC 5280, sections 4.1.2.5.1 and 4.1.2.5.2, allows no other forms.
fn time((tag, text): (u8, &[u8])) -> Option<Date> {
    let digits = text.strip_suffix(b"Z")?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = (number(digits.get(..2)?)?, digits.get(2..)?);
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => (number(digits.get(..4)?)?, digits.get(4..)?),
        _ => return None,
    };
    let ([month, day, hour, minute, second], []) = rest.as_chunks::<2>().0.split_first_chunk()? else { return None };
    let is_whole = rest.len() == 10;
    let seconds = 3600 * number(hour)? + 60 * number(minute)? + number(second)?;
    Date::of(year, number(month)?, number(day)?, seconds).filter(|_| is_whole)
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| 10 * number + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(tag: u8, text: &str) -> Option<String> {
        time((tag, text.as_bytes())).map(|date| date.to_string())
    }

    #[test]
    fn rfc_5280_4_1_2_5_both_forms_of_a_time_are_read() {
        assert_eq!(shown(UTC_TIME, "491231235959Z").unwrap(), "2049-12-31 23:59:59 UTC");
        assert_eq!(shown(UTC_TIME, "700102030405Z").unwrap(), "1970-01-02 03:04:05 UTC");
        assert_eq!(shown(GENERALIZED_TIME, "20500101000000Z").unwrap(), "2050-01-01 00:00:00 UTC");
        assert_eq!(shown(GENERALIZED_TIME, "99991231235959Z").unwrap(), "9999-12-31 23:59:59 UTC");
        // What began before 1970 has begun.
        assert_eq!(shown(UTC_TIME, "500101000000Z").unwrap(), "1970-01-01 00:00:00 UTC");
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in
            ["", "Z", "4912312359Z", "491231235959", "49123123595Z", "4912312359590Z", "491331000000Z", "49123x000000Z"]
        {
            assert_eq!(shown(UTC_TIME, text), None, "{text}");
            assert_eq!(shown(GENERALIZED_TIME, text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes: Vec<u8>) {
            validity(&bytes);
            validity(&[&[0x30, 0x84, 0, 0, 0, 200][..], &bytes].concat());
        }
    }
}

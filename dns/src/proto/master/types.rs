//! Types by name.

use std::borrow::Cow;

use hickory_proto::rr::RecordType;

/// Types that have a mnemonic which the decoder does not know or does not read.
const MNEMONICS: [(u16, &str); 37] = [
    (3, "MD"),
    (4, "MF"),
    (7, "MB"),
    (8, "MG"),
    (9, "MR"),
    (14, "MINFO"),
    (17, "RP"),
    (18, "AFSDB"),
    (19, "X25"),
    (20, "ISDN"),
    (21, "RT"),
    (22, "NSAP"),
    (23, "NSAP-PTR"),
    (26, "PX"),
    (27, "GPOS"),
    (29, "LOC"),
    (36, "KX"),
    (41, "OPT"),
    (42, "APL"),
    (45, "IPSECKEY"),
    (49, "DHCID"),
    (55, "HIP"),
    (63, "ZONEMD"),
    (99, "SPF"),
    (104, "NID"),
    (105, "L32"),
    (106, "L64"),
    (107, "LP"),
    (108, "EUI48"),
    (109, "EUI64"),
    (249, "TKEY"),
    (251, "IXFR"),
    (256, "URI"),
    (258, "AVC"),
    (260, "AMTRELAY"),
    (32768, "TA"),
    (32769, "DLV"),
];

/// The name of a type: its mnemonic, or `TYPE` and its number where it has none (RFC 3597 §5).
///
/// ```
/// use grapeshot_dns::proto::{RecordType, type_name};
///
/// assert_eq!(type_name(RecordType::AAAA), "AAAA");
/// assert_eq!(type_name(RecordType::from(29)), "LOC");
/// assert_eq!(type_name(RecordType::from(731)), "TYPE731");
/// ```
pub fn type_name(record_type: RecordType) -> Cow<'static, str> {
    let code = u16::from(record_type);
    match record_type {
        RecordType::Unknown(_) | RecordType::ZERO => match MNEMONICS.iter().find(|(known, _)| *known == code) {
            Some((_, name)) => Cow::Borrowed(name),
            None => Cow::Owned(format!("TYPE{code}")),
        },
        known => Cow::Borrowed(known.into()),
    }
}

/// The type of that name, in any case: a mnemonic, or `TYPE` and its number. None where there is none.
///
/// ```
/// use grapeshot_dns::proto::{RecordType, parse_type};
///
/// assert_eq!(parse_type("mx"), Some(RecordType::MX));
/// assert_eq!(parse_type("TYPE15"), Some(RecordType::MX));
/// assert_eq!(parse_type("MX?"), None);
/// ```
pub fn parse_type(text: &str) -> Option<RecordType> {
    let name = text.to_ascii_uppercase();
    if let Some((code, _)) = MNEMONICS.iter().find(|(_, known)| *known == name) {
        return Some(RecordType::from(*code));
    }
    if let Some(number) = name.strip_prefix("TYPE").filter(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
        return number.parse::<u16>().ok().map(RecordType::from);
    }
    name.parse().ok()
}

//! The fields that the data of each type consists of, and how each kind of field is written.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::RecordType;

use super::base::{write_base32_hex, write_base64, write_hex};
use super::{Style, TextStyle, service_parameters, type_name, write_name, write_quoted};

/// What a field holds.
#[derive(Clone, Copy)]
enum Field {
    /// A number of one byte.
    U8,
    /// A number of two bytes.
    U16,
    /// A number of four bytes.
    U32,
    /// A name.
    Name,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// Four groups of four hexadecimal digits (RFC 6742 §2.1.2).
    Groups,
    /// A character string, in quotes.
    String,
    /// Character strings up to the end.
    Strings,
    /// A character string of letters and digits, without quotes.
    Tag,
    /// Everything up to the end, in quotes.
    Quoted,
    /// Everything up to the end, in base 16.
    Hex,
    /// Everything up to the end, in base 64.
    Base64,
    /// Bytes behind their length, in base 16, `-` for none (RFC 5155 §3.3).
    Salt,
    /// Bytes behind their length, in base 32 (RFC 5155 §3.3).
    Hash,
    /// Bytes with a hyphen between any two (RFC 7043 §3.2).
    Hyphenated,
    /// The number of a type, as its name.
    Type,
    /// A set of types up to the end, as their names (RFC 4034 §4.1.2).
    Types,
    /// A point in time, in seconds since 1970, as a date (RFC 4034 §3.2).
    Time,
    /// The kind of a certificate, as its name (RFC 4398 §2.1).
    CertificateType,
    /// An algorithm of DNSSEC, as its name (RFC 4034 appendix A.1).
    Algorithm,
    /// The parameters of a service up to the end (RFC 9460 §2.1).
    ServiceParameters,
}

/// The fields of a type's data, by its number, or None where they are not known here.
fn fields_of(record_type: u16) -> Option<&'static [Field]> {
    use Field::{
        Algorithm, Base64, CertificateType, Groups, Hash, Hex, Hyphenated, Ipv4, Ipv6, Name, Quoted, Salt,
        ServiceParameters, String, Strings, Tag, Time, Type, Types, U8, U16, U32,
    };
    Some(match record_type {
        // A, AAAA
        1 => &[Ipv4],
        28 => &[Ipv6],
        // NS, MD, MF, CNAME, MB, MG, MR, PTR, NSAP-PTR, DNAME, ANAME
        2..=5 | 7..=9 | 12 | 23 | 39 | 65305 => &[Name],
        // SOA
        6 => &[Name, Name, U32, U32, U32, U32, U32],
        // HINFO; MINFO, RP
        13 => &[String, String],
        14 | 17 => &[Name, Name],
        // MX, AFSDB, RT, KX, LP
        15 | 18 | 21 | 36 | 107 => &[U16, Name],
        // TXT, ISDN, SPF, AVC
        16 | 20 | 99 | 258 => &[Strings],
        // X25; PX
        19 => &[String],
        26 => &[U16, Name, Name],
        // SIG, RRSIG
        24 | 46 => &[Type, U8, U8, U32, Time, Time, U16, Name, Base64],
        // KEY, DNSKEY, CDNSKEY
        25 | 48 | 60 => &[U16, U8, U8, Base64],
        // GPOS
        27 => &[String, String, String],
        // SRV
        33 => &[U16, U16, U16, Name],
        // NAPTR
        35 => &[U16, U16, String, String, String, Name],
        // CERT
        37 => &[CertificateType, U16, Algorithm, Base64],
        // DS, CDS, TA, DLV
        43 | 59 | 32768 | 32769 => &[U16, U8, U8, Hex],
        // SSHFP
        44 => &[U8, U8, Hex],
        // NSEC, NSEC3, NSEC3PARAM
        47 => &[Name, Types],
        50 => &[U8, U8, U16, Salt, Hash, Types],
        51 => &[U8, U8, U16, Salt],
        // DHCID, OPENPGPKEY
        49 | 61 => &[Base64],
        // TLSA, SMIMEA
        52 | 53 => &[U8, U8, U8, Hex],
        // CSYNC, ZONEMD
        62 => &[U32, U16, Types],
        63 => &[U32, U8, U8, Hex],
        // SVCB, HTTPS
        64 | 65 => &[U16, Name, ServiceParameters],
        // NID, L64; L32
        104 | 106 => &[U16, Groups],
        105 => &[U16, Ipv4],
        // EUI48, EUI64
        108 | 109 => &[Hyphenated],
        // URI, CAA
        256 => &[U16, U16, Quoted],
        257 => &[U8, Tag, Quoted],
        _ => return None,
    })
}

/// Writes the data of a record of that type, or gives None where its fields are not known or do not fit.
pub(super) fn present(record_type: u16, bytes: &[u8], style: Style) -> Option<String> {
    let mut fields = Fields::new(bytes);
    let mut text = String::new();
    for field in fields_of(record_type)? {
        let length = text.len();
        // The parameters, a set of types and a key may be empty, and begin with their own blank.
        fields.write(*field, &mut text, style)?;
        if length > 0 && text.len() > length && !text[length..].starts_with(' ') {
            text.insert(length, ' ');
        }
    }
    fields.is_empty().then_some(text)
}

/// What is left of the bytes of a record's data.
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.bytes.split_at_checked(length)?;
        self.bytes = left;
        Some(taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn array<const LENGTH: usize>(&mut self) -> Option<[u8; LENGTH]> {
        self.take(LENGTH)?.try_into().ok()
    }

    /// A string behind its length (RFC 1035 §3.3).
    fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(length.into())
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    /// Writes the next field.
    fn write(&mut self, field: Field, f: &mut String, style: Style) -> Option<()> {
        match field {
            Field::U8 => write!(f, "{}", self.u8()?).ok(),
            Field::U16 => write!(f, "{}", self.u16()?).ok(),
            Field::U32 => write!(f, "{}", self.u32()?).ok(),
            Field::Name => self.write_name(f, style),
            Field::Ipv4 => write!(f, "{}", Ipv4Addr::from(self.array::<4>()?)).ok(),
            Field::Ipv6 => write!(f, "{}", Ipv6Addr::from(self.array::<16>()?)).ok(),
            Field::Groups => {
                let groups = [self.u16()?, self.u16()?, self.u16()?, self.u16()?];
                write!(f, "{:x}:{:x}:{:x}:{:x}", groups[0], groups[1], groups[2], groups[3]).ok()
            }
            Field::String => write_in_quotes(f, self.string()?),
            Field::Strings => self.write_strings(f, style),
            Field::Tag => write_quoted(f, self.string()?).ok(),
            Field::Quoted => write_in_quotes(f, self.rest()),
            Field::Hex => write_hex(f, self.rest()).ok(),
            Field::Base64 => write_base64(f, self.rest()).ok(),
            Field::Salt => match self.string()? {
                [] => f.write_char('-').ok(),
                salt => write_hex(f, salt).ok(),
            },
            Field::Hash => write_base32_hex(f, self.string()?).ok(),
            Field::Hyphenated => {
                let bytes: Vec<String> = self.rest().iter().map(|byte| format!("{byte:02x}")).collect();
                f.write_str(&bytes.join("-")).ok()
            }
            Field::Type => f.write_str(&type_name(RecordType::from(self.u16()?))).ok(),
            Field::Types => self.write_types(f),
            Field::Time => write_time(f, self.u32()?),
            Field::CertificateType => write_mnemonic(f, self.u16()?, &CERTIFICATE_TYPES),
            Field::Algorithm => write_mnemonic(f, self.u8()?.into(), &ALGORITHMS),
            Field::ServiceParameters => service_parameters::write(f, self),
        }
    }

    fn write_name(&mut self, f: &mut String, style: Style) -> Option<()> {
        let mut labels = Vec::new();
        loop {
            match self.u8()? {
                0 => break,
                length @ 1..=63 => labels.push(self.take(length.into())?),
                _ => return None,
            }
        }
        write_name(f, labels.into_iter(), style).ok()
    }

    fn write_strings(&mut self, f: &mut String, style: Style) -> Option<()> {
        let mut strings = Vec::new();
        while !self.is_empty() {
            strings.push(self.string()?);
        }
        match style.text {
            TextStyle::Quoted => {
                for (index, string) in strings.iter().enumerate() {
                    f.push_str(if index > 0 { " " } else { "" });
                    write_in_quotes(f, string)?;
                }
                Some(())
            }
            TextStyle::Joined => write_in_quotes(f, &strings.concat()),
            TextStyle::Bare => write_bare(f, &strings.concat()),
        }
    }

    /// Windows of up to 256 types, each a number, a length, and a bit for each type.
    fn write_types(&mut self, f: &mut String) -> Option<()> {
        while !self.is_empty() {
            let window = u16::from(self.u8()?) << 8;
            for (index, byte) in self.string()?.iter().enumerate() {
                for bit in (0..8).filter(|bit| byte & 0x80 >> bit != 0) {
                    let code = window | (index as u16 & 0x1F) << 3 | bit;
                    write!(f, " {}", type_name(RecordType::from(code))).ok()?;
                }
            }
        }
        Some(())
    }
}

fn write_in_quotes(f: &mut String, bytes: &[u8]) -> Option<()> {
    f.push('"');
    write_quoted(f, bytes).ok()?;
    f.push('"');
    Some(())
}

/// Text for people and scripts: a quotation mark needs no escape where none encloses it.
fn write_bare(f: &mut String, bytes: &[u8]) -> Option<()> {
    for &byte in bytes {
        match byte {
            b'\\' => f.push_str("\\\\"),
            b' '..=b'~' => f.push(char::from(byte)),
            _ => write!(f, "\\{byte:03}").ok()?,
        }
    }
    Some(())
}

/// The kinds of certificates that have names (RFC 4398 §2.1).
const CERTIFICATE_TYPES: [(u16, &str); 10] = [
    (1, "PKIX"),
    (2, "SPKI"),
    (3, "PGP"),
    (4, "IPKIX"),
    (5, "ISPKI"),
    (6, "IPGP"),
    (7, "ACPKIX"),
    (8, "IACPKIX"),
    (253, "URI"),
    (254, "OID"),
];

/// The algorithms that have names (the registry of RFC 8624 §3.1).
const ALGORITHMS: [(u16, &str); 15] = [
    (1, "RSAMD5"),
    (2, "DH"),
    (3, "DSA"),
    (5, "RSASHA1"),
    (6, "NSEC3DSA"),
    (7, "NSEC3RSASHA1"),
    (8, "RSASHA256"),
    (10, "RSASHA512"),
    (12, "ECCGOST"),
    (13, "ECDSAP256SHA256"),
    (14, "ECDSAP384SHA384"),
    (15, "ED25519"),
    (16, "ED448"),
    (253, "PRIVATEDNS"),
    (254, "PRIVATEOID"),
];

fn write_mnemonic(f: &mut String, code: u16, names: &[(u16, &str)]) -> Option<()> {
    match names.iter().find(|(known, _)| *known == code) {
        Some((_, name)) => f.write_str(name).ok(),
        None => write!(f, "{code}").ok(),
    }
}

/// Writes a point in time as YYYYMMDDHHmmSS, in UTC.
fn write_time(f: &mut String, seconds: u32) -> Option<()> {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since the first of March of the year 0, so that the leap day ends a year; the eras of 400 years are alike.
    let since_march = days + 719_468;
    let (era, day_of_era) = (since_march / 146_097, since_march % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u32::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    write!(f, "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}").ok()
}

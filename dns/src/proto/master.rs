//! Records as a master file writes them (RFC 1035 §5.1), whatever their type.
//!
//! A record's data is written field by field, as a table of the types says; it is encoded first, so that types which
//! the decoder leaves as bytes, such as those of DNSSEC, are written like all others. What no table knows, or does not
//! fit its table, takes the form of RFC 3597 §5: `\# 4 C0000201`.

mod base;
mod fields;
mod service_parameters;
mod types;

use std::fmt::{self, Write};

use hickory_proto::rr::{Name, RData, Record};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};

pub use self::types::{parse_type, type_name};

/// In which of its forms a record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether names end in a dot.
    pub last_dot: bool,
    /// Whether letters in names are written in lower case.
    pub lower_case: bool,
    /// How the strings of a TXT record are written.
    pub text: TextStyle,
}

/// How the strings of a TXT record are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextStyle {
    /// Each in quotes, as a master file has them: `"v=spf1 " "-all"`.
    Quoted,
    /// Joined, in quotes: `"v=spf1 -all"`.
    Joined,
    /// Joined, without quotes: `v=spf1 -all`. Backslashes and what is not ASCII are still escaped.
    Bare,
}

impl Style {
    /// As a master file has it, and `dig` prints it: names end in a dot and keep their case.
    pub const MASTER: Style = Style { last_dot: true, lower_case: false, text: TextStyle::Quoted };

    /// For comparing: names without the last dot and in lower case, the strings of a text joined.
    pub const PLAIN: Style = Style { last_dot: false, lower_case: true, text: TextStyle::Joined };
}

/// Something to be written in a [`Style`].
#[derive(Clone, Copy, Debug)]
pub struct Presentation<'a, T> {
    subject: &'a T,
    style: Style,
}

/// Writes the data of a record.
///
/// ```
/// use grapeshot_dns::proto::{Name, RData, Style, rdata, present_data};
///
/// let data = RData::MX(rdata::MX::new(10, Name::from_ascii("Mail.Example.")?));
/// assert_eq!(present_data(&data, Style::MASTER).to_string(), "10 Mail.Example.");
/// assert_eq!(present_data(&data, Style::PLAIN).to_string(), "10 mail.example");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn present_data(data: &RData, style: Style) -> Presentation<'_, RData> {
    Presentation { subject: data, style }
}

/// Writes a name.
pub fn present_name(name: &Name, style: Style) -> Presentation<'_, Name> {
    Presentation { subject: name, style }
}

/// Writes a record: owner, TTL, class, type and data, with tabs between them.
pub fn present_record(record: &Record, style: Style) -> Presentation<'_, Record> {
    Presentation { subject: record, style }
}

impl fmt::Display for Presentation<'_, RData> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::new();
        let mut encoder = BinEncoder::new(&mut bytes);
        encoder.set_name_encoding(NameEncoding::Uncompressed);
        // What was decoded can be encoded, so only values that a program made up end here.
        self.subject.emit(&mut encoder).map_err(|_| fmt::Error)?;
        match fields::present(self.subject.record_type().into(), &bytes, self.style) {
            Some(text) => f.write_str(&text),
            None => write_generic(f, &bytes),
        }
    }
}

impl fmt::Display for Presentation<'_, Name> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(f, self.subject.iter(), self.style)
    }
}

impl fmt::Display for Presentation<'_, Record> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { name, ttl, data, dns_class, .. } = self.subject;
        present_name(name, self.style).fmt(f)?;
        write!(f, "\t{ttl}\t{dns_class}\t{}\t", type_name(data.record_type()))?;
        present_data(data, self.style).fmt(f)
    }
}

/// Writes data of which nothing is known (RFC 3597 §5).
fn write_generic(f: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    write!(f, "\\# {}", bytes.len())?;
    if bytes.is_empty() {
        return Ok(());
    }
    f.write_char(' ')?;
    base::write_hex(f, bytes)
}

/// Writes a name (RFC 1035 §5.1, RFC 4343 §2.1); the root is a dot in every style.
fn write_name<'a>(f: &mut impl Write, labels: impl ExactSizeIterator<Item = &'a [u8]>, style: Style) -> fmt::Result {
    let last = labels.len();
    if last == 0 {
        return f.write_char('.');
    }
    for (index, label) in labels.enumerate() {
        for &byte in label {
            let byte = if style.lower_case { byte.to_ascii_lowercase() } else { byte };
            match byte {
                b'"' | b'(' | b')' | b'.' | b';' | b'@' | b'$' | b'\\' => write!(f, "\\{}", char::from(byte))?,
                b'!'..=b'~' => f.write_char(char::from(byte))?,
                _ => write!(f, "\\{byte:03}")?,
            }
        }
        if index + 1 < last || style.last_dot {
            f.write_char('.')?;
        }
    }
    Ok(())
}

/// Writes the inside of a character string in quotes (RFC 1035 §5.1).
fn write_quoted(f: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
            b' '..=b'~' => f.write_char(char::from(byte))?,
            _ => write!(f, "\\{byte:03}")?,
        }
    }
    Ok(())
}

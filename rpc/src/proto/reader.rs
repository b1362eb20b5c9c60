//! Reads one value of a message after the other, without copying.

use super::head::{Head, NIL, head, is_array, is_map};

/// Why the next value is not what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// The bytes end within it.
    Truncated,
    /// It begins with 0xc1.
    Reserved,
    /// It is of another type, or a number that is negative.
    OtherType,
    /// It is text that is no UTF-8.
    NotUtf8,
}

/// A place in a message. It moves on only over what was read as asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    /// Where the next value begins.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// How many bytes were not read.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn lead(&self) -> Result<u8, Mismatch> {
        self.rest().first().copied().ok_or(Mismatch::Truncated)
    }

    /// Reads nil, if it is next.
    pub(super) fn nil(&mut self) -> bool {
        let is_nil = self.lead() == Ok(NIL);
        self.at += usize::from(is_nil);
        is_nil
    }

    /// Reads the head of an array: how many values it has.
    pub(super) fn array(&mut self) -> Result<usize, Mismatch> {
        if !is_array(self.lead()?) {
            return Err(Mismatch::OtherType);
        }
        self.container()
    }

    /// Reads the head of a map: how many pairs it has.
    pub(super) fn map(&mut self) -> Result<usize, Mismatch> {
        if !is_map(self.lead()?) {
            return Err(Mismatch::OtherType);
        }
        Ok(self.container()? / 2)
    }

    fn container(&mut self) -> Result<usize, Mismatch> {
        match head(self.rest()) {
            Head::Container { head, values } => {
                self.at += head;
                Ok(values)
            }
            _ => Err(Mismatch::Truncated),
        }
    }

    /// Reads a number that is not negative, in whichever of its forms.
    #[inline]
    pub(super) fn uint(&mut self) -> Result<u64, Mismatch> {
        let lead = self.lead()?;
        if lead < 0x80 {
            self.at += 1;
            return Ok(u64::from(lead));
        }
        self.long_uint(lead)
    }

    fn long_uint(&mut self, lead: u8) -> Result<u64, Mismatch> {
        if !matches!(lead, 0xcc..=0xd3) {
            return Err(Mismatch::OtherType);
        }
        let width = 1 << (lead & 0x03);
        let digits = self.rest().get(1..1 + width).ok_or(Mismatch::Truncated)?;
        // The signed forms of a number are allowed as long as it is not below zero.
        if lead >= 0xd0 && digits[0] >= 0x80 {
            return Err(Mismatch::OtherType);
        }
        self.at += 1 + width;
        Ok(digits.iter().fold(0_u64, |number, &digit| number << 8 | u64::from(digit)))
    }

    /// Reads text.
    #[inline]
    pub(super) fn text(&mut self) -> Result<&'a str, Mismatch> {
        let head_length = match self.lead()? {
            0xa0..=0xbf => 1,
            0xd9 => 2,
            0xda => 3,
            0xdb => 5,
            _ => return Err(Mismatch::OtherType),
        };
        let start = self.at;
        let bytes = self.body(head_length)?;
        std::str::from_utf8(bytes).map_err(|_| {
            self.at = start;
            Mismatch::NotUtf8
        })
    }

    /// Reads text, or the same as a string of bytes.
    #[inline]
    pub(super) fn name(&mut self) -> Result<&'a str, Mismatch> {
        match self.text() {
            Err(Mismatch::OtherType) => self.text_as_bytes(),
            read => read,
        }
    }

    #[cold]
    fn text_as_bytes(&mut self) -> Result<&'a str, Mismatch> {
        let start = self.at;
        let bytes = self.binary()?;
        std::str::from_utf8(bytes).map_err(|_| {
            self.at = start;
            Mismatch::NotUtf8
        })
    }

    /// Reads a string of bytes.
    pub(super) fn binary(&mut self) -> Result<&'a [u8], Mismatch> {
        let head_length = match self.lead()? {
            0xc4 => 2,
            0xc5 => 3,
            0xc6 => 5,
            _ => return Err(Mismatch::OtherType),
        };
        self.body(head_length)
    }

    /// The body of a text or a string of bytes.
    fn body(&mut self, head_length: usize) -> Result<&'a [u8], Mismatch> {
        let rest = self.rest();
        let Head::Scalar(length) = head(rest) else {
            return Err(Mismatch::Truncated);
        };
        let body = rest.get(head_length..length).ok_or(Mismatch::Truncated)?;
        self.at += length;
        Ok(body)
    }

    /// Reads any value, as its bytes.
    #[inline]
    pub(super) fn value(&mut self) -> Result<&'a [u8], Mismatch> {
        let start = self.at;
        let mut at = start;
        let mut awaited = 1_usize;
        while awaited > 0 {
            let rest = self.bytes.get(at..).ok_or(Mismatch::Truncated)?;
            awaited -= 1;
            match head(rest) {
                Head::Scalar(length) => at = at.saturating_add(length),
                Head::Container { head, values } => {
                    at += head;
                    awaited = awaited.saturating_add(values);
                }
                Head::Short => return Err(Mismatch::Truncated),
                Head::Reserved => return Err(Mismatch::Reserved),
            }
        }
        let value = self.bytes.get(start..at).ok_or(Mismatch::Truncated)?;
        self.at = at;
        Ok(value)
    }
}

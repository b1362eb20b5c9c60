//! What can be wrong with the lines of a head or a trailer section.

use std::fmt;

/// What is wrong with the syntax of a request line, a header line or a trailer line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyntaxFault {
    /// A line ends with LF alone.
    BareLineFeed,
    /// A CR is not followed by LF.
    BareCarriageReturn,
    /// A byte in the method that is not a token character.
    InvalidMethod(u8),
    /// The request line has no target between method and version.
    MissingTarget,
    /// A control byte or DEL in the target.
    InvalidTargetByte(u8),
    /// The request line ends after the target, as in HTTP/0.9.
    MissingVersion,
    /// What stands in the place of the version is not one.
    InvalidVersion,
    /// A header line starts with white space: an obsolete line folding, or a smuggled header.
    FoldedLine,
    /// White space stands between a header name and its colon.
    SpaceBeforeColon,
    /// A header line has no colon.
    MissingColon,
    /// A byte in a header name that is not a token character; a colon if the name is empty.
    InvalidHeaderName(u8),
    /// A control byte in a header value; 0 is NUL.
    InvalidHeaderValue(u8),
    /// The line is refused for a reason we cannot name.
    Unknown,
}

impl fmt::Display for SyntaxFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BareLineFeed => f.write_str("LF without CR before it (RFC 9112 section 2.2)"),
            Self::BareCarriageReturn => f.write_str("CR without LF after it (RFC 9112 section 2.2)"),
            Self::InvalidMethod(byte) => {
                write!(f, "{byte:#04x} in the method, which is a token (RFC 9110 section 9.1)")
            }
            Self::MissingTarget => f.write_str("no request target (RFC 9112 section 3)"),
            Self::InvalidTargetByte(byte) => {
                write!(f, "{byte:#04x} in the request target (RFC 9112 section 3.2)")
            }
            Self::MissingVersion => f.write_str("no version (RFC 9112 section 3)"),
            Self::InvalidVersion => f.write_str("not an HTTP version (RFC 9112 section 2.3)"),
            Self::FoldedLine => f.write_str("a header line starts with white space (RFC 9112 sections 2.2 and 5.2)"),
            Self::SpaceBeforeColon => f.write_str("white space before the colon (RFC 9112 section 5.1)"),
            Self::MissingColon => f.write_str("a header without a colon (RFC 9112 section 5)"),
            Self::InvalidHeaderName(byte) => {
                write!(f, "{byte:#04x} in a header name, which is a token (RFC 9110 section 5.1)")
            }
            Self::InvalidHeaderValue(byte) => {
                write!(f, "{byte:#04x} in a header value (RFC 9110 section 5.5)")
            }
            Self::Unknown => f.write_str("not HTTP"),
        }
    }
}

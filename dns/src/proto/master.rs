//! Records as a master file writes them.

use std::borrow::Cow;

use hickory_proto::rr::RecordType;

/// The name of a type: its mnemonic, or `TYPE` and its number where it has none (RFC 3597 §5).
pub fn type_name(record_type: RecordType) -> Cow<'static, str> {
    match record_type {
        RecordType::Unknown(code) => Cow::Owned(format!("TYPE{code}")),
        known => Cow::Borrowed(known.into()),
    }
}

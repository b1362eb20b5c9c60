//! Names as a person types them, names in reverse, and which name lies within which zone.

use hickory_proto::rr::Name;

/// Whether `name` is `zone` or lies below it, without regard to case (RFC 1034 §3.1, RFC 4343 §3).
pub fn is_within(name: &Name, zone: &Name) -> bool {
    let (labels, above) = (name.iter(), zone.iter());
    labels.len() >= above.len() && labels.rev().zip(above.rev()).all(|(label, other)| label.eq_ignore_ascii_case(other))
}

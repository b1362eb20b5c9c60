//! A place in a trace, read from and written as W3C Trace Context (Recommendation of 2021-11-23).
//!
//! ```text
//! traceparent   00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
//!       version ┘  └ trace id                       └ parent id      └ flags
//! ```

use std::fmt;
use std::sync::Arc;

use grapeshot_core::random_u64;

use crate::proto::TraceContext;

/// How long a `tracestate` is passed on at most, in bytes: what the recommendation asks for at least (§3.3.1.5).
/// A longer one is left out, as nobody here knows which of its entries matter.
const MAX_STATE_BYTES: usize = 512;

/// The length of a `traceparent` of version 00; later versions may append to it (§3.2.4).
const PARENT_LEN: usize = 55;

/// The flag of which §3.2.2.5.1 says that the caller may have recorded the trace. Others are not passed on.
const SAMPLED: u8 = 1;

/// A place in a trace: a span of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trace {
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
    is_sampled: bool,
    /// `None` for an empty one.
    state: Option<Arc<str>>,
}

impl Trace {
    /// Reads a context; `None` for one that is not well-formed, which is as good as none (§4.3).
    pub(super) fn parse(context: &TraceContext) -> Option<Trace> {
        let text = context.parent.as_bytes();
        let version = hexadecimal(text.get(0..2)?)?;
        let has_right_length = match text.get(PARENT_LEN) {
            None => text.len() == PARENT_LEN,
            Some(next) => version > 0 && *next == b'-',
        };
        let has_dashes = [2, 35, 52].iter().all(|at| text.get(*at) == Some(&b'-'));
        if version == 0xff || !has_right_length || !has_dashes {
            return None;
        }
        let trace_id = hexadecimal(&text[3..35])?;
        let span_id = u64::try_from(hexadecimal(&text[36..52])?).ok()?;
        let flags = hexadecimal(&text[53..55])? as u8;
        if trace_id == 0 || span_id == 0 {
            return None;
        }
        let state = Some(context.state.as_str()).filter(|state| !state.is_empty() && state.len() <= MAX_STATE_BYTES);
        Some(Trace { trace_id, span_id, is_sampled: flags & SAMPLED != 0, state: state.map(Arc::from) })
    }

    /// A new span that is recorded here: below `parent`, or the first of a trace.
    pub(super) fn below(parent: Option<&Trace>) -> Trace {
        let (trace_id, state) = match parent {
            Some(parent) => (parent.trace_id, parent.state.clone()),
            None => (u128::from(random_id()) << 64 | u128::from(random_id()), None),
        };
        Trace { trace_id, span_id: random_id(), is_sampled: true, state }
    }

    /// As it travels.
    pub(super) fn to_context(&self) -> TraceContext {
        let state = self.state.as_deref().unwrap_or_default().to_owned();
        TraceContext { parent: self.to_string(), state }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.is_sampled) * SAMPLED)
    }
}

/// Zero means that there is none (§3.2.2.3, §3.2.2.4).
fn random_id() -> u64 {
    random_u64().max(1)
}

/// Reads up to 32 digits; capitals are none (§3.2.2.2).
fn hexadecimal(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn parse(parent: &str, state: &str) -> Option<Trace> {
        Trace::parse(&TraceContext { parent: parent.to_owned(), state: state.to_owned() })
    }

    #[test]
    fn a_context_is_written_as_it_was_read() {
        let trace = parse(PARENT, "congo=t61rcWkgMzE").unwrap();
        assert_eq!((trace.trace_id, trace.span_id), (0x4bf92f3577b34da6a3ce929d0e0e4736, 0x00f067aa0ba902b7));
        let context = trace.to_context();
        assert_eq!((context.parent.as_str(), context.state.as_str()), (PARENT, "congo=t61rcWkgMzE"));
        let unsampled = PARENT.replace("-01", "-00");
        assert_eq!(parse(&unsampled, "").unwrap().to_string(), unsampled);
    }

    #[test]
    fn what_is_not_well_formed_is_no_context() {
        let wrong = [
            String::new(),
            PARENT[..54].to_owned(),
            format!("{PARENT}-00"),
            PARENT.to_uppercase(),
            PARENT.replacen("00-", "ff-", 1),
            PARENT.replace('-', "_"),
            format!("00-{:032x}-00f067aa0ba902b7-01", 0),
            format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{:016x}-01", 0),
            PARENT.replace("4b", "+b"),
            "ä".repeat(30),
        ];
        for text in wrong {
            assert_eq!(parse(&text, ""), None, "{text:?}");
        }
    }

    #[test]
    fn a_later_version_may_have_more_behind_it() {
        let later = PARENT.replacen("00-", "01-", 1);
        assert_eq!(parse(&format!("{later}-more"), "").unwrap().to_string(), PARENT);
        assert_eq!(parse(&later, "").unwrap().to_string(), PARENT);
        assert_eq!(parse(&format!("{later}more"), ""), None);
    }

    #[test]
    fn a_state_that_is_too_long_is_left_out_and_the_trace_goes_on() {
        let trace = parse(PARENT, &"s".repeat(MAX_STATE_BYTES + 1)).unwrap();
        assert_eq!(trace.to_context().state, "");
        assert_eq!(parse(PARENT, &"s".repeat(MAX_STATE_BYTES)).unwrap().to_context().state.len(), MAX_STATE_BYTES);
    }

    #[test]
    fn a_span_below_another_belongs_to_its_trace() {
        let parent = parse(PARENT, "a=1").unwrap();
        let child = Trace::below(Some(&parent));
        assert_eq!((child.trace_id, child.state.as_deref()), (parent.trace_id, Some("a=1")));
        assert_ne!(child.span_id, parent.span_id);
        assert_ne!(Trace::below(None).trace_id, Trace::below(None).trace_id);
    }
}

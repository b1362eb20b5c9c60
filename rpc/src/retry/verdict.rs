//! Whether an attempt that failed is repeated: the table in the module's page.

use crate::error::{CallError, Failure, Outcome};

/// What to do after an attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The call has failed.
    Final,
    /// The call may be made again.
    Repeat,
    /// The server does not know the client's id: it wants a new one, if nothing of this call may have run.
    Renumber,
}

/// Judges an attempt; `repeatable` says that running twice does no harm, or will not happen.
pub(super) fn verdict(error: &CallError, repeatable: bool) -> Verdict {
    let may_go_away = match error {
        CallError::Failed(failure) if failure.code == Failure::UNKNOWN_CLIENT => return Verdict::Renumber,
        CallError::Failed(failure) => {
            matches!(failure.code, Failure::UNAVAILABLE | Failure::BUSY | Failure::DEADLINE | Failure::CANCELLED)
        }
        CallError::Refused { .. }
        | CallError::NotSent { .. }
        | CallError::OutcomeUnknown { .. }
        | CallError::TimedOut { .. } => true,
        CallError::Malformed { .. } | CallError::TooLarge { .. } | CallError::Encode(_) => false,
    };
    match error.outcome() {
        Outcome::NotRun if may_go_away => Verdict::Repeat,
        Outcome::Unknown if may_go_away && repeatable => Verdict::Repeat,
        _ => Verdict::Final,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::value::EncodeError;

    fn cause() -> Arc<io::Error> {
        Arc::new(io::ErrorKind::ConnectionReset.into())
    }

    fn failed(code: i64) -> CallError {
        CallError::Failed(Failure::new(code, "so it is"))
    }

    fn timed_out(sent: bool) -> CallError {
        CallError::TimedOut { limit: Duration::from_secs(1), sent }
    }

    #[test]
    fn what_did_not_run_and_may_go_away_is_always_repeated() {
        let refused = CallError::Refused { reason: "the breaker is open".to_owned() };
        let not_sent = CallError::NotSent { cause: cause() };
        for error in [refused, not_sent, timed_out(false), failed(Failure::BUSY), failed(Failure::UNAVAILABLE)] {
            assert_eq!(verdict(&error, false), Verdict::Repeat, "{error}");
        }
    }

    #[test]
    fn what_may_have_run_is_repeated_only_if_that_does_no_harm() {
        let unknown = CallError::OutcomeUnknown { cause: cause() };
        for error in [unknown, timed_out(true), failed(Failure::DEADLINE), failed(Failure::CANCELLED)] {
            assert_eq!(verdict(&error, false), Verdict::Final, "{error}");
            assert_eq!(verdict(&error, true), Verdict::Repeat, "{error}");
        }
    }

    #[test]
    fn an_answer_and_what_would_be_the_same_again_are_final() {
        let malformed = CallError::Malformed { reason: "no text".to_owned() };
        let too_large = |sent| CallError::TooLarge { bytes: 2, limit: 1, sent };
        let encode = CallError::Encode(EncodeError::new("no"));
        let refusals = [Failure::METHOD_NOT_FOUND, Failure::INVALID_PARAMS, Failure::FORBIDDEN, Failure::PARSE];
        let answers = [Failure::INTERNAL, Failure::REPLY_GONE, Failure::UNNAMED, 7];
        let failures = refusals.into_iter().chain(answers).map(failed);
        for error in [malformed, too_large(true), too_large(false), encode].into_iter().chain(failures) {
            assert_eq!(verdict(&error, true), Verdict::Final, "{error}");
        }
    }

    #[test]
    fn an_unknown_client_wants_a_new_id() {
        assert_eq!(verdict(&failed(Failure::UNKNOWN_CLIENT), false), Verdict::Renumber);
    }
}

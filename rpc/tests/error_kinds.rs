//! Each error of a call is of one kind, whichever side noticed it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use grapeshot_rpc::{CallError, CallErrorKind, Encoded, Failure, Outcome};

fn cause() -> Arc<io::Error> {
    Arc::new(io::ErrorKind::ConnectionReset.into())
}

fn failed(code: i64) -> CallError {
    CallError::Failed(Failure::new(code, "so it is"))
}

/// What every kind of error can be, with what it says of the method.
fn table() -> Vec<(CallErrorKind, Outcome, Vec<CallError>)> {
    let limit = Duration::from_secs(1);
    let unencodable = Encoded::of(&Unencodable).err().map(CallError::Encode);
    vec![
        (
            CallErrorKind::Refused,
            Outcome::NotRun,
            vec![
                CallError::Refused { reason: "the breaker is open".to_owned() },
                failed(Failure::UNAVAILABLE),
                failed(Failure::BUSY),
                failed(Failure::UNAUTHENTICATED),
                failed(Failure::FORBIDDEN),
                failed(Failure::UNKNOWN_CLIENT),
            ],
        ),
        (CallErrorKind::NotSent, Outcome::NotRun, vec![CallError::NotSent { cause: cause() }]),
        (CallErrorKind::OutcomeUnknown, Outcome::Unknown, vec![CallError::OutcomeUnknown { cause: cause() }]),
        (
            CallErrorKind::TimedOut,
            Outcome::Unknown,
            vec![CallError::TimedOut { limit, sent: true }, failed(Failure::DEADLINE)],
        ),
        (CallErrorKind::TimedOut, Outcome::NotRun, vec![CallError::TimedOut { limit, sent: false }]),
        (CallErrorKind::Cancelled, Outcome::Unknown, vec![failed(Failure::CANCELLED)]),
        (
            CallErrorKind::Failed,
            Outcome::Ran,
            vec![
                failed(Failure::INTERNAL),
                failed(Failure::REPLY_GONE),
                failed(Failure::UNNAMED),
                failed(7),
                failed(-32099),
            ],
        ),
        (
            CallErrorKind::Failed,
            Outcome::NotRun,
            vec![failed(Failure::METHOD_NOT_FOUND), failed(Failure::INVALID_PARAMS)],
        ),
        (CallErrorKind::Malformed, Outcome::Unknown, vec![CallError::Malformed { reason: "no text".to_owned() }]),
        (CallErrorKind::Malformed, Outcome::NotRun, vec![failed(Failure::PARSE), failed(Failure::INVALID_REQUEST)]),
        (CallErrorKind::TooLarge, Outcome::Unknown, vec![CallError::TooLarge { bytes: 2, limit: 1, sent: true }]),
        (CallErrorKind::TooLarge, Outcome::NotRun, vec![CallError::TooLarge { bytes: 2, limit: 1, sent: false }]),
        (CallErrorKind::TooLarge, Outcome::Ran, vec![failed(Failure::TOO_LARGE)]),
        (CallErrorKind::Encode, Outcome::NotRun, unencodable.into_iter().collect()),
    ]
}

struct Unencodable;

impl serde::Serialize for Unencodable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("it does not travel"))
    }
}

#[test]
fn each_error_is_of_one_kind_and_says_what_is_known_of_the_method() {
    for (kind, outcome, errors) in table() {
        assert!(!errors.is_empty(), "{kind:?}");
        for error in errors {
            assert_eq!((error.kind(), error.outcome()), (kind, outcome), "{error:?}");
        }
    }
}

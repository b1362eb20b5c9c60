//! Running several functions at once and collecting what they return.

use std::fmt;

use crate::spawn::{JoinError, JoinHandle, spawn};

/// Runs every function in a coroutine of its own, waits for all, and returns their results in order.
///
/// The functions own what they use; for borrowing ones there is [`scope`](crate::scope).
/// Suspends unless there are none.
///
/// # Errors
///
/// [`InParallelError`] with every single outcome, when any of them panicked or was cancelled; all have ended by then.
///
/// # Cancellation
///
/// Unwinds; the coroutines it started go on running.
///
/// # Panics
///
/// As [`spawn`](crate::spawn).
///
/// # Examples
///
/// ```
/// use grapeshot_core::{in_parallel, test};
///
/// test::run(|| {
///     let squares = in_parallel((1..=3).map(|n| move || n * n)).unwrap();
///     assert_eq!(squares, [1, 4, 9]);
/// });
/// ```
#[track_caller]
pub fn in_parallel<T, F>(functions: impl IntoIterator<Item = F>) -> Result<Vec<T>, InParallelError<T>>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    let handles: Vec<JoinHandle<T>> = functions.into_iter().map(|function| spawn(function)).collect();
    let outcomes: Vec<_> = handles.into_iter().map(JoinHandle::join).collect();
    if outcomes.iter().any(Result::is_err) {
        return Err(InParallelError { outcomes });
    }
    Ok(outcomes.into_iter().flatten().collect())
}

/// At least one of the functions given to [`in_parallel`] did not return.
#[derive(Debug)]
pub struct InParallelError<T> {
    /// What became of each function, in their order.
    pub outcomes: Vec<Result<T, JoinError>>,
}

impl<T> fmt::Display for InParallelError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failures = self.outcomes.iter().enumerate().filter_map(|(i, outcome)| Some((i, outcome.as_ref().err()?)));
        let count = failures.clone().count();
        write!(f, "{count} of {} functions run in parallel failed", self.outcomes.len())?;
        for (index, error) in failures.take(3) {
            write!(f, "; number {index}: {error}")?;
        }
        Ok(())
    }
}

impl<T: fmt::Debug> std::error::Error for InParallelError<T> {}

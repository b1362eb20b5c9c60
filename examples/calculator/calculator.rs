//! The service: a trait, its errors, and one implementation.

use std::cell::Cell;
use std::fmt;

use grapeshot::rpc;
use grapeshot::rpc::stream::Sink;
use grapeshot::rpc::{Failure, ServiceError};

/// What can be asked of a calculator. `CalculatorService` and `CalculatorClient` are made of it.
#[rpc::service]
pub(crate) trait Calculator {
    /// Adds.
    #[rpc(idempotent, alias = "plus")]
    fn add(&self, a: i64, b: i64) -> Result<i64, CalculatorError>;

    /// Subtracts.
    #[rpc(idempotent)]
    fn subtract(&self, a: i64, b: i64) -> Result<i64, CalculatorError>;

    /// Multiplies.
    #[rpc(idempotent)]
    fn multiply(&self, a: i64, b: i64) -> Result<i64, CalculatorError>;

    /// Divides, and rounds towards zero.
    #[rpc(idempotent)]
    fn divide(&self, a: i64, b: i64) -> Result<i64, CalculatorError>;

    /// Adds to the memory, and answers with what it holds then. A call that is made again runs once at most.
    #[rpc(sequenced, since = 2)]
    fn remember(&self, number: i64) -> Result<i64, CalculatorError>;

    /// Sends the prime factors of a number, the smallest first, and answers with how many there are.
    #[rpc(since = 2)]
    fn factors(&self, number: u32, found: Sink<u32>) -> Result<u32, Failure>;
}

/// What can go wrong. It travels by its code and its fields, and is the same again where the client is.
#[derive(Debug, PartialEq, ServiceError)]
pub(crate) enum CalculatorError {
    #[rpc(code = 1)]
    DivisionByZero,
    #[rpc(code = 2)]
    TooLarge { a: i64, operator: String, b: i64 },
}

impl fmt::Display for CalculatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CalculatorError::DivisionByZero => f.write_str("nothing can be divided by zero"),
            CalculatorError::TooLarge { a, operator, b } => write!(f, "{a} {operator} {b} has more than 64 bits"),
        }
    }
}

/// A calculator whose memory is gone when it ends. Its calls run on one thread, one at a time, so a `Cell` will do.
#[derive(Default)]
pub(crate) struct Pocket {
    memory: Cell<i64>,
}

impl Calculator for Pocket {
    fn add(&self, a: i64, b: i64) -> Result<i64, CalculatorError> {
        a.checked_add(b).ok_or_else(|| too_large(a, "+", b))
    }

    fn subtract(&self, a: i64, b: i64) -> Result<i64, CalculatorError> {
        a.checked_sub(b).ok_or_else(|| too_large(a, "-", b))
    }

    fn multiply(&self, a: i64, b: i64) -> Result<i64, CalculatorError> {
        a.checked_mul(b).ok_or_else(|| too_large(a, "*", b))
    }

    fn divide(&self, a: i64, b: i64) -> Result<i64, CalculatorError> {
        if b == 0 {
            return Err(CalculatorError::DivisionByZero);
        }
        a.checked_div(b).ok_or_else(|| too_large(a, "/", b))
    }

    fn remember(&self, number: i64) -> Result<i64, CalculatorError> {
        self.memory.set(self.add(self.memory.get(), number)?);
        Ok(self.memory.get())
    }

    fn factors(&self, number: u32, found: Sink<u32>) -> Result<u32, Failure> {
        let (mut rest, mut count, mut factor) = (number, 0, 2u32);
        while rest > 1 {
            // Beyond its square root, a number has no factor but itself.
            if factor.checked_mul(factor).is_none_or(|square| square > rest) {
                factor = rest;
            }
            if rest % factor == 0 {
                found.send(&factor)?;
                rest /= factor;
                count += 1;
            } else {
                factor += 1;
            }
        }
        Ok(count)
    }
}

fn too_large(a: i64, operator: &str, b: i64) -> CalculatorError {
    CalculatorError::TooLarge { a, operator: operator.to_owned(), b }
}

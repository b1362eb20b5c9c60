//! The command line.

use std::cell::RefCell;
use std::time::Duration;

/// How long and how often to measure.
pub struct Options {
    /// Rounds, each with one slice a contender.
    pub rounds: usize,
    /// Length of a slice of load.
    pub slice: Duration,
    /// How long idle connections are left alone before memory is read.
    pub idle: Duration,
    /// Contenders to run, by a part of their kind; empty for all. The yardstick always runs.
    only: Vec<String>,
    random: RefCell<u64>,
}

impl Options {
    /// Parses `--name=value` words; an unknown one is an error, in words for a person.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let mut options = Self {
            rounds: 30,
            slice: Duration::from_millis(400),
            idle: Duration::from_secs(20),
            only: Vec::new(),
            random: RefCell::new(0x9e37_79b9_7f4a_7c15),
        };
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let number = || value.parse::<u64>().map_err(|_| format!("{name} takes a number"));
            match name {
                "--rounds" => options.rounds = number()? as usize,
                "--slice-ms" => options.slice = Duration::from_millis(number()?.clamp(10, 1000)),
                "--idle-s" => options.idle = Duration::from_secs(number()?.min(300)),
                "--only" => options.only = value.split(',').map(str::to_owned).collect(),
                _ => return Err(format!("unknown option {word:?}")),
            }
        }
        Ok(options)
    }

    /// Whether the contender of this kind is to run.
    pub fn wants(&self, kind: &str) -> bool {
        let named = |part: &String| kind.contains(part.as_str());
        self.only.is_empty() || kind.contains("bare") || self.only.iter().any(named)
    }

    /// Shuffles `items`; the same in every run.
    pub fn shuffle<T>(&self, items: &mut [T]) {
        for upper in (1..items.len()).rev() {
            let mut random = self.random.borrow_mut();
            // xorshift64
            *random ^= *random << 13;
            *random ^= *random >> 7;
            *random ^= *random << 17;
            items.swap(upper, (*random % (upper as u64 + 1)) as usize);
        }
    }
}

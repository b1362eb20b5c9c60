//! `cargo xtask soak watchdog`: what must hold for minutes, and is tested for seconds otherwise.

use std::time::Duration;

use crate::checks::{cargo_command, execute};

/// How long a soak takes unless it is said.
pub(crate) const USUAL: Duration = Duration::from_secs(600);

/// Takes the stack of a loop some thousand times a second while its coroutines switch, unwind and allocate.
pub(crate) fn watchdog(time: Duration) -> Result<(), String> {
    const TEST: &str = "stacks_are_taken_at_a_high_rate_while_coroutines_switch_unwind_and_allocate";
    let tests = ["test", "--release", "-p", "grapeshot-core", "--test", "watchdog"];
    let one = ["--", "--exact", TEST, "--nocapture"];
    let mut command = cargo_command(&[&tests[..], &one[..]].concat());
    execute(command.env("GRAPESHOT_SOAK_SECONDS", time.as_secs().to_string()))
}

/// A number of seconds as it is written on the command line.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 1..) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("`{text}` is no number of seconds")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soak_takes_a_whole_number_of_seconds() {
        assert_eq!(seconds("90"), Ok(Duration::from_secs(90)));
        assert_eq!(seconds("0"), Err("`0` is no number of seconds".to_owned()));
        assert!(seconds("-1").is_err() && seconds("1.5").is_err() && seconds("").is_err());
    }
}

//! `cargo xtask test`: every check, in the order in which a failure is cheapest to find.

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use crate::{peers, root, tidy};

/// The self-test takes seconds; this ends one that hangs.
const SELF_TEST_LIMIT: Duration = Duration::from_secs(300);

/// One check: its title, and what it does.
pub(crate) struct Check {
    title: &'static str,
    run: fn() -> Result<(), String>,
}

/// All but the checks that need a release build.
pub(crate) fn quick() -> Vec<Check> {
    vec![
        Check { title: "peers", run: peers::install },
        Check { title: "format", run: || cargo(&["fmt", "--all", "--check"]) },
        Check { title: "tidy", run: tidy::run },
        Check { title: "clippy", run: || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]) },
        Check { title: "tests and doc tests", run: test },
        Check { title: "TLS with ring alone", run: test_ring_alone },
        Check { title: "without features", run: check_without_features },
        Check { title: "docs", run: document },
    ]
}

/// Every check.
pub(crate) fn all() -> Vec<Check> {
    let mut checks = quick();
    checks.push(Check { title: "examples, in release", run: || cargo(&["build", "--release", "--examples"]) });
    checks.push(Check { title: "self-test of quickstart", run: self_test });
    checks
}

/// Runs the checks up to the first that fails.
pub(crate) fn run(checks: &[Check]) -> Result<(), String> {
    let began = Instant::now();
    for (done, check) in checks.iter().enumerate() {
        println!("== {} ({} of {})", check.title, done + 1, checks.len());
        let began = Instant::now();
        (check.run)().map_err(|cause| format!("FAILED: {}: {cause}", check.title))?;
        println!("== {}: passed in {:.1} s", check.title, began.elapsed().as_secs_f64());
    }
    println!("all {} checks passed in {:.1} s", checks.len(), began.elapsed().as_secs_f64());
    Ok(())
}

fn test() -> Result<(), String> {
    // With the peers installed, a test that skips itself for the lack of one is a failure.
    execute(cargo_command(&["test", "--workspace"]).env("GRAPESHOT_REQUIRE_PEERS", "1"))
}

/// The one feature that takes something away from the others: a call of aws-lc-rs would be found by nobody else.
fn test_ring_alone() -> Result<(), String> {
    cargo(&["test", "-p", "grapeshot-tls", "--no-default-features", "--features", "ring", "--lib", "--test", "config"])
}

/// The workspace builds every feature, so that an import which only one of them needs is missed by nobody else.
fn check_without_features() -> Result<(), String> {
    cargo(&["check", "-p", "grapeshot", "--no-default-features", "--lib"])
}

fn document() -> Result<(), String> {
    execute(cargo_command(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}

fn self_test() -> Result<(), String> {
    let mut command = cargo_command(&["run", "--release", "--example", "quickstart", "--", "--self-test"]);
    let shown = command_line(&command);
    println!("$ {shown}");
    let mut child = command.spawn().map_err(|cause| format!("cannot start `{shown}`: {cause}"))?;
    let deadline = Instant::now() + SELF_TEST_LIMIT;
    while Instant::now() < deadline {
        // std cannot wait with a limit.
        match child.try_wait() {
            Ok(None) => thread::sleep(Duration::from_millis(20)),
            Ok(Some(status)) => return judge(&shown, status),
            Err(cause) => return Err(format!("cannot wait for `{shown}`: {cause}")),
        }
    }
    // It may end by itself at this very moment; that it took too long stays true.
    let _ = child.kill();
    let _ = child.wait();
    Err(format!("`{shown}` was killed after {SELF_TEST_LIMIT:?}"))
}

fn cargo(args: &[&str]) -> Result<(), String> {
    execute(&mut cargo_command(args))
}

/// The cargo that runs us, in the repository.
pub(crate) fn cargo_command(args: &[&str]) -> Command {
    // Set by the cargo that runs us: the same one, whatever PATH says.
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args(args).current_dir(root());
    command
}

/// Runs a command with our own output; an error names it.
pub(crate) fn execute(command: &mut Command) -> Result<(), String> {
    let shown = command_line(command);
    println!("$ {shown}");
    let status = command.status().map_err(|cause| format!("cannot start `{shown}`: {cause}"))?;
    judge(&shown, status)
}

fn judge(shown: &str, status: ExitStatus) -> Result<(), String> {
    if status.success() { Ok(()) } else { Err(format!("`{shown}` ended with {status}")) }
}

/// As one would type it: the program without its folder, the variables set for it in front.
fn command_line(command: &Command) -> String {
    let mut words = Vec::new();
    for (name, value) in command.get_envs() {
        let value = value.unwrap_or_default().to_string_lossy();
        words.push(format!("{}={}", name.to_string_lossy(), quoted(&value)));
    }
    let program = command.get_program().to_string_lossy();
    words.push(program.rsplit('/').next().unwrap_or(&program).to_owned());
    words.extend(command.get_args().map(|arg| quoted(&arg.to_string_lossy())));
    words.join(" ")
}

fn quoted(word: &str) -> String {
    if word.contains(' ') { format!("'{word}'") } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let mut command = Command::new("/usr/bin/cargo");
        command.arg("doc").env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(command_line(&command), "RUSTDOCFLAGS='-D warnings' cargo doc");
    }

    #[test]
    fn the_first_failure_ends_the_run_and_is_named() {
        let checks = [
            Check { title: "good", run: || Ok(()) },
            Check { title: "bad", run: || Err("it broke".to_owned()) },
            Check { title: "never", run: || unreachable!("the run should have ended") },
        ];
        assert_eq!(run(&checks), Err("FAILED: bad: it broke".to_owned()));
    }
}

//! The project's own commands; `cargo xtask` lists them.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]

mod checks;
mod peers;
mod soak;
mod tidy;

mod code;
mod tree;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask test           install the programs the tests talk to, then run every check
cargo xtask test --quick   the same without the release build and the self-test
cargo xtask soak watchdog  take stacks of a busy loop for ten minutes, or for the seconds that follow
cargo xtask tidy           run only the checks of our own on the source
cargo xtask peers          install only the programs the tests talk to";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args[..] {
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        ["test"] => checks::run(&checks::all()),
        ["test", "--quick"] => checks::run(&checks::quick()),
        ["tidy"] => tidy::run(),
        ["peers"] => peers::install(),
        ["soak", "watchdog"] => soak::watchdog(soak::USUAL),
        ["soak", "watchdog", time] => soak::seconds(time).and_then(soak::watchdog),
        _ => {
            eprintln!("there is no command `{}`; there are:\n{USAGE}", args.join(" "));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's top folder.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

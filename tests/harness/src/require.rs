//! Programs that a test needs and the machine may not have.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The environment variable that turns a missing program from a skipped test into a failed one.
///
/// Set it to `1` where every program is meant to be installed, so that no check is skipped in silence.
pub const REQUIRE_PEERS: &str = "GRAPESHOT_REQUIRE_PEERS";

/// Finds a program on `PATH`; `None`, after saying on stderr what is skipped, when it is not installed.
///
/// ```
/// # fn a_test() {
/// let Some(wrk) = grapeshot_harness::require("wrk") else { return };
/// # let _ = wrk;
/// # }
/// ```
///
/// # Panics
/// When it is not installed and the environment variable [`REQUIRE_PEERS`] is `1`.
#[track_caller]
pub fn require(program: &str) -> Option<PathBuf> {
    require_from(program, program)
}

/// As [`require`], for a program whose Debian package has another name.
///
/// ```
/// # fn a_test() {
/// let Some(nc) = grapeshot_harness::require_from("nc", "netcat-openbsd") else { return };
/// # let _ = nc;
/// # }
/// ```
///
/// # Panics
/// When it is not installed and the environment variable [`REQUIRE_PEERS`] is `1`.
#[track_caller]
pub fn require_from(program: &str, package: &str) -> Option<PathBuf> {
    let found = find_program(program, &env::var_os("PATH").unwrap_or_default());
    if found.is_none() {
        let required = env::var_os(REQUIRE_PEERS).is_some_and(|value| value == "1");
        miss(program, package, required);
    }
    found
}

#[track_caller]
fn miss(program: &str, package: &str, required: bool) {
    let message = format!("{program} is not installed (apt-get install {package})");
    assert!(!required, "{message}, and {REQUIRE_PEERS}=1 asks for every program");
    // Straight to stderr: a skipped test passes, and what a passing test prints is not shown.
    let _ = writeln!(io::stderr(), "skipped: {message}");
}

fn find_program(program: &str, search_path: &OsStr) -> Option<PathBuf> {
    env::split_paths(search_path).map(|folder| folder.join(program)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_on_the_path_is_found() {
        assert!(require("sh").is_some_and(|path| path.ends_with("sh")));
    }

    #[test]
    fn a_file_that_cannot_be_executed_is_no_program() {
        assert_eq!(find_program("Cargo.toml", env!("CARGO_MANIFEST_DIR").as_ref()), None);
    }

    #[test]
    fn a_missing_program_is_none_unless_required() {
        miss("a-program-of-this-test", "nothing", false);
    }

    #[test]
    #[should_panic(expected = "nc is not installed (apt-get install netcat-openbsd)")]
    fn a_missing_program_that_is_required_fails_the_test() {
        miss("nc", "netcat-openbsd", true);
    }
}

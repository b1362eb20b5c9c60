//! The examples of the package under test, as programs.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use crate::program::Program;
use crate::report::report;

/// A cold build of a whole dependency tree on a slow machine fits in.
const BUILD_TIMEOUT: Duration = Duration::from_secs(20 * 60);

/// One of the examples of your own package, ready to be started.
///
/// `cargo test` builds all examples before it runs tests, `cargo test --test NAME` does not.
/// So when the binary is missing or older than a source file it was built from, `cargo build --example` runs first.
///
/// ```no_run
/// use grapeshot_harness::{Ready, example};
///
/// let server = example("http_echo")?.args(["--listen", "127.0.0.1:0"]).ready_when(Ready::line("listening on")).start()?;
/// let addr = server.ready_addr().expect("it prints its address");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// `NotFound` when the test does not run under cargo and nobody has built the example; what the compiler said when it does not build.
pub fn example(name: &str) -> io::Result<Program> {
    let target = Target::of(&env::current_exe()?)?;
    let binary = target.examples().join(name);
    if is_current(&binary) {
        return Ok(Program::new(binary));
    }
    let built = build(&target, name);
    if binary.is_file() && (built.is_ok() || env::var_os("CARGO").is_none()) {
        return Ok(Program::new(binary));
    }
    Err(report(
        io::ErrorKind::NotFound,
        match built {
            Ok(()) => format!("`cargo build --example {name}` did not leave it at {}", binary.display()),
            Err(cause) => format!("the example {name} is not at {}: {cause}", binary.display()),
        },
    ))
}

/// The part of a target folder that belongs to one profile, such as `target/debug`.
struct Target {
    folder: PathBuf,
}

impl Target {
    /// Test programs live in `<target>/<profile>/deps`, examples beside that.
    fn of(test_program: &Path) -> io::Result<Target> {
        let folder = test_program.parent().and_then(|folder| match folder.file_name() {
            Some(name) if name == "deps" || name == "examples" => folder.parent(),
            _ => Some(folder),
        });
        match folder {
            Some(folder) => Ok(Target { folder: folder.to_owned() }),
            None => Err(io::Error::other(format!("{} is in no folder", test_program.display()))),
        }
    }

    fn examples(&self) -> PathBuf {
        self.folder.join("examples")
    }

    /// Cargo's name for the profile: `debug` is the folder of `dev`.
    fn profile(&self) -> String {
        match self.folder.file_name().map(|name| name.to_string_lossy()) {
            None => "dev".to_owned(),
            Some(name) if name == "debug" => "dev".to_owned(),
            Some(name) => name.into_owned(),
        }
    }
}

/// Tests run side by side; one build is enough, and the second finds it done.
static BUILDING: Mutex<()> = Mutex::new(());

fn build(target: &Target, name: &str) -> io::Result<()> {
    let _one_at_a_time = BUILDING.lock();
    if is_current(&target.examples().join(name)) {
        return Ok(());
    }
    let (Some(cargo), Some(package)) = (env::var_os("CARGO"), env::var_os("CARGO_MANIFEST_DIR")) else {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("run `cargo build --example {name}` first")));
    };
    let output = Program::new(cargo)
        .args(["build", "--quiet", "--example", name, "--profile", &target.profile()])
        .current_dir(package)
        .output(BUILD_TIMEOUT)?;
    if output.end.success() { Ok(()) } else { Err(io::Error::other(output.to_string())) }
}

/// Whether the binary is there and no source file is newer.
///
/// Cargo writes the list of source files beside the binary; without the list, the binary is taken as it is.
fn is_current(binary: &Path) -> bool {
    let Ok(built) = modified(binary) else {
        return false;
    };
    let Ok(list) = fs::read_to_string(binary.with_extension("d")) else {
        return true;
    };
    sources(&list).iter().all(|source| modified(source).is_ok_and(|changed| changed <= built))
}

fn modified(path: &Path) -> io::Result<SystemTime> {
    fs::metadata(path)?.modified()
}

/// The right-hand side of the one rule `binary: source source…` in make's notation, where a backslash keeps a space in a name.
fn sources(list: &str) -> Vec<PathBuf> {
    let names = list.lines().next().and_then(|rule| rule.split_once(": ")).map_or("", |(_, names)| names);
    let mut found: Vec<PathBuf> = Vec::new();
    let mut name = String::new();
    for part in names.split(' ') {
        name.push_str(part.strip_suffix('\\').unwrap_or(part));
        if part.ends_with('\\') {
            name.push(' ');
        } else if !name.is_empty() {
            found.push(PathBuf::from(std::mem::take(&mut name)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::temp_dir::TempDir;

    #[test]
    fn the_profile_is_read_from_the_test_programs_path() {
        let of = |path: &str| Target::of(Path::new(path)).map(|target| target.profile()).unwrap();
        assert_eq!(of("target/debug/deps/http-0123"), "dev");
        assert_eq!(of("target/release/deps/http-0123"), "release");
    }

    #[test]
    fn the_list_of_sources_is_read() {
        let list = "target/debug/examples/a: src/lib.rs src/with\\ space.rs\n";
        assert_eq!(sources(list), [Path::new("src/lib.rs"), Path::new("src/with space.rs")]);
        assert!(sources("").is_empty());
    }

    #[test]
    fn a_binary_older_than_its_source_is_not_current() {
        let dir = TempDir::new().unwrap();
        let (binary, source) = (dir.path().join("a"), dir.path().join("a.rs"));
        assert!(!is_current(&binary));
        fs::write(&source, "").unwrap();
        fs::write(&binary, "").unwrap();
        fs::write(dir.path().join("a.d"), format!("{}: {}\n", binary.display(), source.display())).unwrap();
        assert!(is_current(&binary));
        let later = SystemTime::now() + Duration::from_secs(60);
        fs::File::options().write(true).open(&source).unwrap().set_modified(later).unwrap();
        assert!(!is_current(&binary));
    }
}

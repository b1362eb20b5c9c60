//! grep over several processes: each searches a folder of its own, and what it finds streams to the one who asked.
//!
//! ```sh
//! cargo run --release --example rpc_grep -- serve 127.0.0.1:9040 core/src
//! cargo run --release --example rpc_grep -- serve 127.0.0.1:9041 rpc/src
//! cargo run --release --example rpc_grep -- find "fn main" 127.0.0.1:9040 127.0.0.1:9041
//! cargo run --release --example rpc_grep -- find --limit 3 use 127.0.0.1:9040 127.0.0.1:9041
//! ```
//!
//! You see lines of all workers as they come, each with its worker, file and number, and each worker says how far it got.
//! A worker sends ahead of its reader by a window and no further. With `--limit`, and when you press Ctrl-C, the calls
//! are dropped, and the workers stop where they are. A worker that cannot be asked is told of; the others go on.
//! The code is that of grep: 0 when something was found, 1 when nothing was, 2 when a worker failed.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

use std::cell::Cell;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use grapeshot::channel::{Sender, bounded};
use grapeshot::net::stdio::stdout;
use grapeshot::rpc::stream::Sink;
use grapeshot::rpc::{self, Client, Failure, Server};
use grapeshot::{offload, scope};

const USAGE: &str = "usage: rpc_grep serve ADDRESS:PORT FOLDER | rpc_grep find [--limit LINES] PATTERN HOST:PORT...";

/// How much of a file is searched, how much of a line is sent, and how long a search may take.
const FILE_BYTES: u64 = 16 << 20;
const LINE_CHARS: usize = 200;
const LONGEST: Duration = Duration::from_secs(3600);

/// Findings that wait for the screen; a worker whose findings do not fit waits itself.
const QUEUE: usize = 16;

/// File, number of the line, and the line.
type Finding = (String, u64, String);

/// What a worker does. `GrepService` and `GrepClient` are made of it.
#[rpc::service]
trait Grep {
    /// Sends the lines that have the text in them, and answers with the number of files that it looked into.
    fn grep(&self, text: String, findings: Sink<Finding>) -> Result<u64, Failure>;
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    grapeshot::run(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match arguments[..] {
            ["serve", address, folder] => match serve(address, folder) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => complain(&error.to_string()),
            },
            ["find", "--limit", limit, text, ref workers @ ..] if !workers.is_empty() => match limit.parse() {
                Ok(limit) => find(text, workers, limit),
                Err(error) => complain(&format!("--limit {limit}: {error}")),
            },
            ["find", text, ref workers @ ..] if !workers.is_empty() && !text.starts_with("--") => {
                find(text, workers, usize::MAX)
            }
            _ => complain(USAGE),
        }
    })
}

fn complain(what: &str) -> ExitCode {
    eprintln!("rpc_grep: {what}");
    ExitCode::from(2)
}

/// Asks all workers at a time, and prints what comes.
fn find(text: &str, workers: &[&str], limit: usize) -> ExitCode {
    let failed = Cell::new(false);
    let found = scope(|scope| {
        let (sender, findings) = bounded(QUEUE);
        for worker in workers {
            let (sender, failed) = (sender.clone(), &failed);
            scope.spawn(move || {
                if let Err(error) = ask(worker, text, &sender) {
                    complain(&format!("{worker}: {error}"));
                    failed.set(true);
                }
            });
        }
        drop(sender);
        // A reader who pauses holds up this coroutine alone; one who has gone is one more reason to stop.
        let mut stdout = stdout();
        let found = findings.iter().take(limit).take_while(|line| stdout.write_all(line.as_bytes()).is_ok()).count();
        // Those who still ask are cut off, and with each its call: the worker is told.
        scope.cancel_children();
        found
    });
    match (failed.get(), found) {
        (true, _) => ExitCode::from(2),
        (false, 0) => ExitCode::FAILURE,
        (false, _) => ExitCode::SUCCESS,
    }
}

/// Asks one worker, and hands on each finding as it comes.
fn ask(worker: &str, text: &str, lines: &Sender<String>) -> Result<(), Box<dyn Error>> {
    let client = GrepClient::new(Client::connect(worker)?);
    let search = client.with_timeout(LONGEST).grep(text.to_owned())?;
    for finding in search.items() {
        let (file, number, line) = finding?;
        // The workers' files may hold anything, and a terminal obeys some of it.
        let line: String = line.chars().filter(|character| !character.is_control()).collect();
        if lines.send(format!("{worker} {}:{number}: {line}\n", file.escape_debug())).is_err() {
            return Ok(());
        }
    }
    let files = search.finish()?;
    eprintln!("{worker}: {files} files");
    Ok(())
}

/// Serves a folder until Ctrl-C.
fn serve(address: &str, folder: &str) -> Result<(), Box<dyn Error>> {
    let folder = fs::canonicalize(folder).map_err(|error| format!("{folder}: {error}"))?;
    let server = Server::bind(address)?;
    println!("searching {} on {}", folder.display(), server.local_addr()?);
    Ok(server.service(GrepService(Folder(folder))).serve()?)
}

struct Folder(PathBuf);

impl Grep for Folder {
    fn grep(&self, text: String, findings: Sink<Finding>) -> Result<u64, Failure> {
        let mut search = Search { text, files: 0, is_whole: false };
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            let (inner, files) = offload(move || list(&folder));
            folders.extend(inner);
            for path in files {
                let name = path.strip_prefix(&self.0).unwrap_or(&path).display().to_string();
                search.files += 1;
                let text = search.text.clone();
                for (number, line) in offload(move || matches(&path, &text)) {
                    findings.send(&(name.clone(), number, line))?;
                }
            }
        }
        search.is_whole = true;
        Ok(search.files)
    }
}

/// A search under way, which says at its end how far it got, also when it is cut off.
struct Search {
    text: String,
    files: u64,
    is_whole: bool,
}

impl Drop for Search {
    fn drop(&mut self) {
        let how = if self.is_whole { "done" } else { "stopped" };
        let _ = writeln!(io::stdout(), "{how}: {:?} in {} files", self.text, self.files);
    }
}

/// The folders and files in a folder, without what cannot be read, and without links, which may lead in circles.
fn list(folder: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => folders.push(entry.path()),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
    files.sort();
    (folders, files)
}

/// The lines of a file that have the text in them; none if it cannot be read.
fn matches(path: &Path, text: &str) -> Vec<(u64, String)> {
    let mut bytes = Vec::new();
    if File::open(path).and_then(|file| file.take(FILE_BYTES).read_to_end(&mut bytes)).is_err() {
        return Vec::new();
    }
    let lines = (1..).zip(bytes.split(|byte| *byte == b'\n'));
    lines
        .map(|(number, line)| (number, String::from_utf8_lossy(line)))
        .filter(|(_, line)| line.contains(text))
        .map(|(number, line)| (number, line.chars().take(LINE_CHARS).collect()))
        .collect()
}

//! `tail -f FILE | grep WORD` as a pipeline of generators, and a channel from which many are fed.
//!
//! ```sh
//! cargo run --release --example pipeline -- /var/log/syslog error
//! cargo run --release --example pipeline -- --self-test
//! ```
//!
//! You see the lines that are added to the file from now on and hold the word, each with its number; Ctrl-C ends it.
//! The self-test follows a file of its own, into which it writes, and ends by itself.
//!
//! Each stage is a function that reads lines and yields lines, and waits where it stands: `follow` for the file to
//! grow, `grep` for `follow`. After D. Beazley's "Generator Tricks for Systems Programmers".
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use grapeshot::channel::{Receiver, bounded};
use grapeshot::generator::Generator;
use grapeshot::{sleep, spawn, with_timeout};

/// How often a file is looked at that has not grown.
const PAUSE: Duration = Duration::from_millis(100);

/// A line that is longer is cut, so that a file without ends of lines does not fill the memory.
const MAX_LINE: usize = 64 << 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [only] if only == "--self-test" => grapeshot::run(|| ended(self_test())),
        [path, word] => {
            let (path, word) = (PathBuf::from(path), word.clone());
            grapeshot::run(move || ended(watch(path, word)))
        }
        _ => {
            eprintln!("usage: pipeline FILE WORD | pipeline --self-test");
            ExitCode::from(2)
        }
    }
}

fn ended(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pipeline: {error}");
            ExitCode::FAILURE
        }
    }
}

fn watch(path: PathBuf, word: String) -> io::Result<()> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(0))?;
    for line in numbered(grep(word, follow(file))) {
        println!("{}", line?);
    }
    Ok(())
}

/// The lines of a file, those included that are yet to be written; it never ends by itself.
fn follow(file: File) -> Generator<io::Result<String>> {
    Generator::new(move |yielder| {
        let mut file = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            // A file is always ready, and a disk may make the thread wait for it, though rarely at the end of a log.
            match take_some(&mut file, &mut line) {
                Ok(0) => sleep(PAUSE),
                Ok(_) if line.ends_with(b"\n") || line.len() >= MAX_LINE => {
                    let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                    line.clear();
                    yielder.yield_item(Ok(text));
                }
                // The beginning of a line; the rest is still to come.
                Ok(_) => {}
                Err(error) => {
                    yielder.yield_item(Err(error));
                    return;
                }
            }
        }
    })
}

/// Appends what there is of a line, up to its end or the limit, and says how many bytes that were.
fn take_some(file: &mut BufReader<File>, line: &mut Vec<u8>) -> io::Result<usize> {
    let available = file.fill_buf()?;
    let end = available.iter().position(|&byte| byte == b'\n').map_or(available.len(), |at| at + 1);
    let len = end.min(MAX_LINE - line.len());
    line.extend_from_slice(&available[..len]);
    file.consume(len);
    Ok(len)
}

/// The lines with `word` in them, and errors.
fn grep(
    word: String,
    lines: impl Iterator<Item = io::Result<String>> + 'static,
) -> impl Iterator<Item = io::Result<String>> {
    lines.filter(move |line| line.as_ref().map_or(true, |line| line.contains(&word)))
}

/// The lines with their numbers.
fn numbered(lines: impl Iterator<Item = io::Result<String>> + 'static) -> Generator<io::Result<String>> {
    Generator::new(move |yielder| {
        for (line, number) in lines.zip(1..) {
            yielder.yield_item(line.map(|line| format!("{number:>4}  {line}")));
        }
    })
}

/// Follows in a coroutine of its own, and hands on through a channel; at its capacity the follower waits.
fn in_background(lines: Generator<io::Result<String>>) -> Receiver<io::Result<String>> {
    let (sender, receiver) = bounded(16);
    spawn(move || {
        // Ends when nobody listens any more, and the whole pipeline behind it with it.
        for line in lines {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn self_test() -> io::Result<()> {
    let path = std::env::temp_dir().join(format!("pipeline-{}.log", std::process::id()));
    let mut log = File::create_new(&path)?;
    let read = File::open(&path);
    // It goes on under the descriptors, and nothing is left behind.
    std::fs::remove_file(&path)?;
    let lines = in_background(numbered(grep("shot".to_owned(), follow(read?))));
    spawn(move || {
        for piece in ["round shot\ngrape", "shot\nchain\n", "chain shot\nthe rest has no end"] {
            sleep(PAUSE);
            if let Err(error) = log.write_all(piece.as_bytes()) {
                eprintln!("pipeline: the log cannot be written: {error}");
            }
        }
    });
    for expected in ["   1  round shot", "   2  grapeshot", "   3  chain shot"] {
        let line = with_timeout(Duration::from_secs(30), || lines.recv())?.map_err(io::Error::other)??;
        println!("{line}");
        if line != expected {
            return Err(io::Error::other(format!("self-test failed: expected {expected:?}")));
        }
    }
    println!("self-test passed: three lines came through, one of them written in two pieces");
    Ok(())
}

//! A small operating system in which every program is a generator that yields system calls.
//!
//! ```sh
//! cargo run --release --example mini_os
//! cargo run --release --example mini_os -- --self-test
//! ```
//!
//! You see what its programs print, each behind its number: `init` starts three others, a clock that would tick for
//! ever, a reader that waits for a pipe, and a writer; it waits for the writer, and kills the clock.
//! The system ends with its last program. The self-test compares what was printed with what was to be.
//!
//! After D. Beazley's "A Curious Course on Coroutines and Concurrency", with two differences.
//! A program calls the system from any depth, since a generator has a stack of its own, so nothing is trampolined;
//! and what programs wait for is watched by the event loop beneath, so the system polls nothing.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use grapeshot::channel::{Receiver, Sender, unbounded};
use grapeshot::generator::{Generator, Yielder};
use grapeshot::net::Pollable;
use grapeshot::{sleep, spawn};

/// What the programs print, in this order, but for the clock's ticks.
const EXPECTED: &[&str] = &[
    "1: init starts the others",
    "3: the reader waits for the pipe",
    "4: the writer sleeps first",
    "4: the writer has written",
    "1: the writer is done: true",
    "1: the clock is killed: true, and again: false",
    "3: the reader has read \"round shot\"",
    "1: the reader is done: true",
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_self_test = arguments == ["--self-test"];
    if !arguments.is_empty() && !is_self_test {
        eprintln!("usage: mini_os [--self-test]");
        return ExitCode::from(2);
    }
    grapeshot::run(move || match Computer::boot(init).run() {
        Ok(printed) if is_self_test => check(&printed),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mini_os: {error}");
            ExitCode::FAILURE
        }
    })
}

fn check(printed: &[String]) -> ExitCode {
    let (ticks, others): (Vec<&str>, Vec<&str>) =
        printed.iter().map(String::as_str).partition(|line| line.starts_with("2: tick "));
    if others != EXPECTED || ticks.is_empty() {
        eprintln!("self-test failed, expected ticks and {EXPECTED:#?}");
        return ExitCode::FAILURE;
    }
    println!("self-test passed: {} lines as expected, and {} ticks", others.len(), ticks.len());
    ExitCode::SUCCESS
}

type Number = u32;
type Program = Box<dyn FnOnce(&System<'_>) -> io::Result<()>>;
type Pipe = Rc<Pollable<OwnedFd>>;

/// What a program asks the system for.
enum Call {
    Print(String),
    New(Program),
    Kill(Number),
    Wait(Number),
    Sleep(Duration),
    ReadWait(Pipe),
}

/// What the system answers.
enum Answer {
    Done,
    Started(Number),
    /// Whether there was such a program.
    Found(bool),
}

/// The system as a program sees it.
struct System<'a>(&'a Yielder<Call, Answer>);

impl System<'_> {
    fn print(&self, line: impl Into<String>) {
        self.0.yield_item(Call::Print(line.into()));
    }

    fn start(&self, program: impl FnOnce(&System<'_>) -> io::Result<()> + 'static) -> Number {
        match self.0.yield_item(Call::New(Box::new(program))) {
            Answer::Started(number) => number,
            Answer::Done | Answer::Found(_) => 0,
        }
    }

    fn kill(&self, number: Number) -> bool {
        matches!(self.0.yield_item(Call::Kill(number)), Answer::Found(true))
    }

    fn wait(&self, number: Number) -> bool {
        matches!(self.0.yield_item(Call::Wait(number)), Answer::Found(true))
    }

    fn sleep(&self, duration: Duration) {
        self.0.yield_item(Call::Sleep(duration));
    }

    fn read_wait(&self, pipe: &Pipe) {
        self.0.yield_item(Call::ReadWait(pipe.clone()));
    }
}

/// The system itself: programs, and a queue of those that can go on, each with the answer to its call.
struct Computer {
    programs: BTreeMap<Number, Generator<Call, Answer>>,
    ready: VecDeque<(Number, Answer)>,
    /// Who waits for the end of which program.
    waiters: BTreeMap<Number, Vec<Number>>,
    events: (Sender<Number>, Receiver<Number>),
    last_number: Number,
    printed: Vec<String>,
}

impl Computer {
    fn boot(init: impl FnOnce(&System<'_>) -> io::Result<()> + 'static) -> Computer {
        let mut computer = Computer {
            programs: BTreeMap::new(),
            ready: VecDeque::new(),
            waiters: BTreeMap::new(),
            events: unbounded(),
            last_number: 0,
            printed: Vec::new(),
        };
        computer.start(Box::new(init));
        computer
    }

    fn run(mut self) -> Result<Vec<String>, Box<dyn Error>> {
        while !self.programs.is_empty() {
            // What happens outside is awaited only when nothing can run.
            let Some((number, answer)) = self.ready.pop_front() else {
                let woken = self.events.1.recv()?;
                self.ready.push_back((woken, Answer::Done));
                continue;
            };
            // Those that were killed in the meantime are gone.
            let Some(program) = self.programs.get_mut(&number) else { continue };
            match program.resume(answer) {
                Some(call) => self.serve(number, call),
                None => {
                    self.end(number);
                }
            }
        }
        Ok(self.printed)
    }

    fn serve(&mut self, caller: Number, call: Call) {
        let answer = match call {
            Call::Print(line) => {
                let line = format!("{caller}: {line}");
                println!("{line}");
                self.printed.push(line);
                Answer::Done
            }
            Call::New(program) => Answer::Started(self.start(program)),
            Call::Kill(number) => Answer::Found(self.end(number)),
            Call::Wait(number) if self.programs.contains_key(&number) => {
                self.waiters.entry(number).or_default().push(caller);
                return;
            }
            Call::Wait(_) => Answer::Found(false),
            Call::Sleep(duration) => return self.when(caller, move || sleep(duration)),
            Call::ReadWait(pipe) => {
                // An error is for the program to find when it reads.
                return self.when(caller, move || {
                    let _ = pipe.wait_readable();
                });
            }
        };
        self.ready.push_back((caller, answer));
    }

    /// Lets a program go on when `event` returns, which waits in a coroutine of its own.
    fn when(&self, caller: Number, event: impl FnOnce() + 'static) {
        let events = self.events.0.clone();
        spawn(move || {
            event();
            // A system that is over needs no events.
            let _ = events.send(caller);
        });
    }

    fn start(&mut self, program: Program) -> Number {
        self.last_number += 1;
        let number = self.last_number;
        let body = move |yielder: &Yielder<Call, Answer>, _| {
            let system = System(yielder);
            if let Err(error) = program(&system) {
                system.print(format!("failed: {error}"));
            }
        };
        self.programs.insert(number, Generator::receiving(body));
        self.ready.push_back((number, Answer::Done));
        number
    }

    /// Ends a program, if there is one, and tells those who wait for that.
    fn end(&mut self, number: Number) -> bool {
        let Some(program) = self.programs.remove(&number) else { return false };
        // One that was killed is unwound here, with its destructors.
        program.close();
        for waiter in self.waiters.remove(&number).unwrap_or_default() {
            self.ready.push_back((waiter, Answer::Found(true)));
        }
        true
    }
}

fn init(system: &System<'_>) -> io::Result<()> {
    let (reader, writer) = io::pipe()?;
    let reader = Rc::new(Pollable::new(OwnedFd::from(reader))?);
    system.print("init starts the others");
    let clock = system.start(tick);
    let reader = system.start(move |system| read(&reader, system));
    let writer = system.start(move |system| {
        system.print("the writer sleeps first");
        system.sleep(Duration::from_millis(250));
        (&writer).write_all(b"round shot")?;
        system.print("the writer has written");
        Ok(())
    });
    let waited = system.wait(writer);
    system.print(format!("the writer is done: {waited}"));
    let (first, second) = (system.kill(clock), system.kill(clock));
    system.print(format!("the clock is killed: {first}, and again: {second}"));
    let waited = system.wait(reader);
    system.print(format!("the reader is done: {waited}"));
    Ok(())
}

fn tick(system: &System<'_>) -> io::Result<()> {
    for count in 1.. {
        system.print(format!("tick {count}"));
        system.sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn read(pipe: &Pipe, system: &System<'_>) -> io::Result<()> {
    system.print("the reader waits for the pipe");
    system.read_wait(pipe);
    let mut buf = [0; 64];
    let len = (&**pipe).read(&mut buf)?;
    system.print(format!("the reader has read {:?}", String::from_utf8_lossy(&buf[..len])));
    Ok(())
}

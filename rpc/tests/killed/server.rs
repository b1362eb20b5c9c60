//! A server in a process of its own: this very program, started again.
//!
//! Each operation that runs leaves a line in a file, which outlives the process.

use std::collections::HashMap;
use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use grapeshot_core::{Reason, WaitQueue, offload, sleep};
use grapeshot_harness::{Program, Ready, Running, Signal, TempDir};
use grapeshot_rpc::replies::AtMostOnce;
use grapeshot_rpc::{Context, Encoded, Failure, Router, Server, Service};

/// Where the process finds the file, and by which it knows that it is to be the server.
const LEDGER: &str = "GRAPESHOT_KILLED_LEDGER";

const PATIENCE: Duration = Duration::from_secs(30);

/// Where operations are noted.
pub(crate) struct Ledger {
    folder: TempDir,
}

impl Ledger {
    pub(crate) fn new() -> Ledger {
        Ledger { folder: TempDir::new().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ledger")
    }

    /// How often each operation has run.
    pub(crate) fn runs(&self) -> HashMap<u64, usize> {
        let mut runs = HashMap::new();
        for line in fs::read_to_string(self.path()).unwrap_or_default().lines() {
            *runs.entry(line.parse().unwrap()).or_default() += 1;
        }
        runs
    }

    pub(crate) fn runs_of(&self, operation: u64) -> usize {
        self.runs().get(&operation).copied().unwrap_or(0)
    }
}

/// The process, seen from the test.
pub(crate) struct Process {
    running: Arc<Mutex<Running>>,
    pub(crate) address: SocketAddr,
}

impl Process {
    pub(crate) fn start(ledger: &Ledger) -> Process {
        let path = ledger.path();
        offload(move || {
            let running = Program::new(env::current_exe().unwrap())
                .args(["--exact", "the_server_if_it_is_to_be_one", "--nocapture"])
                .env(LEDGER, path)
                .ready_when(Ready::line("listening on"))
                .start()
                .unwrap();
            let address = running.ready_addr().unwrap();
            Process { running: Arc::new(Mutex::new(running)), address }
        })
    }

    /// Waits until it prints a line that contains this text.
    pub(crate) fn wait_line(&self, text: &str) {
        let (running, text) = (self.running.clone(), text.to_owned());
        offload(move || running.lock().unwrap().wait_line(&text, PATIENCE)).unwrap();
    }

    /// Stops it where it is: it reads and answers nothing.
    pub(crate) fn freeze(&self) {
        let pid = {
            let running = self.running.lock().unwrap();
            running.signal(Signal::STOP).unwrap();
            running.pid()
        };
        // The signal is sent when the call returns, and each thread stops when it comes to it.
        let threads = PathBuf::from(format!("/proc/{pid}/task"));
        offload(move || {
            while !are_all_stopped(&threads) {
                thread::yield_now();
            }
        });
    }

    /// Kills it, and waits until it is gone.
    pub(crate) fn kill(&self) {
        let running = self.running.clone();
        running.lock().unwrap().signal(Signal::KILL).unwrap();
        let status = offload(move || running.lock().unwrap().wait_exit(PATIENCE)).unwrap();
        assert!(!status.success(), "it was to be killed, and ended by itself");
    }
}

/// Whether every thread of a process is in the state `T`: proc_pid_stat(5).
fn are_all_stopped(threads: &Path) -> bool {
    fs::read_dir(threads).unwrap().all(|thread| {
        let stat = fs::read_to_string(thread.unwrap().path().join("stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    })
}

/// Says so when a method is cut off.
struct Cut(u64);

impl Drop for Cut {
    fn drop(&mut self) {
        say(&format!("cut {}", self.0));
    }
}

/// Serves until it is killed, if this process was started for that.
pub(crate) fn serve_if_asked() {
    let Some(path) = env::var_os(LEDGER) else { return };
    let served = grapeshot_core::run(move || {
        let server = Server::bind("127.0.0.1:0").unwrap();
        say(&format!("listening on {}", server.local_addr().unwrap()));
        server.service(Loud(AtMostOnce::new(router(path.into())))).serve().unwrap();
    });
    panic!("it was to be killed, and has ended: {served:?}");
}

/// Says what it is asked for, before anything else.
struct Loud(AtMostOnce<Router>);

impl Service for Loud {
    fn call(&self, method: &str, params: &[u8], context: &Context) -> Result<Encoded, Failure> {
        say(&format!("asked for {method}"));
        self.0.call(method, params, context)
    }
}

fn router(path: PathBuf) -> Router {
    let path: Rc<Path> = path.into();
    let gate = Rc::new(WaitQueue::new());
    let noting = move |word: &'static str| {
        let path = path.clone();
        move |operation: u64| {
            let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
            file.write_all(format!("{operation}\n").as_bytes()).unwrap();
            say(&format!("{word} {operation}"));
        }
    };
    let (run, hold, wait) = (noting("ran"), noting("began"), noting("waits"));
    Router::new()
        .method("run", move |(operation,): (u64,)| {
            run(operation);
            Ok(operation)
        })
        .method("hold", move |(operation,): (u64,)| {
            let _cut = Cut(operation);
            hold(operation);
            sleep(Duration::from_secs(3600));
            Ok(operation)
        })
        .method("wait_for_gate", {
            let gate = gate.clone();
            move |(operation,): (u64,)| {
                wait(operation);
                gate.wait(Reason::Other("the gate to open"));
                Ok(operation)
            }
        })
        .method("open_gate", move |()| Ok(gate.wake_all()))
}

#[allow(clippy::print_stdout, reason = "the test reads what this process prints")]
fn say(line: &str) {
    println!("{line}");
}

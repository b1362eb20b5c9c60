//! The servers under comparison, each a process of its own on the server's core.
//!
//! Most are this very program, run again as `serve KIND`; Go and nginx are built and configured from `peers/`
//! when the machine has them.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::load;
use crate::machine;

/// How long a server may take to start.
const START: Duration = Duration::from_secs(10);

/// One of the servers compared.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// What the table calls it.
    pub name: &'static str,
    /// What `serve`, or the code below, knows it by.
    pub kind: &'static str,
}

/// A server that runs until it is dropped.
pub struct Server {
    pub name: &'static str,
    pub addr: SocketAddr,
    child: Child,
}

impl Server {
    /// Starts `peer` on `core`, or returns `None` when this machine lacks the program.
    pub fn start(peer: Peer, core: usize) -> io::Result<Option<Self>> {
        let Peer { name, kind } = peer;
        if kind == "nginx" {
            return nginx(name, core);
        }
        let Some(mut command) = program(kind)? else {
            return Ok(None);
        };
        command.args(["serve", kind]);
        let mut child = spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()), core)?;
        let stdout = child.stdout.take();
        let mut server = Self { name, addr: (Ipv4Addr::LOCALHOST, 0).into(), child };
        let mut line = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        server.addr = line
            .trim()
            .parse()
            .map_err(|_| io::Error::other(format!("{name} printed {line:?} where its address was due")))?;
        // A socket for datagrams takes them as soon as it is announced.
        if !kind.ends_with("udp") {
            await_start(server.addr)?;
        }
        Ok(Some(server))
    }

    /// The process, as a name under `/proc`.
    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have died already, which the run has reported by then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program that `kind` is part of, or `None` when this machine cannot build it.
pub fn program(kind: &str) -> io::Result<Option<Command>> {
    if !kind.starts_with("go-") {
        return Ok(Some(Command::new(env::current_exe()?)));
    }
    Ok(go_program()?.map(|program| {
        let mut command = Command::new(program);
        command.env("GOMAXPROCS", "1");
        command
    }))
}

/// A port that was free a moment ago, for servers that cannot tell which one they were given.
pub fn free_addr() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Starts `command` on `core`; it dies with this process, however that ends.
pub fn spawn(command: &mut Command, core: usize) -> io::Result<Child> {
    // SAFETY: between fork and exec the closure makes two system calls and neither allocates nor locks.
    unsafe {
        command.pre_exec(move || {
            machine::pin(core)?;
            Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
        });
    }
    command.spawn()
}

fn await_start(addr: SocketAddr) -> io::Result<()> {
    let deadline = Instant::now() + START;
    loop {
        match load::connect(addr) {
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(5)),
            Ok(_) => return Ok(()),
        }
    }
}

/// Scratch space beside the built program.
pub fn scratch() -> io::Result<PathBuf> {
    let mut folder = env::current_exe()?;
    folder.set_file_name("peers");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}

/// Builds the Go peer, if this machine has Go.
fn go_program() -> io::Result<Option<PathBuf>> {
    let program = scratch()?.join("go-peer");
    let mut build = Command::new("go");
    build.args(["build", "-o"]).args([&program, &source("peer.go"), &source("rpc.go")]);
    match build.status() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(status) if status.success() => Ok(Some(program)),
        Ok(status) => Err(io::Error::other(format!("go build: {status}"))),
    }
}

/// Starts nginx as one process, without a master.
fn nginx(name: &'static str, core: usize) -> io::Result<Option<Server>> {
    let addr = free_addr()?;
    let folder = scratch()?;
    let conf = folder.join("nginx.conf");
    let template = fs::read_to_string(source("nginx.conf"))?;
    fs::write(&conf, template.replace("@ADDR@", &addr.to_string()))?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&folder).arg("-c").arg(&conf);
    command.args(["-e", "stderr"]).stdin(Stdio::null()).stdout(Stdio::null());
    let child = match spawn(&mut command, core) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result?,
    };
    let server = Server { name, addr, child };
    await_start(addr)?;
    Ok(Some(server))
}

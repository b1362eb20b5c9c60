//! The servers as processes: started, killed, started again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::PathBuf;
use std::process;
use std::time::Duration;

use grapeshot::net::process::{Child, Command, Stdio};
use grapeshot::with_timeout;

/// How long a server may take to say where it listens.
const START: Duration = Duration::from_secs(20);

/// Servers, each with a file of what it ran. Dropped, they end and their files go.
pub(crate) struct Fleet {
    folder: PathBuf,
    addresses: Vec<String>,
    servers: RefCell<Vec<Child>>,
}

impl Fleet {
    pub(crate) fn start(size: usize) -> io::Result<Fleet> {
        let folder = env::temp_dir().join(format!("balanced_client-{}", process::id()));
        fs::create_dir(&folder)?;
        let mut fleet = Fleet { folder, addresses: Vec::new(), servers: RefCell::default() };
        for index in 0..size {
            let (server, address) = fleet.spawn(index, "127.0.0.1:0")?;
            fleet.servers.borrow_mut().push(server);
            fleet.addresses.push(address);
        }
        Ok(fleet)
    }

    pub(crate) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Ends a server where it stands, by SIGKILL.
    pub(crate) fn kill(&self, index: usize) -> io::Result<()> {
        self.servers.borrow_mut()[index].kill()
    }

    /// Starts a killed server at the same address. It knows nothing of the one before.
    pub(crate) fn restart(&self, index: usize) -> io::Result<()> {
        let (server, _) = self.spawn(index, &self.addresses[index])?;
        let killed = std::mem::replace(&mut self.servers.borrow_mut()[index], server);
        drop(killed);
        Ok(())
    }

    /// How often each number ran, over all servers.
    pub(crate) fn runs(&self) -> io::Result<BTreeMap<u64, u64>> {
        let mut runs = BTreeMap::new();
        for index in 0..self.addresses.len() {
            for line in fs::read_to_string(self.file(index))?.lines() {
                let number = line.parse().map_err(|_| io::Error::other(format!("{line:?} is no number")))?;
                *runs.entry(number).or_default() += 1;
            }
        }
        Ok(runs)
    }

    fn file(&self, index: usize) -> PathBuf {
        self.folder.join(format!("server{index}"))
    }

    fn spawn(&self, index: usize, address: &str) -> io::Result<(Child, String)> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["serve", address]).arg(self.file(index));
        // It ends when this end of its stdin does, however this process ends.
        let mut server = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = server.stdout.take().ok_or_else(|| io::Error::other("a server without stdout"))?;
        let mut line = String::new();
        with_timeout(START, || BufReader::new(stdout).read_line(&mut line))??;
        let address = line
            .trim_end()
            .strip_prefix("serving on ")
            .ok_or_else(|| io::Error::other(format!("a server said {line:?} instead of where it listens")))?;
        Ok((server, address.to_owned()))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for server in self.servers.get_mut() {
            // One that has ended needs no killing.
            let _ = server.kill();
        }
        // What cannot be removed is left to the system's own clean-up.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

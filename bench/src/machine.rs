//! What the kernel knows about a process: the core it may run on, the CPU time it used, the memory it holds.

use std::fs;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// The two cores of a run: one for the servers, one for the load.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    pub load: usize,
    pub server: usize,
}

impl Cores {
    /// The first two cores this process might run on when it was first asked; since then it may have pinned itself.
    pub fn pick() -> io::Result<Self> {
        static PICKED: OnceLock<Cores> = OnceLock::new();
        if let Some(&picked) = PICKED.get() {
            return Ok(picked);
        }
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        match (cores.next(), cores.next()) {
            (Some(load), Some(server)) => Ok(*PICKED.get_or_init(|| Self { load, server })),
            _ => Err(io::Error::other("two cores are needed: one for the servers and one for the load")),
        }
    }
}

/// Keeps the calling thread, and what it starts from now on, on one core.
pub fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// What the scheduler has given a process so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scheduled {
    /// Time on a CPU.
    pub ran: Duration,
    /// Time ready to run while something else had the CPU.
    pub waited: Duration,
}

impl Scheduled {
    /// Sums up every live thread of process `pid` ("self" for our own).
    ///
    /// A thread is accounted when it leaves the CPU, so the figures are exact for a process that waits and up to
    /// one tick late for one that runs.
    pub fn of(pid: &str) -> io::Result<Self> {
        let mut sum = Self::default();
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let schedstat = fs::read_to_string(thread?.path().join("schedstat"))?;
            let mut nanos = schedstat.split_whitespace().map_while(|word| word.parse().ok());
            sum.ran += Duration::from_nanos(nanos.next().unwrap_or(0));
            sum.waited += Duration::from_nanos(nanos.next().unwrap_or(0));
        }
        Ok(sum)
    }

    /// What was given since `before`.
    pub fn since(self, before: Self) -> Self {
        Self { ran: self.ran.saturating_sub(before.ran), waited: self.waited.saturating_sub(before.waited) }
    }
}

/// CPU time used so far by the calling thread.
pub fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// CPU time used so far by all threads of this process.
pub fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Resident memory of process `pid` ("self" for our own) with its page tables, in bytes.
pub fn resident(pid: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kibibytes = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1))
            .and_then(|word| word.parse::<u64>().ok())
            .ok_or_else(|| io::Error::other(format!("no {name} in the process's status")))
    };
    Ok((kibibytes("VmRSS:")? + kibibytes("VmPTE:")?) * 1024)
}

/// Raises the limit on open descriptors to what the machine allows and returns it.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(limit.maximum.unwrap_or(1 << 20))
}

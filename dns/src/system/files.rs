//! Where the system's files are, whether they have changed, and what is in them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use grapeshot_core::offload;

use crate::proto::Hosts;

/// How much is read of every file but the hosts file, in bytes.
pub const MAX_FILE: u64 = 64 << 10;

/// How much is read of the hosts file, in bytes.
pub const MAX_HOSTS_FILE: u64 = 32 << 20;

/// A hosts file up to this size takes the loop no longer than a few milliseconds.
const MAX_HOSTS_ON_LOOP: u64 = 256 << 10;

/// A file changed more recently than this may change again without its times showing it: the kernel's clock for them
/// moves by some milliseconds at a time.
const SETTLING: Duration = Duration::from_millis(100);

/// The places of the files that say how names are resolved.
///
/// # Examples
///
/// ```
/// use grapeshot_dns::{System, SystemFiles};
///
/// let files = SystemFiles { hosts: "tests/hosts".into(), ..SystemFiles::default() };
/// let system = System::with_files(files);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemFiles {
    /// Names and their addresses; `/etc/hosts` unless set.
    pub hosts: PathBuf,
    /// Servers and how to ask them; `/etc/resolv.conf` unless set.
    pub resolv_conf: PathBuf,
    /// The order of sources; `/etc/nsswitch.conf` unless set.
    pub nsswitch_conf: PathBuf,
    /// The preference of addresses; `/etc/gai.conf` unless set.
    pub gai_conf: PathBuf,
    /// The host's own name; `/proc/sys/kernel/hostname` unless set. Read with the others, and not watched.
    pub host_name: PathBuf,
}

impl Default for SystemFiles {
    fn default() -> SystemFiles {
        SystemFiles {
            hosts: "/etc/hosts".into(),
            resolv_conf: "/etc/resolv.conf".into(),
            nsswitch_conf: "/etc/nsswitch.conf".into(),
            gai_conf: "/etc/gai.conf".into(),
            host_name: "/proc/sys/kernel/hostname".into(),
        }
    }
}

impl SystemFiles {
    pub(super) fn stamps(&self) -> Stamps {
        Stamps {
            hosts: Stamp::of(&self.hosts),
            others: [&self.resolv_conf, &self.nsswitch_conf, &self.gai_conf].map(|path| Stamp::of(path)),
        }
    }

    /// `None` if the file cannot be read; as the others here, that of a file that is not there is empty.
    pub(super) fn read_hosts(&self) -> Option<Hosts> {
        let path = self.hosts.clone();
        let read = move || read_up_to(&path, MAX_HOSTS_FILE).map(|text| Hosts::parse(&text));
        let is_large = fs::metadata(&self.hosts).is_ok_and(|file| file.len() > MAX_HOSTS_ON_LOOP);
        if is_large { offload(read) } else { read() }
    }

    pub(super) fn read_resolv_conf(&self) -> Option<Vec<u8>> {
        read_up_to(&self.resolv_conf, MAX_FILE)
    }

    pub(super) fn read_nsswitch_conf(&self) -> Option<Vec<u8>> {
        read_up_to(&self.nsswitch_conf, MAX_FILE)
    }

    pub(super) fn read_gai_conf(&self) -> Option<Vec<u8>> {
        read_up_to(&self.gai_conf, MAX_FILE)
    }

    pub(super) fn read_host_name(&self) -> String {
        let text = read_up_to(&self.host_name, MAX_FILE).unwrap_or_default();
        String::from_utf8_lossy(&text).trim().to_owned()
    }
}

/// Whole lines from the beginning of a file.
pub(super) fn read_up_to(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut text));
    match read {
        Ok(size) => {
            if size as u64 > limit {
                // A line that is cut could say something else than it does.
                text.truncate(size - 1);
                text.truncate(text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1));
            }
            Some(text)
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Some(Vec::new())
        }
        Err(_) => None,
    }
}

/// How all files were when they were last looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamps {
    hosts: Stamp,
    others: [Stamp; 3],
}

impl Stamps {
    /// Whether no file has changed since, nor could have without showing it.
    pub(super) fn are_settled_as(&self, later: &Stamps) -> bool {
        self.hosts_are_settled_as(later)
            && self.others == later.others
            && self.others.iter().all(|stamp| stamp.is_settled)
    }

    pub(super) fn hosts_are_settled_as(&self, later: &Stamps) -> bool {
        self.hosts == later.hosts && self.hosts.is_settled
    }
}

/// How one file was when it was looked at.
#[derive(Clone, Debug)]
struct Stamp {
    /// Device, inode, size, and both times in seconds and nanoseconds; `None` if there is no such file.
    identity: Option<[i128; 5]>,
    /// Whether the times are old enough to tell a later change from this state.
    is_settled: bool,
}

impl PartialEq for Stamp {
    fn eq(&self, other: &Stamp) -> bool {
        self.identity == other.identity
    }
}

impl Eq for Stamp {}

impl Stamp {
    fn of(path: &Path) -> Stamp {
        let Ok(file) = fs::metadata(path) else {
            return Stamp { identity: None, is_settled: true };
        };
        let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        let changed = nanos(file.ctime(), file.ctime_nsec());
        let written = nanos(file.mtime(), file.mtime_nsec());
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_nanos() as i128);
        Stamp {
            identity: Some([file.dev().into(), file.ino().into(), file.len().into(), changed, written]),
            // A clock that was set back leaves files from the future, which are read every time until it has caught up.
            is_settled: now - changed > SETTLING.as_nanos() as i128,
        }
    }
}

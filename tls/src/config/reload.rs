//! Certificates renewed while the server runs: the files are watched, and new connections see what is in them.
//!
//! ```text
//!   the folders of the files ──► an event ──► quiet for 100 ms ──► changed? ──► read ──┬──► Reload::Replaced
//!   every minute ─────────────────────────────────────────────────────┘                └──► Reload::Refused, the old one stays
//! ```
//!
//! Folders are watched and not files, because renewals rename new files over old ones.
//! Kubernetes and certbot swap symbolic links instead, so every folder is watched in which a link lies on the way to a file.
//! What inotify does not see (another machine's write, the renaming of a folder further up) is seen by the look every minute.
//!
//! # Invariants
//!
//! - Connections that exist keep the certificate they began with.
//! - A pair is put in use whole or not at all: the key belongs to the certificate, and that holds for its names.
//! - A certificate that has expired never takes the place of one that has not. Other than that, dates are not looked at.
//! - A file that stays bad is reported once.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{self, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use grapeshot_core::events::watch::Watcher;
use grapeshot_core::{WaitLimit, now};

use super::error::ConfigError;
use super::identity::{Files, Identity};
use super::names::{Names, Slot};
use super::server::ServerConfig;

/// The two files of a pair are not written at once; nothing is read before they have been left alone for so long.
const SETTLE: Duration = Duration::from_millis(100);

/// A folder in which something always happens is looked into nevertheless.
const SETTLE_AT_MOST: Duration = Duration::from_secs(2);

/// For how long a pair that does not fit together may be one that is still being written.
const HALF_WRITTEN: Duration = Duration::from_secs(1);

/// How often the files are looked at when nothing seems to happen.
const LOOK_ANYWAY: Duration = Duration::from_secs(60);

/// Links that a path leads over; the kernel gives up after as many.
const MAX_LINKS: usize = 40;

/// What came of files that have changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reload {
    /// New connections get what is in the files now.
    Replaced {
        /// The file with the certificates.
        chain: PathBuf,
        /// What is in use now.
        identity: Identity,
    },
    /// What is in the files cannot be used; new connections go on getting what was there before.
    Refused {
        /// The file with the certificates.
        chain: PathBuf,
        /// What is wrong.
        error: ConfigError,
    },
}

/// Watches the files that the identities of a [`ServerConfig`] were read from, and puts new ones in use.
///
/// An expired certificate is refused while the one in use has not expired; nobody is told that the one in use is about
/// to, which [`Identity::not_after`] says. The configuration is shared by its clones, so one coroutine of one thread does this for all that serve with it.
///
/// # Examples
///
/// ```no_run
/// use grapeshot_core::spawn;
/// use grapeshot_tls::{Reload, Reloader, ServerConfig};
///
/// let config = ServerConfig::from_pem_files("example.org.pem", "example.org.key")?;
/// let mut reloader = Reloader::new(&config)?;
/// spawn(move || loop {
///     match reloader.next() {
///         Ok(Reload::Replaced { chain, .. }) => println!("{} is in use", chain.display()),
///         Ok(Reload::Refused { error, .. }) => println!("the old certificate stays: {error}"),
///         Ok(_) => {}
///         Err(error) => break println!("certificates are no longer watched: {error}"),
///     }
/// });
/// # Ok::<(), grapeshot_tls::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Reloader {
    watcher: Watcher,
    folders: HashSet<PathBuf>,
    watched: Vec<Watched>,
    found: VecDeque<Reload>,
}

/// A place for an identity, and its files as they were when they were read.
#[derive(Debug)]
struct Watched {
    slot: Arc<Slot>,
    files: Files,
    /// Nothing, while nothing is known of the files as they were when they were read.
    stamp: Option<Stamp>,
}

/// By what one sees that the files are not what they were.
type Stamp = [Option<[i64; 6]>; 2];

impl Reloader {
    /// Begins to watch. What changes from now on is noticed, and so is what has changed since the files were read.
    ///
    /// Never suspends.
    ///
    /// # Errors
    ///
    /// When the system cannot watch another file (see [`Watcher::new`]), or one of the folders.
    pub fn new(config: &ServerConfig) -> Result<Reloader, ConfigError> {
        let watched: Vec<Watched> = config.names().map(watched).unwrap_or_default();
        let failed = |cause| ConfigError::File { path: PathBuf::from("inotify"), cause };
        let watcher = Watcher::new().map_err(failed)?;
        let mut reloader = Reloader { watcher, folders: HashSet::new(), watched, found: VecDeque::new() };
        match reloader.watch_folders().pop() {
            Some((path, cause)) => Err(ConfigError::File { path, cause }),
            None => Ok(reloader),
        }
    }

    /// Waits until files have changed, and says what came of it.
    ///
    /// Reading them blocks the thread for as long as two small local files take.
    /// With no files to watch, it waits for ever.
    ///
    /// # Errors
    ///
    /// When the system no longer says what happens to files; a bad file is no error but a [`Reload::Refused`].
    ///
    /// # Cancellation
    ///
    /// Unwinds; what has changed is found by the next call.
    #[expect(clippy::should_implement_trait, reason = "an iterator's end would say that nothing can change any more")]
    pub fn next(&mut self) -> io::Result<Reload> {
        loop {
            if let Some(reload) = self.found.pop_front() {
                return Ok(reload);
            }
            // The first look comes before the first wait, for what has changed meanwhile.
            self.look_patiently()?;
            if self.found.is_empty() {
                self.wait(LOOK_ANYWAY)?;
            }
        }
    }

    /// Looks until every pair is good, or has been bad for long enough to be called so.
    fn look_patiently(&mut self) -> io::Result<()> {
        let latest = now() + HALF_WRITTEN;
        while self.look(Patience::Some) == Seen::Unfinished {
            let left = latest.saturating_duration_since(now());
            if left.is_zero() {
                self.look(Patience::None);
                break;
            }
            self.wait(left)?;
        }
        Ok(())
    }

    /// Waits for a change, at most so long, and then for quiet.
    fn wait(&mut self, limit: Duration) -> io::Result<()> {
        if !self.has_event(limit)? {
            return Ok(());
        }
        let latest = now() + SETTLE_AT_MOST;
        while now() < latest && self.has_event(SETTLE)? {}
        // Links may lead elsewhere now, and a folder may be another of the same name. Those that cannot be watched
        // at this moment are gone; the next event, or the next minute, tries again.
        let _unwatchable = self.watch_folders();
        Ok(())
    }

    fn has_event(&self, limit: Duration) -> io::Result<bool> {
        match self.watcher.next_within(WaitLimit::After(limit)) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Watches the folders that matter now, and no others; returns those that cannot be watched.
    fn watch_folders(&mut self) -> Vec<(PathBuf, io::Error)> {
        let paths = self.watched.iter().flat_map(|watched| [&watched.files.chain, &watched.files.key]);
        let folders: HashSet<PathBuf> = paths.flat_map(|path| folders_towards(path)).collect();
        for folder in self.folders.difference(&folders) {
            self.watcher.unwatch(folder);
        }
        let unwatchable = folders.iter().filter_map(|path| Some((path.clone(), self.watcher.watch(path).err()?)));
        let unwatchable = unwatchable.collect();
        self.folders = folders;
        unwatchable
    }

    fn look(&mut self, patience: Patience) -> Seen {
        let mut seen = Seen::Everything;
        for watched in &mut self.watched {
            let stamp = Some(stamp(&watched.files));
            if stamp == watched.stamp {
                continue;
            }
            let chain = watched.files.chain.clone();
            match renew(&watched.slot, &watched.files) {
                Ok(Some(identity)) => self.found.push_back(Reload::Replaced { chain, identity }),
                Ok(None) => {}
                Err(_) if patience == Patience::Some => {
                    seen = Seen::Unfinished;
                    continue;
                }
                Err(error) => self.found.push_back(Reload::Refused { chain, error }),
            }
            watched.stamp = stamp;
        }
        seen
    }
}

/// Whether a bad pair may yet become a good one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    Some,
    None,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Everything,
    /// Some pair does not fit together.
    Unfinished,
}

/// Those identities that came from files.
fn watched(names: &Arc<Names>) -> Vec<Watched> {
    let of = |slot: &Arc<Slot>| {
        let files = slot.current().files()?.clone();
        Some(Watched { slot: slot.clone(), files, stamp: None })
    };
    names.slots().iter().filter_map(of).collect()
}

/// Puts what is in the files in use, if it is something else than what is in use.
fn renew(slot: &Slot, files: &Files) -> Result<Option<Identity>, ConfigError> {
    let identity = files.read()?;
    // The same certificate has the same key.
    if identity.chain() == slot.current().chain() {
        return Ok(None);
    }
    not_worse(&identity, &slot.current())?;
    slot.replace(identity.clone())?;
    Ok(Some(identity))
}

/// Old files put back by mistake do not end the service. One that has expired is replaced by whatever there is.
fn not_worse(identity: &Identity, current: &Identity) -> Result<(), ConfigError> {
    let now = SystemTime::now();
    match identity.not_after() {
        Some(not_after) if not_after < now && current.not_after() >= Some(now) => {
            Err(ConfigError::Expired { certificate: identity.place().cloned(), not_after })
        }
        _ => Ok(()),
    }
}

/// Reads all files now, whether or not they seem to have changed.
pub(super) fn reload(names: &Names) -> Vec<Reload> {
    let of = |slot: &Arc<Slot>| {
        let files = slot.current().files()?.clone();
        let renewed = renew(slot, &files).transpose()?;
        let chain = files.chain;
        Some(match renewed {
            Ok(identity) => Reload::Replaced { chain, identity },
            Err(error) => Reload::Refused { chain, error },
        })
    };
    names.slots().iter().filter_map(of).collect()
}

fn stamp(files: &Files) -> Stamp {
    let of = |path: &Path| {
        let found = fs::metadata(path).ok()?;
        let (device, inode) = (found.dev().cast_signed(), found.ino().cast_signed());
        Some([device, inode, found.size().cast_signed(), found.mtime(), found.mtime_nsec(), found.ctime_nsec()])
    };
    [of(&files.chain), of(&files.key)]
}

/// The folder that a path ends in, and those of the symbolic links that it leads over.
fn folders_towards(path: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let Ok(mut left) = path::absolute(path) else { return folders };
    for _ in 0..MAX_LINKS {
        match first_link(&left) {
            Some(link) => {
                folders.push(link.folder.clone());
                left = link.folder.join(link.target).join(link.rest);
            }
            None => break,
        }
    }
    folders.extend(left.parent().map(Path::to_owned));
    folders
}

struct Link {
    folder: PathBuf,
    target: PathBuf,
    rest: PathBuf,
}

fn first_link(path: &Path) -> Option<Link> {
    let mut folder = PathBuf::new();
    let mut names: VecDeque<OsString> = path.components().map(|part| part.as_os_str().to_owned()).collect();
    while let Some(name) = names.pop_front() {
        let reached = folder.join(name);
        if let Ok(target) = fs::read_link(&reached) {
            return Some(Link { folder, target, rest: names.iter().collect() });
        }
        folder = reached;
    }
    None
}

//! A folder for a test's files.

use std::env;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::report::context;

/// How many leftovers of killed tests with our process id to step over.
const ATTEMPTS: u32 = 1000;

/// A fresh, empty folder below [`env::temp_dir`], readable by its owner only, removed with all it holds when dropped.
///
/// A test process that is killed leaves it behind.
///
/// ```
/// let dir = grapeshot_harness::TempDir::new()?;
/// std::fs::write(dir.path().join("config"), "port 0")?;
/// let path = dir.path().to_owned();
/// drop(dir);
/// assert!(!path.exists());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TempDir {
    path: PathBuf,
}

impl TempDir {
    /// Makes it.
    ///
    /// # Errors
    /// What the system says to making a folder there, with its path.
    pub fn new() -> io::Result<TempDir> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut attempts = 0;
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = env::temp_dir().join(format!("grapeshot-{}-{number}", process::id()));
            // Making a folder fails when anything stands there, so nobody else's is ever taken over.
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(TempDir { path }),
                Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists && attempts < ATTEMPTS => attempts += 1,
                Err(cause) => {
                    return Err(context(cause, &format!("cannot make {}", path.display())));
                }
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // What cannot be removed stays for the system's own clean-up; a destructor has nobody to tell.
        let _ = fs::remove_dir_all(&self.path);
    }
}

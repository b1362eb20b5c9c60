//! The secrets of connections, written down for who looks at captured packets, as Wireshark does.
//!
//! Nothing is written unless asked for, and the environment is not looked at unasked.
//! The form is NSS's: a line of label, client random and secret, both in hexadecimal.

use std::env;
use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::ConfigError;

/// The variable by which browsers and curl are told the file.
const VARIABLE: &str = "SSLKEYLOGFILE";

/// Where the secrets of connections go. Who has them can read everything that the connections carried.
///
/// # Examples
///
/// ```no_run
/// use grapeshot_tls::{ClientConfig, KeyLog};
///
/// let mut builder = ClientConfig::builder();
/// if let Some(log) = KeyLog::from_environment()? {
///     builder = builder.key_log(log);
/// }
/// # Ok::<(), grapeshot_tls::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct KeyLog {
    inner: Arc<dyn rustls::KeyLog>,
}

impl KeyLog {
    /// Appends to this file, which is made for its owner's eyes only if it is not there.
    ///
    /// A handshake then writes a few hundred bytes to the file, on the loop; that a write fails is not reported.
    ///
    /// # Errors
    ///
    /// When it cannot be opened for writing.
    pub fn file(path: impl AsRef<Path>) -> Result<KeyLog, ConfigError> {
        let path = path.as_ref();
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        let file = file.map_err(|cause| ConfigError::File { path: path.to_owned(), cause })?;
        Ok(KeyLog { inner: Arc::new(Lines(file)) })
    }

    /// Appends to the file that the variable `SSLKEYLOGFILE` names, if it is set to something.
    ///
    /// # Errors
    ///
    /// When that file cannot be opened for writing.
    pub fn from_environment() -> Result<Option<KeyLog>, ConfigError> {
        let path = env::var_os(VARIABLE).filter(|path| !path.is_empty());
        path.map(PathBuf::from).map(KeyLog::file).transpose()
    }

    /// Calls `f` with every line, which has no line feed at its end. `f` runs in the handshake, and must not wait.
    pub fn callback(f: impl Fn(&str) + Send + Sync + 'static) -> KeyLog {
        KeyLog { inner: Arc::new(Callback(f)) }
    }

    pub(crate) fn into_rustls(self) -> Arc<dyn rustls::KeyLog> {
        self.inner
    }
}

impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyLog").field(&self.inner).finish()
    }
}

/// `CLIENT_RANDOM 0123… 4567…`
fn line(label: &str, client_random: &[u8], secret: &[u8]) -> String {
    let mut line = label.to_owned();
    for bytes in [client_random, secret] {
        line.push(' ');
        for byte in bytes {
            // Writing to a string does not fail.
            let _ = write!(line, "{byte:02x}");
        }
    }
    line
}

#[derive(Debug)]
struct Lines(File);

impl rustls::KeyLog for Lines {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = line(label, client_random, secret) + "\n";
        // One write of an appending file: lines of several threads do not mix.
        // A full disk must not end connections that are otherwise well.
        let _ = (&self.0).write_all(line.as_bytes());
    }
}

struct Callback<F>(F);

impl<F> fmt::Debug for Callback<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callback")
    }
}

impl<F: Fn(&str) + Send + Sync> rustls::KeyLog for Callback<F> {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        (self.0)(&line(label, client_random, secret));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use grapeshot_harness::TempDir;

    use super::*;

    #[test]
    fn a_file_is_appended_to_and_made_for_its_owner_only() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("keys");
        for label in ["CLIENT_RANDOM", "EXPORTER_SECRET"] {
            KeyLog::file(&path).unwrap().into_rustls().log(label, &[1, 0xab], &[0xcd]);
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "CLIENT_RANDOM 01ab cd\nEXPORTER_SECRET 01ab cd\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let error = KeyLog::file("/nowhere/keys").unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/keys: "), "{error}");
    }
}

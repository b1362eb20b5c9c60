//! Whether a connection goes on after a message, by the `Connection` header (RFC 9112 section 9.3).
//!
//! ```text
//! Connection        = #connection-option        RFC 9110 section 7.6.1
//! connection-option = token                     compared without regard to case
//! ```

use super::Version;

/// The connection options of one message that mean something to a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ConnectionOptions {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
}

impl ConnectionOptions {
    /// Adds the options of one `Connection` header; a message may have several.
    pub(super) fn add(&mut self, value: &[u8]) {
        for option in list_members(value) {
            match option.len() {
                5 => self.close |= option.eq_ignore_ascii_case(b"close"),
                7 => self.upgrade |= option.eq_ignore_ascii_case(b"upgrade"),
                10 => self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive"),
                _ => {}
            }
        }
    }

    /// Whether the connection persists after this message, in the order of RFC 9112 section 9.3:
    /// `close` ends it, HTTP/1.1 goes on, HTTP/1.0 goes on if it asked to.
    pub(super) fn persists(self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }
}

/// The members of a comma-separated list without quoted strings, white space taken off.
///
/// Empty members are left out: RFC 9110 section 5.6.1.2 has recipients accept them.
pub(super) fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(values: &[&str]) -> ConnectionOptions {
        let mut options = ConnectionOptions::default();
        for value in values {
            options.add(value.as_bytes());
        }
        options
    }

    #[test]
    fn options_are_a_list_without_regard_to_case() {
        let all = options(&["Keep-ALIVE ,\t, CLOSE,upGrade"]);
        assert_eq!(all, ConnectionOptions { close: true, keep_alive: true, upgrade: true });
    }

    #[test]
    fn options_of_several_headers_add_up() {
        assert_eq!(options(&["close", "upgrade"]), options(&["close, upgrade"]));
    }

    #[test]
    fn a_longer_token_is_not_the_option() {
        assert_eq!(options(&["closed, keep-alive2, \"close\""]), ConnectionOptions::default());
    }

    /// RFC 9112 section 9.3, the whole table.
    #[test]
    fn close_wins_then_the_version_decides() {
        let table = [
            ("", Version::Http11, true),
            ("keep-alive", Version::Http11, true),
            ("close", Version::Http11, false),
            ("close, keep-alive", Version::Http11, false),
            ("", Version::Http10, false),
            ("keep-alive", Version::Http10, true),
            ("close", Version::Http10, false),
            ("keep-alive, close", Version::Http10, false),
        ];
        for (value, version, persists) in table {
            assert_eq!(options(&[value]).persists(version), persists, "{value:?} on {version:?}");
        }
    }
}

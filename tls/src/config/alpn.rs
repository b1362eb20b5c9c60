//! The names of application protocols (RFC 7301).

use super::error::ConfigError;

/// How long the list of names may be on the wire, each with a byte for its length (RFC 7301 section 3.1).
const MAX_LIST: usize = 65_535;

/// RFC 7301 section 3.1: `opaque ProtocolName<1..2^8-1>; ProtocolName protocol_name_list<2..2^16-1>`.
pub(crate) fn checked(names: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, ConfigError> {
    let fits = |name: &Vec<u8>| (1..=255).contains(&name.len());
    let len: usize = names.iter().map(|name| name.len() + 1).sum();
    match names.iter().find(|name| !fits(name)) {
        Some(name) => Err(ConfigError::ProtocolName { name: name.clone() }),
        None if len > MAX_LIST => Err(ConfigError::TooManyProtocols { len }),
        None => Ok(names),
    }
}

/// Any list of names as rustls wants it.
pub(crate) fn listed(names: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<Vec<u8>> {
    names.into_iter().map(|name| name.as_ref().to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7301 section 3.1: empty names must not be sent, and a name has one byte for its length.
    #[test]
    fn rfc_7301_3_1_a_name_has_1_to_255_bytes() {
        assert!(checked(listed(["h2", "http/1.1"])).is_ok());
        assert!(checked(vec![vec![b'x'; 255]]).is_ok());
        assert!(matches!(checked(listed(["h2", ""])), Err(ConfigError::ProtocolName { name }) if name.is_empty()));
        assert!(matches!(checked(vec![vec![b'x'; 256]]), Err(ConfigError::ProtocolName { .. })));
    }

    /// RFC 7301 section 3.1: the list has two bytes for its length.
    #[test]
    fn rfc_7301_3_1_the_list_has_65_535_bytes_at_most() {
        assert!(checked(vec![vec![b'x'; 254]; 257]).is_ok());
        assert!(matches!(checked(vec![vec![b'x'; 254]; 258]), Err(ConfigError::TooManyProtocols { len: 65_790 })));
    }
}

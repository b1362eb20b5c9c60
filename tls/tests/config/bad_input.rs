//! Texts that somebody else wrote: whatever is in them, an error says so.

use grapeshot_tls::{Identity, Pin, RevocationLists, Roots, SelfSigned};
use proptest::prelude::*;

/// Lines that look like PEM, in any order.
fn lines() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("-----BEGIN CERTIFICATE-----".to_owned()),
        Just("-----END CERTIFICATE-----".to_owned()),
        Just("-----BEGIN PRIVATE KEY-----".to_owned()),
        Just("-----END PRIVATE KEY-----".to_owned()),
        Just("-----BEGIN X509 CRL-----".to_owned()),
        Just("-----END X509 CRL-----".to_owned()),
        Just("-----BEGIN ".to_owned()),
        Just("-----END ".to_owned()),
        "[A-Za-z0-9+/=]{0,20}",
        ".{0,10}",
    ];
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn no_text_makes_an_identity_or_roots_of_nothing(text in lines()) {
        prop_assert!(Identity::from_pem(&text, &text).is_err());
        prop_assert!(Roots::from_pem(&text).is_err());
        // A list is looked into only when a configuration is built.
        let _ = RevocationLists::from_pem(&text);
        let _ = text.parse::<Pin>();
    }

    #[test]
    fn no_bytes_make_an_identity(bytes: Vec<u8>) {
        prop_assert!(Identity::from_pem(&bytes, &bytes).is_err());
        prop_assert!(Roots::from_pem(&bytes).is_err());
    }
}

/// Cut anywhere, a pair is refused or whole.
#[test]
fn a_text_that_was_cut_anywhere_is_an_error() {
    let signed = SelfSigned::new(["localhost"]).unwrap();
    let (chain, key) = (signed.chain_pem().trim_end(), signed.key_pem().trim_end());
    // The last line is recognised by its beginning, as everywhere.
    let whole = |text: &str| text.rfind("-----END ").unwrap() + "-----END ".len();
    for len in 0..whole(chain) {
        assert!(Identity::from_pem(&chain[..len], key).is_err(), "{len} bytes of the chain");
    }
    for len in 0..whole(key) {
        assert!(Identity::from_pem(chain, &key[..len]).is_err(), "{len} bytes of the key");
    }
}

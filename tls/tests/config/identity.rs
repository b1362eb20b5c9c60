//! Chains and keys from PEM, and what is said of mistakes.

use std::fs;
use std::time::{Duration, SystemTime};

use grapeshot_core::test;
use grapeshot_harness::TempDir;
use grapeshot_tls::{ConfigError, Identity, Place, SelfSigned, ServerConfig};

use crate::ends::{Authority, meet, shown};

fn signed() -> SelfSigned {
    SelfSigned::new(["localhost"]).unwrap()
}

fn at(line: usize) -> Place {
    Place { file: None, line }
}

#[test]
fn a_pair_of_files_serves() {
    test::run(|| {
        let (signed, dir) = (signed(), TempDir::new().unwrap());
        let (chain, key) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
        fs::write(&chain, signed.chain_pem()).unwrap();
        fs::write(&key, signed.key_pem()).unwrap();
        let server = ServerConfig::from_pem_files(chain, key).unwrap();
        let (client, _) = meet(&signed.client_config().unwrap(), "localhost", &server).well();
        assert_eq!([shown(&client)], signed.identity().unwrap().chain());
    });
}

#[test]
fn one_text_may_hold_both_among_remarks() {
    let signed = signed();
    let text = format!("# key\n{}\nand the chain:\n{}", signed.key_pem(), signed.chain_pem());
    let identity = Identity::from_pem(&text, &text).unwrap();
    assert_eq!(identity.chain(), signed.identity().unwrap().chain());
}

#[test]
fn lines_may_end_as_on_windows() {
    let signed = signed();
    let (chain, key) = (signed.chain_pem().replace('\n', "\r\n"), signed.key_pem().replace('\n', "\r\n"));
    Identity::from_pem(chain, key).unwrap();
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Identity::from_pem_files("/nowhere/chain.pem", "/nowhere/key.pem").unwrap_err();
    assert!(error.to_string().starts_with("/nowhere/chain.pem: No such file"), "{error}");
}

#[test]
fn a_file_without_end_is_given_up() {
    let error = Identity::from_pem_files("/dev/zero", "/dev/zero").unwrap_err();
    assert!(matches!(error, ConfigError::TooLarge { limit: 16_777_216, .. }), "{error}");
}

#[test]
fn what_is_missing_is_said_with_the_file() {
    let (signed, dir) = (signed(), TempDir::new().unwrap());
    let chain = dir.path().join("chain.pem");
    fs::write(&chain, signed.chain_pem()).unwrap();
    let error = Identity::from_pem_files(&chain, &chain).unwrap_err();
    assert_eq!(error.to_string(), format!("{} holds no private key", chain.display()));
    let error = Identity::from_pem(signed.key_pem(), signed.key_pem()).unwrap_err();
    assert!(matches!(error, ConfigError::Missing { file: None, what: "certificate" }), "{error}");
}

#[test]
fn a_character_that_is_no_base_64_is_found_in_its_line() {
    let (signed, dir) = (signed(), TempDir::new().unwrap());
    let chain = dir.path().join("chain.pem");
    let mut lines: Vec<String> = signed.chain_pem().lines().map(str::to_owned).collect();
    lines[3].replace_range(5..6, "!");
    fs::write(&chain, format!("a remark\n{}", lines.join("\n"))).unwrap();
    let error = Identity::from_pem_files(&chain, &chain).unwrap_err();
    assert_eq!(error.to_string(), format!("{}, line 5: '!' is no character of base 64", chain.display()));
}

#[test]
fn a_section_without_end_is_found_where_it_begins() {
    let signed = signed();
    let cut = signed.chain_pem().split("-----END").next().unwrap();
    let error = Identity::from_pem(cut, signed.key_pem()).unwrap_err();
    assert!(matches!(&error, ConfigError::Pem { place, .. } if *place == at(1)), "{error}");
    // A second one begins before the first has ended.
    let error = Identity::from_pem(format!("{cut}{}", signed.chain_pem()), signed.key_pem()).unwrap_err();
    assert_eq!(error.to_string(), format!("line {}: the section of line 1 has not ended", cut.lines().count() + 1));
}

#[test]
fn a_section_that_was_cut_short_is_found_where_it_begins() {
    let signed = signed();
    let chain: Vec<&str> = signed.chain_pem().lines().collect();
    let without_a_line = [&chain[..4], &chain[5..]].concat().join("\n");
    let error = Identity::from_pem(without_a_line, signed.key_pem()).unwrap_err();
    assert!(
        matches!(&error, ConfigError::Malformed { place: Some(place), what: "certificate", .. } if *place == at(1)),
        "{error}"
    );
    let mut short = chain.clone();
    let last = short.len() - 2;
    short[last] = &chain[last][..1];
    let error = Identity::from_pem(short.join("\n"), signed.key_pem()).unwrap_err();
    assert!(error.to_string().starts_with("line 1: the section is cut short"), "{error}");
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (one, other) = (signed(), signed());
    let error = Identity::from_pem(one.chain_pem(), other.key_pem()).unwrap_err();
    assert_eq!(error.to_string(), "the private key at line 1 does not belong to the certificate at line 1");
}

/// The chain is in the wrong order, as when it was put together by hand: RFC 8446 section 4.4.2 wants the end's first.
#[test]
fn rfc_8446_4_4_2_a_chain_in_the_wrong_order_is_told_from_a_wrong_key() {
    let signed = signed();
    let authority = signed.authority_pem();
    let error = Identity::from_pem(format!("{authority}{}", signed.chain_pem()), signed.key_pem()).unwrap_err();
    let line = authority.lines().count() + 1;
    let ConfigError::KeyMismatch { belongs_to, .. } = &error else { panic!("{error}") };
    assert_eq!(belongs_to.as_ref(), Some(&at(line)));
    assert!(error.to_string().ends_with(&format!("it belongs to the one at line {line}, which must come first")));
}

#[test]
fn a_key_that_is_none_is_refused_with_its_line() {
    let signed = signed();
    let key = "\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let error = Identity::from_pem(signed.chain_pem(), key).unwrap_err();
    assert!(
        matches!(&error, ConfigError::Malformed { place: Some(place), what: "private key", .. } if *place == at(2)),
        "{error}"
    );
}

#[test]
fn an_encrypted_key_is_told_from_a_malformed_one() {
    let signed = signed();
    for key in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    ] {
        let error = Identity::from_pem(signed.chain_pem(), key).unwrap_err();
        assert!(matches!(&error, ConfigError::EncryptedKey { place } if *place == at(1)), "{error}");
    }
}

#[test]
fn an_empty_chain_is_refused() {
    let key = signed().identity().unwrap();
    let error =
        Identity::from_der(Vec::new(), grapeshot_tls::rustls::pki_types::PrivatePkcs8KeyDer::from(vec![0]).into());
    assert!(matches!(error, Err(ConfigError::Missing { what: "certificate", .. })));
    assert_eq!(key.chain().len(), 1);
}

#[test]
fn a_program_that_ends_with_an_error_says_it_in_words() {
    let (one, other) = (signed(), signed());
    let error = Identity::from_pem(one.chain_pem(), other.key_pem()).unwrap_err();
    assert_eq!(
        format!("{error:?}"),
        "ConfigError(the private key at line 1 does not belong to the certificate at line 1)"
    );
}

#[test]
fn an_identity_is_shown_without_its_bytes() {
    let shown = format!("{:?}", signed().identity().unwrap());
    assert!(shown.starts_with("Identity { certificates: 1, place: line 1"), "{shown}");
    assert!(shown.len() < 200, "{shown}");
}

#[test]
fn a_certificate_for_nothing_is_not_made() {
    for (names, reason) in [
        (&[] as &[&str], "a certificate cannot be made: no name was given, so it would hold for nobody"),
        (&[""], "\"\" is no DNS name, nor a wildcard like *.example.org"),
        (&["localhost", "a b"], "\"a b\" is no DNS name, nor a wildcard like *.example.org"),
        (
            &["ünï.de"],
            "\"ünï.de\" is no DNS name, nor a wildcard like *.example.org; \
             an international name is given in its ASCII form, xn--… (RFC 5890)",
        ),
    ] {
        assert_eq!(SelfSigned::new(names.iter().copied()).unwrap_err().to_string(), reason);
    }
    SelfSigned::new(["*.example.org", "::1", "127.0.0.1", "xn--n-mga2l.de", "a_b.example"]).unwrap();
}

#[test]
fn rfc_5280_4_1_2_5_an_identity_tells_its_dates() {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    // Up to 2049 a date has two digits for its year, and four from then on.
    for (from, to) in [(951_868_799, 1_735_689_600), (1_735_689_600, 4_107_542_400)] {
        let identity = Authority::new().issue("localhost", |params| {
            params.not_before = at(from).into();
            params.not_after = at(to).into();
        });
        assert_eq!((identity.not_before(), identity.not_after()), (Some(at(from)), Some(at(to))));
    }
}

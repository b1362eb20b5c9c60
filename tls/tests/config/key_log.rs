//! The secrets of a connection, as both ends write them down.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grapeshot_core::test;
use grapeshot_harness::{Program, TempDir};
use grapeshot_tls::{ClientConfig, KeyLog, SelfSigned, ServerConfig, Version};

use crate::ends::meet;

/// What both ends wrote: to a file here, to a function there.
fn written(version: Version) -> (String, Vec<String>) {
    let (signed, dir) = (SelfSigned::new(["localhost"]).unwrap(), TempDir::new().unwrap());
    let path = dir.path().join("keys");
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = KeyLog::callback({
        let lines = lines.clone();
        move |line| lines.lock().unwrap().push(line.to_owned())
    });
    let server = ServerConfig::builder().identity(signed.identity().unwrap()).key_log(log).build().unwrap();
    let client = ClientConfig::builder().roots(signed.roots().unwrap()).key_log(KeyLog::file(&path).unwrap());
    let client = client.oldest_version(Version::Tls12).newest_version(version).build().unwrap();
    meet(&client, "localhost", &server).well();
    let lines = lines.lock().unwrap().clone();
    (fs::read_to_string(path).unwrap(), lines)
}

/// The variable is looked at when that is asked for, here in a process of its own that has it.
#[test]
fn the_file_of_the_environment_is_opened_on_request() {
    if let Some(path) = env::var_os("SSLKEYLOGFILE") {
        let signed = SelfSigned::new(["localhost"]).unwrap();
        signed.server_config().unwrap();
        assert!(!Path::new(&path).exists());
        assert!(KeyLog::from_environment().unwrap().is_some());
        assert!(Path::new(&path).exists());
        return;
    }
    assert!(KeyLog::from_environment().unwrap().is_none());
    let dir = TempDir::new().unwrap();
    let again = Program::new(env::current_exe().unwrap()).env("SSLKEYLOGFILE", dir.path().join("keys"));
    let again = again.args(["--exact", "key_log::the_file_of_the_environment_is_opened_on_request"]);
    let output = again.output(Duration::from_secs(60)).unwrap();
    assert!(output.assert_success().stdout.text().contains("1 passed"), "{output}");
}

/// RFC 8446 section 7.1: both ends come to the same secrets.
#[test]
fn rfc_8446_7_1_both_ends_write_the_same_secrets() {
    test::run(|| {
        let (client, server) = written(Version::Tls13);
        let labels: BTreeSet<&str> = client.lines().filter_map(|line| line.split(' ').next()).collect();
        let expected = [
            "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
            "CLIENT_TRAFFIC_SECRET_0",
            "EXPORTER_SECRET",
            "SERVER_HANDSHAKE_TRAFFIC_SECRET",
            "SERVER_TRAFFIC_SECRET_0",
        ];
        assert_eq!(labels, BTreeSet::from(expected));
        let (client, server): (BTreeSet<&str>, BTreeSet<&str>) =
            (client.lines().collect(), server.iter().map(String::as_str).collect());
        assert_eq!(client, server);
    });
}

/// RFC 5246 section 8.1: the one secret of TLS 1.2 has 48 bytes, beside the client's random of 32.
#[test]
fn rfc_5246_8_1_the_master_secret_is_written() {
    test::run(|| {
        let (client, server) = written(Version::Tls12);
        let words: Vec<&str> = client.trim_end().split(' ').collect();
        assert_eq!((words[0], words[1].len(), words[2].len()), ("CLIENT_RANDOM", 64, 96));
        assert_eq!(server, [client.trim_end()]);
    });
}

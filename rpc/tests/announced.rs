//! Lengths that are announced and never come cost what has come, and not what was announced.
//!
//! In a test of its own, as it looks at the memory of the whole process.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::io::Write;

use grapeshot_core::{sleep, test};
use grapeshot_net::memory;
use grapeshot_rpc::{Connection, Router};

const PEERS: usize = 1000;

/// What each announces: a binary of 15 MiB in a request for "echo".
const HEAD: &[u8] = &[0x94, 0x00, 0x07, 0xa4, b'e', b'c', b'h', b'o', 0x91, 0xc6, 0x00, 0xf0, 0x00, 0x00];

/// A line of the process's status, in KiB (proc_pid_status(5)).
fn kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches([':', ' ', '\t']).trim_end_matches(" kB").trim().parse().unwrap()
}

#[test]
fn a_thousand_peers_that_announce_much_and_send_little_cost_little() {
    test::run(|| {
        // What was asked for, touched or not, and what is there: the stacks of two coroutines each are a part of the first.
        let (asked_before, there_before) = (kib("VmData"), kib("VmRSS"));
        let peers: Vec<_> = (0..PEERS)
            .map(|_| {
                let (near, far) = memory::pair();
                let service = Router::new().method("echo", |(bytes,): (Vec<u8>,)| Ok(bytes.len()));
                let server = Connection::over(far).service(service).accept().unwrap();
                (&near).write_all(HEAD).unwrap();
                (&near).write_all(&[0; 10]).unwrap();
                (near, server)
            })
            .collect();
        sleep(std::time::Duration::from_secs(1));
        assert!(peers.iter().all(|(_, server)| !server.is_closed()), "they are waited for");
        let (asked, there) = (kib("VmData") - asked_before, kib("VmRSS").saturating_sub(there_before));
        // All that was announced would be 15,000 MiB.
        assert!(asked < 2000 << 10, "{asked} KiB were asked for");
        assert!(there < 150 << 10, "{there} KiB are there");
    });
}

//! The system's files: read when they have changed, and not more often than once a second.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::RefCell;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{sleep, spawn, test, yield_now};
use grapeshot_dns::proto::{Family, NameSource};
use grapeshot_dns::{CHECK_INTERVAL, ResolverEnvironment, System, SystemConfig, SystemFiles};
use grapeshot_harness::TempDir;

const A_MOMENT: Duration = Duration::from_millis(1);

fn files(folder: &Path) -> SystemFiles {
    SystemFiles {
        hosts: folder.join("hosts"),
        resolv_conf: folder.join("resolv.conf"),
        nsswitch_conf: folder.join("nsswitch.conf"),
        gai_conf: folder.join("gai.conf"),
        host_name: folder.join("hostname"),
    }
}

/// Runs a test with a folder of files and a system that reads them, under virtual time.
fn with_files(texts: &[(&str, &str)], body: impl FnOnce(&Path, &System) + 'static) {
    let folder = TempDir::new().unwrap();
    for (name, text) in texts {
        fs::write(folder.path().join(name), text).unwrap();
    }
    test::run(move || body(folder.path(), &System::with_files(files(folder.path()))));
}

fn addresses(config: &SystemConfig, name: &str) -> Vec<IpAddr> {
    let found = config.hosts.lookup(name, Family::Any);
    found.map_or(Vec::new(), |found| found.addresses.iter().map(|address| address.ip).collect())
}

fn servers(config: &SystemConfig) -> Vec<String> {
    config.config.servers.iter().map(|server| server.address.to_string()).collect()
}

#[test]
fn without_files_the_defaults_hold() {
    with_files(&[], |_, system| {
        let current = system.current();
        assert_eq!(servers(&current), ["127.0.0.1:53"]);
        assert_eq!(current.order.steps().len(), 2);
        assert!(current.config.search.is_empty());
        assert_eq!(current.host_name, "");
    });
}

#[test]
fn every_file_has_its_say() {
    let texts = [
        ("hosts", "192.0.2.1 www\n"),
        (
            "resolv.conf",
            "nameserver 192.0.2.53\nsearch example.com\noptions ndots:3 timeout:2 attempts:4 rotate use-vc trust-ad no-aaaa single-request\n",
        ),
        ("nsswitch.conf", "hosts: dns\n"),
        ("gai.conf", "precedence ::ffff:0:0/96 100\n"),
        ("hostname", "box.example.net\n"),
    ];
    with_files(&texts, |_, system| {
        let current = system.current();
        let config = &current.config;
        assert_eq!(addresses(&current, "www"), [Ipv4Addr::new(192, 0, 2, 1)]);
        assert_eq!(servers(&current), ["192.0.2.53:53"]);
        assert_eq!(config.search[0].to_ascii(), "example.com.");
        assert_eq!((config.ndots, config.timeout, config.attempts), (3, Duration::from_secs(2), 4));
        assert!(config.rotate && config.use_tcp && config.trust_ad && config.no_aaaa && config.single_request);
        assert_eq!(*current.order.steps()[0].source(), NameSource::Dns);
        assert_eq!(current.policies.precedence(IpAddr::V4(Ipv4Addr::LOCALHOST)), 100);
        assert_eq!(current.host_name, "box.example.net");
    });
}

#[test]
fn a_change_is_seen_after_a_second_and_not_before() {
    with_files(&[("hosts", "192.0.2.1 www\n")], |folder, system| {
        let before = system.current();
        fs::write(folder.join("hosts"), "192.0.2.2 www\n").unwrap();
        sleep(CHECK_INTERVAL - A_MOMENT);
        assert!(Rc::ptr_eq(&before, &system.current()));
        sleep(A_MOMENT);
        assert_eq!(addresses(&system.current(), "www"), [Ipv4Addr::new(192, 0, 2, 2)]);
        assert_eq!(addresses(&before, "www"), [Ipv4Addr::new(192, 0, 2, 1)]);
    });
}

#[test]
fn each_file_is_looked_at() {
    with_files(&[], |folder, system| {
        system.current();
        fs::write(folder.join("resolv.conf"), "nameserver 192.0.2.53\n").unwrap();
        sleep(CHECK_INTERVAL);
        assert_eq!(servers(&system.current()), ["192.0.2.53:53"]);
        fs::write(folder.join("nsswitch.conf"), "hosts: files\n").unwrap();
        sleep(CHECK_INTERVAL);
        assert_eq!(system.current().order.steps().len(), 1);
        fs::write(folder.join("gai.conf"), "label ::/0 7\n").unwrap();
        sleep(CHECK_INTERVAL);
        assert_eq!(system.current().policies.label(IpAddr::V6(Ipv6Addr::LOCALHOST)), 7);
    });
}

#[test]
fn a_file_that_is_replaced_by_another_is_read() {
    with_files(&[("hosts", "192.0.2.1 www\n")], |folder, system| {
        system.current();
        fs::write(folder.join("new"), "192.0.2.2 www\n").unwrap();
        fs::rename(folder.join("new"), folder.join("hosts")).unwrap();
        sleep(CHECK_INTERVAL);
        assert_eq!(addresses(&system.current(), "www"), [Ipv4Addr::new(192, 0, 2, 2)]);
    });
}

#[test]
fn a_file_that_is_deleted_counts_as_empty() {
    with_files(&[("hosts", "192.0.2.1 www\n"), ("resolv.conf", "nameserver 192.0.2.53\n")], |folder, system| {
        system.current();
        fs::remove_file(folder.join("hosts")).unwrap();
        fs::remove_file(folder.join("resolv.conf")).unwrap();
        sleep(CHECK_INTERVAL);
        let current = system.current();
        assert!(addresses(&current, "www").is_empty());
        assert_eq!(servers(&current), ["127.0.0.1:53"]);
    });
}

#[test]
fn what_cannot_be_read_stays_as_it_was() {
    with_files(&[("hosts", "192.0.2.1 www\n"), ("resolv.conf", "nameserver 192.0.2.53\n")], |folder, system| {
        system.current();
        for name in ["hosts", "resolv.conf"] {
            fs::remove_file(folder.join(name)).unwrap();
            fs::create_dir(folder.join(name)).unwrap();
        }
        sleep(CHECK_INTERVAL);
        let current = system.current();
        assert_eq!(addresses(&current, "www"), [Ipv4Addr::new(192, 0, 2, 1)]);
        assert_eq!(servers(&current), ["192.0.2.53:53"]);
    });
}

#[test]
fn files_that_did_not_change_are_not_read_again() {
    // A file that was written a moment ago may change without showing it, so this takes older ones.
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join("LICENSE-MIT");
    test::run(move || {
        let nowhere = old.join("nowhere");
        let system = System::with_files(SystemFiles { hosts: old, ..files(&nowhere) });
        let before = system.current();
        sleep(CHECK_INTERVAL * 10);
        assert!(Rc::ptr_eq(&before, &system.current()));
    });
}

#[test]
fn others_get_the_value_before_while_a_large_file_is_read() {
    with_files(&[("hosts", "192.0.2.1 www\n")], |folder, _| {
        let system = Rc::new(System::with_files(files(folder)));
        let _ = system.current();
        let many: String = (0..20_000).map(|number| format!("192.0.2.2 host-{number}\n")).collect();
        assert!(many.len() > 256 << 10);
        fs::write(folder.join("hosts"), many).unwrap();
        sleep(CHECK_INTERVAL);
        let seen = Rc::new(RefCell::new(Vec::new()));
        let (first, log) = (system.clone(), seen.clone());
        let reader = spawn(move || {
            let current = first.current();
            log.borrow_mut().push("new");
            assert_eq!(addresses(&current, "host-19999"), [Ipv4Addr::new(192, 0, 2, 2)]);
        });
        yield_now();
        assert_eq!(addresses(&system.current(), "www"), [Ipv4Addr::new(192, 0, 2, 1)]);
        seen.borrow_mut().push("old");
        reader.join().unwrap();
        assert_eq!(*seen.borrow(), ["old", "new"]);
    });
}

#[test]
fn a_long_file_is_cut_after_a_whole_line() {
    let mut text = "# a comment that says nothing\n".repeat(3000);
    text.insert_str(0, "nameserver 192.0.2.1\n");
    text.push_str("nameserver 192.0.2.2\n");
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("resolv.conf"), text).unwrap();
    test::run(move || {
        let system = System::with_files(files(folder.path()));
        assert_eq!(servers(&system.current()), ["192.0.2.1:53"]);
    });
}

#[test]
fn a_zone_becomes_the_number_of_its_interface() {
    let text = "nameserver fe80::1%lo\nnameserver fe80::2%no-such-device\nnameserver fe80::3%77\n";
    with_files(&[("resolv.conf", text)], |_, system| {
        // The loopback interface is the first of every Linux system.
        assert_eq!(servers(&system.current()), ["[fe80::1%1]:53", "[fe80::3%77]:53"]);
    });
}

#[test]
fn the_hosts_own_domain_is_searched_if_nothing_else_is_said() {
    with_files(&[("hostname", "box.dept.example\n")], |folder, system| {
        assert_eq!(system.current().config.search[0].to_ascii(), "dept.example.");
        fs::write(folder.join("resolv.conf"), "search example.org\n").unwrap();
        sleep(CHECK_INTERVAL);
        assert_eq!(system.current().config.search[0].to_ascii(), "example.org.");
    });
}

#[test]
fn the_environment_counts_when_it_is_given() {
    with_files(&[("resolv.conf", "search example.org\noptions rotate\n")], |folder, _| {
        let environment = ResolverEnvironment {
            local_domain: Some("a.example b.example".to_owned()),
            options: Some("ndots:7".to_owned()),
        };
        let current = System::with_files(files(folder)).with_these_variables(environment).current();
        assert_eq!(current.config.search.len(), 2);
        assert_eq!((current.config.ndots, current.config.rotate), (7, true));
    });
}

#[test]
fn outside_a_runtime_the_files_are_read_too() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("hosts"), "192.0.2.1 www\n").unwrap();
    let current = System::with_files(files(folder.path())).current();
    assert_eq!(addresses(&current, "www"), [Ipv4Addr::new(192, 0, 2, 1)]);
}

#[test]
fn rfc_6724_addresses_are_sorted_by_the_sources_of_this_machine() {
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return;
    }
    let ipv4: SocketAddr = (Ipv4Addr::LOCALHOST, 80).into();
    let ipv6: SocketAddr = (Ipv6Addr::LOCALHOST, 80).into();
    with_files(&[], move |folder, system| {
        let mut addresses = [ipv4, ipv6];
        system.sort(&mut addresses);
        assert_eq!(addresses, [ipv6, ipv4]);
        fs::write(folder.join("gai.conf"), "precedence ::ffff:0:0/96 100\n").unwrap();
        sleep(CHECK_INTERVAL);
        system.sort(&mut addresses);
        assert_eq!(addresses, [ipv4, ipv6]);
    });
}

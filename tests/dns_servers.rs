//! Real name servers: Knot with a zone of every type, Unbound in front of it, over plain DNS and TLS, and dnsmasq.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use grapeshot::dns::proto::RecordType;
use grapeshot::dns::transport::{StreamOptions, Tls, Transport as _};
use grapeshot::dns::{Config, LookupErrorKind, NameServer, Resolver};
use grapeshot::test::Test;
use grapeshot::tls::SelfSigned;
use grapeshot_harness::{Output, Program, Ready, Running, TempDir, example, require_from, unused_addr};

/// Only a failure waits this long; a debug build on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

const ZONE: &str = "peers.example";

/// A name server of another make, with its files.
struct Server {
    _running: Running,
    address: SocketAddr,
    _files: TempDir,
}

/// The path of a program that may lie where only root looks.
fn find(program: &str, package: &str) -> Option<PathBuf> {
    let installed = PathBuf::from("/usr/sbin").join(program);
    if installed.exists() { Some(installed) } else { require_from(program, package) }
}

/// Knot, which answers for the zone and for no other.
fn knot() -> Option<Server> {
    let program = find("knotd", "knot")?;
    let (files, address) = (TempDir::new().unwrap(), unused_addr().unwrap());
    let folder = files.path().display();
    let large: String = (1..=40).map(|number| format!("large A 198.51.100.{number}\n")).collect();
    let zone = concat!(include_str!("dns_peers/every.zone"), "\n").to_owned() + &large;
    fs::write(files.path().join("every.zone"), zone).unwrap();
    let configuration = format!(
        "server:\n    listen: {}@{}\n    rundir: {folder}\n    udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n\
         database:\n    storage: {folder}\n\
         zone:\n  - domain: {ZONE}\n    storage: {folder}\n    file: every.zone\n",
        address.ip(),
        address.port(),
    );
    let path = files.path().join("knot.conf");
    fs::write(&path, configuration).unwrap();
    let program = Program::new(program).arg("--config").arg(path).ready_when(Ready::line("] loaded, serial"));
    Some(Server { _running: program.start().unwrap(), address, _files: files })
}

/// Unbound, which asks `knot` about the zone, tells of errors (RFC 8914), and speaks TLS on a second port.
fn unbound(knot: SocketAddr, own: &SelfSigned) -> Option<(Server, SocketAddr)> {
    let program = find("unbound", "unbound")?;
    let (files, address, tls) = (TempDir::new().unwrap(), unused_addr().unwrap(), unused_addr().unwrap());
    let folder = files.path().display();
    fs::write(files.path().join("chain.pem"), own.chain_pem()).unwrap();
    fs::write(files.path().join("key.pem"), own.key_pem()).unwrap();
    let knot = format!("{}@{}", knot.ip(), knot.port());
    let configuration = format!(
        "server:\n  directory: \"{folder}\"\n  chroot: \"\"\n  username: \"\"\n  pidfile: \"\"\n  use-syslog: no\n  do-daemonize: no\n\
         \x20 interface: {}@{}\n  interface: {}@{}\n  tls-port: {}\n  tls-service-key: \"{folder}/key.pem\"\n  tls-service-pem: \"{folder}/chain.pem\"\n\
         \x20 do-not-query-localhost: no\n  module-config: \"iterator\"\n  ede: yes\n  trust-anchor-signaling: no\n  num-threads: 1\n\
         stub-zone:\n  name: {ZONE}\n  stub-addr: {knot}\n\
         stub-zone:\n  name: refused.example\n  stub-addr: {knot}\n\
         remote-control:\n  control-enable: no\n",
        address.ip(),
        address.port(),
        tls.ip(),
        tls.port(),
        tls.port(),
    );
    let path = files.path().join("unbound.conf");
    fs::write(&path, configuration).unwrap();
    let program = Program::new(program).arg("-d").arg("-c").arg(path).ready_when(Ready::port(address));
    Some((Server { _running: program.start().unwrap(), address, _files: files }, tls))
}

fn lookup(server: SocketAddr, arguments: &[&str]) -> Output {
    let server = server.to_string();
    example("lookup").unwrap().args(["--server", &server]).args(arguments).output(PATIENCE).unwrap()
}

/// What `lookup` says of one name: its status, and the data of the type.
fn look(server: SocketAddr, record_type: &str, name: &str) -> (String, Vec<String>) {
    let said = lookup(server, &[record_type, name]).stdout.text().into_owned();
    let mut lines = said.lines();
    let status = lines.next().unwrap().strip_prefix("status: ").unwrap().to_owned();
    let prefix = format!("{record_type} ");
    let mut data: Vec<_> = lines.filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect();
    data.sort();
    (status, data)
}

/// As the real `dig` shows it, in the form of `lookup`.
fn dig(server: SocketAddr, record_type: &str, name: &str) -> Option<Vec<String>> {
    let program = require_from("dig", "bind9-dnsutils")?;
    let (at, port) = (format!("@{}", server.ip()), server.port().to_string());
    let said = Program::new(program)
        .args([at.as_str(), "-p", &port, "+noall", "+answer", "-t", record_type, name])
        .output(PATIENCE)
        .unwrap();
    let of_the_type = |line: &str| {
        let mut words = line.split_whitespace();
        let is_it = words.nth(3) == Some(record_type);
        is_it.then(|| {
            words.map(|word| if word == "." { word } else { word.trim_end_matches('.') }).collect::<Vec<_>>().join(" ")
        })
    };
    let mut data: Vec<_> = said.assert_success().stdout.text().lines().filter_map(of_the_type).collect();
    data.sort();
    Some(data)
}

/// The records of every type, as `dig` shows them too; TXT has a form of its own.
#[test]
fn every_type_is_read_as_dig_reads_it() {
    let Some(knot) = knot() else { return };
    let questions = [
        ("A", "www"),
        ("AAAA", "www"),
        ("MX", ""),
        ("NS", ""),
        ("SOA", ""),
        ("CAA", ""),
        ("SRV", "_sip._tcp"),
        ("NAPTR", "naptr"),
        ("TLSA", "_443._tcp.www"),
        ("SSHFP", "ssh"),
        ("HINFO", "host"),
        ("URI", "uri"),
        ("DS", "child"),
        ("HTTPS", "svc"),
        ("SVCB", "_dns.svc"),
        ("DNAME", "old"),
        ("CNAME", "alias"),
        ("TYPE65280", "strange"),
        ("A", "alias"),
        ("A", "host.old"),
        ("A", "anything.wild"),
        // Forty addresses: truncated over UDP, and whole over TCP.
        ("A", "large"),
    ];
    for (record_type, label) in questions {
        let name = if label.is_empty() { ZONE.to_owned() } else { format!("{label}.{ZONE}") };
        let Some(expected) = dig(knot.address, record_type, &name) else { return };
        assert!(!expected.is_empty(), "dig has {record_type} {name}");
        let (status, found) = look(knot.address, record_type, &name);
        assert_eq!(status, "NOERROR", "{record_type} {name}");
        // dig breaks long rows of digits into groups.
        let is_in_groups = ["TLSA", "SSHFP", "DS"].contains(&record_type);
        let written = |data: &String| if is_in_groups { data.replace(' ', "") } else { data.to_lowercase() };
        let lower = |data: Vec<String>| data.iter().map(written).collect::<Vec<_>>();
        assert_eq!(lower(found), lower(expected), "{record_type} {name}");
    }
}

/// RFC 1035 §3.3.14: strings of one record are joined, and bytes beyond ASCII kept.
#[test]
fn the_strings_of_a_text_are_joined() {
    let Some(knot) = knot() else { return };
    assert_eq!(look(knot.address, "TXT", ZONE).1, ["\"v=spf1 ip4:192.0.2.0/24 -all\""]);
    let (status, quoted) = look(knot.address, "TXT", &format!("quoted.{ZONE}"));
    assert_eq!(status, "NOERROR");
    assert_eq!(quoted, [r#""say \"hello\"; back\\slashcaf\195\169""#]);
}

/// RFC 2308 §2: what is not there, and of which a server says so in different ways.
#[test]
fn what_is_absent_has_its_status() {
    let Some(knot) = knot() else { return };
    let said = |record_type, label: &str| look(knot.address, record_type, &format!("{label}.{ZONE}")).0;
    assert_eq!(said("A", "absent"), "NXDOMAIN");
    assert_eq!(said("MX", "www"), "NODATA");
    assert_eq!(said("A", "nowhere"), "NXDOMAIN", "the end of an alias");
    assert_eq!(look(knot.address, "A", "elsewhere.example").0, "REFUSED");
    let around = said("A", "around");
    assert_eq!(around, "ERROR", "a circle of aliases");
}

/// RFC 2782, page 3: one of lower priority only after all of higher, and "." for none.
#[test]
fn services_are_found_in_their_order() {
    let Some(knot) = knot() else { return };
    let address = knot.address;
    Test::new().real_time().run(move || {
        let resolver = Resolver::new(Config::with_servers([address]));
        let services = resolver.service(&format!("_sip._tcp.{ZONE}")).unwrap();
        let ports: Vec<_> = services.iter().map(|service| service.port).collect();
        assert!(ports == [5060, 5061, 5062] || ports == [5061, 5060, 5062], "{ports:?}");
        let none = resolver.service(&format!("_none._tcp.{ZONE}")).map(|services| services.len());
        assert!(!matches!(none, Ok(1..)), "{none:?}");
    });
}

/// A resolver between, which looks up what it can.
#[test]
fn a_resolver_in_between_answers_what_it_can() {
    let own = SelfSigned::new(["unbound.example"]).unwrap();
    let Some(knot) = knot() else { return };
    let Some((unbound, _)) = unbound(knot.address, &own) else { return };
    assert_eq!(
        look(unbound.address, "A", &format!("alias.{ZONE}")),
        ("NOERROR".into(), vec!["192.0.2.1".into(), "192.0.2.2".into()])
    );
    assert_eq!(look(unbound.address, "A", &format!("absent.{ZONE}")).0, "NXDOMAIN");
    assert_eq!(look(unbound.address, "A", &format!("large.{ZONE}")).1.len(), 40);
    // Knot refuses to speak of this zone, so Unbound has nobody to ask.
    assert_eq!(look(unbound.address, "A", "www.refused.example").0, "SERVFAIL");
}

/// RFC 8914 §4.19: why a resolver refuses.
#[test]
fn the_reason_of_a_refusal_is_shown() {
    let Some(program) = find("unbound", "unbound") else { return };
    let (files, address) = (TempDir::new().unwrap(), unused_addr().unwrap());
    let configuration = format!(
        "server:\n  directory: \"{}\"\n  chroot: \"\"\n  username: \"\"\n  pidfile: \"\"\n  use-syslog: no\n  do-daemonize: no\n\
         \x20 interface: {}@{}\n  module-config: \"iterator\"\n  ede: yes\n  access-control: 127.0.0.0/8 refuse\n\
         remote-control:\n  control-enable: no\n",
        files.path().display(),
        address.ip(),
        address.port(),
    );
    let path = files.path().join("unbound.conf");
    fs::write(&path, configuration).unwrap();
    let program = Program::new(program).arg("-d").arg("-c").arg(path).ready_when(Ready::port(address));
    let _running = program.start().unwrap();
    let refused = lookup(address, &["A", "www.example."]);
    assert_eq!(refused.stdout.text(), "status: REFUSED\n--\n");
    assert!(refused.stderr.text().contains("Prohibited"), "{}", refused.stderr.text());
}

/// RFC 7858, and RFC 8310 §8.1: the name in the certificate is the one asked for, or nothing is asked.
#[test]
fn a_resolver_is_asked_over_tls_by_the_name_in_its_certificate() {
    let own = SelfSigned::new(["unbound.example"]).unwrap();
    let Some(knot) = knot() else { return };
    let Some((_unbound, tls)) = unbound(knot.address, &own) else { return };
    Test::new().real_time().run(move || {
        let resolver = |name: &str| {
            let config = Config { servers: vec![NameServer::over_tls(tls, name)], ..Config::default() };
            let transport = Tls::new(own.client_config().unwrap(), StreamOptions::default());
            assert_eq!(transport.name(), "TLS");
            grapeshot::dns::ResolverBuilder::with_config(config).tls(transport).build()
        };
        let right = resolver("unbound.example");
        let (found, trace) = right.lookup_traced(&format!("www.{ZONE}."), RecordType::A);
        assert_eq!(found.unwrap().addresses().count(), 2);
        assert!(trace.to_string().contains("TLS"), "{trace}");
        assert_eq!(right.lookup(&format!("large.{ZONE}."), RecordType::A).unwrap().addresses().count(), 40);
        let wrong = resolver("other.example").lookup(&format!("www.{ZONE}."), RecordType::A).unwrap_err();
        assert!(!matches!(wrong.kind(), LookupErrorKind::NoSuchName), "{wrong}");
        assert!(wrong.to_string().contains("other.example"), "{wrong}");
    });
}

/// dnsmasq answers from a hosts file and makes up nothing besides.
#[test]
fn a_server_of_hosts_files_is_understood() {
    let Some(program) = find("dnsmasq", "dnsmasq-base") else { return };
    let (files, address) = (TempDir::new().unwrap(), unused_addr().unwrap());
    let hosts = files.path().join("hosts");
    fs::write(&hosts, "192.0.2.9 printer printer.office.test\n2001:db8::9 printer.office.test\n").unwrap();
    let running = Program::new(program)
        .args(["--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file", "--user="])
        .arg(format!("--addn-hosts={}", hosts.display()))
        .arg(format!("--listen-address={}", address.ip()))
        .arg("--bind-interfaces")
        .arg(format!("--port={}", address.port()))
        .args(["--local=/test/", "--log-facility=-"])
        .ready_when(Ready::port(address))
        .start()
        .unwrap();
    assert_eq!(look(address, "A", "printer.office.test"), ("NOERROR".into(), vec!["192.0.2.9".into()]));
    assert_eq!(look(address, "AAAA", "printer.office.test").1, ["2001:db8::9"]);
    assert_eq!(look(address, "MX", "printer.office.test").0, "NODATA");
    assert_eq!(look(address, "A", "absent.office.test").0, "NXDOMAIN");
    let reversed = lookup(address, &["PTR", "192.0.2.9"]);
    assert!(reversed.stdout.text().contains("PTR printer"), "{}", reversed.stdout.text());
    drop(running);
}

//! Name by name the same as glibc: `getent` and our resolver, on the same files and the same name server.
//!
//! Each test runs itself once more in a mount namespace and a network of its own, where `/etc/hosts`, `/etc/resolv.conf` and
//! `/etc/nsswitch.conf` are files of the test, and a small server answers on port 53 of the loopback interface.
//! Where ours differs on purpose, [`DIFFERENCES`] says how, and a page of the documentation why.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod zone;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use grapeshot_core::test::Test;
use grapeshot_dns::Resolver;
use grapeshot_dns::proto::Family;
use grapeshot_harness::{Output, Program, REQUIRE_PEERS, TempDir, require, require_from};

/// Set in the process inside the namespaces, to the folder of its files.
const FOLDER: &str = "GRAPESHOT_GLIBC_FOLDER";

const LIMIT: Duration = Duration::from_secs(120);

/// Where ours differs; each row names one of the page that lists them for users.
struct Difference {
    names: &'static [&'static str],
    theirs: &'static str,
    ours: &'static str,
    listed_as: &'static str,
}

const fn differs(
    names: &'static [&'static str],
    theirs: &'static str,
    ours: &'static str,
    listed_as: &'static str,
) -> Difference {
    Difference { names, theirs, ours, listed_as }
}

const LOCALHOST: &str = "`localhost` and names under it";
const LOOPBACK: &str = "127.0.0.0/8 and ::1, backwards";
const PREFERENCE: &str = "Unique local and 6to4 addresses beside those of IPv4";
const INTERNATIONAL: &str = "The canonical name of an international name";
const SEVERAL_LINES: &str = "An address on several lines of the hosts file";

const DIFFERENCES: &[Difference] = &[
    differs(&["localhost", "localhost."], "localhost: 192.0.2.34", "localhost: ::1 127.0.0.1", LOCALHOST),
    differs(&["localhost", "localhost."], "localhost: 192.0.2.34", "localhost: 127.0.0.1", LOCALHOST),
    differs(&["localhost", "localhost."], "", "localhost: ::1", LOCALHOST),
    differs(&["host.localhost"], "host.localhost: 192.0.2.33", "host.localhost: ::1 127.0.0.1", LOCALHOST),
    differs(&["host.localhost"], "host.localhost: 192.0.2.33", "host.localhost: 127.0.0.1", LOCALHOST),
    differs(&["host.localhost"], "", "host.localhost: ::1", LOCALHOST),
    differs(&["127.0.0.1", "::1"], "", "localhost", LOOPBACK),
    differs(&["host.invalid"], "host.invalid: 192.0.2.32", "", "`invalid` and names under it"),
    differs(&["host.onion"], "host.onion: 192.0.2.35", "", "`onion` and names under it"),
    differs(&["unique"], "unique: fd00::9 192.0.2.79", "unique: 192.0.2.79 fd00::9", PREFERENCE),
    differs(&["unique"], "unique.a.test: fd00::37 192.0.2.37", "unique.a.test: 192.0.2.37 fd00::37", PREFERENCE),
    differs(
        &["sixtofour"],
        "sixtofour.a.test: 2002:c000:226::1 192.0.2.38",
        "sixtofour.a.test: 192.0.2.38 2002:c000:226::1",
        PREFERENCE,
    ),
    differs(&["müller"], "müller.a.test: 192.0.2.30", "xn--mller-kva.a.test: 192.0.2.30", INTERNATIONAL),
    differs(&["192.0.2.10"], "many.a.test", "many.a.test more.a.test", "An address with several names in DNS"),
    differs(&["10.0.0.1"], "multi alias1", "multi alias1 alias3", SEVERAL_LINES),
    differs(&["10.0.0.6"], "dup dup", "dup", SEVERAL_LINES),
    differs(&["::1"], "onlysix", "onlysix multi", SEVERAL_LINES),
    differs(&[""], ": 10.0.0.3", "", "A name that is empty"),
    differs(&["::ffff:192.0.2.1"], "::ffff:192.0.2.1: 192.0.2.1", "", "An IPv4 address mapped into IPv6"),
];

/// What both sides go by.
struct Files {
    hosts: &'static str,
    resolv_conf: &'static str,
    nsswitch_conf: &'static str,
}

const HOSTS: &str = include_str!("hosts");

const RESOLV_CONF: &str = "nameserver 127.0.0.1\nsearch a.test b.test\noptions timeout:1 attempts:1\n";

/// Everything that has to be done before the files can be used; each is checked.
const PREPARATIONS: &[&[&str]] = &[
    &["mount", "--bind", "hosts", "/etc/hosts"],
    &["mount", "--bind", "resolv.conf", "/etc/resolv.conf"],
    &["mount", "--bind", "nsswitch.conf", "/etc/nsswitch.conf"],
    &["ip", "link", "set", "lo", "up"],
    // Addresses beside those of the loopback, so that getent asks for both families, and a route for all others.
    &["ip", "address", "add", "192.0.2.254/24", "dev", "lo"],
    // At once, and not after a look for others who have the same address.
    &["ip", "address", "add", "2001:db8::254/64", "dev", "lo", "nodad"],
    &["ip", "address", "add", "fd00::254/64", "dev", "lo", "nodad"],
    &["ip", "address", "add", "2002:c000:2fe::1/16", "dev", "lo", "nodad"],
    &["ip", "route", "add", "default", "dev", "lo"],
    &["ip", "-6", "route", "add", "default", "dev", "lo", "src", "2001:db8::254"],
];

/// Runs the test of this name again, in namespaces of its own; there, does the comparison.
fn compare(test: &str, files: &Files, names: &[&str], addresses: &[&str]) {
    if let Some(folder) = env::var_os(FOLDER) {
        prepare(Path::new(&folder));
        return compare_inside(names, addresses);
    }
    let found = [
        require_from("unshare", "util-linux"),
        require("mount"),
        require_from("ip", "iproute2"),
        require_from("getent", "libc-bin"),
    ];
    if found.iter().any(Option::is_none) {
        return;
    }
    let Some(unshare) = unshare_arguments() else {
        let required = env::var_os(REQUIRE_PEERS).is_some_and(|value| value == "1");
        assert!(!required, "no namespaces can be made, and {REQUIRE_PEERS}=1 asks for every check");
        // Straight to stderr, as what a passing test prints is not shown.
        let _ = writeln!(io::stderr(), "skipped: no namespaces can be made here");
        return;
    };
    let folder = TempDir::new().unwrap();
    for (name, text) in
        [("hosts", files.hosts), ("resolv.conf", files.resolv_conf), ("nsswitch.conf", files.nsswitch_conf)]
    {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let inside = Program::new("unshare").args(unshare).arg(env::current_exe().unwrap());
    let inside = inside.args(["--exact", test, "--nocapture"]).env(FOLDER, folder.path());
    inside.output(LIMIT).unwrap().assert_success();
}

/// What makes the namespaces: with the rights that we have, or as the root of a user namespace.
fn unshare_arguments() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["--mount", "--net"], &["--map-root-user", "--mount", "--net"]];
    ways.into_iter().find(|way| run(Program::new("unshare").args(*way).arg("true")).is_some())
}

/// Its output, if it succeeds.
fn run(program: Program) -> Option<Output> {
    program.output(LIMIT).ok().filter(|output| output.end.success())
}

fn prepare(folder: &Path) {
    for preparation in PREPARATIONS {
        let (program, arguments) = preparation.split_first().unwrap();
        let prepared = Program::new(program).args(arguments).current_dir(folder).output(LIMIT).unwrap();
        prepared.assert_success();
    }
    zone::serve();
}

fn compare_inside(names: &[&str], addresses: &[&str]) {
    let calls = [("ahosts", Family::Any), ("ahostsv4", Family::V4), ("ahostsv6", Family::V6)];
    let questions = names.iter().flat_map(|name| calls.map(|(call, family)| (call, *name, family)));
    let questions: Vec<(&'static str, String, Family)> =
        questions.map(|(call, name, family)| (call, name.to_owned(), family)).collect();
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let theirs: Vec<String> = questions.iter().map(|(call, name, family)| by_getent(call, name, *family)).collect();
    let their_names: Vec<String> = addresses.iter().map(|address| by_getent_reverse(*address)).collect();
    let (asked, backwards) = (questions.clone(), addresses.clone());
    let (ours, our_names) = Test::new().real_time().run(move || {
        let resolver = Resolver::system();
        let ours = asked.iter().map(|(_, name, family)| by_us(&resolver, name, *family)).collect::<Vec<_>>();
        let names = backwards.iter().map(|address| by_us_reverse(&resolver, *address)).collect::<Vec<_>>();
        (ours, names)
    });
    let mut wrong = String::new();
    for (((call, name, _), theirs), ours) in questions.iter().zip(theirs).zip(ours) {
        check(&mut wrong, call, name, &theirs, &ours);
    }
    for ((address, theirs), ours) in addresses.iter().zip(their_names).zip(our_names) {
        check(&mut wrong, "hosts", &address.to_string(), &theirs, &ours);
    }
    assert!(wrong.is_empty(), "these differ:\n{wrong}");
}

fn check(wrong: &mut String, call: &str, name: &str, theirs: &str, ours: &str) {
    let is_known = |known: &Difference| known.names.contains(&name) && known.theirs == theirs && known.ours == ours;
    if ours != theirs && !DIFFERENCES.iter().any(is_known) {
        writeln!(wrong, "{call} {name}: glibc says [{theirs}], we say [{ours}]").unwrap();
    }
}

#[test]
fn every_difference_is_listed_for_users() {
    let page = include_str!("../../src/differences.rs");
    for Difference { names, listed_as, .. } in DIFFERENCES {
        assert!(page.contains(&format!("//! | {listed_as}")), "{names:?}: {listed_as}");
    }
}

/// The canonical name and the addresses, each once, in their order; nothing if there are none.
fn by_getent(call: &str, name: &str, family: Family) -> String {
    let Some(output) = run(Program::new("getent").args([call, name])) else {
        return String::new();
    };
    let mut canonical = String::new();
    let mut addresses: Vec<String> = Vec::new();
    for line in output.stdout.text().lines() {
        let mut words = line.split_whitespace();
        let (address, kind, first) = (words.next().unwrap(), words.next(), words.next());
        // For IPv6 it is asked to give IPv4 addresses in its clothes, if there are no others.
        let is_mapped = family == Family::V6 && address.starts_with("::ffff:");
        if kind == Some("STREAM") && !is_mapped {
            canonical.push_str(first.unwrap_or_default());
            addresses.push(address.to_owned());
        }
    }
    describe(&canonical, addresses)
}

fn by_us(resolver: &Resolver, name: &str, family: Family) -> String {
    let Ok(host) = resolver.resolve_family(name, family) else {
        return String::new();
    };
    let addresses = host.socket_addresses(0).into_iter().map(with_zone);
    let addresses = addresses.filter(|address| !(family == Family::V6 && address.starts_with("::ffff:")));
    describe(host.canonical_name(), addresses.collect())
}

fn with_zone(address: SocketAddr) -> String {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        address => address.ip().to_string(),
    }
}

fn describe(canonical: &str, addresses: Vec<String>) -> String {
    let mut once: Vec<String> = Vec::new();
    for address in addresses {
        if !once.contains(&address) {
            once.push(address);
        }
    }
    if once.is_empty() { String::new() } else { format!("{canonical}: {}", once.join(" ")) }
}

/// All names of an address.
fn by_getent_reverse(address: IpAddr) -> String {
    let output = run(Program::new("getent").arg("hosts").arg(address.to_string()));
    let text = output.map(|output| output.stdout.text().into_owned()).unwrap_or_default();
    text.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

fn by_us_reverse(resolver: &Resolver, address: IpAddr) -> String {
    resolver.reverse(address).unwrap_or_default().join(" ")
}

#[test]
fn the_hosts_file() {
    let files = Files { hosts: HOSTS, resolv_conf: RESOLV_CONF, nsswitch_conf: "hosts: files\n" };
    let names = [
        "localhost",
        "lo4",
        "multi",
        "MULTI",
        "alias1",
        "alias2",
        "alias3",
        "onlysix",
        "bad",
        "upper",
        "case.example",
        "case.example.",
        "short",
        "octal",
        "indented",
        "indented#hash",
        "dup",
        "mapped",
        "dot",
        "dot.",
        "commented",
        "a.b.c",
        "a",
        "multi.",
        "nothing",
        "linklocal",
        "loop",
        "unique",
        "same",
    ];
    let addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.6", "::1", "10.9.9.9"];
    compare("the_hosts_file", &files, &names, &addresses);
}

#[test]
fn numbers() {
    let files = Files { hosts: HOSTS, resolv_conf: RESOLV_CONF, nsswitch_conf: "hosts: files dns\n" };
    let names = [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "017.1",
        "1",
        "4294967295",
        "4294967296",
        "1.2.3.4.5",
        "256.1.1.1",
        "1.2.3.",
        "::1",
        "::",
        "2001:DB8::1",
        "::ffff:192.0.2.1",
        "fe80::1%lo",
        "fe80::1%1",
        "fe80::1%nope",
        "2001:db8::1%lo",
        "fe80::1",
        "1.2.3.4%lo",
        "0x1g",
        "08",
    ];
    compare("numbers", &files, &names, &[]);
}

/// Names in and under the domains of the search list.
const DNS_NAMES: &[&str] = &[
    "www",
    "www.a.test",
    "www.a.test.",
    "WWW.A.Test",
    "many",
    "four",
    "six",
    "alias",
    "chain",
    "dangling",
    "circle",
    "nodata",
    "textonly",
    "fail",
    "allfail",
    "refused",
    "halffail",
    "both",
    "sub.host",
    "sub.host.",
    "under_score",
    "toplevel",
    "toplevel.",
    "nowhere",
    "nowhere.a.test",
    "a.test",
    "müller",
    "printer.local",
    "host.test",
    "unique",
    "sixtofour",
    "linklocal.a.test",
    "loop.a.test",
    "mapped",
    "multi",
    "www..a.test",
    ".",
    "",
    "-",
    "a b",
];

const DNS_ADDRESSES: &[&str] = &["192.0.2.1", "192.0.2.10", "192.0.2.99", "2001:db8::1"];

#[test]
fn files_and_dns() {
    let files = Files { hosts: HOSTS, resolv_conf: RESOLV_CONF, nsswitch_conf: "hosts: files dns\n" };
    compare("files_and_dns", &files, DNS_NAMES, DNS_ADDRESSES);
}

#[test]
fn without_nsswitch_conf() {
    let files = Files { hosts: HOSTS, resolv_conf: RESOLV_CONF, nsswitch_conf: "passwd: files\n" };
    compare("without_nsswitch_conf", &files, DNS_NAMES, DNS_ADDRESSES);
}

#[test]
fn special_names() {
    let files = Files { hosts: "", resolv_conf: RESOLV_CONF, nsswitch_conf: "hosts: files dns\n" };
    let names =
        ["localhost", "localhost.", "host.localhost", "host.invalid", "host.onion", "printer.local.", "host.test."];
    compare("special_names", &files, &names, &["127.0.0.1", "::1"]);
}

#[test]
fn more_dots_are_asked_for() {
    let resolv_conf = "nameserver 127.0.0.1\nsearch a.test b.test\noptions ndots:2 timeout:1 attempts:1\n";
    let files = Files { hosts: HOSTS, resolv_conf, nsswitch_conf: "hosts: dns\n" };
    compare("more_dots_are_asked_for", &files, DNS_NAMES, &[]);
}

#[test]
fn no_dots_are_asked_for() {
    let resolv_conf = "nameserver 127.0.0.1\nsearch a.test b.test\noptions ndots:0 timeout:1 attempts:1\n";
    let files = Files { hosts: HOSTS, resolv_conf, nsswitch_conf: "hosts: dns\n" };
    compare("no_dots_are_asked_for", &files, DNS_NAMES, &[]);
}

#[test]
fn the_search_list_follows_whatever_came_of_the_name_as_it_is() {
    let files = Files { hosts: HOSTS, resolv_conf: RESOLV_CONF, nsswitch_conf: "hosts: files dns\n" };
    let names = [
        "top.refused",
        "top.notimp",
        "top.formerr",
        "top.silent",
        "top.failing",
        "top.stuck",
        "top.refused.",
        "top.notimp.",
        "top.nowhere",
    ];
    compare("the_search_list_follows_whatever_came_of_the_name_as_it_is", &files, &names, &[]);
}

#[test]
fn the_last_of_domain_and_search_counts() {
    let resolv_conf =
        "search b.test\nnameserver 127.0.0.1\ndomain a.test\noptions single-request timeout:1 attempts:1\n";
    let files = Files { hosts: HOSTS, resolv_conf, nsswitch_conf: "hosts: files dns\n" };
    compare("the_last_of_domain_and_search_counts", &files, DNS_NAMES, &[]);
}

#[test]
fn without_a_search_list() {
    let resolv_conf = "# nothing\nnameserver 127.0.0.1 # here\nsearch .\noptions timeout:1 attempts:1 edns0 trust-ad\n";
    let files = Files { hosts: HOSTS, resolv_conf, nsswitch_conf: "hosts: files dns\n" };
    compare("without_a_search_list", &files, DNS_NAMES, &[]);
}

#[test]
fn dns_before_files() {
    let files = Files { hosts: HOSTS, resolv_conf: RESOLV_CONF, nsswitch_conf: "hosts: dns files\n" };
    compare("dns_before_files", &files, DNS_NAMES, DNS_ADDRESSES);
}

#[test]
fn not_found_in_files_ends_it() {
    let files = Files { hosts: HOSTS, resolv_conf: RESOLV_CONF, nsswitch_conf: "hosts: files [NOTFOUND=return] dns\n" };
    compare("not_found_in_files_ends_it", &files, DNS_NAMES, DNS_ADDRESSES);
}

#[test]
fn whatever_dns_says_but_unavailable_ends_it() {
    let files = Files { hosts: HOSTS, resolv_conf: RESOLV_CONF, nsswitch_conf: "hosts: dns [!UNAVAIL=return] files\n" };
    compare("whatever_dns_says_but_unavailable_ends_it", &files, DNS_NAMES, DNS_ADDRESSES);
}

#[test]
fn sources_that_are_not_there_are_passed_over() {
    let nsswitch_conf = "hosts: nosuchsource nosuchother [UNAVAIL=continue] files dns\n";
    let files = Files { hosts: HOSTS, resolv_conf: RESOLV_CONF, nsswitch_conf };
    compare("sources_that_are_not_there_are_passed_over", &files, DNS_NAMES, &[]);
}

#[test]
fn a_source_that_is_not_there_may_end_it() {
    let files =
        Files { hosts: HOSTS, resolv_conf: RESOLV_CONF, nsswitch_conf: "hosts: nosuchsource [UNAVAIL=return] files\n" };
    compare("a_source_that_is_not_there_may_end_it", &files, DNS_NAMES, &[]);
}

#[test]
fn two_lines_for_hosts() {
    let files = Files { hosts: HOSTS, resolv_conf: RESOLV_CONF, nsswitch_conf: "hosts: dns\nhosts: files\n" };
    compare("two_lines_for_hosts", &files, &["multi", "www"], &[]);
}

#[test]
fn servers_that_are_not_there() {
    let resolv_conf =
        "nameserver 127.0.0.2\nnameserver 127.0.0.1\nsearch a.test b.test\noptions timeout:1 attempts:1\n";
    let files = Files { hosts: HOSTS, resolv_conf, nsswitch_conf: "hosts: files dns\n" };
    compare("servers_that_are_not_there", &files, DNS_NAMES, &[]);
}

#[test]
fn no_server_at_all() {
    let resolv_conf = "nameserver 127.0.0.2\noptions timeout:1 attempts:1\n";
    let files = Files { hosts: HOSTS, resolv_conf, nsswitch_conf: "hosts: dns [TRYAGAIN=return] files\n" };
    compare("no_server_at_all", &files, &["multi", "www"], &[]);
}

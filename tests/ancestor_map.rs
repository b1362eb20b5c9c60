//! The map in `tests/README.md`, of the ancestor's tests to ours, names every file of the ancestor and tests that exist.

use std::fs;
use std::path::Path;

/// The ancestor's test files (REQUIREMENTS section 4).
const THEIRS: &[&str] = &[
    "interrupt",
    "mutex",
    "semaphore",
    "isemaphore",
    "condition_variable",
    "rw_lock",
    "event_queue",
    "in_parallel",
    "local",
    "lru",
    "main",
    "reenter",
    "poller",
    "notify_of_close",
    "readv",
    "writev",
    "socket",
    "accept_many",
    "read_stream",
    "aio",
    "lio",
    "profile",
    "signal_handler",
    "with_timeout",
    "tsc_time",
    "asn1_python",
    "asn1/t0",
    "ldap/t0",
    "dns/tpack",
    "ecdsa",
    "old/test",
];

#[test]
fn the_map_has_every_file_of_the_ancestor() {
    let readme = readme();
    let mapped: Vec<&str> = rows(&readme).iter().flat_map(|row| row[0].split(", ")).collect();
    let missing: Vec<_> = THEIRS.iter().filter(|file| !mapped.contains(file)).collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
    let unknown: Vec<_> = mapped.iter().filter(|file| !THEIRS.contains(file)).collect();
    assert!(unknown.is_empty(), "no files of the ancestor: {unknown:?}");
}

#[test]
fn every_test_that_the_map_names_exists() {
    let readme = readme();
    let named: Vec<_> = rows(&readme).into_iter().flat_map(|row| tests_in(row[2])).collect();
    assert!(named.len() > THEIRS.len(), "{named:?}");
    let missing: Vec<_> = named.iter().filter(|(file, test)| !has_test(&read(file), test)).collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

/// The rows of the map, as their three cells.
fn rows(readme: &str) -> Vec<[&str; 3]> {
    let map = readme.split_once("\n| theirs | behaviour | ours |\n").map_or("", |(_, map)| map);
    let rows = map.lines().skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        cells.try_into().unwrap_or_else(|cells| panic!("not three cells: {cells:?}"))
    })
    .collect()
}

/// What a cell names in backticks: files, each with the tests behind it.
fn tests_in(cell: &str) -> Vec<(&str, &str)> {
    let mut file = "";
    let mut tests = Vec::new();
    for word in cell.split('`').skip(1).step_by(2) {
        if word.contains(['/', '.']) {
            file = word;
        } else if word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
            tests.push((file, word));
        }
    }
    tests
}

/// Whether a function of this name follows the mark of a test.
fn has_test(code: &str, name: &str) -> bool {
    let mut marked = false;
    for line in code.lines().map(str::trim) {
        match line.strip_prefix("fn ") {
            Some(function) if marked && function.split(['(', '<']).next() == Some(name) => return true,
            Some(_) => marked = false,
            None => marked |= line == "#[test]",
        }
    }
    false
}

fn readme() -> String {
    read("tests/README.md")
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_function_is_a_test_only_behind_its_mark() {
    let code = "#[test]\n#[should_panic]\nfn one() {\n}\nfn two() {\n}\n";
    assert!(has_test(code, "one"));
    assert!(!has_test(code, "two") && !has_test(code, "on"));
}

#[test]
fn tests_belong_to_the_file_before_them() {
    assert_eq!(
        tests_in("`a/b.rs`: `one`, `two`; and `c.rs`: `Three`, `four`"),
        [("a/b.rs", "one"), ("a/b.rs", "two"), ("c.rs", "four")]
    );
}

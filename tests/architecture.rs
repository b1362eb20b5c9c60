//! The architecture, read from the manifests and the source: what may depend on what, who may be unsafe, which halves do no I/O.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

// The reader of the tree and the blanker of comments are those of `cargo xtask tidy`.
#[path = "../xtask/src/code.rs"]
mod code;
#[path = "../xtask/src/tree.rs"]
mod tree;

/// The packages from the bottom up. One depends on those of lower layers only, so not on its neighbours either.
const LAYERS: &[&[&str]] = &[
    // The attribute of the RPC crate depends on nothing of ours.
    &["grapeshot-core", "grapeshot-rpc-macros"],
    &["grapeshot-net"],
    &["grapeshot-tls"],
    // Above TLS, for DNS over TLS.
    &["grapeshot-dns"],
    &["grapeshot-http", "grapeshot-rpc"],
    &["grapeshot-backdoor"],
    &["grapeshot", "grapeshot-works-with"],
];

/// Packages for tests and checks: they depend on none of ours, and nothing that is shipped depends on them.
const TOOLS: &[&str] = &["grapeshot-harness", "xtask"];

/// The tool that tests may use.
const HARNESS: &str = "grapeshot-harness";

/// The only files with unsafe code; another one is a change of design.
const UNSAFE_FILES: &[&str] =
    &["core/src/coroutine.rs", "core/src/stack.rs", "core/src/scope.rs", "core/src/fault.rs", "core/src/watchdog.rs"];

/// Crates that turn bytes into values and back, and the types they share.
const CODECS: &[&str] =
    &["hickory_proto", "http", "httparse", "httpdate", "idna", "memchr", "rmp", "rmp_serde", "rmpv", "serde"];

/// What the halves without I/O may use of their own crate's other half: plain data.
const PLAIN_DATA: &[&str] = &["crate::proto", "crate::Failure", "crate::Limits", "crate::Sequence"];

/// Parts of std that wait, or reach the system.
const REACHES_OUT: &[&str] = &[
    "std::fs",
    "std::io::Read",
    "std::io::stdin",
    "std::net::Tcp",
    "std::net::ToSocketAddrs",
    "std::net::Udp",
    "std::os",
    "std::process",
    "std::thread",
];

/// Packages of which the lock file may hold several versions, and why.
const DUPLICATES: &[(&str, &str)] = &[
    ("gimli", "framehop, which unwinds what the watchdog copied, is a version behind backtrace"),
    ("getrandom", "for tests: ring, beneath rustls, keeps to 0.2"),
    ("syn", "never built: x509-parser, which rcgen could use, keeps to 2"),
    ("synstructure", "never built, as syn"),
    ("untrusted", "aws-lc-rs keeps to 0.7, its neighbours are at 0.9; forty lines"),
    ("windows-sys", "never built on Linux: ring keeps to 0.52"),
];

/// One package of the workspace.
struct Package {
    folder: PathBuf,
    name: String,
    /// Names by table, such as `dependencies`; those for one platform only count as all others.
    dependencies: BTreeMap<String, Vec<String>>,
}

#[test]
fn dependencies_point_down() {
    let mut wrong = Vec::new();
    for package in packages() {
        if TOOLS.contains(&package.name.as_str()) {
            wrong.extend(ours(&package, "").map(|name| format!("the tool {} depends on {name}", package.name)));
            continue;
        }
        let Some(own_layer) = layer(&package.name) else {
            wrong.push(format!("{} has no place in the layers", package.name));
            continue;
        };
        for name in ours(&package, "") {
            if layer(name).is_none_or(|layer| layer >= own_layer) {
                wrong.push(format!("{} depends on {name}", package.name));
            }
        }
        for name in ours(&package, "dev-") {
            // A package may depend on itself, to have its own features in its tests.
            if name != HARNESS && name != package.name && layer(name).is_none_or(|layer| layer >= own_layer) {
                wrong.push(format!("the tests of {} depend on {name}", package.name));
            }
        }
    }
    assert_none("dependencies that do not point down", &wrong);
}

#[test]
fn unsafe_code_is_in_its_few_files() {
    let mut wrong = Vec::new();
    for path in rust_files() {
        let listed = UNSAFE_FILES.iter().any(|listed| path == Path::new(listed));
        let code = code::code_only(&read(&path));
        let lines = code.lines().enumerate().filter(|(_, line)| has_word(line, "unsafe"));
        if !listed {
            wrong.extend(lines.map(|(index, _)| format!("{}:{}", path.display(), index + 1)));
        }
    }
    assert_none("unsafe code outside its files", &wrong);
}

#[test]
fn every_crate_but_core_forbids_unsafe_code() {
    let mut wrong = Vec::new();
    for package in packages().iter().filter(|package| package.name != "grapeshot-core") {
        for name in ["src/lib.rs", "src/main.rs"] {
            let path = package.folder.join(name);
            if full(&path).exists() && !code::code_only(&read(&path)).contains("#![forbid(unsafe_code)]") {
                wrong.push(path.display().to_string());
            }
        }
    }
    assert_none("crates without `#![forbid(unsafe_code)]`", &wrong);
}

#[test]
fn readme_lists_every_example() {
    let readme = read(Path::new("README.md"));
    let mut missing = Vec::new();
    for path in files() {
        // A file, or a folder with a main.rs.
        let Ok(in_examples) = path.strip_prefix("examples") else {
            continue;
        };
        let name = match in_examples.components().count() {
            1 => in_examples.file_stem(),
            2 if in_examples.ends_with("main.rs") => in_examples.parent().map(Path::as_os_str),
            _ => None,
        };
        let Some(name) = name.and_then(|name| name.to_str()) else {
            continue;
        };
        let mentions = [format!("`{name}`"), format!("examples/{name}"), format!("--example {name}")];
        if !mentions.iter().any(|mention| has_word(&readme, mention)) {
            missing.push(name.to_owned());
        }
    }
    assert_none("examples that README does not list", &missing);
}

#[test]
fn proto_halves_do_no_io() {
    let proto: Vec<PathBuf> = rust_files().into_iter().filter(|path| is_proto(path)).collect();
    assert!(!proto.is_empty(), "there is a half without I/O");
    let mut wrong = Vec::new();
    for path in &proto {
        let code = code::code_only(&read(path));
        for used in use_paths(&code) {
            if !is_pure(&used, &proto) {
                wrong.push(format!("{}: use {used}", path.display()));
            }
        }
        for reaching in REACHES_OUT.iter().chain(&["grapeshot_core", "grapeshot_net", "mio::"]) {
            if code.contains(reaching) {
                wrong.push(format!("{}: {reaching}", path.display()));
            }
        }
    }
    assert_none("I/O in halves without I/O", &wrong);
}

#[test]
fn no_package_comes_in_two_versions() {
    let lock = read(Path::new("Cargo.lock"));
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for name in lock.lines().filter_map(|line| line.strip_prefix("name = ")) {
        *versions.entry(name.trim_matches('"')).or_default() += 1;
    }
    let allowed = |name: &str| DUPLICATES.iter().find(|(allowed, _)| *allowed == name);
    let mut wrong = Vec::new();
    for (name, &count) in &versions {
        if count > 1 && allowed(name).is_none() {
            wrong.push(format!("{name}: {count} versions"));
        }
    }
    for (name, reason) in DUPLICATES {
        if versions.get(name).is_none_or(|&count| count < 2) {
            wrong.push(format!("{name} is allowed several versions ({reason}) and has one"));
        }
    }
    assert_none("packages in several versions", &wrong);
}

#[test]
fn the_manifest_reader_sees_every_way_to_write_a_dependency() {
    let manifest = "[workspace.dependencies]\nz = \"1\"\n[package]\nname = \"a\" # the name\n\
                    [dependencies]\nb.workspace = true\nc = { package = \"d\", version = \"1\" }\n\
                    [dependencies.e]\nversion = \"1\"\n[target.'cfg(unix)'.dependencies]\nf = \"1\"\n[dev-dependencies]\n\"g\" = \"1\"\n";
    let package = package(PathBuf::new(), manifest);
    assert_eq!(package.name, "a");
    assert_eq!(package.dependencies["dependencies"], ["b", "d", "e", "f"]);
    assert_eq!(package.dependencies["dev-dependencies"], ["g"]);
}

#[test]
fn the_import_reader_unfolds_groups() {
    let code = "use a::{b::{self, c as d}, e::*};\npub(crate) use f;\nfn g() -> impl H + use<'a> {}\n";
    assert_eq!(use_paths(code), ["a::b::self", "a::b::c", "a::e::*", "f"]);
}

#[track_caller]
fn assert_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

/// The packages of this workspace among the dependencies; `kind` is empty or `dev-`. Build scripts count as the code they build.
fn ours<'a>(package: &'a Package, kind: &str) -> impl Iterator<Item = &'a str> {
    let tables = match kind {
        "" => vec!["dependencies".to_owned(), "build-dependencies".to_owned()],
        kind => vec![format!("{kind}dependencies")],
    };
    let names = tables.into_iter().filter_map(|table| package.dependencies.get(&table)).flatten();
    names.map(String::as_str).filter(|name| layer(name).is_some() || TOOLS.contains(name))
}

fn packages() -> Vec<Package> {
    let root = read(Path::new("Cargo.toml"));
    let members = root.lines().find_map(|line| line.strip_prefix("members = "));
    let members = members.unwrap_or_default().split('"').skip(1).step_by(2);
    let folders: Vec<PathBuf> = std::iter::once("").chain(members).map(PathBuf::from).collect();
    assert!(folders.len() > 1, "the workspace's members stand in one line of Cargo.toml");
    folders.into_iter().map(|folder| package(folder.clone(), &read(&folder.join("Cargo.toml")))).collect()
}

/// As much of TOML as our manifests use: a table's name or `name = value` per line.
fn package(folder: PathBuf, manifest: &str) -> Package {
    let mut package = Package { folder, name: String::new(), dependencies: BTreeMap::new() };
    let mut table = String::new();
    for line in manifest.lines() {
        let line = line.split(" #").next().unwrap_or_default().trim();
        if let Some(name) = line.strip_prefix('[') {
            table = name.trim_matches(['[', ']']).to_owned();
            if table.starts_with("workspace.") {
                table.clear(); // Only the versions that members may ask for.
            }
            // `[dependencies.name]` is a table for one dependency.
            if let Some((kind, name)) = table.rsplit_once('.').filter(|(kind, _)| kind.ends_with("dependencies")) {
                add(&mut package, kind, name);
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) else {
            continue;
        };
        if table == "package" && key == "name" {
            package.name = value.trim_matches('"').to_owned();
        } else if table.ends_with("dependencies") {
            let renamed = value.split_once("package = \"").and_then(|(_, rest)| rest.split('"').next());
            let name = renamed.unwrap_or(key.split('.').next().unwrap_or(key).trim_matches('"'));
            add(&mut package, &table, name);
        }
    }
    package
}

fn add(package: &mut Package, table: &str, name: &str) {
    // `target.'cfg(…)'.dependencies` counts as `dependencies`.
    let kind = table.rsplit('.').next().unwrap_or(table);
    package.dependencies.entry(kind.to_owned()).or_default().push(name.to_owned());
}

fn is_proto(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "proto") || path.ends_with("src/proto.rs")
}

/// Whether an import brings in nothing but values and codecs.
fn is_pure(used: &str, proto: &[PathBuf]) -> bool {
    let first = used.split("::").next().unwrap_or(used);
    match first {
        "std" => !REACHES_OUT.iter().any(|reaching| used.starts_with(reaching)),
        "core" | "alloc" | "self" | "super" => true,
        "crate" => PLAIN_DATA.iter().any(|plain| has_word(used, plain)),
        // Makes the values that the tests feed in.
        "proptest" => true,
        codec if CODECS.contains(&codec) => true,
        // A module beside or below this one, or the variants of an enum.
        other => {
            proto.iter().any(|path| path.file_stem().is_some_and(|stem| stem == other))
                || other.starts_with(char::is_uppercase)
        }
    }
}

/// Every path that `use` brings in, one for each name.
fn use_paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (start, _) in code.match_indices("use ") {
        if code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let tree = code[start + "use ".len()..].split(';').next().unwrap_or_default();
        unfold("", tree.trim(), &mut paths);
    }
    paths
}

fn unfold(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let Some((head, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree);
        paths.push(format!("{prefix}{}", path.trim()));
        return;
    };
    let prefix = format!("{prefix}{}", head.trim());
    let group = group.trim().strip_suffix('}').unwrap_or(group);
    let mut depth = 0;
    let branches = group.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    for branch in branches.map(str::trim).filter(|branch| !branch.is_empty()) {
        unfold(&prefix, branch, paths);
    }
}

/// Whether `word` stands in `text` with nothing that continues it on either side.
fn has_word(text: &str, word: &str) -> bool {
    let continues = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word)
        .any(|(at, _)| !continues(text[..at].chars().next_back()) && !continues(text[at + word.len()..].chars().next()))
}

/// The Rust files of the workspace; the benchmarks are a workspace of their own.
fn rust_files() -> Vec<PathBuf> {
    files().into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

fn files() -> Vec<PathBuf> {
    let mut files = tree::files(&full(Path::new(""))).unwrap_or_else(|cause| panic!("cannot list the source: {cause}"));
    files.retain(|path| !path.starts_with("bench"));
    files
}

fn read(path: &Path) -> String {
    fs::read_to_string(full(path)).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()))
}

fn full(path: &Path) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

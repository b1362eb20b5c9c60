//! `cargo xtask tidy`: what we would otherwise say again in every review.
//!
//! A rule looks at one line, or at a whole file; where a file has a good reason to break one, [`ALLOWED`] names both.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::code::code_only;
use crate::{root, tree};

/// Longer files usually hold two ideas.
const MAX_LINES: usize = 600;

/// Rules that a file may break, and why. An entry that is no longer needed fails as well.
const ALLOWED: &[Allowed] = &[Allowed {
    rule: "glob import",
    path: "src/lib.rs",
    reason: "the facade re-exports all of core at its root, and a list would only fall behind",
}];

struct Allowed {
    rule: &'static str,
    path: &'static str,
    reason: &'static str,
}

/// A rule that can be judged line by line.
struct LineRule {
    name: &'static str,
    advice: &'static str,
    is_broken: fn(&Line<'_>) -> bool,
}

const LINE_RULES: &[LineRule] = &[
    LineRule {
        name: "ignored test",
        advice: "mend it, or assert the behaviour we accept for now and say so",
        is_broken: |line| line.code.contains("#[ignore"),
    },
    LineRule {
        name: "glob import",
        advice: "name what you import",
        is_broken: |line| !line.is_test && line.code.contains("::*"),
    },
    LineRule {
        name: "sleep in a test",
        advice: "use virtual time, or wait for the event itself",
        is_broken: |line| line.is_test && line.code.contains("thread::sleep"),
    },
    LineRule {
        name: "fixed port in a test",
        advice: "bind to port 0 and ask for the address",
        is_broken: |line| line.is_test && line.code.contains("bind(") && names_a_port(line.text),
    },
    LineRule {
        name: "path of one machine",
        advice: "use a path from the repository, or a temporary folder asked for at run time",
        is_broken: |line| names_a_machines_folder(line.text),
    },
];

const LONG_FILE: &str = "long file";

/// One line of a file.
struct Line<'a> {
    text: &'a str,
    /// Without comments and the contents of literals; empty where the file is not Rust.
    code: &'a str,
    /// In a test's file, or in an item under `#[cfg(test)]`.
    is_test: bool,
}

/// A place where a rule is broken.
struct Finding {
    path: PathBuf,
    line: usize,
    rule: &'static str,
    advice: String,
}

/// Checks the whole repository.
pub(crate) fn run() -> Result<(), String> {
    let root = root();
    let findings = check(&root).map_err(|cause| format!("cannot read the source: {cause}"))?;
    let mut problems = Vec::new();
    for finding in &findings {
        if !ALLOWED.iter().any(|allowed| allowed.covers(finding)) {
            problems.push(finding.to_string());
        }
    }
    for allowed in ALLOWED {
        if !findings.iter().any(|finding| allowed.covers(finding)) {
            let Allowed { rule, path, reason } = allowed;
            problems.push(format!("{path}: no longer needs its leave for a {rule} ({reason})"));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(format!("{} problems\n{}", problems.len(), problems.join("\n")))
}

fn check(root: &Path) -> std::io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for path in tree::files(root)? {
        if !is_text(&path) {
            continue;
        }
        let Ok(text) = String::from_utf8(fs::read(root.join(&path))?) else {
            continue; // Not text after all.
        };
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        let is_test_file = is_rust && is_test_file(root, &path);
        findings.extend(check_text(&path, &text, is_rust, is_test_file));
    }
    Ok(findings)
}

fn check_text(path: &Path, text: &str, is_rust: bool, is_test_file: bool) -> Vec<Finding> {
    let code = if is_rust { code_only(text) } else { String::new() };
    let tests = test_lines(&code);
    let mut findings = Vec::new();
    let mut code_lines = code.lines();
    for (index, line_text) in text.lines().enumerate() {
        let line = Line {
            text: line_text,
            code: code_lines.next().unwrap_or_default(),
            is_test: is_test_file || tests.contains(&index),
        };
        for rule in LINE_RULES.iter().filter(|rule| (rule.is_broken)(&line)) {
            findings.push(Finding {
                path: path.to_owned(),
                line: index + 1,
                rule: rule.name,
                advice: rule.advice.to_owned(),
            });
        }
    }
    let lines = text.lines().count();
    if is_rust && lines > MAX_LINES {
        findings.push(Finding {
            path: path.to_owned(),
            line: lines,
            rule: LONG_FILE,
            advice: format!("{lines} lines, more than {MAX_LINES}: find the two ideas in it"),
        });
    }
    findings
}

impl Allowed {
    fn covers(&self, finding: &Finding) -> bool {
        finding.rule == self.rule && finding.path == Path::new(self.path)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path.display(), self.line, self.rule, self.advice)
    }
}

/// What people write; a file without an extension is a script such as `.ci/run`, or a licence.
fn is_text(path: &Path) -> bool {
    match path.extension() {
        None => true,
        Some(extension) => ["rs", "md", "toml", "sh", "yml", "json"].iter().any(|known| extension == *known),
    }
}

/// In the `tests` or `benches` folder of its package, or a `tests.rs` beside the code.
fn is_test_file(root: &Path, path: &Path) -> bool {
    let package = path.ancestors().skip(1).find(|folder| root.join(folder).join("Cargo.toml").is_file());
    let in_package = package.and_then(|package| path.strip_prefix(package).ok()).unwrap_or(path);
    in_package.starts_with("tests") || in_package.starts_with("benches") || path.ends_with("tests.rs")
}

/// The lines of the items under `#[cfg(test)]`, from the code alone.
fn test_lines(code: &str) -> Vec<usize> {
    let mut lines = Vec::new();
    for (start, attribute) in code.match_indices("#[cfg(test)]") {
        let first = code[..start].matches('\n').count();
        let end = item_end(code, start + attribute.len());
        lines.extend(first..=first + code[start..end].matches('\n').count());
    }
    lines
}

/// Where an item ends: at its semicolon, or with the block that it opens.
fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b';' if depth == 0 => return at,
            b'{' | b'(' | b'[' => depth += 1,
            b'}' if depth <= 1 => return at,
            b'}' | b')' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    code.len()
}

/// An address such as `"127.0.0.1:80"`, but not port 0.
fn names_a_port(text: &str) -> bool {
    text.split('"').skip(1).step_by(2).any(|literal| {
        let port = literal.rsplit_once(':').map_or("", |(_, port)| port);
        port.parse::<u16>().is_ok_and(|port| port != 0)
    })
}

/// A path into somebody's home or a temporary folder, at the beginning of a word.
fn names_a_machines_folder(text: &str) -> bool {
    ["home", "root", "tmp", "Users"].iter().any(|folder| {
        let path = format!("/{folder}/");
        text.match_indices(&path).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let after = text[at + path.len()..].chars().next();
            // Inside a longer path or an address it is a folder of that name, nothing more.
            let begins = before.is_none_or(|c| !(c.is_alphanumeric() || "._-/}*".contains(c)));
            begins && after.is_some_and(char::is_alphanumeric)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(text: &str) -> Vec<(usize, &'static str)> {
        let findings = check_text(Path::new("a.rs"), text, true, false);
        findings.into_iter().map(|finding| (finding.line, finding.rule)).collect()
    }

    #[test]
    fn an_ignored_test_is_found_in_code_only() {
        assert_eq!(broken("// #[ignore]\n#[ignore]\nfn f() {}"), [(2, "ignored test")]);
    }

    #[test]
    fn a_glob_import_is_for_tests() {
        let source = "use a::*;\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\nuse b::{c::*, d};\n";
        assert_eq!(broken(source), [(1, "glob import"), (6, "glob import")]);
    }

    #[test]
    fn a_test_neither_sleeps_nor_chooses_a_port() {
        let source = "#[cfg(test)]\nmod tests {\n    thread::sleep(d);\n    bind(\"127.0.0.1:80\");\n    bind(\"127.0.0.1:0\");\n}\nfn f() { thread::sleep(d) }\n";
        assert_eq!(broken(source), [(3, "sleep in a test"), (4, "fixed port in a test")]);
    }

    #[test]
    fn a_path_of_one_machine_is_found_in_comments_too() {
        let (home, tmp) = (format!("/{}/someone", "home"), format!("/{}/x", "tmp"));
        assert_eq!(broken(&format!("// see {home}\n")), [(1, "path of one machine")]);
        assert!(names_a_machines_folder(&format!("open(\"{tmp}\")")));
        assert!(!names_a_machines_folder(&format!("https://host{home}, target{tmp}")));
    }

    #[test]
    fn a_long_file_is_found() {
        assert!(broken(&"\n".repeat(MAX_LINES)).is_empty());
        assert_eq!(broken(&"\n".repeat(MAX_LINES + 1)), [(MAX_LINES + 1, LONG_FILE)]);
    }
}

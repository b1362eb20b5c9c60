//! Every requirement that this version set out to meet is shown by a test that cites it, or README says why it is not carried over.

use std::fs;
use std::path::Path;

// The reader of the tree is that of `cargo xtask tidy`.
#[path = "../xtask/src/tree.rs"]
mod tree;

/// The requirements by family: the letters and the numbers.
const REQUIREMENTS: &[(&str, &[u32])] = &[
    ("SCH", &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ("THR", &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ("SYN", &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ("TLS", &[1]),
    ("DIA", &[1, 2, 3, 4, 5, 8]),
    ("POL", &[1, 2, 3, 4, 6, 7]),
    ("TMO", &[1, 2, 3, 4, 5, 6, 7]),
    ("SIG", &[1]),
    ("PRC", &[1, 2]),
    ("AIO", &[1]),
    ("SYL", &[3, 5, 7, 11]),
    ("EMU", &[3]),
    ("FIB", &[4]),
    ("BEA", &[1, 2, 3, 4, 5, 7, 8, 9, 10, 15, 16, 20]),
    ("SOK", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
    ("DNS", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
    ("HTTP", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
];

/// README's section for the requirements that are left out, each with its reason.
const NOT_CARRIED_OVER: &str = "Not carried over";

#[test]
fn every_requirement_has_a_test_that_cites_it_or_a_reason() {
    let files = tree::files(root()).unwrap();
    let tests: Vec<String> = files.iter().filter_map(|path| tests_in(path)).collect();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let reasons = section(&readme, NOT_CARRIED_OVER);
    let mut missing = Vec::new();
    for (family, numbers) in REQUIREMENTS {
        for number in *numbers {
            let id = format!("{family}-{number}");
            if !is_left_out(&reasons, &id) && !tests.iter().any(|text| cites(text, &id)) {
                missing.push(id);
            }
        }
    }
    assert!(missing.is_empty(), "neither cited by a test nor in README's {NOT_CARRIED_OVER:?}: {}", missing.join(", "));
}

/// The tests of a file: all of a test's file, of any other what follows `#[cfg(test)]`.
fn tests_in(path: &Path) -> Option<String> {
    if path.extension().is_none_or(|extension| extension != "rs") || path == Path::new("tests/requirements_cited.rs") {
        return None;
    }
    let text = fs::read_to_string(root().join(path)).ok()?;
    let is_harness = path.starts_with("tests/harness/src");
    let is_test_file = path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests");
    if is_test_file && !is_harness {
        return Some(text);
    }
    text.split_once("#[cfg(test)]").map(|(_, tests)| tests.to_owned())
}

/// What stands under a heading, up to the next one of its level or higher; empty without the heading.
fn section(markdown: &str, title: &str) -> String {
    let level = |line: &str| line.bytes().take_while(|byte| *byte == b'#').count();
    let mut lines = markdown.lines();
    let is_heading = |line: &&str| level(line) > 0 && line.trim_start_matches('#').trim() == title;
    let Some(heading) = lines.find(is_heading) else {
        return String::new();
    };
    let goes_on = |line: &&str| level(line) == 0 || level(line) > level(heading);
    lines.take_while(goes_on).flat_map(|line| [line, "\n"]).collect()
}

/// Whether `text` names `id` and not a longer one, such as SCH-10 for SCH-1, be it in the name of a test (`sch_1_…`).
fn cites(text: &str, id: &str) -> bool {
    let in_a_name = id.to_lowercase().replace('-', "_");
    behind(text, id).next().is_some() || behind(text, &in_a_name).any(|rest| rest.starts_with('_'))
}

/// Whether a requirement is left out as a whole, and not only something of it, as in "THR-4's resume value".
fn is_left_out(reasons: &str, id: &str) -> bool {
    behind(reasons, id).any(|rest| !rest.starts_with("'s"))
}

/// What stands behind each place where `text` names `id`.
fn behind<'a>(text: &'a str, id: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(id).filter_map(move |(at, _)| {
        let (before, rest) = (&text[..at], &text[at + id.len()..]);
        let is_longer = before.ends_with(char::is_alphanumeric) || rest.starts_with(|c: char| c.is_ascii_digit());
        (!is_longer).then_some(rest)
    })
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn an_id_is_not_taken_for_a_longer_one() {
    assert!(cites("(SCH-1, SCH-2)", "SCH-1"));
    assert!(!cites("SCH-10", "SCH-1"));
    assert!(cites("fn sch_1_the_queue_is_fair()", "SCH-1"));
    assert!(!cites("fn sch_10_the_queue_is_fair()", "SCH-1"));
}

#[test]
fn a_requirement_of_which_something_is_left_out_still_needs_its_test() {
    let reasons = "- THR-4's resume value: none.\n- TMO-8, limits by SIGALRM: none.";
    assert!(is_left_out(reasons, "TMO-8"));
    assert!(!is_left_out(reasons, "THR-4") && cites(reasons, "THR-4"));
}

#[test]
fn a_section_ends_at_the_next_heading_of_its_level() {
    let markdown = "# A\n## Not carried over\none\n### two\nthree\n## B\nfour\n";
    assert_eq!(section(markdown, "Not carried over"), "one\n### two\nthree\n");
    assert_eq!(section(markdown, "C"), "");
}

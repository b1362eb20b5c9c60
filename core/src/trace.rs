//! The functions a coroutine was in when it panicked, in one line: `[dir/file.rs function|line] […]` (DIA-3).
//!
//! ```text
//!   hook, unwinder │ panic! │ the program's functions │ catch, resume │ whoever runs the loop
//!   └─ left out ───┴────────┘└──────── shown ────────┘└───────────── left out ───────────────┘
//! ```
//!
//! Frames are told apart by the files they come from: in an optimised build the name of an inlined function has no
//! path, and only real functions say which crate they are of.

use std::path::Path;

use backtrace::{Backtrace, BacktraceSymbol};

/// Frames shown of a panic.
const FRAMES_SHOWN: usize = 12;

/// Renders the frames that are the coroutine's and the program's own, innermost first.
///
/// Empty without debug information.
pub(crate) fn compact(trace: &mut Backtrace) -> String {
    trace.resolve();
    let symbols: Vec<_> = trace.frames().iter().flat_map(|frame| frame.symbols()).collect();
    let panicked = symbols.iter().position(|symbol| is_in(symbol, "std/src/panicking.rs")).unwrap_or(0);
    let named = symbols[panicked..].iter().map(|symbol| (name_of(symbol), symbol.filename(), symbol.lineno()));
    let of_coroutine: Vec<_> = named.take_while(|(name, path, _)| !is_switch(name.as_deref(), *path)).collect();
    render_all(of_coroutine.iter().filter_map(|(name, path, line)| Some((name.as_deref()?, (*path)?, *line))))
}

/// Renders the first frames of those that are neither the runtime's nor the standard library's.
pub(crate) fn render_all<'a>(frames: impl Iterator<Item = (&'a str, &'a Path, Option<u32>)>) -> String {
    frames.filter_map(|(name, path, line)| render(name, path, line)).take(FRAMES_SHOWN).collect::<Vec<_>>().join(" ")
}

fn name_of(symbol: &BacktraceSymbol) -> Option<String> {
    symbol.name().map(|name| format!("{name:#}"))
}

fn render(name: &str, path: &Path, line: Option<u32>) -> Option<String> {
    if is_of_std(name, path) || is_of_core(path) {
        return None;
    }
    let file = path.file_name()?.to_string_lossy();
    let place = match path.parent().and_then(|dir| dir.file_name()) {
        Some(dir) => format!("{}/{file}", dir.to_string_lossy()),
        None => file.into_owned(),
    };
    Some(format!("[{place} {name}|{}]", line.unwrap_or(0)))
}

fn is_in(symbol: &BacktraceSymbol, file: &str) -> bool {
    symbol.filename().is_some_and(|path| path.ends_with(file))
}

/// Whether a frame is of the switch at the root of a coroutine, below which the scheduler is.
pub(crate) fn is_switch(name: Option<&str>, path: Option<&Path>) -> bool {
    const CRATE: &str = "corosensei";
    name.is_some_and(|name| name.contains(CRATE)) || path.is_some_and(|path| path.to_string_lossy().contains(CRATE))
}

fn is_of_std(name: &str, path: &Path) -> bool {
    const PREFIXES: [&str; 7] = ["std::", "core::", "alloc::", "<std::", "<core::", "<alloc::", "__rust"];
    path.starts_with("/rustc") || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a frame is of this crate.
pub(crate) fn is_of_core(path: &Path) -> bool {
    // As the compiler was given it: absolute for a dependency, from the workspace on in the workspace.
    let own = Path::new(file!()).parent();
    own.is_some_and(|own| path.ancestors().skip(1).any(|folder| folder.ends_with(own)))
}

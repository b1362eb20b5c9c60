//! Names for addresses of code, and stacks of them as they are shown to people.
//!
//! Finding a name reads the program's debug information, which takes milliseconds and, the first time, may take a
//! second: so it is done off the loop, by the watchdog's thread or by one made for the purpose, and what was found is
//! kept, for at most [`KEPT`] addresses.
//!
//! Known weakness: a library that is unloaded, and another one loaded in its place, keeps the names of the first until
//! the memory of names is full and forgotten.

use std::collections::HashMap;
use std::ffi::c_void;
use std::fmt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::trace;

/// Of how many addresses the names are kept; all are forgotten when there are more.
const KEPT: usize = 8192;

/// One function on a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StackFrame {
    /// The function's name, with its path; `None` where there are no symbols.
    pub function: Option<String>,
    /// The file it is in; `None` without debug information.
    pub file: Option<PathBuf>,
    /// The line in that file.
    pub line: Option<u32>,
}

/// The functions a coroutine is in, innermost first.
///
/// Shown in one line, `[dir/file.rs function|line] […]`, it has the program's own functions only (DIA-3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StackTrace {
    frames: Vec<StackFrame>,
    is_cut: bool,
}

impl StackTrace {
    /// All that is known of the stack, the runtime's and the standard library's functions included.
    pub fn frames(&self) -> &[StackFrame] {
        &self.frames
    }

    /// Whether there were more frames than are kept of one stack.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The innermost function's name: of a blocking call, that is what blocks.
    pub fn innermost(&self) -> Option<&str> {
        self.frames.first()?.function.as_deref()
    }

    /// Finds the names for addresses inside the calls, innermost first, up to the root of the coroutine.
    pub(crate) fn resolve(addresses: &[usize], is_cut: bool) -> StackTrace {
        let found: Vec<_> = addresses.iter().map(|&address| look_up(address)).collect();
        let symbols = found.iter().flat_map(|frames| frames.iter());
        let frames: Vec<_> = symbols.take_while(|frame| !is_root(frame)).cloned().collect();
        // What the root of the coroutine was reached through is not missing.
        let reached_root = found.iter().flat_map(|frames| frames.iter()).any(is_root);
        StackTrace { frames, is_cut: is_cut && !reached_root }
    }

    /// Leaves out the innermost frames as long as they are of this crate: the wait itself, and who asked for the walk.
    pub(crate) fn without_the_wait(mut self) -> StackTrace {
        let is_of_wait = |frame: &StackFrame| {
            let own = frame.file.as_deref().is_some_and(trace::is_of_core);
            own || frame.function.as_deref().is_some_and(|name| name.starts_with("backtrace::"))
        };
        let wait = self.frames.iter().take_while(|frame| is_of_wait(frame)).count();
        self.frames.drain(..wait);
        self
    }
}

fn is_root(frame: &StackFrame) -> bool {
    trace::is_switch(frame.function.as_deref(), frame.file.as_deref())
}

impl fmt::Display for StackTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.frames.iter().filter_map(|frame| {
            let (function, file) = (frame.function.as_deref()?, frame.file.as_deref()?);
            Some((function, file, frame.line))
        });
        f.write_str(&trace::render_all(known))?;
        if self.is_cut { f.write_str(" …") } else { Ok(()) }
    }
}

type Names = Arc<[StackFrame]>;

/// The functions at an address: several where one is inlined into another.
fn look_up(address: usize) -> Names {
    static KNOWN: Mutex<Option<HashMap<usize, Names>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if let Some(names) = known.get(&address) {
        return names.clone();
    }
    let names: Names = ask_for(address).into();
    if known.len() >= KEPT {
        known.clear();
    }
    known.insert(address, names.clone());
    names
}

fn ask_for(address: usize) -> Vec<StackFrame> {
    let mut frames = Vec::new();
    // It takes return addresses, which point behind the call, and looks at the byte before.
    let behind = ptr::without_provenance_mut::<c_void>(address.wrapping_add(1));
    backtrace::resolve(behind, |symbol| {
        frames.push(StackFrame {
            function: symbol.name().map(|name| format!("{name:#}")),
            file: symbol.filename().map(Path::to_owned),
            line: symbol.lineno(),
        });
    });
    if frames.is_empty() {
        frames.push(StackFrame { function: None, file: None, line: None });
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, file: &str, line: u32) -> StackFrame {
        StackFrame { function: Some(function.into()), file: Some(file.into()), line: Some(line) }
    }

    #[test]
    fn a_stack_is_shown_in_one_line_without_the_libraries_functions() {
        let frames = vec![
            StackFrame { function: Some("clock_nanosleep".into()), file: None, line: None },
            frame("std::thread::sleep", "/rustc/1234/library/std/src/thread/mod.rs", 9),
            frame("app::answer", "src/app/answer.rs", 12),
        ];
        let trace = StackTrace { frames, is_cut: false };
        assert_eq!(trace.to_string(), "[app/answer.rs app::answer|12]");
        assert_eq!(trace.innermost(), Some("clock_nanosleep"));
    }

    #[test]
    fn a_stack_that_is_cut_says_so() {
        let trace = StackTrace { frames: vec![frame("app::answer", "src/app/answer.rs", 12)], is_cut: true };
        assert_eq!(trace.to_string(), "[app/answer.rs app::answer|12] …");
    }

    #[test]
    fn an_address_outside_all_code_has_no_name() {
        let trace = StackTrace::resolve(&[8], false);
        assert_eq!(trace.frames(), [StackFrame { function: None, file: None, line: None }]);
    }
}

//! Drives Neovim over RPC: calls it, hears what it notices, and is called back by it.
//!
//! ```sh
//! cargo run --release --example neovim        # needs Neovim; on Debian: apt-get install neovim
//! ```
//!
//! Neovim runs as a child without a screen, and the calls go through its stdin and stdout, in both directions.
//! You see its version, what happens to its buffer, how a command of its own has this program shout a line while the call
//! that gave the command still waits, and what it says of a command that it does not know.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use grapeshot::channel::{Sender, unbounded};
use grapeshot::net::process::Command;
use grapeshot::rpc::transport::ChildTransport;
use grapeshot::rpc::{CallError, CallerExt as _, Client, Router, Value};
use grapeshot::with_timeout;

/// For everything together; Neovim starts in a fraction of a second.
const LIMIT: Duration = Duration::from_secs(20);

/// A change of the buffer: the first line of it, and what stands there now.
type Change = (u64, Vec<String>);

fn main() -> ExitCode {
    grapeshot::run(|| {
        let driven = with_timeout(LIMIT, drive).unwrap_or_else(|late| Err(late.into()));
        match driven {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("neovim: {error}");
                ExitCode::FAILURE
            }
        }
    })
}

fn drive() -> Result<(), Box<dyn Error>> {
    let mut command = Command::new("nvim");
    command.args(["--embed", "--headless", "--clean", "-n"]);
    let child = ChildTransport::spawn(command).map_err(|error| format!("cannot start nvim: {error}"))?;
    let exit = child.exit();
    let (sender, changes) = unbounded();
    let nvim = Client::builder().service(what_neovim_calls(sender)).over(child)?;

    let (channel, api): (u64, Value) = nvim.call("nvim_get_api_info", &())?;
    let version = &api["version"];
    println!("Neovim {}.{}, in which this program is channel {channel}", version["major"], version["minor"]);

    // Buffers, windows and tab pages are values of types of their own, to be handed back as they came.
    let buffer: Value = nvim.call("nvim_get_current_buf", &())?;
    nvim.call::<bool>("nvim_buf_attach", &(&buffer, false, Value::Map(vec![])))?;
    nvim.call::<()>("nvim_buf_set_lines", &(&buffer, 0, -1, true, ["all hands", "on deck"]))?;

    // While this call waits for Neovim, Neovim waits for us.
    let command = format!("call setline(2, rpcrequest({channel}, 'shout', getline(2)))");
    nvim.call::<()>("nvim_command", &(command,))?;

    for (line, text) in changes.iter().take(2) {
        println!("from line {line} on: {}", text.join(", "));
    }
    let lines: Vec<String> = nvim.call("nvim_buf_get_lines", &(&buffer, 0, -1, true))?;
    println!("in the end: {}", lines.join(", "));

    match nvim.call::<()>("nvim_command", &("sail",)) {
        Err(CallError::Failed(failure)) => println!("it refuses: {failure}"),
        other => other?,
    }
    // The end of its stdin ends it.
    nvim.close();
    println!("it has ended: {}", exit.wait()?);
    Ok(())
}

fn what_neovim_calls(changes: Sender<Change>) -> Router {
    Router::new()
        .method("shout", |(text,): (String,)| {
            println!("it asks us to shout {text:?}");
            Ok(text.to_uppercase())
        })
        .notification("nvim_buf_lines_event", move |event: (Value, Value, u64, i64, Vec<String>, bool)| {
            let (_buffer, _tick, first, _last, lines, _more) = event;
            // Nobody listens once the program is about to end.
            let _ = changes.send((first + 1, lines));
        })
}

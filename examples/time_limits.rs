//! Limits on time: around anything, one inside another, changed while they run, and held back for clean-up.
//!
//! ```sh
//! cargo run --release --example time_limits
//! ```
//!
//! Each line says when it was printed, in seconds since the start. The whole takes about three seconds.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use grapeshot::{net::TcpListener, shield, sleep, with_time_limit, with_timeout};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn main() -> ExitCode {
    grapeshot::run(|| {
        let began = Instant::now();
        let say = |text: &str| println!("{:.1} s  {text}", began.elapsed().as_secs_f64());
        around_anything(&say);
        on_one_operation(&say)?;
        one_inside_another(&say);
        changed_while_it_runs(&say);
        held_back(&say);
        Ok::<(), io::Error>(())
    })
}

/// Says that it is dropped: work that is cut off runs the destructors of all it holds.
struct Held<'a>(&'a dyn Fn(&str));

impl Drop for Held<'_> {
    fn drop(&mut self) {
        (self.0)("   what it held is dropped");
    }
}

fn around_anything(say: &dyn Fn(&str)) {
    say("work of 10 s, with a limit of 0.5 s:");
    let outcome = with_timeout(ms(500), || {
        let _held = Held(say);
        sleep(ms(10_000));
        "done"
    });
    match outcome {
        Ok(result) => say(result),
        Err(error) => say(&format!("   {error}")),
    }
    let quick = with_timeout(ms(500), || 6 * 7);
    say(&format!("work that is done in time returns its result: {quick:?}"));
}

/// What may be tried again is limited per operation, as in std: the result is an error, and nothing unwinds.
fn on_one_operation(say: &dyn Fn(&str)) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_accept_timeout(Some(ms(300)))?;
    say("an accept that nobody answers, with a limit of its own of 0.3 s:");
    match listener.accept() {
        Ok((_, peer)) => say(&format!("   {peer} has found us")),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            say(&format!("   {error}; the listener can be used on"))
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

fn one_inside_another(say: &dyn Fn(&str)) {
    for (outer, inner) in [(400, 5000), (5000, 400)] {
        say(&format!("a limit of {outer} ms, and in it one of {inner} ms:"));
        let outcome = with_timeout(ms(outer), || with_timeout(ms(inner), || sleep(ms(10_000))));
        // The limit that passed reports to its owner; one further in only sees its work unwind.
        match outcome {
            Err(outer) => say(&format!("   the outer one passed: {outer}")),
            Ok(Err(inner)) => say(&format!("   the inner one passed: {inner}")),
            Ok(Ok(())) => say("   neither passed"),
        }
    }
}

fn changed_while_it_runs(say: &dyn Fn(&str)) {
    say("a transfer that may stall for 0.3 s, however long it takes as a whole:");
    let outcome = with_time_limit(ms(300), |limit| {
        for (block, wait) in [100, 200, 200, 10_000].map(ms).into_iter().enumerate() {
            sleep(wait);
            limit.change(ms(300));
            say(&format!("   block {} is here", block + 1));
        }
    });
    if let Err(error) = outcome {
        say(&format!("   stalled: {error}"));
    }
}

fn held_back(say: &dyn Fn(&str)) {
    say("work with a limit of 0.2 s that must not be left half done from 0.1 s to 0.5 s:");
    let outcome = with_timeout(ms(200), || {
        sleep(ms(100));
        // The shield has a limit of its own: nothing waits for ever.
        let saved = shield(ms(1000), || sleep(ms(400)));
        say(if saved.is_ok() { "   saved, although the limit passed meanwhile" } else { "   saving took too long" });
        sleep(ms(10_000));
    });
    if let Err(error) = outcome {
        say(&format!("   the limit took effect at the first wait behind the shield: {error}"));
    }
}

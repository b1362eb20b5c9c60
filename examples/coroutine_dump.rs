//! Who is there, and what does everybody wait for: a listing of all coroutines, and where in the code each is.
//!
//! ```sh
//! cargo run --release --example coroutine_dump
//! ```
//!
//! A small kitchen of coroutines stops in various waits. First comes a line for each of them: number, name,
//! where it was spawned, its state, and what it waits for since when. Then, for each, the functions it is in, taken
//! by itself while it waits and without waking it. In a service one would do this on a signal, or on a page of its own.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

use std::io;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use grapeshot::channel::{self, Receiver};
use grapeshot::net::TcpListener;
use grapeshot::sync::Mutex;
use grapeshot::{Builder, Group, backtraces, coroutines, set_cpu_times, sleep, yield_now};

fn main() -> ExitCode {
    if std::env::args().len() > 1 {
        eprintln!("usage: coroutine_dump, without arguments");
        return ExitCode::from(2);
    }
    grapeshot::run(|| match dump() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("coroutine_dump: {error}");
            ExitCode::FAILURE
        }
    })
}

fn dump() -> io::Result<()> {
    // It costs two readings of a clock a turn, so it is off unless somebody wants to know.
    set_cpu_times(true);
    let kitchen = open_kitchen()?;
    // Everybody has a turn, and comes as far as the first wait.
    yield_now();
    sleep(Duration::from_millis(20));

    println!("{} coroutines in the kitchen, and the one that asks:", kitchen.len());
    for coroutine in coroutines() {
        println!("  {coroutine}");
        let stack = coroutine.stack_used.unwrap_or(0);
        println!("      {stack} bytes of stack used, {:?} of processor time", coroutine.cpu_time.unwrap_or_default());
    }
    println!();
    println!("and where each of them is:");
    for coroutine in backtraces().map_err(io::Error::other)? {
        println!("{coroutine}");
    }
    // The group ends its members: no need to say so to each.
    Ok(())
}

/// One who waits for time, one for an order, one for a guest, and one for a knife that another has.
fn open_kitchen() -> io::Result<Group> {
    let kitchen = Group::new();
    let named = |name: &str| Builder::new().name(name);
    kitchen.spawn(named("oven"), || sleep(Duration::from_secs(3600)))?;

    let (orders, to_cook) = channel::bounded::<String>(4);
    kitchen.spawn(named("cook"), move || take_orders(&to_cook))?;

    let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    kitchen.spawn(named("waiter"), move || {
        while let Ok((_, guest)) = door.accept() {
            // Orders end with the cook.
            let _ = orders.send(format!("the menu for {guest}"));
        }
    })?;

    let knife = Rc::new(Mutex::new(()));
    for name in ["butcher", "apprentice"] {
        let knife = knife.clone();
        kitchen.spawn(named(name), move || {
            let _knife = knife.lock();
            sleep(Duration::from_secs(60));
        })?;
    }
    Ok(kitchen)
}

fn take_orders(orders: &Receiver<String>) {
    for order in orders {
        println!("cooking {order}");
    }
}

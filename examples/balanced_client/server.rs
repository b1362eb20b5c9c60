//! The server: it notes each number that it runs, and answers with it.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::time::Duration;

use grapeshot::net::stdio::stdin;
use grapeshot::rpc::replies::AtMostOnce;
use grapeshot::rpc::{Failure, Router, Server};
use grapeshot::{random_u64, sleep, spawn};

/// Serves until stdin ends.
pub(crate) fn serve(address: &str, file: &str) -> Result<(), Box<dyn Error>> {
    // In one write at the end: what is in the file stays there, however this process ends.
    let file = OpenOptions::new().create(true).append(true).open(file)?;
    let work = move |(number,): (u64,)| {
        sleep(some_time());
        (&file).write_all(format!("{number}\n").as_bytes()).map_err(|error| failure(&error))?;
        sleep(some_time());
        Ok(number)
    };
    let server = Server::bind(address)?.service(AtMostOnce::new(Router::new().method("work", work)));
    crate::say(&format!("serving on {}", server.local_addr()?));
    let handle = server.handle();
    spawn(move || {
        // Whatever it says: an error is an end as well.
        let _ = stdin().lines().last();
        handle.drain();
    });
    Ok(server.serve()?)
}

/// Up to four milliseconds.
fn some_time() -> Duration {
    Duration::from_micros(random_u64() % 4000)
}

fn failure(error: &io::Error) -> Failure {
    Failure::new(Failure::INTERNAL, format!("cannot note the number: {error}"))
}

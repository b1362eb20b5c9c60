//! Small calls between two threads over loopback: calls a second, and what one costs either side in processor time.
//!
//! `cargo bench -p grapeshot-rpc` measures all; `-- sequence`, `-- flight` or `-- connections` one of them, and a number after
//! it says how many calls. For instruction counts run the program that cargo names under callgrind.
#![expect(clippy::print_stdout, reason = "a benchmark tells what it measured")]

use std::error::Error;
use std::fs;
use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use grapeshot_core::{Exit, Runtime, spawn};
use grapeshot_rpc::{CallerExt, Client, Context, Encoded, Failure, Server, ServerHandle, Service};

/// Echoes, and drains the server when asked to.
struct Echo(ServerHandle);

impl Service for Echo {
    fn call(&self, method: &str, params: &[u8], _context: &Context) -> Result<Encoded, Failure> {
        if method == "stop" {
            self.0.drain();
            return Ok(Encoded::nil());
        }
        // A list of one: its value follows the head.
        Ok(Encoded::from_bytes(params[1..].to_vec()))
    }
}

/// What is measured.
#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    connections: usize,
    flights: usize,
}

const LOADS: [Load; 3] = [
    Load { name: "sequence", connections: 1, flights: 1 },
    Load { name: "flight", connections: 1, flights: 64 },
    Load { name: "connections", connections: 64, flights: 1 },
];

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = words.first().map(String::as_str);
    let calls = words.get(1).map_or(Ok(200_000), |count| count.parse())?;
    for load in LOADS.into_iter().filter(|load| wanted.is_none_or(|name| name == load.name)) {
        measure(load, calls)?;
    }
    Ok(())
}

fn measure(load: Load, calls: usize) -> Result<(), Box<dyn Error>> {
    let (tell, hear) = mpsc::channel();
    let server = thread::spawn(move || {
        let ended = Runtime::new().signals(false).run(move || {
            let server = Server::bind("127.0.0.1:0")?;
            let _ = tell.send(server.local_addr()?);
            let echo = Echo(server.handle());
            server.service(echo).serve()
        });
        (cpu_nanos(), said(ended))
    });
    let address = hear.recv()?.to_string();
    let client = thread::spawn(move || {
        let call_all = move || call_all(&address, load, calls).map_err(io::Error::other);
        let ended = Runtime::new().signals(false).run(call_all);
        (cpu_nanos(), said(ended))
    });
    let (client_nanos, rate) = client.join().map_err(|_| "the client panicked")?;
    let (server_nanos, served) = server.join().map_err(|_| "the server panicked")?;
    served?;
    let rate = rate?;
    println!(
        "{:12} {rate:.0} calls a second; CPU a call: server {} ns, client {} ns",
        load.name,
        server_nanos / calls as u64,
        client_nanos / calls as u64
    );
    Ok(())
}

/// What a runtime's main returned.
fn said<T>(ended: io::Result<Exit<io::Result<T>>>) -> io::Result<T> {
    match ended? {
        Exit::Returned(said) => said,
        other => Err(io::Error::other(format!("ended otherwise: {:?}", std::mem::discriminant(&other)))),
    }
}

fn call_all(address: &str, load: Load, calls: usize) -> Result<f64, Box<dyn Error + Send + Sync>> {
    let each = calls / load.connections / load.flights;
    let clients: Vec<Client> = (0..load.connections).map(|_| Client::connect(address)).collect::<Result<_, _>>()?;
    let began = Instant::now();
    let mut callers = Vec::new();
    for client in &clients {
        for _ in 0..load.flights {
            let client = client.clone();
            callers.push(spawn(move || {
                for number in 0..each {
                    let echoed: usize = client.call("echo", &(number,))?;
                    assert_eq!(echoed, number);
                }
                Ok::<(), grapeshot_rpc::CallError>(())
            }));
        }
    }
    for caller in callers {
        caller.join()??;
    }
    let seconds = began.elapsed().as_secs_f64();
    clients[0].call::<()>("stop", &())?;
    Ok((each * load.connections * load.flights) as f64 / seconds)
}

/// The processor time of this thread (proc(5), schedstat).
fn cpu_nanos() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}

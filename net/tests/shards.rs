//! One port served by several runtimes, each with a listener of its own.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use grapeshot_core::{Builder, Group, Runtime, Shards, set_exit, shield, sleep, with_timeout};
use grapeshot_net::{TcpListener, TcpStream};

const SHARDS: usize = 3;
const CLIENTS: usize = 60;
const SECOND: Duration = Duration::from_secs(1);

/// A listener for each shard, all on one port.
fn listeners() -> Vec<Mutex<Option<TcpListener>>> {
    let first = TcpListener::bind_shared((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = first.local_addr().unwrap();
    let others = (1..SHARDS).map(|_| TcpListener::bind_shared(address).unwrap());
    std::iter::once(first).chain(others).map(|listener| Mutex::new(Some(listener))).collect()
}

/// Answers a request of one byte with the shard's number, and takes a little while for it.
fn answer(shard: usize, mut stream: TcpStream) -> io::Result<()> {
    let mut request = [0];
    stream.read_exact(&mut request)?;
    sleep(Duration::from_millis(5));
    stream.write_all(&[shard as u8])
}

/// Serves until it is cancelled; then whoever has connected is served as well, and the listener closed.
fn serve(shard: usize, listener: TcpListener) -> ! {
    let group = Group::new();
    let begin = |stream| drop(group.spawn(Builder::new(), move || answer(shard, stream)).unwrap());
    let ended = panic::catch_unwind(AssertUnwindSafe(|| {
        loop {
            begin(listener.accept().unwrap().0);
        }
    }));
    shield(None, || {
        listener.set_accept_timeout(Some(Duration::from_nanos(1))).unwrap();
        while let Ok((stream, _)) = listener.accept() {
            begin(stream);
        }
        drop(listener);
        group.wait_empty(None);
    })
    .unwrap();
    // The loop ends in no other way than by being cancelled.
    let Err(cancelled) = ended;
    panic::resume_unwind(cancelled);
}

/// Every connection was made before the stop, and few if any had been accepted.
#[test]
fn a_graceful_stop_of_all_loses_no_queued_connection() {
    let listeners = listeners();
    let address = listeners[0].lock().unwrap().as_ref().unwrap().local_addr().unwrap();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut client = std::net::TcpStream::connect(address).unwrap();
            client.write_all(b"?").unwrap();
            client
        })
        .collect();
    let all_run = Arc::new(Barrier::new(SHARDS));
    let exits = Shards::new(SHARDS)
        .runtime(Runtime::new().signals(false))
        .run(move |shard| {
            let listener = listeners[shard].lock().unwrap().take().unwrap();
            all_run.wait();
            if shard == 0 {
                set_exit(0);
            }
            serve(shard, listener)
        })
        .unwrap();
    assert!(exits.is_success(), "{exits:?}");
    let shards: HashSet<u8> = clients
        .into_iter()
        .map(|mut client| {
            let mut answer = [0];
            client.read_exact(&mut answer).unwrap();
            answer[0]
        })
        .collect();
    // The system spreads them by a hash of the addresses: that one of three gets none of sixty is out of the question.
    assert_eq!(shards.len(), SHARDS);
    // And nobody listens any more.
    assert!(std::net::TcpStream::connect(address).is_err());
}

/// Sockets are `Send`: one that another runtime accepted registers where it is used.
#[test]
fn a_connection_is_handed_to_another_shard() {
    let (give, given) = grapeshot_core::thread_channel::<TcpStream>(1);
    let listener = Mutex::new(Some(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()));
    let address = listener.lock().unwrap().as_ref().unwrap().local_addr().unwrap();
    let client = std::thread::spawn(move || {
        let mut client = std::net::TcpStream::connect(address).unwrap();
        client.write_all(b"?").unwrap();
        let mut answer = [0];
        client.read_exact(&mut answer).unwrap();
        answer[0]
    });
    let exits = Shards::new(2)
        .runtime(Runtime::new().signals(false))
        .run(move |shard| {
            if shard == 1 {
                return answer(1, given.recv().unwrap());
            }
            let listener = listener.lock().unwrap().take().unwrap();
            let (stream, _) = listener.accept().unwrap();
            // A wait registers it here first.
            assert!(with_timeout(Duration::ZERO, || stream.peek(&mut [0; 2]).map(|_| sleep(SECOND))).is_err());
            give.send(stream).unwrap();
            Ok(())
        })
        .unwrap();
    assert!(exits.is_success(), "{exits:?}");
    assert_eq!(client.join().unwrap(), 1);
}

//! Who may wait on a socket, where, and what else ends the wait.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use grapeshot_core::test::{self, Test};
use grapeshot_core::{Builder, ClosedError, RefusedError, SimultaneousError, scope, sleep, spawn, stats};
use grapeshot_net::{TcpListener, TcpStream};

use self::support::*;

/// POL-1.
#[test]
fn one_reads_while_another_writes() {
    test::run(|| {
        let (near, far) = pair();
        scope(|scope| {
            let reader = scope.spawn(|| {
                let mut buf = [0; 8];
                let read = (&near).read(&mut buf).unwrap();
                buf[..read].to_vec()
            });
            let writer = scope.spawn(|| (&near).write_all(&vec![0; 8 * MIB]).unwrap());
            sleep(SECOND);
            assert!(!reader.is_finished() && !writer.is_finished());
            (&far).write_all(b"x").unwrap();
            assert_eq!(reader.join().unwrap(), b"x");
            assert!(!writer.is_finished());
            io::copy(&mut (&far).take(8 * MIB as u64), &mut io::sink()).unwrap();
            writer.join().unwrap();
        });
    });
}

/// POL-1.
#[test]
fn a_second_reader_and_a_second_writer_are_refused_by_name() {
    test::run(|| {
        let (near, _far) = pair();
        let near = Rc::new(near);
        let start = |name: &str, f: fn(&TcpStream) -> io::Result<()>| {
            let near = near.clone();
            Builder::new().name(name).spawn(move || f(&near)).unwrap()
        };
        let read = |mut near: &TcpStream| near.read(&mut [0; 8]).map(drop);
        let write = |mut near: &TcpStream| near.write_all(&vec![0; 8 * MIB]);
        let _first = [start("first reader", read), start("first writer", write)];
        sleep(SECOND);
        for (second, first, operation) in [
            (start("second reader", read), "first reader", "read"),
            (start("second writer", write), "first writer", "write"),
        ] {
            let error = second.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ResourceBusy);
            assert!(is::<SimultaneousError>(&error));
            let text = error.to_string();
            assert!(text.starts_with(operation), "{text}");
            assert!(text.contains(&format!("\"{first}\" spawned at")), "{text}");
            assert!(text.contains(&format!("\"{}\" spawned at", first.replace("first", "second"))), "{text}");
            assert_eq!(text.matches("waiting.rs:").count(), 2, "{text}");
        }
    });
}

/// POL-4, SOK-11.
#[test]
fn closing_wakes_reader_and_writer() {
    test::run(|| {
        let (near, _far) = pair();
        let near = Rc::new(near);
        let reader = spawn({
            let near = near.clone();
            move || (&*near).read(&mut [0; 8])
        });
        let writer = spawn({
            let near = near.clone();
            move || (&*near).write_all(&vec![0; 8 * MIB])
        });
        sleep(SECOND);
        near.close();
        assert!(is::<ClosedError>(&reader.join().unwrap().unwrap_err()));
        assert!(is::<ClosedError>(&writer.join().unwrap().unwrap_err()));
        assert_eq!(stats().registrations, 0);
    });
}

/// Tries to read when it is dropped.
struct Farewell(Rc<TcpStream>, mpsc::Sender<io::Result<usize>>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.1.send((&*self.0).read(&mut [0; 8])).unwrap();
        self.1.send((&*self.0).write(b"bye")).unwrap();
    }
}

/// DESIGN §5.
#[test]
fn a_destructor_of_a_cancelled_coroutine_may_try_but_not_wait() {
    test::run(|| {
        let (near, mut far) = pair();
        let near = Rc::new(near);
        let (sender, results) = mpsc::channel();
        let reader = spawn(move || {
            let _farewell = Farewell(near.clone(), sender);
            (&*near).read(&mut [0; 8])
        });
        sleep(SECOND);
        reader.cancel();
        reader.join().unwrap_err();
        let refused = results.recv().unwrap().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::WouldBlock);
        assert!(is::<RefusedError>(&refused), "{refused}");
        assert_eq!(results.recv().unwrap().unwrap(), 3);
        let mut last = [0; 3];
        far.read_exact(&mut last).unwrap();
        assert_eq!(&last, b"bye");
    });
}

/// DESIGN §6: outside a coroutine the calls block their thread, as std's do.
#[test]
fn sockets_work_on_plain_threads() {
    let (listener, address) = listen();
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        io::copy(&mut &stream, &mut &stream).unwrap()
    });
    let stream = TcpStream::connect(address).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| (&stream).write_all(&pattern(4 * MIB)).unwrap());
        let mut all = vec![0; 4 * MIB];
        (&stream).read_exact(&mut all).unwrap();
        assert!(all == pattern(4 * MIB));
    });
    let (_bound, closed) = closed_port();
    stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    assert_eq!((&stream).read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(TcpStream::connect(closed).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    drop(stream);
    assert_eq!(server.join().unwrap(), 4 * MIB as u64);
}

#[test]
fn a_coroutine_talks_to_a_plain_thread() {
    let (listener, address) = listen();
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        io::copy(&mut &stream, &mut &stream).unwrap()
    });
    Test::new().real_time().run(move || {
        let stream = TcpStream::connect(address).unwrap();
        assert_eq!(exchange(&stream, b"across").unwrap(), b"across");
    });
    assert_eq!(server.join().unwrap(), 6);
}

/// Runs `body` in a runtime of its own, on a thread of its own.
fn elsewhere<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::spawn(move || Test::new().real_time().run(body))
}

/// DESIGN §2: handles are `Send`, and register where they are used.
#[test]
fn a_connection_accepted_in_one_runtime_is_served_in_another() {
    let (give, take) = mpsc::channel::<TcpStream>();
    let worker = elsewhere(move || {
        // Blocks the thread until the connection comes, which is fine while nothing else runs here.
        let stream = take.recv().unwrap();
        let echoed = io::copy(&mut &stream, &mut &stream).unwrap();
        assert_eq!(stats().registrations, 1);
        drop(stream);
        assert_eq!(stats().registrations, 0);
        echoed
    });
    Test::new().real_time().run(move || {
        let (listener, address) = listen();
        let client = TcpStream::connect(address).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        // It has waited here once, so it is registered here.
        server.read(&mut [0; 8]).unwrap_err();
        assert_eq!(stats().registrations, 1);
        server.set_read_timeout(None).unwrap();
        give.send(server).unwrap();
        for _ in 0..100 {
            assert_eq!(exchange(&client, b"over there").unwrap(), b"over there");
        }
        drop(client);
        worker.join().unwrap()
    });
}

#[test]
fn two_runtimes_exchange_messages() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = elsewhere(move || {
        let (stream, _) = listener.accept().unwrap();
        io::copy(&mut &stream, &mut &stream).unwrap()
    });
    let client = elsewhere(move || {
        let stream = TcpStream::connect(address).unwrap();
        (0..1000).all(|_| exchange(&stream, b"ping").unwrap() == b"ping")
    });
    assert!(client.join().unwrap());
    assert_eq!(server.join().unwrap(), 4000);
}

#[test]
fn a_socket_dropped_on_another_thread_leaves_the_runtime_it_was_in() {
    Test::new().real_time().run(|| {
        let (near, mut far) = pair();
        near.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        (&near).read(&mut [0; 8]).unwrap_err();
        thread::spawn(move || drop(near)).join().unwrap();
        assert_eq!(far.read(&mut [0; 8]).unwrap(), 0);
        // The loop hears of it when it next turns.
        grapeshot_core::yield_slice();
        assert_eq!(stats().registrations, 0);
    });
}

/// POL-4, from another thread: how a signal handler's thread stops a server.
#[test]
fn a_listener_closed_on_another_thread_wakes_its_acceptor() {
    let (listener, _) = listen();
    let listener = Arc::new(listener);
    let (waits, is_waiting) = mpsc::channel();
    let server = elsewhere({
        let listener = listener.clone();
        move || {
            let acceptor = spawn(move || listener.accept().map(drop));
            grapeshot_core::yield_slice();
            waits.send(()).unwrap();
            acceptor.join().unwrap().unwrap_err()
        }
    });
    is_waiting.recv().unwrap();
    assert!(listener.close());
    assert!(is::<ClosedError>(&server.join().unwrap()));
}

//! What Shrapnel's own tests assert of its sockets, where no other file shows it; `tests/README.md` has the whole map.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::rc::Rc;

use grapeshot_core::test::{self, Log};
use grapeshot_core::{
    ClosedError, JoinError, JoinHandle, State, random_u64, set_own_selfishness, sleep, spawn, stats, yield_now,
    yield_slice,
};
use grapeshot_net::{BufStream, Ipv4Addr, Ipv6Addr, Shutdown, SocketOptions, UdpSocket, UnixStream};

use self::support::*;

/// Gives its bytes in pieces of one size.
struct Chunks<'a> {
    bytes: &'a [u8],
    size: usize,
}

impl Read for Chunks<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.size.min(buf.len());
        self.bytes.read(&mut buf[..count])
    }
}

impl Write for Chunks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A text full of the delimiter and of beginnings of it, which does not end with it.
fn text_with(delimiter: &str) -> String {
    let mut text = String::new();
    while text.len() < 25_000 {
        match random_u64() % 4 {
            0 => text.push_str(delimiter),
            1 => text.push_str(&delimiter[..random_u64() as usize % delimiter.len()]),
            _ => text.push(char::from(b'a' + (random_u64() % 26) as u8)),
        }
    }
    text + ".end"
}

/// REQUIREMENTS 1.11, the ancestor's `read_stream`: 1, 4 and 20 bytes, and what std's `split` says.
#[test]
fn a_stream_is_split_at_delimiters_of_any_length_however_its_bytes_come() {
    for delimiter in ["\n", "\r\n\r\n", "--boundary--boundary"] {
        test::run(move || {
            let text = text_with(delimiter);
            for size in (1..=38).chain([1000, 10_000]) {
                let mut stream = BufStream::new(Chunks { bytes: text.as_bytes(), size });
                for piece in text.split(delimiter) {
                    let read = stream.read_until(delimiter.as_bytes(), 30_000).unwrap();
                    let is_last = !read.ends_with(delimiter.as_bytes());
                    let end = read.len() - if is_last { 0 } else { delimiter.len() };
                    assert_eq!(&read[..end], piece.as_bytes(), "{delimiter:?}, {size}");
                }
                assert_eq!(stream.read_until(delimiter.as_bytes(), 30_000).unwrap(), b"", "{delimiter:?}, {size}");
            }
        });
    }
}

/// What `readv` is to give for these bytes, the whole amounts and the shortened one at the end.
fn buffers_of(mut bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut buffers = Vec::new();
    for size in sizes {
        if bytes.is_empty() {
            break;
        }
        let (buffer, rest) = bytes.split_at((*size).min(bytes.len()));
        buffers.push(buffer.to_vec());
        bytes = rest;
    }
    buffers
}

/// SOK-4, the ancestor's `readv`: fourteen patterns, at once or in parts, however many operations a coroutine has in a row.
#[test]
fn readv_gives_the_exact_buffers_for_every_pattern_of_sizes() {
    let patterns: [&[usize]; 14] = [
        &[1],
        &[2],
        &[1, 1],
        &[1, 2],
        &[2, 1],
        &[5, 5, 5],
        &[1, 100, 1],
        &[100, 1, 100],
        &[1000],
        &[1, 1000],
        &[1000, 1],
        &[4096, 4096],
        &[8192, 1, 8192],
        &[7; 50],
    ];
    for sizes in patterns {
        for (acts, sleeps) in [(1024, false), (1024, true), (1, false), (1, true)] {
            test::run(move || {
                let (near, mut far) = pair();
                let total: usize = sizes.iter().sum();
                let bytes = pattern(total * 10 + total / 2);
                let sent = bytes.clone();
                let writer = spawn(move || {
                    set_own_selfishness(acts);
                    for part in sent.chunks(total * 3 / 2 + 1) {
                        far.write_all(part).unwrap();
                        if sleeps {
                            sleep(SECOND);
                        }
                    }
                });
                set_own_selfishness(acts);
                let mut left = &bytes[..];
                while !left.is_empty() {
                    let expected = buffers_of(left, sizes);
                    assert_eq!(near.readv(sizes).unwrap(), expected, "{sizes:?}, {acts}, {sleeps}");
                    left = &left[expected.iter().map(Vec::len).sum()..];
                }
                assert!(near.readv(sizes).unwrap().is_empty());
                writer.join().unwrap();
            });
        }
    }
}

/// SOK-5, the ancestor's `writev`: half a megabyte in buffers of 32768 bytes and of one, to a peer that is slow.
#[test]
fn writev_sends_half_a_megabyte_in_buffers_of_any_size() {
    for (size, acts) in [(32_768, 1024), (32_768, 1), (1, 1024), (1, 1)] {
        test::run(move || {
            let (near, far) = pair();
            near.set_send_buffer_size(4096).unwrap();
            let bytes = pattern(MIB / 2);
            let sent = bytes.clone();
            let writer = spawn(move || {
                set_own_selfishness(acts);
                let buffers: Vec<&[u8]> = sent.chunks(size).collect();
                near.writev(&buffers).unwrap()
            });
            sleep(SECOND);
            assert!(!writer.is_finished(), "it waits for its reader in the middle");
            let mut received = Vec::new();
            (&far).read_to_end(&mut received).unwrap();
            assert!(received == bytes);
            assert_eq!(writer.join().unwrap(), MIB / 2);
        });
    }
}

/// How far a reader has come when something happens to its socket.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reader {
    /// It has just begun to wait.
    New,
    /// The poller has been asked since.
    Submitted,
    /// What it waits for is there and it has been woken, but has not had its turn.
    Fired,
}

/// What happens to a blocked reader or to its socket.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Blow {
    Close,
    /// The ancestor's `shutdown` of a coroutine.
    Cancel,
    /// That of a socket.
    Shutdown,
}

type Blocked = JoinHandle<io::Result<usize>>;

/// What became of a reader in this state after these two.
fn after(state: Reader, blows: [Blow; 2]) -> String {
    test::run(move || {
        // Bytes are at the other end of these as soon as they are written, so that one poll sees all that are.
        let (near, mut far) = UnixStream::pair().unwrap();
        let (first, mut starter) = UnixStream::pair().unwrap();
        let near = Rc::new(near);
        let reader = Rc::new(RefCell::new(None));
        let strike = {
            let (near, reader) = (near.clone(), reader.clone());
            move || {
                let reader = reader.borrow();
                let reader: &Blocked = reader.as_ref().unwrap();
                let expected = if state == Reader::Fired { State::Ready } else { State::Parked };
                assert_eq!(reader.coroutine().info().state, expected);
                for blow in blows {
                    match blow {
                        Blow::Close => assert!(near.close()),
                        Blow::Cancel => reader.cancel(),
                        Blow::Shutdown => near.shutdown(Shutdown::Both).unwrap(),
                    }
                }
            }
        };
        let reading = near.clone();
        if state == Reader::Fired {
            // Its bytes come first, so it is woken first of the two, and strikes between the reader's wake and turn.
            let striker = spawn(move || {
                assert_eq!((&first).read(&mut [0; 8]).unwrap(), 1);
                strike();
            });
            *reader.borrow_mut() = Some(spawn(move || (&*reading).read(&mut [0; 8])));
            sleep(SECOND);
            starter.write_all(b"!").unwrap();
            far.write_all(b"!").unwrap();
            striker.join().unwrap();
        } else {
            *reader.borrow_mut() = Some(spawn(move || (&*reading).read(&mut [0; 8])));
            yield_now();
            if state == Reader::Submitted {
                sleep(SECOND);
            }
            strike();
        }
        let reader = reader.take().unwrap();
        let ended = match reader.join() {
            Ok(Ok(count)) => format!("read {count}"),
            Ok(Err(error)) if is::<ClosedError>(&error) => "closed".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(JoinError::Cancelled) => "cancelled".to_owned(),
            Err(error) => error.to_string(),
        };
        drop((near, far, starter));
        yield_slice();
        assert_eq!(stats().registrations, 0);
        ended
    })
}

/// POL-4, the ancestor's `notify_of_close`: whatever comes first ends the reader, and what follows harms nobody.
#[test]
fn every_order_of_closing_and_cancelling_ends_a_blocked_reader() {
    for state in [Reader::New, Reader::Submitted] {
        assert_eq!(after(state, [Blow::Cancel, Blow::Close]), "cancelled", "{state:?}");
        assert_eq!(after(state, [Blow::Close, Blow::Cancel]), "closed", "{state:?}");
        assert_eq!(after(state, [Blow::Shutdown, Blow::Close]), "closed", "{state:?}");
        assert_eq!(after(state, [Blow::Close, Blow::Shutdown]), "closed", "{state:?}");
    }
}

/// POL-4: the same for one whose bytes are there. It finds its socket closed, or, cancelled only, has been woken first.
#[test]
fn every_order_of_closing_and_cancelling_ends_a_reader_that_was_woken() {
    for blows in [
        [Blow::Close, Blow::Cancel],
        [Blow::Cancel, Blow::Close],
        [Blow::Close, Blow::Shutdown],
        [Blow::Shutdown, Blow::Close],
    ] {
        assert_eq!(after(Reader::Fired, blows), "closed", "{blows:?}");
    }
    assert_eq!(after(Reader::Fired, [Blow::Cancel, Blow::Cancel]), "read 1");
}

/// POL-3, the ancestor's `wait_for_interrupted_fired`: two are woken by one poll, and the first cancels the other.
#[test]
fn of_two_woken_together_the_first_ends_the_other_at_its_next_wait() {
    test::run(|| {
        let log = Log::new();
        let (one, two) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        let ends: Rc<RefCell<Vec<JoinHandle<()>>>> = Rc::default();
        let start = |near: UnixStream, own: usize| {
            let (log, ends) = (log.clone(), ends.clone());
            spawn(move || {
                let count = (&near).read(&mut [0; 8]).unwrap();
                log.add(format!("{own} read {count}"));
                let other = ends.borrow()[1 - own].coroutine();
                assert_eq!(other.info().state, State::Ready);
                other.cancel();
                yield_now();
                log.add(format!("{own} goes on"));
            })
        };
        let both = vec![start(one.0, 0), start(two.0, 1)];
        *ends.borrow_mut() = both;
        sleep(SECOND);
        (&one.1).write_all(b"!").unwrap();
        (&two.1).write_all(b"!").unwrap();
        sleep(SECOND);
        // Each had been woken before it was cancelled, so no byte is lost with either.
        assert_eq!(log.take(), ["0 read 1", "1 read 1"]);
        let ended = ends.take().into_iter().map(JoinHandle::join);
        assert!(ended.into_iter().all(|ended| matches!(ended, Err(JoinError::Cancelled))));
        drop((one.1, two.1));
        assert_eq!(stats().registrations, 0);
    });
}

/// SOK-8, the ancestor's `socket`: an address of the other family is refused.
#[test]
fn an_ipv4_socket_refuses_ipv6_addresses() {
    test::run(|| {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let refused = Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
        assert_eq!(socket.connect((Ipv6Addr::LOCALHOST, 9)).unwrap_err().raw_os_error(), refused);
        assert_eq!(socket.send_to(b"x", (Ipv6Addr::LOCALHOST, 9)).unwrap_err().raw_os_error(), refused);
    });
}

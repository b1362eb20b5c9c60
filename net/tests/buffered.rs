//! The buffered stream: REQUIREMENTS 1.11 and SYL-7.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::RefCell;
use std::io::{self, BufRead, Cursor, ErrorKind, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::{self, Test};
use grapeshot_core::{random_u64, sleep, spawn, with_timeout};
use grapeshot_net::memory::{self, Builder, Faults, MemoryStream};
use grapeshot_net::{BufStream, PartialRead, Parts, ReadLimit, WriteLimit, WriteMode};

use self::support::{SECOND, pattern};

/// What each write brought.
type Writes = Rc<RefCell<Vec<Vec<u8>>>>;

/// A stream from which these pieces are read, one by one, and which keeps what each write brought.
#[derive(Debug, Default)]
struct Script {
    reads: Vec<Vec<u8>>,
    /// What a write may take at most; a scripted error at zero.
    takes: Vec<usize>,
    writes: Writes,
}

impl Read for Script {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.reads.is_empty() {
            return Ok(0);
        }
        let count = self.reads[0].as_slice().read(buf)?;
        self.reads[0].drain(..count);
        self.reads.retain(|piece| !piece.is_empty());
        Ok(count)
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let takes = if self.takes.is_empty() { usize::MAX } else { self.takes.remove(0) };
        if takes == 0 {
            return Err(ErrorKind::TimedOut.into());
        }
        let taken = &bytes[..bytes.len().min(takes)];
        self.writes.borrow_mut().push(taken.to_vec());
        Ok(taken.len())
    }

    fn write_vectored(&mut self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<u8> = bufs.iter().flat_map(|buf| buf.to_vec()).collect();
        self.write(&bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream that reads these pieces.
fn reading(pieces: &[&[u8]]) -> BufStream<Script> {
    BufStream::new(Script { reads: pieces.iter().map(|piece| piece.to_vec()).collect(), ..Script::default() })
}

/// A stream that writes, and what it has written, write by write.
fn writing(mode: WriteMode, takes: &[usize]) -> (BufStream<Script>, Writes) {
    let script = Script { takes: takes.to_vec(), ..Script::default() };
    let writes = script.writes.clone();
    (BufStream::with_mode(script, mode), writes)
}

/// SYL-7, 1.11: the end of the line comes with it; at the end of the stream comes what there is, and then nothing.
#[test]
fn lines_keep_their_ends_and_the_last_needs_none() {
    let mut stream = reading(&[b"one\ntw", b"o\r\n\nthr", b"ee"]);
    for line in ["one\n", "two\r\n", "\n", "three", "", ""] {
        assert_eq!(stream.read_line(80).unwrap(), line.as_bytes());
    }
}

/// 1.11, the bug upstream: its matcher took the second `\r` for a mismatch and began anew behind it.
#[test]
fn a_delimiter_is_found_after_a_prefix_of_itself() {
    let mut stream = reading(&[b"a\r\r\nb\r\n"]);
    assert_eq!(stream.read_until(b"\r\n", 80).unwrap(), b"a\r\r\n");
    assert_eq!(stream.read_until(b"\r\n", 80).unwrap(), b"b\r\n");
    assert_eq!(reading(&[b"aaab..."]).read_until(b"aab", 80).unwrap(), b"aaab");
    assert_eq!(reading(&[b"--\r\n--\r\n--end"]).read_until(b"\r\n--end", 80).unwrap(), b"--\r\n--\r\n--end");
}

/// Every text over two letters, every delimiter, every cut: against the plain search.
#[test]
fn a_delimiter_is_found_wherever_reads_cut_it() {
    for bits in 0..64_u32 {
        let text: Vec<u8> = (0..6).map(|at| if bits >> at & 1 == 1 { b'\r' } else { b'\n' }).collect();
        for delimiter in [&b"\r\n"[..], b"\r\r", b"\r\r\n", b"\n\r\n\r", b"\r\r\n\r\r"] {
            let found = text.windows(delimiter.len()).position(|window| window == delimiter);
            let end = found.map_or(text.len(), |at| at + delimiter.len());
            for cuts in 0..32_u32 {
                let mut pieces = vec![Vec::new()];
                for (at, byte) in text.iter().enumerate() {
                    pieces.last_mut().unwrap().push(*byte);
                    if cuts >> at & 1 == 1 {
                        pieces.push(Vec::new());
                    }
                }
                pieces.retain(|piece| !piece.is_empty());
                let mut stream = BufStream::new(Script { reads: pieces, ..Script::default() });
                assert_eq!(stream.read_until(delimiter, 80).unwrap(), &text[..end]);
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).unwrap();
                assert_eq!(rest, &text[end..]);
            }
        }
    }
}

#[test]
fn a_limit_counts_the_delimiter_and_loses_nothing() {
    let mut stream = reading(&[b"12345678\r", b"\nrest"]);
    let error = stream.read_until(b"\r\n", 9).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    let limit = error.get_ref().unwrap().downcast_ref::<ReadLimit>().unwrap();
    assert_eq!((limit.limit(), limit.delimiter()), (9, &b"\r\n"[..]));
    assert_eq!(error.to_string(), r#"reading up to "\r\n": it does not end within the limit of 9 bytes"#);
    assert_eq!(stream.read_until(b"\r\n", 10).unwrap(), b"12345678\r\n");
    assert_eq!(stream.read_line(80).unwrap(), b"rest");
}

/// What came behind a line that is too long does not make it shorter.
#[test]
fn a_delimiter_beyond_the_limit_is_not_found_though_it_is_buffered() {
    let mut stream = reading(&[b"12345678\n"]);
    stream.read_upto(9).unwrap();
    stream.read_line(8).unwrap_err();
    stream.read_line(9).unwrap();
}

#[test]
fn an_endless_line_costs_its_limit_and_a_block() {
    struct Endless(usize);
    impl Read for Endless {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            buf.fill(b'x');
            self.0 += buf.len();
            Ok(buf.len())
        }
    }
    impl Write for Endless {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut stream = BufStream::new(Endless(0));
    stream.read_line(100_000).unwrap_err();
    assert!(stream.inner().0 < 4 * 100_000, "{} bytes were read", stream.inner().0);
}

/// 1.11: the ancestor's `read_exact` is short at the end; here the error has what came.
#[test]
fn an_exact_read_says_what_came_before_the_end() {
    let mut stream = reading(&[b"abc", b"defg", b"hi"]);
    assert_eq!(stream.read_exact_vec(5).unwrap(), b"abcde");
    let error = stream.read_exact_vec(5).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    let partial = error.get_ref().unwrap().downcast_ref::<PartialRead>().unwrap();
    assert_eq!((partial.received(), partial.wanted()), (&b"fghi"[..], 5));
    assert_eq!(stream.read_exact_vec(0).unwrap(), b"");
}

/// SYL-7: `read_at_most`, `read_upto` and `read_more` differ in when they read.
#[test]
fn reads_are_made_when_the_method_says() {
    let mut stream = reading(&[b"abcd", b"ef", b"gh"]);
    assert_eq!(stream.read_at_most(3).unwrap(), b"abc");
    assert_eq!(stream.read_at_most(3).unwrap(), b"d", "what is buffered is handed out without a read");
    assert_eq!(stream.read_more().unwrap(), 2);
    assert_eq!(stream.buffer(), b"ef");
    assert_eq!(stream.read_upto(3).unwrap(), 4);
    assert_eq!(stream.buffer(), b"efgh");
    assert_eq!(stream.read_upto(9).unwrap(), 4, "the stream has ended");
    assert_eq!(stream.read_more().unwrap(), 0);
    assert_eq!(stream.take_buffered(), b"efgh");
    assert_eq!(stream.read_at_most(3).unwrap(), b"");
}

/// SYL-7: `unread`, `find`, `rfind`, `discard` and `get_read_buffer`.
#[test]
fn the_buffer_can_be_looked_at_put_back_and_thrown_away() {
    let mut stream = reading(&[b"key=value=x", b"; more"]);
    stream.read_more().unwrap();
    assert_eq!((stream.find(b"="), stream.rfind(b"="), stream.find(b";")), (Some(3), Some(9), None));
    assert_eq!(stream.read_exact_vec(4).unwrap(), b"key=");
    stream.unread(b"y=");
    assert_eq!(stream.buffer(), b"y=value=x");
    stream.unread(b"a longer key than there was room for, ke");
    assert_eq!(stream.read_until(b"=", 80).unwrap(), b"a longer key than there was room for, key=");
    assert_eq!(stream.discard(9).unwrap(), 9, "over the end of a read");
    assert_eq!(stream.discard(u64::MAX).unwrap(), 4);
    assert_eq!(stream.discard(1).unwrap(), 0);
}

/// 1.11: `read_all` gives block after block.
#[test]
fn blocks_come_until_the_end() {
    let mut stream = reading(&[b"ab", b"c", b"def"]);
    stream.read_upto(3).unwrap();
    let blocks: Vec<Vec<u8>> = stream.blocks().map(Result::unwrap).collect();
    assert_eq!(blocks, [&b"abc"[..], b"def"]);
}

/// SYL-7's `nblimitreader` is std's `Take`; and `BufRead`'s own methods see the same bytes.
#[test]
fn std_reads_from_the_same_buffer() {
    let mut stream = reading(&[b"head\nbody", b" and more"]);
    let mut head = String::new();
    BufRead::read_line(&mut stream, &mut head).unwrap();
    let mut body = String::new();
    (&mut stream).take(6).read_to_string(&mut body).unwrap();
    assert_eq!((head.as_str(), body.as_str(), stream.buffer()), ("head\n", "body a", &b"nd more"[..]));
}

/// SYL-7: 0 is unbuffered.
#[test]
fn unbuffered_writes_are_sent_at_once() {
    let (mut stream, writes) = writing(WriteMode::Unbuffered, &[]);
    stream.write_all(b"a").unwrap();
    stream.write_all(b"bc").unwrap();
    assert_eq!(*writes.borrow(), [&b"a"[..], b"bc"]);
}

/// SYL-7: 1 is by lines.
#[test]
fn lines_are_sent_when_they_end_and_together_with_what_was_held() {
    let (mut stream, writes) = writing(WriteMode::Line, &[]);
    stream.write_all(b"one, ").unwrap();
    assert_eq!(stream.unsent(), 5);
    stream.write_all(b"two\nthree\nfo").unwrap();
    assert_eq!(*writes.borrow(), [b"one, two\nthree\n"]);
    stream.write_all(b"ur").unwrap();
    stream.flush().unwrap();
    assert_eq!(*writes.borrow(), [&b"one, two\nthree\n"[..], b"four"]);
}

#[test]
fn a_line_without_an_end_is_sent_when_a_block_is_full() {
    let (mut stream, writes) = writing(WriteMode::Line, &[]);
    for _ in 0..9 {
        stream.write_all(&[b'x'; 1024]).unwrap();
    }
    assert_eq!(writes.borrow().concat().len(), 9 * 1024);
}

/// SYL-7: 3 and more are bytes.
#[test]
fn blocks_are_sent_when_more_comes_than_they_hold() {
    let (mut stream, writes) = writing(WriteMode::Bytes(4), &[]);
    for piece in [&b"ab"[..], b"cd", b"e", b"f", b"0123456789"] {
        stream.write_all(piece).unwrap();
    }
    assert_eq!(*writes.borrow(), [&b"abcde"[..], b"f0123456789"]);
    assert_eq!(stream.unsent(), 0);
}

/// SYL-7: 2 is until a flush; here with an end.
#[test]
fn until_a_flush_nothing_is_sent_and_no_more_is_held_than_allowed() {
    let (mut stream, writes) = writing(WriteMode::UntilFlush { limit: 10 }, &[]);
    stream.write_all(b"01234567").unwrap();
    let error = stream.write(b"abc").unwrap_err();
    assert!(error.get_ref().unwrap().is::<WriteLimit>());
    assert_eq!(error.to_string(), "writing 3 bytes behind 8 that wait for a flush: more than the limit of 10 bytes");
    stream.write_all(b"89").unwrap();
    assert!(writes.borrow().is_empty());
    stream.flush().unwrap();
    assert_eq!(*writes.borrow(), [b"0123456789"]);
}

#[test]
fn a_new_mode_keeps_what_is_held_in_front() {
    let (mut stream, writes) = writing(WriteMode::UntilFlush { limit: 10 }, &[]);
    stream.write_all(b"held ").unwrap();
    stream.set_write_mode(WriteMode::Unbuffered);
    assert_eq!(stream.write_mode(), WriteMode::Unbuffered);
    stream.write_all(b"and sent").unwrap();
    assert_eq!(writes.borrow().concat(), b"held and sent");
}

/// In every mode, whatever the stream takes and wherever it fails, each byte is sent once and in order.
#[test]
fn a_write_that_fails_can_be_made_again() {
    let text = pattern(40);
    let modes =
        [WriteMode::Unbuffered, WriteMode::Line, WriteMode::Bytes(7), WriteMode::UntilFlush { limit: usize::MAX }];
    for mode in modes {
        for takes in [&[0, 3, 0, 1, 1, 0, 5][..], &[1; 60], &[0; 20], &[2, 0, 2, 0, 2, 0, 9, 0]] {
            let (mut stream, writes) = writing(mode, takes);
            for piece in text.chunks(9) {
                let mut left = piece;
                while !left.is_empty() {
                    match stream.write(left) {
                        Ok(count) => left = &left[count..],
                        Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
                    }
                }
            }
            while stream.flush().is_err() {}
            assert_eq!(writes.borrow().concat(), text, "{mode:?} {takes:?}");
        }
    }
}

#[test]
fn a_drop_sends_what_is_left() {
    let (mut stream, writes) = writing(WriteMode::default(), &[]);
    stream.write_all(b"bye").unwrap();
    drop(stream);
    assert_eq!(*writes.borrow(), [b"bye"]);
}

#[test]
fn a_drop_gives_up_on_a_peer_that_takes_nothing() {
    test::run(|| {
        let (near, _far) = Builder::new().capacity(4).pair();
        let mut stream = BufStream::new(near);
        stream.write_all(b"longer").unwrap();
        let before = grapeshot_core::now();
        drop(stream);
        assert_eq!(grapeshot_core::now() - before, 10 * SECOND);
    });
}

#[test]
fn a_drop_while_the_coroutine_unwinds_sends_nothing() {
    test::run(|| {
        let (near, mut far) = memory::pair();
        let writer = spawn(move || {
            let mut stream = BufStream::new(near);
            stream.write_all(b"half a mess").unwrap();
            sleep(SECOND);
        });
        grapeshot_core::yield_now();
        writer.cancel();
        writer.join().unwrap_err();
        assert_eq!(far.read(&mut [0; 8]).unwrap(), 0);
    });
}

/// 1.11: `flush` of the ancestor, needed when the protocol changes.
#[test]
fn the_stream_comes_back_with_what_is_buffered() {
    let mut stream = reading(&[b"upgrade\nnew protocol"]);
    stream.read_line(80).unwrap();
    stream.write_all(b"not sent").unwrap();
    let Parts { stream, unread, unsent } = stream.into_parts();
    assert_eq!((unread.as_slice(), unsent.as_slice()), (&b"new protocol"[..], &b"not sent"[..]));
    assert!(stream.writes.borrow().is_empty());

    let (mut stream, writes) = writing(WriteMode::default(), &[0]);
    stream.write_all(b"text").unwrap();
    let (stream, error) = stream.into_inner().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    stream.into_inner().unwrap();
    assert_eq!(*writes.borrow(), [b"text"]);
}

/// One coroutine reads and another writes, each with buffers of its own.
#[test]
fn two_halves_share_a_socket() {
    test::run(|| {
        let (near, far) = support::pair();
        let near = Rc::new(near);
        let far = spawn(move || io::copy(&mut &far, &mut &far));
        let writer = spawn({
            let near = near.clone();
            move || {
                let mut stream = BufStream::new(&*near);
                for number in 0..10_000 {
                    writeln!(stream, "line {number}").unwrap();
                }
                stream.flush().unwrap();
                near.shutdown(grapeshot_net::Shutdown::Write).unwrap();
            }
        });
        let mut stream = BufStream::new(&*near);
        for number in 0..10_000 {
            assert_eq!(stream.read_line(80).unwrap(), format!("line {number}\n").as_bytes());
        }
        assert_eq!(stream.read_line(80).unwrap(), b"");
        writer.join().unwrap();
        far.join().unwrap().unwrap();
    });
}

/// Limits and cancellations anywhere, short reads everywhere: each line comes once and whole.
#[test]
fn lines_are_whole_whatever_interrupts_the_reader() {
    for seed in 0..seeds() {
        Test::new().seed(seed).run(move || {
            let faults = Faults::new().seed(seed).short_reads(5).short_writes(7);
            let faults = faults.delays(Duration::ZERO..Duration::from_millis(3));
            let (near, far) = Builder::new().capacity(16).to_far(faults).pair();
            let writer = spawn(move || send_lines(near));
            far.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
            let mut stream = BufStream::new(far);
            let mut lines = Vec::new();
            loop {
                let limit = Duration::from_micros(1 + random_u64() % 4000);
                match with_timeout(limit, || stream.read_line(80)) {
                    Ok(Ok(line)) if line.is_empty() => break,
                    Ok(Ok(line)) => lines.push(line),
                    Ok(Err(error)) => assert_eq!(error.kind(), ErrorKind::TimedOut),
                    Err(_cut_off) => {}
                }
            }
            writer.join().unwrap();
            let expected: Vec<Vec<u8>> = (0..40).map(|n| format!("line number {n}\r\n").into_bytes()).collect();
            assert_eq!(lines, expected);
        });
    }
}

/// Sends forty lines, each flush cut off at random and made again.
fn send_lines(stream: MemoryStream) {
    let mut stream = BufStream::new(stream);
    for number in 0..40 {
        write!(stream, "line number {number}\r\n").unwrap();
        while with_timeout(Duration::from_micros(1 + random_u64() % 3000), || stream.flush().unwrap()).is_err() {}
    }
}

/// How many schedules a test tries.
fn seeds() -> u64 {
    std::env::var("GRAPESHOT_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(12)
}

#[test]
fn a_stream_without_a_runtime_works() {
    let mut stream = BufStream::new(Cursor::new(Vec::new()));
    writeln!(stream, "text").unwrap();
    stream.flush().unwrap();
    stream.inner_mut().set_position(0);
    assert_eq!(stream.read_line(80).unwrap(), b"text\n");
}

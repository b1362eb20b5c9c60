//! The PROXY protocol: what is understood, what is refused where, and what it may cost.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::io::{ErrorKind, Read, Write};

use grapeshot_core::{now, sleep, spawn, test, with_timeout};
use grapeshot_net::proxy_protocol::{
    Announced, Header, Limits, MalformedHeader, Proxied, ProxiedListener, Tlv, Transport, Version, parse, read_header,
};
use grapeshot_net::{SocketAddr, TcpStream};

use self::support::*;

const LIMIT: usize = 4096;

fn inet(source: &str, destination: &str, transport: Transport) -> Announced {
    Announced::Inet { source: source.parse().unwrap(), destination: destination.parse().unwrap(), transport }
}

/// A version 2 header.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let len = u16::try_from(block.len()).unwrap();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &len.to_be_bytes(), block].concat()
}

/// 192.0.2.1:56324 to 198.51.100.1:443.
const INET: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb];

fn inet6() -> Vec<u8> {
    let (source, destination) =
        ([&[0x20, 0x01, 0x0d, 0xb8][..], &[0; 11], &[1]].concat(), [&[0; 15][..], &[1]].concat());
    [&source[..], &destination, &INET[8..]].concat()
}

fn unix() -> Vec<u8> {
    let mut block = vec![0; 216];
    block[..8].copy_from_slice(b"/client\0");
    block[108..116].copy_from_slice(b"/service");
    block
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

/// Headers that are right, and what they say.
fn right() -> Vec<(Vec<u8>, Announced)> {
    let four = |transport| inet("192.0.2.1:56324", "198.51.100.1:443", transport);
    let six = inet("[2001:db8::1]:56324", "[::1]:443", Transport::Stream);
    let paths = |transport| Announced::Unix { source: b"/client".into(), destination: b"/service".into(), transport };
    let longest = [b"PROXY UNKNOWN ", &[b'f'; 91][..], b"\r\n"].concat();
    assert_eq!(longest.len(), 107);
    let more = [&INET[..], &tlv(Tlv::AUTHORITY, b"example.org"), &tlv(Tlv::NOOP, &[0; 9])].concat();
    vec![
        (b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n".to_vec(), four(Transport::Stream)),
        (b"PROXY TCP6 2001:db8::1 ::1 56324 443\r\n".to_vec(), six.clone()),
        (
            b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n".to_vec(),
            inet("0.0.0.0:0", "255.255.255.255:65535", Transport::Stream),
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), Announced::Unknown),
        (b"PROXY UNKNOWN what ever  it\rsays\r\n".to_vec(), Announced::Unknown),
        (longest, Announced::Unknown),
        (v2(0x21, 0x11, &INET), four(Transport::Stream)),
        (v2(0x21, 0x12, &INET), four(Transport::Datagram)),
        (v2(0x21, 0x21, &inet6()), six),
        (v2(0x21, 0x31, &unix()), paths(Transport::Stream)),
        (v2(0x21, 0x32, &unix()), paths(Transport::Datagram)),
        (v2(0x21, 0x00, b""), Announced::Unknown),
        (v2(0x21, 0x00, b"to be ignored"), Announced::Unknown),
        (v2(0x20, 0x00, b""), Announced::Local),
        (v2(0x20, 0xff, b"whatever the family"), Announced::Local),
        (v2(0x21, 0x11, &more), four(Transport::Stream)),
    ]
}

#[test]
fn every_kind_of_header_is_understood_and_what_follows_is_left() {
    for (bytes, announced) in right() {
        let followed = [&bytes[..], b"PROXY GET / HTTP/1.1\r\n"].concat();
        let (header, len) = parse(&followed, LIMIT).unwrap().unwrap();
        assert_eq!((header.announced, len), (announced, bytes.len()));
        assert_eq!(header.version, if bytes[0] == b'P' { Version::One } else { Version::Two });
    }
}

/// STYLE 58: truncated at every point, it waits for more, and is never taken for wrong or for whole.
#[test]
fn a_header_that_is_cut_off_anywhere_is_incomplete() {
    for (bytes, _) in right() {
        for len in 0..bytes.len() {
            assert_eq!(parse(&bytes[..len], LIMIT), Ok(None), "{:?}", &bytes[..len]);
        }
    }
}

/// Bytes that are no header, and where that shows first.
fn wrong() -> Vec<(Vec<u8>, usize)> {
    let line = |line: &str| line.as_bytes().to_vec();
    let crc = [&INET[..], &tlv(Tlv::CRC32C, &[1, 2, 3, 4])].concat();
    vec![
        (line("GET / HTTP/1.1\r\n"), 0),
        (line("POST / HTTP/1.1\r\n"), 1),
        (line("PROXY\tTCP4 "), 5),
        (line("PROXY  TCP4 192.0.2.1 198.51.100.1 1 2\r\n"), 6),
        (line("PROXY \r\n"), 6),
        (line("PROXY TCP5 192.0.2.1 198.51.100.1 1 2\r\n"), 6),
        (line("PROXY tcp4 192.0.2.1 198.51.100.1 1 2\r\n"), 6),
        (line("PROXY TCP4\r\n"), 10),
        (line("PROXY TCP4 192.0.2.1\r\n"), 20),
        (line("PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n"), 11),
        (line("PROXY TCP4 ::1 ::1 1 2\r\n"), 11),
        (line("PROXY TCP6 192.0.2.1 ::1 1 2\r\n"), 11),
        (line("PROXY TCP4 192.0.2.1 198.51.100 1 2\r\n"), 21),
        (line("PROXY TCP4 192.0.2.1 198.51.100.1 65536 2\r\n"), 34),
        (line("PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n"), 34),
        (line("PROXY TCP4 192.0.2.1 198.51.100.1 +1 2\r\n"), 34),
        (line("PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n"), 35),
        (line("PROXY TCP4 192.0.2.1 198.51.100.1 1 -2\r\n"), 36),
        (line("PROXY TCP4 192.0.2.1 198.51.100.1 1 2 \r\n"), 37),
        (line("PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n"), 37),
        (line(&format!("PROXY UNKNOWN {}", "f".repeat(93))), 107),
        (line("\r\nGET"), 2),
        (b"\r\n\r\n\0\r\nQUIT\r".to_vec(), 11),
        (v2(0x11, 0x11, &INET), 12),
        (v2(0x22, 0x11, &INET), 12),
        (v2(0x21, 0x13, &INET), 13),
        (v2(0x21, 0x10, &INET), 13),
        (v2(0x21, 0x01, &INET), 13),
        (v2(0x21, 0x41, &INET), 13),
        (v2(0x21, 0x11, &INET[..11]), 14),
        (v2(0x21, 0x21, &INET), 14),
        (v2(0x21, 0x31, &INET), 14),
        (v2(0x21, 0x11, &[&INET[..], &[1, 0]].concat()), 28),
        (v2(0x21, 0x11, &[&INET[..], &[1, 0, 9, 1]].concat()), 29),
        (v2(0x21, 0x11, &crc), 31),
        (v2(0x21, 0x11, &[&INET[..], &tlv(Tlv::CRC32C, &[1])].concat()), 31),
        (v2(0x21, 0x11, &vec![0; LIMIT]), 14),
    ]
}

#[test]
fn what_is_no_header_is_refused_where_it_first_shows() {
    for (bytes, offset) in wrong() {
        let error = parse(&bytes, LIMIT).unwrap_err();
        assert_eq!(error.offset(), offset, "{error}: {:?}", String::from_utf8_lossy(&bytes));
        assert!(error.to_string().starts_with(&format!("malformed PROXY header at byte {offset}: ")), "{error}");
    }
}

/// STYLE 58: one byte at a time the verdict is the same, and it stands from the byte on that shows it.
#[test]
fn a_byte_at_a_time_the_verdict_is_the_same() {
    for (bytes, offset) in wrong() {
        let first = (0..=bytes.len()).find_map(|len| parse(&bytes[..len], LIMIT).err());
        assert_eq!(first.map(|error| error.offset()), Some(offset));
    }
}

/// No input makes it panic, take more than there is, or change its mind about a whole header.
#[test]
fn mutilated_headers_are_judged_without_a_panic() {
    for (bytes, _) in right() {
        for index in 0..bytes.len().min(64) {
            for value in [0, 1, b' ', b'\r', b'\n', 0x7f, 0xff] {
                let mut mutilated = bytes.clone();
                mutilated[index] = value;
                if let Ok(Some((header, len))) = parse(&mutilated, LIMIT) {
                    assert!(len <= mutilated.len());
                    assert_eq!(parse(&mutilated[..len], LIMIT), Ok(Some((header, len))));
                }
            }
        }
    }
}

#[test]
fn statements_are_given_out_and_padding_is_not() {
    let block = [&INET[..], &tlv(Tlv::NOOP, b"pad"), &tlv(Tlv::AUTHORITY, b"example.org"), &tlv(0xe0, b"")].concat();
    let (header, _) = parse(&v2(0x21, 0x11, &block), LIMIT).unwrap().unwrap();
    assert_eq!(header.tlv(Tlv::AUTHORITY), Some(&b"example.org"[..]));
    assert_eq!(header.tlv(0xe0), Some(&b""[..]));
    assert_eq!((header.tlv(Tlv::NOOP), header.tlv(Tlv::ALPN), header.tlvs.len()), (None, None, 2));
}

/// The checksum, bit by bit as in RFC 3720, of the header with zeros where it stands.
fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

/// Section 2.2.4: whoever knows the checksum must verify it.
#[test]
fn a_right_checksum_is_accepted_and_a_flipped_bit_is_not() {
    let block = [&INET[..], &tlv(Tlv::CRC32C, &[0; 4]), &tlv(Tlv::AUTHORITY, b"example.org")].concat();
    let mut bytes = v2(0x21, 0x11, &block);
    let crc = checksum(&bytes);
    bytes[31..35].copy_from_slice(&crc.to_be_bytes());
    assert!(parse(&bytes, LIMIT).unwrap().is_some());
    bytes[16] ^= 1;
    assert_eq!(parse(&bytes, LIMIT).unwrap_err().offset(), 31);
}

/// A listener that expects headers, and a connection to it.
fn proxied() -> (ProxiedListener, TcpStream) {
    let (listener, address) = listen();
    (ProxiedListener::new(listener, Limits::default()), TcpStream::connect(address).unwrap())
}

#[test]
fn the_peers_address_is_the_one_announced() {
    for (bytes, announced) in right() {
        test::run(move || {
            let (listener, mut proxy) = proxied();
            proxy.write_all(&bytes).unwrap();
            proxy.write_all(b"hello").unwrap();
            let (connection, proxy_address) = listener.accept().unwrap();
            assert_eq!(proxy_address, proxy.local_addr().unwrap());
            let Proxied { stream, header: Header { announced: seen, .. }, .. } = &connection.header().unwrap();
            assert_eq!(*seen, announced);
            assert_eq!(stream.recv_exact(5).unwrap(), b"hello");
        });
    }
}

#[test]
fn without_an_announced_address_the_proxys_own_holds() {
    test::run(|| {
        for (bytes, expected) in [
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (v2(0x20, 0, b""), None),
            (v2(0x21, 0x11, &INET), Some("192.0.2.1:56324".parse::<SocketAddr>().unwrap())),
        ] {
            let (listener, mut proxy) = proxied();
            proxy.write_all(&bytes).unwrap();
            let proxied = listener.accept().unwrap().0.header().unwrap();
            assert_eq!(proxied.peer_addr(), expected.unwrap_or(proxied.proxy));
        }
    });
}

/// STYLE 58, over a socket: a byte a moment, and not one byte too many is taken.
#[test]
fn a_header_may_come_a_byte_at_a_time() {
    test::run(|| {
        for (bytes, announced) in right() {
            let (listener, mut proxy) = proxied();
            let writer = spawn(move || {
                for byte in &bytes {
                    proxy.write_all(&[*byte]).unwrap();
                    sleep(SECOND / 100);
                }
                proxy.write_all(b"hello").unwrap();
                proxy
            });
            let proxied = listener.accept().unwrap().0.header().unwrap();
            assert_eq!(proxied.header.announced, announced);
            assert_eq!(proxied.stream.recv_exact(5).unwrap(), b"hello");
            writer.join().unwrap();
        }
    });
}

/// A large header, in which the window that is looked through ends many times.
#[test]
fn a_header_of_thousands_of_bytes_leaves_what_follows() {
    test::run(|| {
        let (listener, mut proxy) = proxied();
        let block = [&INET[..], &tlv(0xe0, &pattern(4000))].concat();
        proxy.write_all(&[&v2(0x21, 0x11, &block)[..], &pattern(2000)].concat()).unwrap();
        let proxied = listener.accept().unwrap().0.header().unwrap();
        assert_eq!(proxied.header.tlv(0xe0), Some(&pattern(4000)[..]));
        assert_eq!(proxied.stream.recv_exact(2000).unwrap(), pattern(2000));
    });
}

#[test]
fn what_is_no_header_ends_the_connection_with_an_error_that_says_where() {
    test::run(|| {
        for (bytes, offset) in wrong() {
            let (listener, mut proxy) = proxied();
            proxy.write_all(&bytes).unwrap();
            let error = listener.accept().unwrap().0.header().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert_eq!(error.get_ref().unwrap().downcast_ref::<MalformedHeader>().unwrap().offset(), offset);
            // Ended, or reset with bytes unread.
            assert!(proxy.read(&mut [0; 8]).is_ok_and(|read| read == 0) || proxy.take_error().is_ok());
        }
    });
}

/// The limit runs from the accept, however the bytes trickle in, and holds up nobody else.
#[test]
fn a_header_that_takes_too_long_times_out() {
    test::run(|| {
        let (listener, mut proxy) = proxied();
        let address = listener.listener().local_addr().unwrap();
        let started = now();
        let slow = listener.accept().unwrap().0;
        let trickle = spawn(move || {
            for byte in b"PROXY TCP4 192.0.2.1" {
                let _ = proxy.write_all(&[*byte]);
                sleep(SECOND);
            }
        });
        let slow = spawn(move || slow.header().unwrap_err());
        let mut quick = TcpStream::connect(address).unwrap();
        quick.write_all(b"PROXY UNKNOWN\r\n").unwrap();
        listener.accept().unwrap().0.header().unwrap();
        assert_eq!(now(), started);
        let error = slow.join().unwrap();
        assert_eq!((error.kind(), now() - started), (ErrorKind::TimedOut, 5 * SECOND));
        assert_eq!(error.to_string(), "no whole PROXY header after 5 bytes: peek timed out");
        trickle.cancel();
    });
}

#[test]
fn an_end_before_the_header_is_whole_is_told() {
    test::run(|| {
        for (sent, text) in [
            (&b""[..], "no whole PROXY header after 0 bytes: unexpected end of file"),
            (b"PROXY TCP4", "no whole PROXY header after 10 bytes: unexpected end of file"),
        ] {
            let (listener, mut proxy) = proxied();
            proxy.write_all(sent).unwrap();
            drop(proxy);
            let error = listener.accept().unwrap().0.header().unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::UnexpectedEof, text));
        }
    });
}

#[test]
fn a_header_can_be_read_off_any_connection_and_cut_off() {
    test::run(|| {
        let (near, mut far) = pair();
        with_timeout(SECOND, || read_header(&near, &Limits::default())).unwrap_err();
        far.write_all(b"PROXY UNKNOWN\r\n").unwrap();
        assert_eq!(read_header(&near, &Limits::default()).unwrap().announced, Announced::Unknown);
        let tight = Limits { max_header_len: 20, ..Limits::default() };
        far.write_all(&v2(0x21, 0x11, &INET)).unwrap();
        assert_eq!(read_header(&near, &tight).unwrap_err().kind(), ErrorKind::InvalidData);
    });
}

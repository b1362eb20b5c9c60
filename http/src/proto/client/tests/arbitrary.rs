//! Arbitrary bytes, and good heads with something wrong in them: no panic, no difference by how they arrive,
//! and the fast path and the grammar written out agree on what is a head.

use proptest::collection::vec;
use proptest::prelude::{
    ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_assert_ne, prop_oneof, proptest,
};
use proptest::sample::{Index, select};

use super::{LIMITS, parse_cut, shown};
use crate::Limits;
use crate::proto::client::{HeadLimits, MalformedResponse, ResponseDecoder, Url};
use crate::proto::{MethodKind, ResponseFraming, Step, SyntaxFault};

/// What answers are made of, so that arbitrary sequences come close to being some.
const PIECES: &[&str] = &[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 304 \r\n",
    "HTTP/1.1 204",
    "HTTP/1.1 ",
    "HTTP/2 ",
    "100",
    "200",
    " ",
    "\t",
    "\r\n",
    "\r\n",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    "Content-Length: 5",
    "Content-Length: ",
    "Transfer-Encoding: chunked",
    "Connection: close",
    "X",
    ":",
    ": ",
    ",",
    "\0",
    "\u{e9}",
    "5",
    "A: b\r\n",
];

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    vec(select(PIECES), 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

/// A good head with some bytes replaced, removed or put in.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let good = "HTTP/1.1 200 All right\r\nContent-Length: 5\r\nServer: x\r\nX-Y: z\r\nConnection: close\r\n\r\n";
    vec((any::<Index>(), 0..3_u8, select(b"\r\n \t:;,\0aZ0/\x7f\x80".to_vec())), 0..4).prop_map(move |changes| {
        let mut bytes = good.as_bytes().to_vec();
        for (index, kind, byte) in changes {
            let at = index.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, byte),
            }
        }
        bytes
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..200), pieces(), mutated()]
}

/// How many of each are tried; `GRAPESHOT_SEEDS=1000000` takes some minutes in a release build.
fn cases() -> u32 {
    std::env::var("GRAPESHOT_SEEDS").map_or(4_000, |cases| cases.parse().unwrap())
}

fn methods() -> impl Strategy<Value = MethodKind> {
    select(vec![MethodKind::Head, MethodKind::Other])
}

fn cuts(cuts: &[Index], len: usize) -> Vec<usize> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(len + 1)).collect();
    cuts.sort_unstable();
    cuts
}

/// What a body of any framing decodes to, in pieces; `None` if it goes on.
fn decode(bytes: &[u8], cuts: &[usize], framing: ResponseFraming, limits: &Limits) -> Option<Vec<u8>> {
    let (mut decoder, mut body, mut used) = (ResponseDecoder::new(framing, limits).ok()?, Vec::new(), 0);
    for &end in cuts.iter().chain([&bytes.len()]) {
        loop {
            let input = &bytes[used..end.max(used)];
            let step = decoder.decode(input).ok()?;
            assert!(step.consumed() <= input.len());
            used += step.consumed();
            match step {
                Step::Data(range) => body.extend_from_slice(&input[range]),
                Step::NeedMore { .. } => break,
                Step::Done { .. } => return Some(body),
            }
        }
    }
    decoder.end_of_stream(bytes.len() - used).ok().map(|()| body)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn a_head_is_the_same_however_it_arrives(bytes in bytes(), places in vec(any::<Index>(), 0..5), method in methods()) {
        let at_once = parse_cut(&bytes, &[], method, &LIMITS);
        let in_pieces = parse_cut(&bytes, &cuts(&places, bytes.len()), method, &LIMITS);
        prop_assert_eq!(shown(&in_pieces), shown(&at_once));
    }

    #[test]
    fn every_refusal_of_a_line_has_a_reason_and_a_place(bytes in bytes()) {
        match parse_cut(&bytes, &[], MethodKind::Other, &LIMITS) {
            Err(MalformedResponse::Syntax { at, fault }) => {
                prop_assert_ne!(fault, SyntaxFault::Unknown);
                prop_assert!(at < bytes.len());
            }
            Err(MalformedResponse::StatusLine { at, .. }) => prop_assert!(at < bytes.len()),
            _ => {}
        }
    }

    /// Of what is taken, written out again, the parser makes the same.
    #[test]
    fn what_is_taken_reads_the_same_when_it_is_written_out(bytes in bytes(), method in methods()) {
        let Ok(Some(head)) = parse_cut(&bytes, &[], method, &LIMITS) else { return Ok(()) };
        prop_assert!(head.len <= bytes.len());
        let mut text = format!("{:?} {} ", head.version, head.status.as_u16()).into_bytes();
        text.extend_from_slice(&head.reason);
        text.extend_from_slice(b"\r\n");
        for (name, value) in &head.headers {
            text.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        text.extend_from_slice(b"\r\n");
        let limits = HeadLimits { bytes: 1 << 20, ..LIMITS };
        let again = parse_cut(&text, &[], method, &limits).unwrap().unwrap();
        prop_assert_eq!((again.framing, again.keep_alive), (head.framing, head.keep_alive));
        prop_assert_eq!(again.headers, head.headers);
    }

    #[test]
    fn a_head_never_exceeds_its_limits(bytes in bytes(), size in 20..80_usize, count in 0..3_usize) {
        let limits = HeadLimits { bytes: size, count };
        if let Ok(Some(head)) = parse_cut(&bytes, &[], MethodKind::Other, &limits) {
            prop_assert!(head.len <= size && head.headers.len() <= count);
        }
    }

    #[test]
    fn a_body_is_the_same_however_it_arrives(
        bytes in bytes(),
        places in vec(any::<Index>(), 0..5),
        framing in select(vec![ResponseFraming::Length(7), ResponseFraming::Chunked, ResponseFraming::UntilClose]),
        body_bytes in 0..300_u64,
    ) {
        let limits = Limits { body_bytes, ..Limits::default() };
        let at_once = decode(&bytes, &[], framing, &limits);
        let in_pieces = decode(&bytes, &cuts(&places, bytes.len()), framing, &limits);
        prop_assert_eq!(&in_pieces, &at_once);
        prop_assert!(at_once.is_none_or(|body| body.len() as u64 <= body_bytes));
    }

    /// What a URL prints is a URL, and the same one.
    #[test]
    fn a_url_reads_the_same_when_it_is_printed(text in "(http|HTTPS)://[a-zA-Z0-9.:@%éß-]{0,12}(:[0-9]{0,6})?[/?#a-z%é\\[ ]{0,8}") {
        if let Ok(url) = text.parse::<Url>() {
            prop_assert!(url.target().starts_with('/') && url.target().bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(url.to_string().parse::<Url>(), Ok(url));
        }
    }

    #[test]
    fn no_text_is_too_odd_for_a_url_to_be_refused(text in "\\PC{0,40}") {
        drop(text.parse::<Url>());
        drop(format!("http://{text}").parse::<Url>());
    }
}

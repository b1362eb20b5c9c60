//! Arbitrary bytes, and good requests with something wrong in them: no panic, no difference by how
//! they arrive, and the fast path and the grammar written out agree on what is a head.

use proptest::collection::vec;
use proptest::prelude::{
    ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_assert_ne, prop_oneof, proptest,
};
use proptest::sample::{Index, select};

use super::{HeadError, Limits, Parsed, decode_cut, decode_with, parse_cut, parse_with};
use crate::proto::diagnose::find_head_fault;
use crate::proto::{HeadView, SyntaxFault};

/// What requests are made of, so that arbitrary sequences come close to being some.
const PIECES: &[&str] = &[
    "GET ",
    "POST ",
    "OPTIONS ",
    "CONNECT ",
    "/",
    "*",
    "a:1",
    "http://a/",
    "?q",
    " ",
    "\t",
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/2.0",
    "\r\n",
    "\r\n",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    "Host: a",
    "Content-Length: 5",
    "Transfer-Encoding: chunked",
    "Expect: 100-continue",
    "Connection: close",
    "X",
    ":",
    ": ",
    ",",
    "\0",
    "\u{e9}",
    "5",
    "0",
    ";e",
    "GET / HTTP/1.1\r\nHost: a\r\n",
];

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    vec(select(PIECES), 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

/// A good request with some bytes replaced, removed or put in.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let good = "POST /a?b=c HTTP/1.1\r\nHost: a.b:80\r\nContent-Length: 5\r\nX-Y: z\r\nConnection: close\r\n\r\n";
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

/// What chunked bodies are made of.
const CHUNK_PIECES: &[&str] = &[
    "0",
    "1",
    "3",
    "a",
    "abc",
    "\r\n",
    "\r\n",
    "\r\n",
    "1\r\nx\r\n",
    "0\r\n",
    ";e",
    ";e=\"f\"",
    " ",
    "\t",
    "\n",
    "\r",
    "X: y\r\n",
    "Host: a\r\n",
    "\0",
    "ffffffffffffffff",
];

fn body_bytes() -> impl Strategy<Value = Vec<u8>> {
    let pieces = vec(select(CHUNK_PIECES), 0..12).prop_map(|pieces| pieces.concat().into_bytes());
    prop_oneof![vec(any::<u8>(), 0..100), pieces.clone(), pieces]
}

/// The refusals that are about the grammar of lines, which the slow look can find by itself.
fn is_about_lines(error: &HeadError) -> bool {
    matches!(error, HeadError::Syntax { .. } | HeadError::UnsupportedVersion { .. })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_head_is_the_same_however_it_arrives(bytes in bytes(), cuts in vec(any::<Index>(), 0..5)) {
        let limits = Limits::default();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let at_once = parse_with(&bytes, &limits).map(|(parsed, _)| parsed);
        let in_pieces = parse_cut(&bytes, &cuts, &limits).map(|(parsed, _)| parsed);
        match (&at_once, &in_pieces) {
            // A first piece may be refused for what a later piece would have been refused for, and
            // a fault without a blank line after it is found when that comes.
            (Err(_), Err(_)) | (Err(_), Ok(Parsed::Partial)) => {}
            _ => prop_assert_eq!(&at_once, &in_pieces),
        }
    }

    #[test]
    fn what_is_taken_can_be_read(bytes in bytes()) {
        if let Ok((Parsed::Complete(len), head)) = parse_with(&bytes, &Limits::default()) {
            prop_assert!(len <= bytes.len());
            let view = HeadView::new(&bytes, &head);
            view.to_method().unwrap();
            view.to_uri().unwrap();
            prop_assert_eq!(view.to_header_map().unwrap().len(), head.header_count());
        }
    }

    /// The parser of heads is httparse with checks around it; `diagnose` is the grammar written
    /// out. What one takes the other finds nothing wrong with, and the other way round.
    #[test]
    fn the_fast_path_and_the_grammar_agree(bytes in bytes()) {
        let empty_lines = bytes.iter().take_while(|byte| b"\r\n".contains(byte)).count();
        let bytes = &bytes[empty_lines..];
        let found = find_head_fault(bytes, 0);
        match parse_with(bytes, &Limits::default()) {
            Ok((Parsed::Complete(_), _)) => prop_assert_eq!(found, None),
            // A lone LF is found when the head is whole.
            Ok((Parsed::Partial, _)) => {}
            Err(error) if is_about_lines(&error) => prop_assert_eq!(found, Some(error)),
            // What is refused for more than its lines may have a fault in its lines too.
            Err(_) => {}
        }
    }

    #[test]
    fn every_refusal_has_a_reason(bytes in bytes()) {
        if let Err(HeadError::Syntax { fault, .. }) = parse_with(&bytes, &Limits::default()) {
            prop_assert_ne!(fault, SyntaxFault::Unknown);
        }
    }

    #[test]
    fn a_chunked_body_is_the_same_however_it_arrives(bytes in body_bytes(), cuts in vec(any::<Index>(), 0..5)) {
        // The helper compares one byte at a time with all at once.
        let at_once = decode_with(&bytes, &Limits::default());
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(decode_cut(&bytes, &cuts, &Limits::default()), at_once);
    }

    #[test]
    fn a_chunked_body_never_decodes_to_more_than_its_limit(bytes in body_bytes(), body_bytes in 0..4_u64) {
        let limits = Limits { body_bytes, ..Limits::default() };
        if let Ok(Some((body, _))) = decode_cut(&bytes, &[], &limits) {
            prop_assert!(body.len() as u64 <= body_bytes);
        }
    }
}

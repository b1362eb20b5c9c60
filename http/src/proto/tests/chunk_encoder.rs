//! Writing chunks.

use std::num::NonZeroUsize;

use proptest::collection::vec;
use proptest::prelude::{any, prop, prop_assert_eq, proptest};

use super::{Limits, decode_cut};
use crate::proto::ChunkEncoder;

#[test]
fn a_chunk_has_its_size_in_hexadecimal() {
    for len in [1, 9, 10, 15, 16, 255, 256, 0xabcde, usize::MAX] {
        let mut out = Vec::new();
        ChunkEncoder::new().begin_chunk(&mut out, NonZeroUsize::new(len).unwrap());
        assert_eq!(out, format!("{len:x}\r\n").as_bytes());
        assert!(out.len() <= ChunkEncoder::MAX_HEADER_BYTES);
    }
}

#[test]
fn a_chunk_of_no_data_is_not_written() {
    let mut out = Vec::new();
    ChunkEncoder::new().chunk(&mut out, b"");
    assert_eq!(out, b"");
}

#[test]
fn a_body_ends_with_one_terminator() {
    let mut out = Vec::new();
    let mut encoder = ChunkEncoder::new();
    encoder.chunk(&mut out, b"ab");
    encoder.chunk(&mut out, b"");
    encoder.chunk(&mut out, b"c");
    encoder.finish(&mut out);
    assert_eq!(out, b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
}

proptest! {
    #[test]
    fn what_is_written_in_any_pieces_is_read_in_any_pieces(
        pieces in vec(vec(any::<u8>(), 0..100), 0..10),
        cuts in vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let mut out = Vec::new();
        let mut encoder = ChunkEncoder::new();
        for piece in &pieces {
            encoder.chunk(&mut out, piece);
        }
        encoder.finish(&mut out);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(out.len())).collect();
        cuts.sort_unstable();
        let decoded = decode_cut(&out, &cuts, &Limits::default());
        prop_assert_eq!(decoded, Ok(Some((pieces.concat(), out.len()))));
    }
}

//! The states `Padding` and `Extension`: RFC 9112 section 7.1.1.

use super::{BodyError, ChunkedDecoder, Limits, body_of, body_refusal, decode, decode_with};

/// RFC 9112 section 7.1.1: a recipient MUST ignore unrecognized chunk extensions.
#[test]
fn extensions_are_skipped() {
    let table = [
        "1;a\r\nx\r\n0\r\n\r\n",
        "1;a=b\r\nx\r\n0;c\r\n\r\n",
        "1;a=\"b;c\"\r\nx\r\n0\r\n\r\n",
        "1 ;a\r\nx\r\n0\r\n\r\n",
        "1\t ; a = b ; c\r\nx\r\n0 ;d\r\n\r\n",
        "1;\r\nx\r\n0\r\n\r\n",
        "1;a=\u{e9}\r\nx\r\n0\r\n\r\n",
    ];
    for text in table {
        assert_eq!(body_of(text), "x", "{text:?}");
    }
}

/// A lone LF here is the end of the line to some servers, and not to others.
#[test]
fn an_extension_has_no_lone_cr_or_lf() {
    assert_eq!(body_refusal("1;a\nx\r\n0\r\n\r\n"), BodyError::InvalidChunkExtension { at: 3 });
    assert_eq!(body_refusal("1;a\rx\r\n0\r\n\r\n"), BodyError::MissingChunkEnd { at: 4 });
    assert_eq!(body_refusal("1;\n"), BodyError::InvalidChunkExtension { at: 2 });
}

#[test]
fn an_extension_has_no_control_bytes() {
    for byte in (0..=0x1f_u8).chain([0x7f]).filter(|byte| !b"\t\r".contains(byte)) {
        let text = format!("1;{}\r\nx", byte as char);
        assert_eq!(body_refusal(&text), BodyError::InvalidChunkExtension { at: 2 }, "{byte:#04x}");
    }
}

/// RFC 9112 section 7.1.1: a server ought to limit the length of chunk extensions.
#[test]
fn a_size_line_may_be_as_long_as_its_limit_and_no_longer() {
    let limits = Limits { chunk_line_bytes: 20, ..Limits::default() };
    let body = |len: usize| format!("1;{}\r\nx\r\n0;{}\r\n\r\n", "e".repeat(len - 2), "f".repeat(len - 2));
    assert_eq!(decode_with(body(20).as_bytes(), &limits).unwrap().unwrap().0, b"x");
    let error = decode_with(body(21).as_bytes(), &limits).unwrap_err();
    assert_eq!(error, BodyError::ChunkLineTooLong { limit: 20 });
    assert_eq!(error.status(), 400);
}

#[test]
fn a_limit_on_lines_leaves_room_for_a_size() {
    let limits = Limits { chunk_line_bytes: 0, ..Limits::default() };
    assert_eq!(decode_with(b"0000000000000001\r\nx\r\n0\r\n\r\n", &limits).unwrap().unwrap().0, b"x");
    decode_with(b"0000000000000001;\r\nx", &limits).unwrap_err();
}

/// Many small extensions are as much as one large one.
#[test]
fn extensions_have_a_limit_together() {
    let limit = ChunkedDecoder::MAX_EXTENSION_BYTES;
    let chunk = format!("1;{}\r\nx\r\n", "e".repeat(127));
    let most = chunk.repeat(limit / 128);
    assert_eq!(decode(&format!("{most}0\r\n\r\n")).unwrap().unwrap().0.len(), limit / 128);
    let padded = format!("{most}1 ;\r\nx\r\n");
    assert_eq!(body_refusal(&padded), BodyError::ExtensionsTooLarge { limit });
    assert_eq!(body_refusal(&padded).status(), 400);
}

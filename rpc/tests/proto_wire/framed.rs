use grapeshot_rpc::proto::{Framed, FramedError};
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert_eq, proptest};

#[test]
fn a_frame_may_come_byte_by_byte() {
    let framed = Framed::new(16);
    let bytes = b"\0\0\0\x05hello";
    for end in 0..bytes.len() {
        assert_eq!(framed.first(&bytes[..end]), Ok(None), "{end} bytes");
    }
    assert_eq!(framed.first(bytes), Ok(Some(&b"hello"[..])));
    assert_eq!(Framed::whole(5), bytes.len());
}

#[test]
fn frames_follow_each_other_and_may_be_empty() {
    let framed = Framed::new(16);
    let mut out = Vec::new();
    for content in [&b"one"[..], b"", b"three"] {
        framed.append(&mut out, content).expect("small");
    }
    let mut rest = &out[..];
    let mut read = Vec::new();
    while let Some(content) = framed.first(rest).expect("small") {
        read.push(content);
        rest = &rest[Framed::whole(content.len())..];
    }
    assert_eq!(read, [&b"one"[..], b"", b"three"]);
    assert_eq!(framed.end(rest), Ok(()));
}

#[test]
fn a_size_beyond_the_limit_is_refused_before_the_frame_comes() {
    let framed = Framed::new(4);
    let error = FramedError::TooLarge { bytes: 5, limit: 4 };
    assert_eq!(framed.first(b"\0\0\0\x05"), Err(error));
    assert_eq!(framed.first(b"\0\0\0\x04"), Ok(None));
    let lie = FramedError::TooLarge { bytes: u32::MAX as usize, limit: 4 };
    assert_eq!(framed.first(b"\xff\xff\xff\xff"), Err(lie));
    let mut out = vec![1];
    assert_eq!(framed.append(&mut out, b"hello"), Err(error));
    assert_eq!(out, [1], "nothing is left of it");
}

#[test]
fn the_end_of_the_stream_within_a_frame_is_an_error() {
    let framed = Framed::new(16);
    assert_eq!(framed.end(b""), Ok(()));
    assert_eq!(framed.end(b"\0\0"), Err(FramedError::Truncated { bytes: 2, expected: 4 }));
    assert_eq!(framed.end(b"\0\0\0\x05he"), Err(FramedError::Truncated { bytes: 6, expected: 9 }));
    let error = framed.end(b"\0\0\0\x05he").expect_err("cut");
    assert_eq!(error.to_string(), "the stream ended after 6 of a frame's 9 bytes");
}

#[test]
fn no_limit_is_above_what_the_size_can_say() {
    assert_eq!(Framed::new(usize::MAX), Framed::new(u32::MAX as usize));
}

proptest! {
    #[test]
    fn any_frame_survives_the_way(content in vec(any::<u8>(), 0..600), more in vec(any::<u8>(), 0..6)) {
        let framed = Framed::new(600);
        let mut out = Vec::new();
        prop_assert_eq!(framed.append(&mut out, &content), Ok(()));
        out.extend_from_slice(&more);
        prop_assert_eq!(framed.first(&out), Ok(Some(&content[..])));
    }
}

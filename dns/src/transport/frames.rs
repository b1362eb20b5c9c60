//! Messages on a stream, each behind its length in two bytes (RFC 1035, section 4.2.2; RFC 7766, section 8).
//!
//! No message is longer than those two bytes can say, so that the buffer has a bound; what it holds beyond one message
//! is what the last read brought.

use crate::proto::Query;

/// How much a read asks for.
const CHUNK: usize = 4096;

/// The length in front of a message.
const LENGTH: usize = 2;

/// The shortest message: a header (RFC 1035, section 4.1.1).
const MIN_MESSAGE: usize = 12;

/// What a peer sent in place of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooShort;

/// The received bytes that have not been taken out as messages.
#[derive(Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    /// What has been taken out, at the front.
    taken: usize,
    /// What has been received, from the front.
    filled: usize,
}

impl Frames {
    /// Room for what a read brings.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.taken > 0 {
            self.bytes.copy_within(self.taken..self.filled, 0);
            self.filled -= self.taken;
            self.taken = 0;
        }
        if self.bytes.len() < self.filled + CHUNK {
            self.bytes.resize(self.filled + CHUNK, 0);
        }
        &mut self.bytes[self.filled..]
    }

    /// Notes that a read has brought `count` bytes into the room.
    pub(super) fn filled(&mut self, count: usize) {
        self.filled = (self.filled + count).min(self.bytes.len());
    }

    /// Takes out the next message that has come whole.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, TooShort> {
        let received = &self.bytes[self.taken..self.filled];
        let Some((&length, after)) = received.split_first_chunk::<LENGTH>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes(length));
        if length < MIN_MESSAGE {
            return Err(TooShort);
        }
        let Some(message) = after.get(..length) else { return Ok(None) };
        self.taken += LENGTH + length;
        Ok(Some(message))
    }
}

/// Puts a query behind its length, to be sent in one piece (RFC 7766, section 8).
///
/// With `padding` it is filled up to a multiple of so many bytes.
pub(super) fn frame(query: &Query, id: u16, padding: Option<u16>, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&[0; LENGTH]);
    match padding {
        Some(block) => query.encode_padded(id, block, out),
        None => query.encode(id, out),
    }
    // A query is a header, one name and one OPT record.
    let length = u16::try_from(out.len() - LENGTH).unwrap_or(u16::MAX);
    out[..LENGTH].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        [&(message.len() as u16).to_be_bytes()[..], message].concat()
    }

    fn messages(frames: &mut Frames) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        while let Some(message) = frames.next().unwrap() {
            messages.push(message.to_vec());
        }
        messages
    }

    fn fill(frames: &mut Frames, bytes: &[u8]) {
        frames.room()[..bytes.len()].copy_from_slice(bytes);
        frames.filled(bytes.len());
    }

    #[test]
    fn messages_come_out_whole_however_they_arrive() {
        let sent = [vec![1; 12], vec![2; 700], vec![3; 13]];
        let stream = sent.iter().flat_map(|message| framed(message)).collect::<Vec<u8>>();
        for step in [1, 2, 3, 11, 700, stream.len()] {
            let mut frames = Frames::default();
            let mut received = Vec::new();
            for piece in stream.chunks(step) {
                fill(&mut frames, piece);
                received.extend(messages(&mut frames));
            }
            assert_eq!(received, sent, "in steps of {step}");
        }
    }

    #[test]
    fn the_longest_message_fits() {
        let sent = vec![7; 65_535];
        let mut frames = Frames::default();
        for piece in framed(&sent).chunks(CHUNK) {
            fill(&mut frames, piece);
        }
        assert_eq!(messages(&mut frames), [sent]);
        assert!(frames.room().len() >= CHUNK);
    }

    #[test]
    fn nothing_comes_out_before_the_last_byte() {
        let mut frames = Frames::default();
        let bytes = framed(&[9; 40]);
        fill(&mut frames, &bytes[..41]);
        assert_eq!(frames.next(), Ok(None));
        fill(&mut frames, &bytes[41..]);
        assert_eq!(frames.next(), Ok(Some(&[9; 40][..])));
    }

    #[test]
    fn a_length_that_has_no_room_for_a_header_is_refused() {
        let mut frames = Frames::default();
        fill(&mut frames, &framed(&[0; 11]));
        assert_eq!(frames.next(), Err(TooShort));
    }
}

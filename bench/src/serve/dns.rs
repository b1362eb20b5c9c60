//! A name server that has one answer for every question: 192.0.2.1.

use std::io;
use std::net::UdpSocket;

/// The answer: owned by the name asked for, type A, class IN, a TTL of an hour, four bytes of data.
const ANSWER: [u8; 16] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0x0e, 0x10, 0, 4, 192, 0, 2, 1];

const HEADER: usize = 12;

/// Answers one datagram after the other, for ever.
pub fn serve(socket: &UdpSocket) -> io::Result<()> {
    socket.set_nonblocking(false)?;
    let mut buffer = [0; 2048];
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        if let Some(length) = answer(&mut buffer, length) {
            socket.send_to(&buffer[..length], from)?;
        }
    }
}

/// Turns a query into its reply, and gives the reply's length. What follows the question is dropped.
pub fn answer(buffer: &mut [u8], length: usize) -> Option<usize> {
    let end = question_end(buffer.get(..length)?)?;
    buffer.get_mut(end..end + ANSWER.len())?.copy_from_slice(&ANSWER);
    // A reply, recursion available; one question, one answer.
    buffer[2] |= 0x80;
    buffer[3] = 0x80;
    buffer[4..HEADER].copy_from_slice(&[0, 1, 0, 1, 0, 0, 0, 0]);
    Some(end + ANSWER.len())
}

/// Where the question ends: behind its name, type and class.
fn question_end(message: &[u8]) -> Option<usize> {
    let mut at = HEADER;
    while let label @ 1.. = usize::from(*message.get(at)?) {
        at += label + 1;
    }
    Some(at + 5)
}

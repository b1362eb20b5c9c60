//! Moving bytes between the carrier and the session.

use std::io::{self, ErrorKind, Read};
use std::thread;

use grapeshot_core::{ClosedError, RefusedError, WaitLimit, now};

use super::TlsStream;
use super::buffers::{Buffer, READ_SIZE};
use super::outgoing::Outgoing;
use crate::carrier::{Carrier, Patience};

/// The most that one write takes.
pub(super) const WRITE_SIZE: usize = 64 << 10;

/// Up to so many bytes that wait to be sent leave together with what is written next: the last messages of a handshake.
const JOINED: usize = 4 << 10;

/// The least room for a read: a whole record of the largest kind (RFC 8446, 5.2).
const LEAST_ROOM: usize = (16 << 10) + 256 + 5;

/// Makes a limit of a duration one of a point in time, so that a byte now and then does not prolong it.
fn fixed(patience: Patience) -> Patience {
    match patience {
        Patience::Within(WaitLimit::After(timeout)) => {
            Patience::Within(now().checked_add(timeout).map_or(WaitLimit::Never, WaitLimit::At))
        }
        patience => patience,
    }
}

impl<S: Carrier> TlsStream<S> {
    pub(super) fn read_patiently(&self, buf: &mut [u8], patience: Patience) -> io::Result<usize> {
        let mut fixed_patience = None;
        loop {
            let mut session = self.session.borrow_mut();
            let (decrypted, _) = session.buffered();
            if decrypted > 0 || buf.is_empty() {
                return Ok(session.take_plain(buf));
            }
            if session.is_peer_closed() {
                return Ok(0);
            }
            if let Some(failure) = session.failure() {
                return Err(failure.clone().into());
            }
            let is_established = session.is_established();
            drop(session);
            if !is_established {
                if patience == Patience::Try {
                    return Err(ErrorKind::WouldBlock.into());
                }
                self.handshake_first()?;
                continue;
            }
            let patience = *fixed_patience.get_or_insert_with(|| fixed(patience));
            let filled = self.fill(buf, patience)?;
            if filled > 0 {
                return Ok(filled);
            }
        }
    }

    /// Reads from the carrier once and takes it in; answers how many decrypted bytes are in `buf`.
    pub(super) fn fill(&self, buf: &mut [u8], patience: Patience) -> io::Result<usize> {
        if !self.session.borrow().outgoing.is_empty() {
            // What is left to send may be what the peer waits for. It often goes with an answer, if there is a request
            // to answer: so that is looked for first.
            match self.fill_from_carrier(buf, Patience::Try) {
                Err(error) if error.kind() == ErrorKind::WouldBlock && patience != Patience::Try => {}
                done => return done,
            }
            // Whether it can be sent is for those to know who write: what the peer has said can be read all the same.
            let _ = self.try_send();
            // But without the end of the handshake the peer says nothing.
            if self.opening.get() && patience != Patience::Try {
                self.send_opening()?;
            }
        }
        self.fill_from_carrier(buf, patience)
    }

    pub(super) fn fill_from_carrier(&self, buf: &mut [u8], patience: Patience) -> io::Result<usize> {
        let mut filled = 0;
        let read = self.carrier.read_with(patience, &mut |reader| {
            let (read, decrypted) = self.read_once(reader, buf)?;
            filled = decrypted;
            Ok(read)
        })?;
        let mut session = self.session.borrow_mut();
        if read == 0 {
            session.end_of_stream();
        }
        session.name_client(|| self.carrier.peer());
        // What came before a failure is given first.
        let failure = session.failure().filter(|_| filled == 0).cloned();
        drop(session);
        let Some(failure) = failure else { return Ok(filled) };
        // A peer whose stream has ended may still read.
        if read > 0 {
            self.give_up();
        }
        Err(failure.into())
    }

    /// Reads once, and answers how many bytes came and how many decrypted ones are in `buf`.
    ///
    /// The buffer is taken when there may be bytes, and the carrier gives it back here when there are none,
    /// so that one that waits holds none.
    fn read_once(&self, reader: &mut dyn Read, buf: &mut [u8]) -> io::Result<(usize, usize)> {
        let mut buffer = Buffer::take();
        let before = self.session.borrow().raw().len();
        let room = (buf.len() + 256).clamp(LEAST_ROOM, READ_SIZE);
        buffer.reserve(before + room);
        let read = reader.read(&mut buffer[before..before + room])?;
        let mut session = self.session.borrow_mut();
        buffer[..before].copy_from_slice(session.raw());
        if read == 0 {
            return Ok((0, 0));
        }
        let bytes = &mut buffer[..before + read];
        if session.is_established() {
            return Ok((read, session.take_in(bytes, buf)));
        }
        // What the handshake does with them may wait, and here is no place for that.
        session.keep_for_handshake(bytes);
        Ok((read, 0))
    }

    pub(super) fn write_limited(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.handshake_first()?;
        let _writer = self.turns.write()?;
        // What an earlier call left comes first, and if that is not taken, then nothing of this one is.
        if self.turns.sending.get() || self.session.borrow().outgoing.len() > JOINED {
            self.send(limit)?;
        }
        let bytes = &bytes[..bytes.len().min(WRITE_SIZE)];
        {
            let mut session = self.session.borrow_mut();
            if session.is_closed() {
                return Err(ClosedError::new("write").into());
            }
            session.encrypt(bytes)?;
        }
        match self.send(limit) {
            // They have been taken; the next call begins with them.
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(bytes.len()),
            sent => sent.map(|()| bytes.len()),
        }
    }

    /// Puts close_notify behind what waits to be sent, once.
    pub(crate) fn queue_close_notify(&self) {
        self.session.borrow_mut().say_close_notify();
    }

    /// Sends what waits to be sent.
    pub(crate) fn send(&self, limit: WaitLimit) -> io::Result<()> {
        loop {
            if self.turns.sending.get() {
                let Patience::Within(limit) = fixed(Patience::Within(limit)) else { return Ok(()) };
                let deadline = if let WaitLimit::At(deadline) = limit { Some(deadline) } else { None };
                self.turns.wait("the sending of records", deadline)?;
            } else if self.session.borrow().outgoing.is_empty() {
                if self.is_established() {
                    self.opening.set(false);
                }
                return Ok(());
            } else {
                Sending::begin(self).run(limit)?;
            }
        }
    }

    /// Sends what goes without waiting, unless somebody is at it.
    pub(crate) fn try_send(&self) -> io::Result<()> {
        if self.turns.sending.get() {
            return Ok(());
        }
        let mut session = self.session.borrow_mut();
        while !session.outgoing.is_empty() {
            match self.carrier.try_write(session.outgoing.bytes()) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => session.outgoing.sent(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if session.is_established() {
            self.opening.set(false);
        }
        Ok(())
    }
}

/// A row of records on its way out. What is left of it when this is dropped goes back to the front.
struct Sending<'a, S: Carrier> {
    stream: &'a TlsStream<S>,
    row: Outgoing,
    // Dropped after the row has gone back.
    _turn: super::turns::Turn<'a>,
}

impl<'a, S: Carrier> Sending<'a, S> {
    fn begin(stream: &'a TlsStream<S>) -> Sending<'a, S> {
        let _turn = stream.turns.take(&stream.turns.sending);
        Sending { stream, row: std::mem::take(&mut stream.session.borrow_mut().outgoing), _turn }
    }

    fn run(&mut self, limit: WaitLimit) -> io::Result<()> {
        while !self.row.is_empty() {
            if thread::panicking() {
                // The carrier tries once, which may suspend to give way; a coroutine that unwinds cannot.
                let count = self.stream.carrier.try_write(self.row.bytes()).map_err(|error| match error.kind() {
                    ErrorKind::WouldBlock => RefusedError::new("write").into(),
                    _ => error,
                })?;
                self.row.sent(count);
                continue;
            }
            match self.stream.carrier.write_within(self.row.bytes(), limit)? {
                0 => return Err(ErrorKind::WriteZero.into()),
                count => self.row.sent(count),
            }
        }
        Ok(())
    }
}

impl<S: Carrier> Drop for Sending<'_, S> {
    fn drop(&mut self) {
        let mut session = self.stream.session.borrow_mut();
        if !self.row.is_empty() {
            // Others may have added to it meanwhile.
            self.row.extend(session.outgoing.bytes());
            session.outgoing = std::mem::take(&mut self.row);
        }
    }
}

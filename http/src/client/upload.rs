//! A request on its way out; with a body, in a coroutine of its own.
//!
//! A server may answer while the body still comes in, and may stop taking it until the answer is read, as an echo does:
//! so whoever sends a body before reading waits for a server that waits for it.
//!
//! # Invariants
//!
//! - The coroutine ends with its [`Upload`]: an answer that is dropped, or complete, ends the sending.
//! - However it ends, it says so before anybody waits for it in vain: where no answer can come any more, it closes the
//!   connection.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::rc::Rc;
use std::time::{Duration, Instant};

use grapeshot_core::{Builder, JoinHandle, now};

use super::connection::send_all;
use super::error::{ClientError, Phase};
use super::patience::Patience;
use super::transport::Transport;
use crate::proto::ChunkEncoder;
use crate::proto::client::RequestBody;

/// How much of a body is read, and sent, at a time.
const PIECE: usize = 16 << 10;

/// The body of a request.
pub(super) enum OutgoingBody {
    None,
    Bytes(Vec<u8>),
    Reader { reader: Box<dyn Read>, length: Option<u64> },
}

impl OutgoingBody {
    pub(super) fn framing(&self) -> RequestBody {
        match self {
            OutgoingBody::None => RequestBody::None,
            OutgoingBody::Bytes(bytes) => RequestBody::Length(bytes.len() as u64),
            OutgoingBody::Reader { length: Some(length), .. } => RequestBody::Length(*length),
            OutgoingBody::Reader { length: None, .. } => RequestBody::Chunked,
        }
    }
}

/// A request that is being sent, or has been.
pub(super) struct Upload {
    state: Rc<State>,
    coroutine: Option<JoinHandle<()>>,
}

struct State {
    ended: Cell<Option<Instant>>,
    /// Means something once it has ended.
    failure: RefCell<Option<ClientError>>,
}

/// What the coroutine works with.
struct Sender {
    transport: Rc<dyn Transport>,
    state: Rc<State>,
    patience: Patience,
    write_timeout: Duration,
}

impl Upload {
    /// Sends `head` and then `body`; a head alone is out when this returns, unless it failed.
    ///
    /// # Errors
    ///
    /// [`ClientError::Send`] when there can be no further coroutine.
    pub(super) fn begin(
        transport: &Rc<dyn Transport>,
        head: Vec<u8>,
        body: OutgoingBody,
        patience: Patience,
        write_timeout: Duration,
    ) -> Result<Upload, ClientError> {
        // Should the reader of the body panic, or its coroutine be cancelled, this says so.
        let broken_off = ClientError::RequestBody(io::Error::other("it was broken off"));
        let state = Rc::new(State { ended: Cell::new(None), failure: RefCell::new(Some(broken_off)) });
        let sender = Sender { transport: transport.clone(), state: state.clone(), patience, write_timeout };
        if matches!(body, OutgoingBody::None) {
            sender.run(&head, body);
            return Ok(Upload { state, coroutine: None });
        }
        let coroutine = Builder::new().name("http request body").spawn(move || sender.run(&head, body));
        Ok(Upload { state, coroutine: Some(coroutine.map_err(ClientError::Send)?) })
    }

    /// When it ended; `None` while it goes on.
    pub(super) fn ended(&self) -> Option<Instant> {
        self.state.ended.get()
    }

    /// Whether all of it went out.
    pub(super) fn is_complete(&self) -> bool {
        self.ended().is_some() && self.state.failure.borrow().is_none()
    }

    /// Why it failed, if it did; once.
    pub(super) fn take_failure(&self) -> Option<ClientError> {
        self.ended().and_then(|_| self.state.failure.take())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(coroutine) = &self.coroutine {
            coroutine.cancel();
        }
    }
}

impl Sender {
    fn run(self, head: &[u8], body: OutgoingBody) {
        let sent = self.send(head).and_then(|()| self.send_body(body));
        self.state.failure.replace(sent.err());
    }

    fn send(&self, bytes: &[u8]) -> Result<(), ClientError> {
        let wait = || self.patience.wait(Phase::Send, now(), self.write_timeout);
        send_all(&*self.transport, bytes, wait)
    }

    fn send_body(&self, body: OutgoingBody) -> Result<(), ClientError> {
        match body {
            OutgoingBody::None => Ok(()),
            OutgoingBody::Bytes(bytes) => self.send(&bytes),
            OutgoingBody::Reader { reader, length: Some(length) } => self.send_length(reader, length),
            OutgoingBody::Reader { reader, length: None } => self.send_chunks(reader),
        }
    }

    fn send_length(&self, reader: Box<dyn Read>, length: u64) -> Result<(), ClientError> {
        let (mut reader, mut sent, mut piece) = (reader.take(length), 0, vec![0; PIECE]);
        while sent < length {
            let read = read_piece(&mut reader, &mut piece)?;
            if read == 0 {
                let what = format!("it ended after {sent} of {length} bytes");
                return Err(ClientError::RequestBody(io::Error::new(io::ErrorKind::UnexpectedEof, what)));
            }
            self.send(&piece[..read])?;
            sent += read as u64;
        }
        Ok(())
    }

    fn send_chunks(&self, mut reader: Box<dyn Read>) -> Result<(), ClientError> {
        let (mut encoder, mut piece, mut out) = (ChunkEncoder::new(), vec![0; PIECE], Vec::new());
        loop {
            let read = read_piece(&mut reader, &mut piece)?;
            out.clear();
            if read == 0 {
                encoder.finish(&mut out);
                return self.send(&out);
            }
            encoder.chunk(&mut out, &piece[..read]);
            self.send(&out)?;
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.state.ended.set(Some(now()));
        // After a failure to send, what the server said before it closed the connection is still to be read;
        // a server that takes nothing, and a body that has no end, get no answer worth waiting for.
        let is_hopeless = match &*self.state.failure.borrow() {
            None | Some(ClientError::Send(_)) => false,
            Some(_) => true,
        };
        if is_hopeless {
            self.transport.close();
        }
    }
}

fn read_piece(reader: &mut impl Read, piece: &mut [u8]) -> Result<usize, ClientError> {
    loop {
        match reader.read(piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read.map_err(ClientError::RequestBody),
        }
    }
}

//! Running rustls: what it asks for is done, and what a writer wants when it is ready for that.

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{CommonState, Error};

use super::outgoing::Outgoing;

/// A guess at what a record adds to its bytes; rustls says when it is too little.
const RECORD_OVERHEAD: usize = 64;
const RECORD_BYTES: usize = 16 << 10;

/// The connection of rustls, of either side.
pub(super) enum Connection {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

impl Connection {
    pub(super) fn state(&self) -> &CommonState {
        match self {
            Connection::Client(connection) => connection,
            Connection::Server(connection) => connection,
        }
    }
}

/// What a writer wants, once rustls is ready for it.
pub(super) enum Order<'a> {
    Encrypt(&'a [u8]),
    CloseNotify,
    RefreshKeys,
}

/// What became of a run of rustls.
pub(super) struct Driven {
    /// So many bytes it is done with.
    pub(super) used: usize,
    /// The peer has said that it sends no more.
    pub(super) peer_closed: bool,
    pub(super) done: Result<(), Error>,
}

/// What became of one step of rustls.
enum Step {
    Again,
    Quiet,
    PeerClosed,
    Failed(Error),
}

/// Where decrypted bytes go: to who reads, and what does not fit there to who reads next.
pub(super) struct Sink<'a> {
    pub(super) buf: &'a mut [u8],
    pub(super) filled: usize,
    pub(super) spill: &'a mut Vec<u8>,
}

impl Sink<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let room = &mut self.buf[self.filled..];
        let count = if self.spill.is_empty() { room.len().min(bytes.len()) } else { 0 };
        room[..count].copy_from_slice(&bytes[..count]);
        self.filled += count;
        self.spill.extend_from_slice(&bytes[count..]);
    }
}

impl Connection {
    /// Runs rustls until it needs more bytes, carrying out the order on the way.
    ///
    /// During the handshake it may suspend, for a signature.
    pub(super) fn drive(
        &mut self,
        bytes: &mut [u8],
        outgoing: &mut Outgoing,
        sink: &mut Sink<'_>,
        mut order: Option<Order<'_>>,
    ) -> Driven {
        let mut driven = Driven { used: 0, peer_closed: false, done: Ok(()) };
        loop {
            let (discard, step) = self.step(&mut bytes[driven.used..], outgoing, sink, &mut order);
            driven.used += discard;
            match step {
                Step::Again => {}
                Step::PeerClosed => driven.peer_closed = true,
                Step::Quiet => return driven,
                Step::Failed(error) => {
                    driven.done = Err(error);
                    return driven;
                }
            }
        }
    }

    /// Says the alert that rustls wants to be sent after it has failed in `bytes`.
    pub(super) fn say_alert(&mut self, bytes: &mut [u8], outgoing: &mut Outgoing) {
        let mut nowhere = Sink { buf: &mut [], filled: 0, spill: &mut Vec::new() };
        // Only as long as there is something to send: rustls would look at the same bytes again.
        while self.state().wants_write() {
            let _ = self.step(bytes, outgoing, &mut nowhere, &mut None);
        }
    }

    /// Runs rustls once, and says how many bytes it is done with.
    fn step(
        &mut self,
        bytes: &mut [u8],
        outgoing: &mut Outgoing,
        sink: &mut Sink<'_>,
        order: &mut Option<Order<'_>>,
    ) -> (usize, Step) {
        match self {
            Connection::Client(connection) => settle(connection.process_tls_records(bytes), outgoing, sink, order),
            Connection::Server(connection) => settle(connection.process_tls_records(bytes), outgoing, sink, order),
        }
    }
}

/// Does what rustls asks for.
fn settle<D>(
    status: UnbufferedStatus<'_, '_, D>,
    outgoing: &mut Outgoing,
    sink: &mut Sink<'_>,
    order: &mut Option<Order<'_>>,
) -> (usize, Step) {
    let UnbufferedStatus { mut discard, state } = status;
    let step = match state {
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    discard += record.discard;
                    sink.put(record.payload);
                }
                Some(Err(error)) => break Step::Failed(error),
                None => break Step::Again,
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut message)) => match message.encode(&mut []) {
            Err(EncodeError::InsufficientSize(size)) => match message.encode(outgoing.room(size.required_size)) {
                Ok(count) => {
                    outgoing.put(count);
                    Step::Again
                }
                Err(error) => Step::Failed(Error::General(error.to_string())),
            },
            Ok(_) | Err(EncodeError::AlreadyEncoded) => Step::Again,
        },
        // It is in the row of what is sent, which nothing overtakes.
        Ok(ConnectionState::TransmitTlsData(sent)) => {
            sent.done();
            Step::Again
        }
        Ok(ConnectionState::PeerClosed) => Step::PeerClosed,
        Ok(ConnectionState::WriteTraffic(traffic)) => match order.take() {
            Some(order) => carry_out(order, traffic, outgoing),
            None => Step::Quiet,
        },
        Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => Step::Quiet,
        // Early data is switched off.
        Ok(_) => Step::Failed(Error::General("a state of rustls that is not known here".to_owned())),
        Err(error) => Step::Failed(error),
    };
    (discard, step)
}

fn carry_out<D>(order: Order<'_>, mut traffic: WriteTraffic<'_, D>, outgoing: &mut Outgoing) -> Step {
    let mut room = match order {
        Order::Encrypt(data) => data.len() + (data.len() / RECORD_BYTES + 1) * RECORD_OVERHEAD,
        Order::CloseNotify => RECORD_OVERHEAD,
        Order::RefreshKeys => {
            return traffic.refresh_traffic_keys().map_or_else(Step::Failed, |()| Step::Again);
        }
    };
    loop {
        let written = match order {
            Order::Encrypt(data) => traffic.encrypt(data, outgoing.room(room)),
            _ => traffic.queue_close_notify(outgoing.room(room)),
        };
        match written {
            Ok(count) => {
                outgoing.put(count);
                return Step::Quiet;
            }
            Err(EncryptError::InsufficientSize(size)) => room = size.required_size,
            Err(EncryptError::EncryptExhausted) => return Step::Failed(Error::EncryptError),
        }
    }
}

//! What one side can say to the other, as it lies in the buffer it came in.
//!
//! The first three are those of the
//! [MessagePack-RPC specification](https://github.com/msgpack-rpc/msgpack-rpc/blob/master/spec.md);
//! all others go only to peers that agreed to the extension they belong to (see [`Hello`](super::Hello)).

use super::head::{is_array, is_map};
use super::malformed::{Concerns, MalformedMessage, MessageFault};
use super::reader::{Mismatch, Reader};

pub(super) const REQUEST: u8 = 0;
pub(super) const RESPONSE: u8 = 1;
pub(super) const NOTIFICATION: u8 = 2;
pub(super) const CANCEL: u8 = 3;
pub(super) const CALLER_ITEM: u8 = 4;
pub(super) const CALLER_END: u8 = 5;
pub(super) const CALLEE_ITEM: u8 = 6;
pub(super) const GRANT_TO_CALLER: u8 = 7;
pub(super) const GRANT_TO_CALLEE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;
pub(super) const GO_AWAY: u8 = 11;

/// One message. `id` is always the number that the caller gave the call; each side counts its own calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A call, to be answered.
    Request {
        /// The number of the call.
        id: u32,
        /// What is called.
        method: &'a str,
        /// One MessagePack array.
        params: &'a [u8],
        /// One MessagePack map, which [`Meta::decode`](super::Meta::decode) reads.
        meta: Option<&'a [u8]>,
    },
    /// The answer to a call.
    Response {
        /// The number of the call.
        id: u32,
        /// What [`read_failure`](super::read_failure) reads, unless it is nil.
        error: Option<&'a [u8]>,
        /// One MessagePack value; of no meaning when there is an error.
        result: &'a [u8],
    },
    /// A call to which no answer comes.
    Notification {
        /// What is called.
        method: &'a str,
        /// One MessagePack array.
        params: &'a [u8],
        /// As for a request.
        meta: Option<&'a [u8]>,
    },
    /// The caller no longer waits for the answer.
    Cancel {
        /// The number of the call.
        id: u32,
    },
    /// An item of the stream from caller to callee.
    CallerItem {
        /// The number of the call.
        id: u32,
        /// One MessagePack value.
        item: &'a [u8],
    },
    /// The end of the stream from caller to callee.
    CallerEnd {
        /// The number of the call.
        id: u32,
        /// Why it ended early, as in a response.
        error: Option<&'a [u8]>,
    },
    /// An item of the stream from callee to caller.
    CalleeItem {
        /// The number of the call.
        id: u32,
        /// One MessagePack value.
        item: &'a [u8],
    },
    /// The callee lets the caller send so many bytes more.
    GrantToCaller {
        /// The number of the call.
        id: u32,
        /// Bytes of items, with 16 for each.
        bytes: u64,
    },
    /// The caller lets the callee send so many bytes more.
    GrantToCallee {
        /// The number of the call.
        id: u32,
        /// Bytes of items, with 16 for each.
        bytes: u64,
    },
    /// Asks for a sign of life.
    Ping {
        /// Comes back in the answer.
        number: u64,
    },
    /// Gives one.
    Pong {
        /// That of the ping.
        number: u64,
    },
    /// The sender takes no new calls.
    GoAway,
}

impl<'a> Message<'a> {
    /// Reads the message that a [`Scanner`](super::Scanner) found. It allocates nothing.
    ///
    /// # Errors
    ///
    /// [`MalformedMessage`], which says what is wrong, where, and who is concerned.
    ///
    /// ```
    /// use grapeshot_rpc::proto::Message;
    ///
    /// let message = Message::parse(&[0x94, 0x00, 0x07, 0xa3, b'n', b'o', b'p', 0x90]).unwrap();
    /// assert_eq!(message, Message::Request { id: 7, method: "nop", params: &[0x90], meta: None });
    /// ```
    pub fn parse(frame: &'a [u8]) -> Result<Message<'a>, MalformedMessage> {
        let mut parser = Parser { reader: Reader::new(frame), arity: 0, concerns: Concerns::Connection };
        let message = parser.message()?;
        match parser.reader.left() {
            0 => Ok(message),
            bytes => {
                let at = parser.reader.at();
                Err(MalformedMessage { fault: MessageFault::Trailing { bytes }, at, concerns: Concerns::Connection })
            }
        }
    }
}

/// The number of the call to which a message belongs that is not whole, or whose rest nobody can read; `None` when it
/// is of another kind, or too little of it has come.
///
/// With it a message that is too large can still be refused to the one who waits for its answer.
pub fn peek_call(start: &[u8]) -> Option<Concerns> {
    let mut reader = Reader::new(start);
    reader.array().ok()?;
    let kind = reader.uint().ok()?;
    let id = u32::try_from(reader.uint().ok()?).ok()?;
    match u8::try_from(kind) {
        Ok(REQUEST) => Some(Concerns::Request(id)),
        Ok(RESPONSE) => Some(Concerns::Response(id)),
        _ => None,
    }
}

/// Reads one message; `concerns` is what a fault at this point would concern.
struct Parser<'a> {
    reader: Reader<'a>,
    arity: usize,
    concerns: Concerns,
}

type Parsed<T> = Result<T, MalformedMessage>;

impl<'a> Parser<'a> {
    fn message(&mut self) -> Parsed<Message<'a>> {
        self.arity = self.read(Reader::array, MessageFault::NotAnArray)?;
        if self.arity == 0 {
            return Err(self.fault(MessageFault::NoType));
        }
        let kind = self.read(Reader::uint, MessageFault::NoType)?;
        if kind > u64::from(RESPONSE) {
            self.concerns = Concerns::Nobody; // No answer is due to any other message.
        }
        match u8::try_from(kind).unwrap_or(u8::MAX) {
            REQUEST => self.request(),
            RESPONSE => self.response(),
            NOTIFICATION => self.notification(),
            CANCEL => Ok(Message::Cancel { id: self.id(2)? }),
            CALLER_ITEM => Ok(Message::CallerItem { id: self.id(3)?, item: self.value()? }),
            CALLER_END => Ok(Message::CallerEnd { id: self.id(3)?, error: self.error()? }),
            CALLEE_ITEM => Ok(Message::CalleeItem { id: self.id(3)?, item: self.value()? }),
            GRANT_TO_CALLER => Ok(Message::GrantToCaller { id: self.id(3)?, bytes: self.number()? }),
            GRANT_TO_CALLEE => Ok(Message::GrantToCallee { id: self.id(3)?, bytes: self.number()? }),
            PING => self.expect_arity(2, 2).and_then(|()| Ok(Message::Ping { number: self.number()? })),
            PONG => self.expect_arity(2, 2).and_then(|()| Ok(Message::Pong { number: self.number()? })),
            GO_AWAY => self.expect_arity(1, 1).map(|()| Message::GoAway),
            _ => Err(self.unknown(kind)),
        }
    }

    #[inline]
    fn request(&mut self) -> Parsed<Message<'a>> {
        let id = self.call_id(Concerns::Request)?;
        self.expect_arity(4, 5)?;
        let (method, params) = (self.method()?, self.params()?);
        Ok(Message::Request { id, method, params, meta: self.meta(5)? })
    }

    #[inline]
    fn response(&mut self) -> Parsed<Message<'a>> {
        let id = self.call_id(Concerns::Response)?;
        self.expect_arity(4, 4)?;
        Ok(Message::Response { id, error: self.error()?, result: self.value()? })
    }

    fn notification(&mut self) -> Parsed<Message<'a>> {
        self.expect_arity(3, 4)?;
        let (method, params) = (self.method()?, self.params()?);
        Ok(Message::Notification { method, params, meta: self.meta(4)? })
    }

    /// The id of a request or a response. Until it is read, nobody can be told of a fault,
    /// and the one who waits would wait for ever.
    #[inline]
    fn call_id(&mut self, concerns: fn(u32) -> Concerns) -> Parsed<u32> {
        if self.arity < 2 {
            return Err(self.fault(MessageFault::Arity { found: self.arity }));
        }
        let id = self.read_id()?;
        self.concerns = concerns(id);
        Ok(id)
    }

    /// The id in a message that nobody answers.
    fn id(&mut self, arity: usize) -> Parsed<u32> {
        self.expect_arity(arity, arity)?;
        self.read_id()
    }

    #[inline]
    fn read_id(&mut self) -> Parsed<u32> {
        let before = self.reader;
        let id = self.read(Reader::uint, MessageFault::Id)?;
        u32::try_from(id).map_err(|_| {
            self.reader = before;
            self.fault(MessageFault::Id)
        })
    }

    /// A type that nobody here knows. It is answered only if it has a request's form,
    /// as an answer to anything else would be taken for that of another call.
    fn unknown(&mut self, kind: u64) -> MalformedMessage {
        let at = self.reader.at();
        let mut ahead = self.reader;
        let id = ahead.uint().ok().and_then(|id| u32::try_from(id).ok());
        let concerns = match id {
            Some(id) if self.arity >= 4 && ahead.name().is_ok() => Concerns::Request(id),
            _ => Concerns::Nobody,
        };
        MalformedMessage { fault: MessageFault::UnknownType { kind }, at, concerns }
    }

    #[inline]
    fn expect_arity(&mut self, least: usize, most: usize) -> Parsed<()> {
        if (least..=most).contains(&self.arity) {
            return Ok(());
        }
        Err(self.fault(MessageFault::Arity { found: self.arity }))
    }

    /// Text, and bytes that are text as well: Neovim takes both, and so pynvim names some methods by bytes.
    #[inline]
    fn method(&mut self) -> Parsed<&'a str> {
        self.read(Reader::name, MessageFault::Method)
    }

    #[inline]
    fn params(&mut self) -> Parsed<&'a [u8]> {
        self.typed(is_array, MessageFault::Params)
    }

    /// The element that a message with metadata has more than one without.
    fn meta(&mut self, arity: usize) -> Parsed<Option<&'a [u8]>> {
        match self.arity == arity {
            true => self.typed(is_map, MessageFault::Meta).map(Some),
            false => Ok(None),
        }
    }

    #[inline]
    fn typed(&mut self, is_right: fn(u8) -> bool, fault: MessageFault) -> Parsed<&'a [u8]> {
        let before = self.reader;
        let value = self.value()?;
        if value.first().is_some_and(|&lead| is_right(lead)) {
            return Ok(value);
        }
        self.reader = before;
        Err(self.fault(fault))
    }

    #[inline]
    fn error(&mut self) -> Parsed<Option<&'a [u8]>> {
        if self.reader.nil() {
            return Ok(None);
        }
        self.value().map(Some)
    }

    fn number(&mut self) -> Parsed<u64> {
        self.read(Reader::uint, MessageFault::Number)
    }

    #[inline]
    fn value(&mut self) -> Parsed<&'a [u8]> {
        self.read(Reader::value, MessageFault::Truncated)
    }

    /// Reads the next value, which is expected to be such that anything else is this `fault`.
    #[inline]
    fn read<T>(&mut self, read: impl FnOnce(&mut Reader<'a>) -> Result<T, Mismatch>, fault: MessageFault) -> Parsed<T> {
        read(&mut self.reader).map_err(|mismatch| match mismatch {
            Mismatch::Truncated => self.fault(MessageFault::Truncated),
            Mismatch::Reserved => self.fault(MessageFault::Reserved),
            Mismatch::NotUtf8 => self.fault(MessageFault::MethodNotUtf8),
            Mismatch::OtherType => self.fault(fault),
        })
    }

    #[cold]
    fn fault(&self, fault: MessageFault) -> MalformedMessage {
        let concerns = match fault {
            MessageFault::Truncated | MessageFault::Reserved => Concerns::Connection,
            _ => self.concerns,
        };
        MalformedMessage { fault, at: self.reader.at(), concerns }
    }
}

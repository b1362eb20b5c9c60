//! Telnet without I/O: bytes of a client in, keys and the size of its window out.
//!
//! ```text
//!   Data ── IAC ──► Command ─┬─ WILL, WONT, DO, DONT ──► Option ──► Data
//!    ▲                       ├─ SB ──► Sub ── IAC ──► SubCommand ── SE ──► Data
//!    └──── anything else ────┘          ▲─ a doubled IAC ─┘
//! ```
//!
//! We offer to echo (so that the client shows nothing itself) and to suppress go-ahead; the two together make clients
//! send each key at once. And we ask for the window's size. All else that a client offers or asks is refused.
//!
//! Sources: RFC 854 and 855 (the protocol), 857 (ECHO), 858 (SUPPRESS-GO-AHEAD), 1073 (NAWS),
//! 1143 (answering without loops).

const IAC: u8 = 255;
const DONT: u8 = 254;
const DO: u8 = 253;
const WONT: u8 = 252;
const WILL: u8 = 251;
const SB: u8 = 250;
const INTERRUPT_PROCESS: u8 = 244;
const SE: u8 = 240;

const ECHO: u8 = 1;
const SUPPRESS_GO_AHEAD: u8 = 3;
const WINDOW_SIZE: u8 = 31;

/// What to send when a connection begins.
pub(crate) const OPENING: [u8; 9] = [IAC, WILL, ECHO, IAC, WILL, SUPPRESS_GO_AHEAD, IAC, DO, WINDOW_SIZE];

/// Longest subnegotiation that we keep: the size of a window has five bytes.
const LONGEST_SUB: usize = 5;

/// What a client's bytes mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Key(u8),
    /// The client's user wants to interrupt the program.
    Interrupt,
    /// The window has a size, in characters.
    Window {
        columns: u16,
        rows: u16,
    },
    /// These bytes have to be sent to the client.
    Reply([u8; 3]),
}

/// Reads what a client sends, byte by byte.
pub(crate) struct Decoder {
    state: State,
    sub: Vec<u8>,
    /// What we do: DO and DONT speak about these.
    ours: [Negotiation; 2],
    /// What the client does: WILL and WONT speak about this.
    theirs: [Negotiation; 1],
}

#[derive(Clone, Copy)]
enum State {
    Data,
    Command,
    Option(u8),
    Sub,
    SubCommand,
}

struct Negotiation {
    option: u8,
    agreed: Agreed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Agreed {
    /// By [`OPENING`], and not answered yet.
    Asked,
    On,
    Off,
}

impl Decoder {
    pub(crate) fn new() -> Decoder {
        let asked = |option| Negotiation { option, agreed: Agreed::Asked };
        Decoder {
            state: State::Data,
            sub: Vec::new(),
            ours: [asked(ECHO), asked(SUPPRESS_GO_AHEAD)],
            theirs: [asked(WINDOW_SIZE)],
        }
    }

    pub(crate) fn decode(&mut self, byte: u8) -> Option<Event> {
        let (next, event) = match (self.state, byte) {
            (State::Data, IAC) => (State::Command, None),
            (State::Data, key) => (State::Data, Some(Event::Key(key))),
            (State::Command, IAC) => (State::Data, Some(Event::Key(IAC))),
            (State::Command, verb @ WILL..=DONT) => (State::Option(verb), None),
            (State::Command, SB) => {
                self.sub.clear();
                (State::Sub, None)
            }
            (State::Command, INTERRUPT_PROCESS) => (State::Data, Some(Event::Interrupt)),
            (State::Command, _) => (State::Data, None),
            (State::Option(verb), option) => (State::Data, self.negotiate(verb, option)),
            (State::Sub, IAC) => (State::SubCommand, None),
            (State::Sub, byte) => (self.keep(byte), None),
            (State::SubCommand, IAC) => (self.keep(IAC), None),
            (State::SubCommand, SE) => (State::Data, self.window()),
            // Not allowed; the client has lost its way, and what follows is data again.
            (State::SubCommand, _) => (State::Data, None),
        };
        self.state = next;
        event
    }

    /// Keeps a byte of a subnegotiation, one more than we need at most, to know that it is too long.
    fn keep(&mut self, byte: u8) -> State {
        if self.sub.len() <= LONGEST_SUB {
            self.sub.push(byte);
        }
        State::Sub
    }

    fn window(&self) -> Option<Event> {
        match self.sub[..] {
            [WINDOW_SIZE, a, b, c, d] => {
                Some(Event::Window { columns: u16::from_be_bytes([a, b]), rows: u16::from_be_bytes([c, d]) })
            }
            _ => None,
        }
    }

    /// Answers only what changes something, so that two sides never answer each other for ever (RFC 1143).
    fn negotiate(&mut self, verb: u8, option: u8) -> Option<Event> {
        let (known, yes, no): (&mut [Negotiation], u8, u8) =
            if matches!(verb, DO | DONT) { (&mut self.ours, WILL, WONT) } else { (&mut self.theirs, DO, DONT) };
        let wanted = matches!(verb, DO | WILL);
        let Some(negotiation) = known.iter_mut().find(|negotiation| negotiation.option == option) else {
            return wanted.then_some(Event::Reply([IAC, no, option]));
        };
        let now = if wanted { Agreed::On } else { Agreed::Off };
        let before = std::mem::replace(&mut negotiation.agreed, now);
        let answers_us = before == Agreed::Asked || before == now;
        (!answers_us).then_some(Event::Reply([IAC, if wanted { yes } else { no }, option]))
    }
}

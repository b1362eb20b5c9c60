//! A reply, from bytes to its parts, and whether it belongs to a question.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, Restrict};

use super::cookie::{Cookie, OPTION_COOKIE};
use super::edns::{Edns, ExtendedError};
use super::malformed::{Fault, MalformedReply, Section};
use super::name::is_same;
use super::query::{CLASS_IN, Query};
use super::wire::{self, HEADER_LENGTH, Located};

pub use super::wire::MAX_POINTERS;

/// The bytes that a record takes at least: the root as owner, and no data.
const MIN_RECORD: usize = 11;

/// No message is longer: its length is told in 16 bits over TCP, and so is a datagram's (RFC 1035 §4.2.2).
const MAX_MESSAGE: usize = 65_535;

/// A name that is the question's (RFC 1035 §4.1.4): the question stands right behind the header.
const POINTER_TO_QUESTION: [u8; 2] = [0xC0, HEADER_LENGTH as u8];

const RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const AUTHORITATIVE: u16 = 0x0400;
const TRUNCATED: u16 = 0x0200;
const RECURSION_AVAILABLE: u16 = 0x0080;
const AUTHENTIC_DATA: u16 = 0x0020;

/// A message from a server, taken apart.
///
/// Nothing is known yet about whom it comes from: see [`belongs_to`](Self::belongs_to).
#[derive(Clone, Debug)]
pub struct Reply {
    id: u16,
    flags: u16,
    rcode: ResponseCode,
    question: Option<(Name, RecordType)>,
    answers: Vec<Record>,
    authorities: Vec<Record>,
    additionals: Vec<Record>,
    edns: Option<Edns>,
    length: usize,
}

impl Reply {
    /// Takes a message apart.
    ///
    /// A message that says it is truncated may end anywhere behind its question: the records before that are kept, and
    /// the caller asks again over TCP (RFC 2181 §9). TTLs of more than 2^31 - 1 seconds are read as 0 (RFC 2181 §8).
    ///
    /// # Errors
    ///
    /// [`MalformedReply`] says what is wrong and where.
    ///
    /// ```
    /// use grapeshot_dns::proto::{MalformedReply, Reply};
    ///
    /// let error = Reply::parse(b"no").unwrap_err();
    /// assert_eq!(error.to_string(), "2 bytes are no DNS message, whose header alone takes 12");
    /// ```
    pub fn parse(message: &[u8]) -> Result<Self, MalformedReply> {
        let header = Header::read(message)?;
        let (question, at) = read_question(message, header.questions)?;
        let mut reply = Self {
            id: header.id,
            flags: header.flags,
            rcode: ResponseCode::NoError,
            question,
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
            edns: None,
            length: message.len(),
        };
        match reply.read_sections(message, at, header.counts) {
            Ok(end) if end < message.len() && !reply.is_truncated() => {
                return Err(MalformedReply::TrailingBytes { at: end, count: message.len() - end });
            }
            Err(_) if reply.is_truncated() => {}
            result => {
                result?;
            }
        }
        let high = reply.edns.as_ref().map_or(0, |edns| edns.rcode_high);
        reply.rcode = rcode(high, (header.flags & 0xF) as u8);
        Ok(reply)
    }

    /// Reads the sections, and gives the offset behind the last.
    fn read_sections(&mut self, message: &[u8], mut at: usize, counts: [u16; 3]) -> Result<usize, MalformedReply> {
        for (section, count) in [Section::Answer, Section::Authority, Section::Additional].into_iter().zip(counts) {
            // What the count says is only believed as far as there are bytes for it.
            let room = usize::from(count).min((message.len() - at) / MIN_RECORD);
            self.section_mut(section).reserve_exact(room);
            for index in 0..usize::from(count) {
                at = self.read_record(message, at, section).map_err(|(at, fault)| MalformedReply::Record {
                    section,
                    index,
                    at,
                    fault,
                })?;
            }
        }
        Ok(at)
    }

    /// Reads the record at `start`, and gives the offset behind it.
    fn read_record(&mut self, message: &[u8], start: usize, section: Section) -> Located<usize> {
        let at = wire::name_end(message, start)?;
        let record_type = RecordType::from(wire::u16_at(message, at)?);
        let class = wire::u16_at(message, at + 2)?;
        let ttl = wire::u32_at(message, at + 4)?;
        let length = usize::from(wire::u16_at(message, at + 8)?);
        let (data, end) = (at + 10, at + 10 + length);
        if end > message.len() {
            return Err((at + 8, Fault::DataLength { length, left: message.len() - data }));
        }
        if record_type == RecordType::OPT {
            if section != Section::Additional {
                return Err((start, Fault::OptOutsideAdditional));
            }
            if message[start] != 0 {
                return Err((start, Fault::OptOwner));
            }
            if self.edns.is_some() {
                return Err((start, Fault::SecondOpt));
            }
            self.edns = Some(Edns::read(message, class, ttl, data, end)?);
            return Ok(end);
        }
        // Signatures of a transaction are of class ANY (RFC 8945 §4.2, RFC 2931 §3), and of no use to us.
        let signs = matches!(record_type, RecordType::TSIG | RecordType::SIG);
        if class != CLASS_IN && !signs {
            return Err((at + 2, Fault::Class { class: DNSClass::from(class) }));
        }
        let rdata = decode(message, record_type, data, end)?;
        let owner = self.decode_owner(message, start, record_type, end)?;
        let ttl = if ttl > i32::MAX as u32 { 0 } else { ttl };
        let mut record = Record::from_rdata(owner, ttl, rdata);
        record.dns_class = DNSClass::from(class);
        self.section_mut(section).push(record);
        Ok(end)
    }

    /// The owner of the record at `start`, whose name has been walked.
    fn decode_owner(&self, message: &[u8], start: usize, record_type: RecordType, end: usize) -> Located<Name> {
        match &self.question {
            // As most owners are: the question's name, by a pointer. That has been decoded.
            Some((name, _)) if message[start..].starts_with(&POINTER_TO_QUESTION) => Ok(name.clone()),
            _ => decode_name(message, start, record_type, end),
        }
    }

    fn section_mut(&mut self, section: Section) -> &mut Vec<Record> {
        match section {
            Section::Answer => &mut self.answers,
            Section::Authority => &mut self.authorities,
            Section::Additional => &mut self.additionals,
        }
    }

    /// Whether this is the reply to `query`, sent under `id`: it is a reply, repeats id, opcode and question, repeats
    /// the case of the name if that was chosen at random (RFC 5452 §9.1), and if it has a cookie, then ours
    /// (RFC 7873 §5.3).
    ///
    /// A server that does not understand a question need not repeat it (RFC 1035 §4.1.1, FORMERR and NOTIMP).
    /// What does not belong is to be ignored, not reported: whoever sent it wants the wait to end.
    pub fn belongs_to(&self, query: &Query, id: u16) -> bool {
        if self.id != id || self.flags & RESPONSE == 0 || self.flags & OPCODE != 0 || !self.has_cookie_of(query) {
            return false;
        }
        match &self.question {
            None => matches!(self.rcode, ResponseCode::FormErr | ResponseCode::NotImp),
            Some((name, record_type)) => {
                *record_type == query.record_type()
                    && if query.options().random_case.is_some() {
                        name.eq_case(query.name())
                    } else {
                        is_same(name, query.name())
                    }
            }
        }
    }

    /// Whether the client's part of the cookie is the one that was sent, where there is one.
    fn has_cookie_of(&self, query: &Query) -> bool {
        let Some(sent) = &query.options().cookie else { return true };
        match self.edns.as_ref().and_then(|edns| edns.option(OPTION_COOKIE)) {
            None => true,
            Some(data) => Cookie::parse(data).is_some_and(|cookie| cookie.client_part() == sent.client_part()),
        }
    }

    /// The id.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// The id of a message, or None when it is too short to be one. For finding who waits for it.
    pub fn id_of(message: &[u8]) -> Option<u16> {
        if message.len() < HEADER_LENGTH {
            return None;
        }
        wire::u16_at(message, 0).ok()
    }

    /// The response code, with the upper bits that EDNS gives it (RFC 6891 §6.1.3); 16 is BADVERS here.
    pub fn rcode(&self) -> ResponseCode {
        self.rcode
    }

    /// Whether there was more than fits: the question is to be asked over TCP (RFC 2181 §9, TC).
    pub fn is_truncated(&self) -> bool {
        self.flags & TRUNCATED != 0
    }

    /// Whether the server has authority over the name (RFC 1035 §4.1.1, AA).
    pub fn is_authoritative(&self) -> bool {
        self.flags & AUTHORITATIVE != 0
    }

    /// Whether the server asks others when it is wanted (RFC 1035 §4.1.1, RA).
    pub fn is_recursion_available(&self) -> bool {
        self.flags & RECURSION_AVAILABLE != 0
    }

    /// Whether the server says that it has verified the answer (RFC 4035 §3.2.3, AD). It means as much as the server
    /// and the way to it are trusted.
    pub fn is_authentic(&self) -> bool {
        self.flags & AUTHENTIC_DATA != 0
    }

    /// The question that the reply repeats.
    pub fn question(&self) -> Option<(&Name, RecordType)> {
        self.question.as_ref().map(|(name, record_type)| (name, *record_type))
    }

    /// The records of the answer section, in the order of the message.
    pub fn answers(&self) -> &[Record] {
        &self.answers
    }

    /// The records of the authority section, in the order of the message.
    pub fn authorities(&self) -> &[Record] {
        &self.authorities
    }

    /// The records of the additional section, in the order of the message, without the OPT record.
    pub fn additionals(&self) -> &[Record] {
        &self.additionals
    }

    /// What the OPT record says, or None where there is none: the server does not know EDNS.
    pub fn edns(&self) -> Option<&Edns> {
        self.edns.as_ref()
    }

    /// Why the server says it failed, or what is remarkable about its answer (RFC 8914 §2).
    pub fn extended_errors(&self) -> Vec<ExtendedError> {
        self.edns.as_ref().map(Edns::extended_errors).unwrap_or_default()
    }

    /// The cookie that the server gives (RFC 7873 §4).
    pub fn cookie(&self) -> Option<Cookie> {
        self.edns.as_ref().and_then(Edns::cookie)
    }

    /// How long the message was, in bytes.
    pub fn message_length(&self) -> usize {
        self.length
    }
}

/// The header of a message (RFC 1035 §4.1.1).
struct Header {
    id: u16,
    flags: u16,
    questions: u16,
    counts: [u16; 3],
}

impl Header {
    fn read(message: &[u8]) -> Result<Self, MalformedReply> {
        let length = message.len();
        let Some((header, _)) = message.split_first_chunk::<HEADER_LENGTH>() else {
            return Err(MalformedReply::Header { length });
        };
        if length > MAX_MESSAGE {
            return Err(MalformedReply::TooLong { length });
        }
        let field = |index: usize| u16::from_be_bytes([header[2 * index], header[2 * index + 1]]);
        Ok(Self { id: field(0), flags: field(1), questions: field(2), counts: [field(3), field(4), field(5)] })
    }
}

/// A question as a reply repeats it.
type Question = (Name, RecordType);

/// Reads the question, where there is one, and gives the offset behind it.
fn read_question(message: &[u8], count: u16) -> Result<(Option<Question>, usize), MalformedReply> {
    match count {
        0 => return Ok((None, HEADER_LENGTH)),
        1 => {}
        count => return Err(MalformedReply::Questions { count }),
    }
    let read = || {
        let at = wire::name_end(message, HEADER_LENGTH)?;
        let record_type = RecordType::from(wire::u16_at(message, at)?);
        let class = wire::u16_at(message, at + 2)?;
        if class != CLASS_IN {
            return Err((at + 2, Fault::Class { class: DNSClass::from(class) }));
        }
        let name = decode_name(message, HEADER_LENGTH, record_type, at)?;
        Ok(((name, record_type), at + 4))
    };
    let (question, end) = read().map_err(|(at, fault)| MalformedReply::Question { at, fault })?;
    Ok((Some(question), end))
}

/// The data of a record, which lies between `data` and `end`.
fn decode(message: &[u8], record_type: RecordType, data: usize, end: usize) -> Located<RData> {
    wire::check_names_in_data(message, record_type, data, end)?;
    // What lies behind the record is out of the decoder's sight.
    let mut decoder = BinDecoder::new(&message[..end]).clone(data as u16);
    RData::read(&mut decoder, record_type, Restrict::new((end - data) as u16))
        .map_err(|cause| (data, Fault::Data { record_type, cause }))
}

/// The name at `start`, which has been walked and is well-formed.
fn decode_name(message: &[u8], start: usize, record_type: RecordType, end: usize) -> Located<Name> {
    let mut decoder = BinDecoder::new(&message[..end]).clone(start as u16);
    Name::read(&mut decoder).map_err(|cause| (start, Fault::Data { record_type, cause }))
}

/// The response code of its lower four and its upper eight bits.
fn rcode(high: u8, low: u8) -> ResponseCode {
    match ResponseCode::from(high, low) {
        // 16 has two meanings; the other one belongs to signed transactions (RFC 6891 §9, RFC 8945 §3).
        ResponseCode::BADSIG => ResponseCode::BADVERS,
        code => code,
    }
}

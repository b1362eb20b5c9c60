//! The server's side of a message: a request taken apart, and a response put together.
//!
//! As much of it as a forwarder needs: questions of the class of the Internet, one in a message.

use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};

use super::reply::Reply;

/// The smallest size of a datagram that everybody takes (RFC 1035 §4.2.1).
const PLAIN_DATAGRAM: u16 = 512;

/// The size of a datagram that passes nearly every path in one piece: more is not sent, whatever the client takes.
const LARGEST_DATAGRAM: u16 = 1232;

/// The bytes of a header (RFC 1035 §4.1.1).
const HEADER: usize = 12;

const RESPONSE: u8 = 0x80;
const OPCODE: u8 = 0x78;
const RECURSION_DESIRED: u8 = 0x01;

/// A question from a client.
///
/// # Examples
///
/// ```
/// use grapeshot_dns::proto::{Name, Query, QueryOptions, RecordType, Reply, Request, ResponseCode};
///
/// let query = Query::new(Name::from_ascii("example.com.")?, RecordType::A, &QueryOptions::default());
/// let mut message = Vec::new();
/// query.encode(7, &mut message);
///
/// let request = Request::parse(&message)?;
/// assert_eq!(request.name().to_ascii(), "example.com.");
/// let response = request.respond(ResponseCode::NXDomain).encode_for_datagram();
/// assert!(Reply::parse(&response)?.belongs_to(&query, 7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    id: u16,
    name: Name,
    record_type: RecordType,
    recursion_desired: bool,
    /// The largest datagram that the client takes, if it speaks EDNS.
    edns_size: Option<u16>,
}

impl Request {
    /// Takes a request apart.
    ///
    /// # Errors
    ///
    /// [`BadRequest`] when it is none that can be answered with records; it knows what is to be said instead.
    pub fn parse(message: &[u8]) -> Result<Request, BadRequest> {
        let Some(&[high, low, flags, ..]) = message.get(..HEADER) else { return Err(BadRequest { reply: None }) };
        let id = u16::from_be_bytes([high, low]);
        if flags & RESPONSE != 0 {
            // Whoever answers answers sets two servers on each other.
            return Err(BadRequest { reply: None });
        }
        let refuse = |code| BadRequest { reply: Some((id, (flags & OPCODE) >> 3, code)) };
        if flags & OPCODE != 0 {
            return Err(refuse(ResponseCode::NotImp));
        }
        let parsed = Reply::parse(message).map_err(|_| refuse(ResponseCode::FormErr))?;
        let (name, record_type) = parsed.question().ok_or_else(|| refuse(ResponseCode::FormErr))?;
        if parsed.edns().is_some_and(|edns| edns.version > 0) {
            return Err(refuse(ResponseCode::BADVERS));
        }
        Ok(Request {
            id,
            name: name.clone(),
            record_type,
            recursion_desired: flags & RECURSION_DESIRED != 0,
            edns_size: parsed.edns().map(|edns| edns.udp_size),
        })
    }

    /// The name asked for, in the client's spelling.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The type asked for.
    pub fn record_type(&self) -> RecordType {
        self.record_type
    }

    /// Begins a response with this code, and without records.
    pub fn respond(&self, code: ResponseCode) -> Response {
        let mut message = Message::response(self.id, OpCode::Query);
        message.metadata.response_code = code;
        message.metadata.recursion_desired = self.recursion_desired;
        message.metadata.recursion_available = true;
        let mut question = Query::query(self.name.clone(), self.record_type);
        question.query_class = DNSClass::IN;
        message.add_query(question);
        if self.edns_size.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(LARGEST_DATAGRAM);
            message.set_edns(edns);
        }
        let size = self.edns_size.unwrap_or(PLAIN_DATAGRAM).clamp(PLAIN_DATAGRAM, LARGEST_DATAGRAM);
        Response { message, size: size.into() }
    }
}

/// What a server says to a [`Request`].
#[derive(Clone, Debug)]
pub struct Response {
    message: Message,
    /// The largest datagram that may be sent.
    size: usize,
}

impl Response {
    /// Adds records to the answer.
    #[must_use]
    pub fn answers(mut self, records: impl IntoIterator<Item = Record>) -> Response {
        self.message.add_answers(records);
        self
    }

    /// Adds records to the authority section, such as the SOA record of a negative answer (RFC 2308 §3).
    #[must_use]
    pub fn authorities(mut self, records: impl IntoIterator<Item = Record>) -> Response {
        self.message.add_authorities(records);
        self
    }

    /// The bytes for a datagram: if they are too many for the client, none of the records and the news that they were cut.
    pub fn encode_for_datagram(&self) -> Vec<u8> {
        match encode(&self.message) {
            bytes if bytes.len() <= self.size => bytes,
            _ => encode(&self.message.truncate()),
        }
    }

    /// The bytes for a stream, behind their length (RFC 7766 §8).
    pub fn encode_for_stream(&self) -> Vec<u8> {
        let bytes = encode(&self.message);
        match u16::try_from(bytes.len()) {
            Ok(length) => [&length.to_be_bytes(), &bytes[..]].concat(),
            Err(_) => {
                let cut = encode(&self.message.truncate());
                [&(cut.len() as u16).to_be_bytes(), &cut[..]].concat()
            }
        }
    }
}

/// What cannot be written is a failure of the server's.
fn encode(message: &Message) -> Vec<u8> {
    message.to_vec().unwrap_or_else(|_| {
        let mut failed = Message::response(message.metadata.id, OpCode::Query);
        failed.metadata.response_code = ResponseCode::ServFail;
        failed.add_queries(message.queries.iter().cloned());
        failed.to_vec().unwrap_or_default()
    })
}

/// A message that is no request, or none that is answered with records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRequest {
    /// The id, the kind of request and the code of what is to be said, if anything is.
    reply: Option<(u16, u8, ResponseCode)>,
}

impl BadRequest {
    /// What is to be said: FORMERR, NOTIMP or BADVERS (RFC 6891 §6.1.3); `None` for what must not be answered at all.
    pub fn reply(&self) -> Option<Vec<u8>> {
        let (id, operation, code) = self.reply?;
        let mut message = Message::response(id, OpCode::from_u8(operation));
        message.metadata.response_code = code;
        if code == ResponseCode::BADVERS {
            message.set_edns(Edns::new());
        }
        Some(encode(&message))
    }
}

impl std::fmt::Display for BadRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.reply {
            None => f.write_str("not a DNS request"),
            Some((id, _, code)) => write!(f, "the request {id} gets no answer but {}", super::rcode_name(code)),
        }
    }
}

impl std::error::Error for BadRequest {}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{RData, rdata};

    use super::*;
    use crate::proto::QueryOptions;

    fn message(options: &QueryOptions) -> Vec<u8> {
        let query = super::super::Query::new(Name::from_ascii("Www.example.").unwrap(), RecordType::TXT, options);
        let mut message = Vec::new();
        query.encode(7, &mut message);
        message
    }

    fn text(count: usize) -> Vec<Record> {
        let data = |number| RData::TXT(rdata::TXT::new(vec![format!("{number:0>200}")]));
        (0..count)
            .map(|number| Record::from_rdata(Name::from_ascii("www.example.").unwrap(), 60, data(number)))
            .collect()
    }

    fn code_of(message: &[u8]) -> Option<ResponseCode> {
        let reply = Request::parse(message).unwrap_err().reply()?;
        Some(Reply::parse(&reply).unwrap().rcode())
    }

    #[test]
    fn rfc_1035_section_4_1_1_a_response_repeats_id_question_and_wish_for_recursion() {
        let request = Request::parse(&message(&QueryOptions::default())).unwrap();
        let bytes = request.respond(ResponseCode::NoError).answers(text(1)).encode_for_datagram();
        let reply = Reply::parse(&bytes).unwrap();
        assert_eq!((reply.id(), reply.answers().len()), (7, 1));
        assert_eq!(reply.question().unwrap().0.to_ascii(), "Www.example.", "in the client's spelling");
        assert_eq!(bytes[2] & RECURSION_DESIRED, RECURSION_DESIRED);
        assert!(reply.is_recursion_available());
    }

    #[test]
    fn rfc_6891_section_6_1_1_edns_is_only_spoken_with_those_who_do() {
        let plain = QueryOptions { edns_size: None, ..QueryOptions::default() };
        for (options, speaks) in [(QueryOptions::default(), true), (plain, false)] {
            let request = Request::parse(&message(&options)).unwrap();
            let reply = Reply::parse(&request.respond(ResponseCode::NoError).encode_for_datagram()).unwrap();
            assert_eq!(reply.edns().is_some(), speaks);
        }
    }

    #[test]
    fn rfc_2181_section_9_what_does_not_fit_the_datagram_is_cut_and_says_so() {
        for (edns_size, fits) in [(None, 2), (Some(1232), 5), (Some(65_535), 5), (Some(0), 2)] {
            let request = Request::parse(&message(&QueryOptions { edns_size, ..QueryOptions::default() })).unwrap();
            for count in [fits, fits + 1] {
                let response = request.respond(ResponseCode::NoError).answers(text(count));
                let reply = Reply::parse(&response.encode_for_datagram()).unwrap();
                assert_eq!(reply.is_truncated(), count > fits, "{edns_size:?}, {count}");
                let framed = response.encode_for_stream();
                let whole = Reply::parse(&framed[2..]).unwrap();
                assert_eq!((whole.is_truncated(), whole.answers().len()), (false, count));
                assert_eq!(usize::from(u16::from_be_bytes([framed[0], framed[1]])), framed.len() - 2);
            }
        }
    }

    #[test]
    fn rfc_7766_section_8_what_does_not_fit_a_stream_either_is_cut() {
        let request = Request::parse(&message(&QueryOptions::default())).unwrap();
        let framed = request.respond(ResponseCode::NoError).answers(text(400)).encode_for_stream();
        assert!(Reply::parse(&framed[2..]).unwrap().is_truncated());
    }

    #[test]
    fn a_response_and_what_is_no_message_are_not_answered() {
        let mut response = message(&QueryOptions::default());
        response[2] |= RESPONSE;
        assert_eq!(code_of(&response), None);
        assert_eq!(code_of(b"GET / HTTP/"), None);
    }

    #[test]
    fn what_is_not_understood_is_answered_with_the_reason() {
        let whole = message(&QueryOptions::default());
        assert_eq!(code_of(&whole[..20]), Some(ResponseCode::FormErr));
        let mut update = whole.clone();
        update[2] |= 5 << 3;
        assert_eq!(code_of(&update), Some(ResponseCode::NotImp));
        // RFC 6891 §6.1.3: the version stands in the second byte of the OPT record's TTL.
        let mut later = whole.clone();
        let version = later.len() - 5;
        later[version] = 1;
        assert_eq!(code_of(&later), Some(ResponseCode::BADVERS));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_a_request_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            match Request::parse(&bytes) {
                Ok(request) => drop(request.respond(ResponseCode::NoError).encode_for_datagram()),
                Err(error) => drop(error.reply()),
            }
        }
    }
}

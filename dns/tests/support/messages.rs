//! What a private server says: proper replies, and every kind of broken one.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use grapeshot_dns::proto::{Name, RData, Record, RecordType, ResponseCode};
use hickory_proto::op::{Edns, Message, MessageType, Query};
use hickory_proto::rr::rdata::{A, AAAA, SOA};

use super::server::Asked;

/// How long records of proper replies live, in seconds.
pub(crate) const TTL: u32 = 300;

impl Asked {
    /// A reply with the question and nothing else, for a test to add to.
    pub(crate) fn reply(&self) -> Message {
        let mut reply = self.message.clone();
        reply.metadata.message_type = MessageType::Response;
        reply.metadata.recursion_available = true;
        reply.edns = reply.edns.map(|_| {
            let mut edns = Edns::new();
            edns.set_max_payload(1232);
            edns
        });
        reply
    }

    /// The bytes of a reply with these data, owned by the name asked for.
    pub(crate) fn answer(&self, data: impl IntoIterator<Item = RData>) -> Vec<u8> {
        let mut reply = self.reply();
        for data in data {
            reply.add_answer(Record::from_rdata(self.name.clone(), TTL, data));
        }
        bytes(&reply)
    }

    /// The bytes of a reply with one IPv4 address.
    pub(crate) fn address(&self, address: [u8; 4]) -> Vec<u8> {
        self.answer([RData::A(A(Ipv4Addr::from(address)))])
    }

    /// The bytes of a reply with one IPv6 address.
    pub(crate) fn address_v6(&self, address: &str) -> Vec<u8> {
        self.answer([RData::AAAA(AAAA(Ipv6Addr::from_str(address).unwrap()))])
    }

    /// The bytes of a reply with a response code and nothing else.
    pub(crate) fn code(&self, code: ResponseCode) -> Vec<u8> {
        let mut reply = self.reply();
        reply.metadata.response_code = code;
        bytes(&reply)
    }

    /// As of a server that does not know EDNS (RFC 6891, section 7): FORMERR without question or OPT record.
    pub(crate) fn edns_not_understood(&self) -> Vec<u8> {
        let mut reply = Message::response(self.id, self.message.metadata.op_code);
        reply.metadata.response_code = ResponseCode::FormErr;
        bytes(&reply)
    }

    /// No such name, with the SOA record of `zone` to say for how many seconds.
    pub(crate) fn no_such_name(&self, zone: &str, seconds: u32) -> Vec<u8> {
        self.negative(ResponseCode::NXDomain, zone, seconds)
    }

    /// No records of that type, with the SOA record of `zone` to say for how many seconds.
    pub(crate) fn no_data(&self, zone: &str, seconds: u32) -> Vec<u8> {
        self.negative(ResponseCode::NoError, zone, seconds)
    }

    fn negative(&self, code: ResponseCode, zone: &str, seconds: u32) -> Vec<u8> {
        let zone = Name::from_ascii(zone).unwrap();
        let soa = SOA::new(zone.clone(), zone.clone(), 1, 3600, 600, 86_400, seconds);
        let mut reply = self.reply();
        reply.metadata.response_code = code;
        reply.add_authority(Record::from_rdata(zone, seconds, RData::SOA(soa)));
        bytes(&reply)
    }

    /// A reply that says it did not fit, without records.
    pub(crate) fn truncated(&self) -> Vec<u8> {
        let mut reply = self.reply();
        reply.metadata.truncation = true;
        bytes(&reply)
    }

    /// A proper reply to a question that nobody asked.
    pub(crate) fn wrong_question(&self, address: [u8; 4]) -> Vec<u8> {
        let mut reply = self.reply();
        let name = Name::from_ascii("other.example.").unwrap();
        reply.queries = vec![Query::query(name.clone(), RecordType::A)];
        reply.add_answer(Record::from_rdata(name, TTL, RData::A(A(Ipv4Addr::from(address)))));
        bytes(&reply)
    }

    /// A reply that repeats the question with the case of every letter turned round.
    pub(crate) fn wrong_case(&self, address: [u8; 4]) -> Vec<u8> {
        let mut reply = self.address(address);
        // The question follows the header, each label behind its length.
        let mut at = 12;
        while let length @ 1.. = usize::from(reply[at]) {
            for byte in &mut reply[at + 1..=at + length] {
                if byte.is_ascii_alphabetic() {
                    *byte ^= 0x20;
                }
            }
            at += length + 1;
        }
        reply
    }

    /// A reply whose answer is owned by a name that points to itself.
    pub(crate) fn pointer_loop(&self) -> Vec<u8> {
        let mut reply = self.head(1);
        let here = 0xc000 | reply.len() as u16;
        reply.extend_from_slice(&here.to_be_bytes());
        reply.extend_from_slice(&[0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1]);
        reply
    }

    /// A reply whose answer is owned by a name of more than 255 bytes.
    pub(crate) fn oversize_name(&self) -> Vec<u8> {
        let mut reply = self.head(1);
        for _ in 0..5 {
            reply.push(63);
            reply.extend_from_slice(&[b'a'; 63]);
        }
        reply.push(0);
        reply.extend_from_slice(&[0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1]);
        reply
    }

    /// A reply that announces more records than it has.
    pub(crate) fn lying_counts(&self) -> Vec<u8> {
        self.head(65_535)
    }

    /// Header and question, for a number of answers that are to follow.
    pub(crate) fn head(&self, answers: u16) -> Vec<u8> {
        let mut reply = self.reply();
        reply.edns = None;
        let mut reply = bytes(&reply);
        reply[6..8].copy_from_slice(&answers.to_be_bytes());
        reply
    }
}

/// A message under another id.
pub(crate) fn with_id(mut message: Vec<u8>, id: u16) -> Vec<u8> {
    message[..2].copy_from_slice(&id.to_be_bytes());
    message
}

/// The first bytes of a message.
pub(crate) fn cut_short(mut message: Vec<u8>, length: usize) -> Vec<u8> {
    message.truncate(length);
    message
}

/// Bytes without meaning, but for the id and the bit that says it is a reply.
pub(crate) fn garbage(id: u16, length: usize) -> Vec<u8> {
    let mut noise: Vec<u8> = (0..length).map(|index| (index * 37 + 201) as u8).collect();
    noise[2] |= 0x80;
    with_id(noise, id)
}

pub(crate) fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().unwrap()
}

//! Messages written byte by byte, so that every field can lie.

use std::net::Ipv4Addr;

use grapeshot_dns::proto::{Name, Query, QueryOptions, RData, RecordType, Reply, parse_name, rdata};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};

pub(crate) const RESPONSE: u16 = 0x8000;
pub(crate) const AUTHORITATIVE: u16 = 0x0400;
pub(crate) const TRUNCATED: u16 = 0x0200;
pub(crate) const ID: u16 = 0x2A17;

/// A pointer to the question's name.
pub(crate) const TO_QUESTION: [u8; 2] = [0xC0, 12];

/// A message under construction. Sections are to be filled in their order.
#[derive(Clone)]
pub(crate) struct Raw {
    pub(crate) bytes: Vec<u8>,
}

impl Raw {
    /// A header without anything behind it.
    pub(crate) fn header(flags: u16) -> Self {
        let mut bytes = vec![0; 12];
        bytes[..2].copy_from_slice(&ID.to_be_bytes());
        bytes[2..4].copy_from_slice(&flags.to_be_bytes());
        Self { bytes }
    }

    /// A reply that repeats a question.
    pub(crate) fn reply(rcode: u16, question: &str, record_type: RecordType) -> Self {
        Self::header(RESPONSE | rcode).question(question, record_type)
    }

    pub(crate) fn question(mut self, question: &str, record_type: RecordType) -> Self {
        self.bytes.extend(wire_name(question));
        self.bytes.extend(u16::from(record_type).to_be_bytes());
        self.bytes.extend([0, 1]);
        self.count(4)
    }

    pub(crate) fn flags(mut self, more: u16) -> Self {
        let flags = u16::from_be_bytes([self.bytes[2], self.bytes[3]]) | more;
        self.bytes[2..4].copy_from_slice(&flags.to_be_bytes());
        self
    }

    pub(crate) fn answer(self, owner: &str, ttl: u32, data: RData) -> Self {
        self.answer_raw(&wire_name(owner), data.record_type().into(), ttl, &wire_data(&data))
    }

    pub(crate) fn authority(self, owner: &str, ttl: u32, data: RData) -> Self {
        self.record(&wire_name(owner), data.record_type().into(), 1, ttl, &wire_data(&data)).count(8)
    }

    pub(crate) fn answer_raw(self, owner: &[u8], record_type: u16, ttl: u32, data: &[u8]) -> Self {
        self.record(owner, record_type, 1, ttl, data).count(6)
    }

    /// An OPT record with options.
    pub(crate) fn opt(self, udp_size: u16, ttl: u32, options: &[(u16, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (code, value) in options {
            data.extend(code.to_be_bytes());
            data.extend((value.len() as u16).to_be_bytes());
            data.extend(*value);
        }
        self.record(&[0], 41, udp_size, ttl, &data).count(10)
    }

    /// A record that no count knows of yet.
    pub(crate) fn record(mut self, owner: &[u8], record_type: u16, class: u16, ttl: u32, data: &[u8]) -> Self {
        self.bytes.extend(owner);
        self.bytes.extend(record_type.to_be_bytes());
        self.bytes.extend(class.to_be_bytes());
        self.bytes.extend(ttl.to_be_bytes());
        self.bytes.extend((data.len() as u16).to_be_bytes());
        self.bytes.extend(data);
        self
    }

    /// Adds one to the count at that offset of the header.
    pub(crate) fn count(mut self, at: usize) -> Self {
        self.bytes[at + 1] += 1;
        self
    }

    #[track_caller]
    pub(crate) fn parse(&self) -> Reply {
        Reply::parse(&self.bytes).unwrap_or_else(|error| panic!("{error}"))
    }
}

pub(crate) fn name(text: &str) -> Name {
    parse_name(text).unwrap()
}

pub(crate) fn wire_name(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in &name(text) {
        bytes.push(label.len() as u8);
        bytes.extend(label);
    }
    bytes.push(0);
    bytes
}

pub(crate) fn wire_data(data: &RData) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    data.emit(&mut encoder).unwrap();
    bytes
}

pub(crate) fn query(question: &str, record_type: RecordType) -> Query {
    Query::new(name(question), record_type, &QueryOptions::default())
}

pub(crate) fn a(last: u8) -> RData {
    RData::A(Ipv4Addr::new(192, 0, 2, last).into())
}

pub(crate) fn cname(target: &str) -> RData {
    RData::CNAME(rdata::CNAME(name(target)))
}

pub(crate) fn ns(server: &str) -> RData {
    RData::NS(rdata::NS(name(server)))
}

pub(crate) fn soa(minimum: u32) -> RData {
    RData::SOA(rdata::SOA::new(name("ns.example."), name("root.example."), 1, 2, 3, 4, minimum))
}

/// The bits of a splitmix64 generator: enough for tests that draw lots.
pub(crate) fn seeded(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

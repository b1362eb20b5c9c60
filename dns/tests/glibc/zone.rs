//! A name server on port 53 of a network of the test's own, with a few names in `a.test` and `b.test`.

use std::net::{Ipv4Addr, UdpSocket};
use std::thread;

use grapeshot_dns::DNS_PORT;
use grapeshot_dns::proto::{Name, RData, Record, RecordType, ResponseCode};
use hickory_proto::op::{Message, MessageType};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, PTR, SOA, TXT};

/// What the server knows: names, types and values; a type `FAIL`, `REFUSED`, `NOTIMP`, `FORMERR` or `SILENT` is what it does
/// instead.
const ZONE: &[(&str, &str, &str)] = &[
    ("www.a.test", "A", "192.0.2.1"),
    ("www.a.test", "AAAA", "2001:db8::1"),
    ("many.a.test", "A", "192.0.2.12"),
    ("many.a.test", "A", "192.0.2.10"),
    ("many.a.test", "A", "192.0.2.11"),
    ("many.a.test", "AAAA", "2001:db8:5::2"),
    ("many.a.test", "AAAA", "2001:db8::2"),
    ("four.a.test", "A", "192.0.2.4"),
    ("six.b.test", "AAAA", "2001:db8::6"),
    ("alias.b.test", "CNAME", "www.a.test"),
    ("chain.a.test", "CNAME", "chain2.b.test"),
    ("chain2.b.test", "CNAME", "chain3.a.test"),
    ("chain3.a.test", "CNAME", "www.a.test"),
    ("dangling.a.test", "CNAME", "nowhere.a.test"),
    ("circle.a.test", "CNAME", "circle2.a.test"),
    ("circle2.a.test", "CNAME", "circle.a.test"),
    ("nodata.a.test", "TXT", "text"),
    ("nodata.b.test", "A", "192.0.2.20"),
    ("textonly.a.test", "TXT", "text"),
    ("fail.a.test", "FAIL", ""),
    ("fail.b.test", "A", "192.0.2.21"),
    ("allfail.a.test", "FAIL", ""),
    ("allfail.b.test", "FAIL", ""),
    ("allfail", "FAIL", ""),
    ("refused.a.test", "REFUSED", ""),
    ("refused.b.test", "A", "192.0.2.22"),
    ("top.refused", "REFUSED", ""),
    ("top.refused.b.test", "A", "192.0.2.40"),
    ("top.notimp", "NOTIMP", ""),
    ("top.notimp.b.test", "A", "192.0.2.41"),
    ("top.formerr", "FORMERR", ""),
    ("top.formerr.b.test", "A", "192.0.2.42"),
    ("top.silent", "SILENT", ""),
    ("top.silent.b.test", "A", "192.0.2.43"),
    ("top.failing", "FAIL", ""),
    ("top.failing.b.test", "A", "192.0.2.44"),
    ("top.stuck", "REFUSED", ""),
    ("top.stuck.a.test", "REFUSED", ""),
    ("top.stuck.b.test", "A", "192.0.2.45"),
    ("halffail.a.test", "A", "192.0.2.23"),
    ("both.a.test", "A", "192.0.2.24"),
    ("both.b.test", "A", "192.0.2.25"),
    ("sub.host.a.test", "A", "192.0.2.26"),
    ("sub.host", "A", "192.0.2.27"),
    ("under_score.a.test", "A", "192.0.2.28"),
    ("toplevel", "A", "192.0.2.29"),
    ("xn--mller-kva.a.test", "A", "192.0.2.30"),
    ("printer.local", "A", "192.0.2.31"),
    ("host.invalid", "A", "192.0.2.32"),
    ("host.localhost", "A", "192.0.2.33"),
    ("localhost", "A", "192.0.2.34"),
    ("host.onion", "A", "192.0.2.35"),
    ("host.test", "A", "192.0.2.36"),
    ("unique.a.test", "A", "192.0.2.37"),
    ("unique.a.test", "AAAA", "fd00::37"),
    ("sixtofour.a.test", "A", "192.0.2.38"),
    ("sixtofour.a.test", "AAAA", "2002:c000:226::1"),
    ("linklocal.a.test", "A", "169.254.7.7"),
    ("linklocal.a.test", "AAAA", "2001:db8::7"),
    ("loop.a.test", "A", "127.0.0.9"),
    ("loop.a.test", "AAAA", "::1"),
    ("mapped.a.test", "AAAA", "::ffff:192.0.2.39"),
    ("1.2.0.192.in-addr.arpa", "PTR", "www.a.test"),
    ("10.2.0.192.in-addr.arpa", "PTR", "many.a.test"),
    ("10.2.0.192.in-addr.arpa", "PTR", "more.a.test"),
    ("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", "PTR", "six.a.test"),
];

/// How many aliases an answer follows.
const MAX_ALIASES: usize = 8;

/// Answers for ever, on a thread that ends with the process.
pub(crate) fn serve() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, DNS_PORT)).unwrap();
    thread::spawn(move || {
        let mut buf = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buf) {
            if let Some(reply) = answer(&buf[..length]) {
                // A client that has gone does not matter.
                let _ = socket.send_to(&reply, from);
            }
        }
    });
}

fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let mut reply = Message::from_vec(query).ok()?;
    let question = reply.queries.first()?.clone();
    reply.metadata.message_type = MessageType::Response;
    reply.metadata.recursion_available = true;
    // Without EDNS of its own, which both sides can do without.
    reply.edns = None;
    let mut name = text(question.name());
    reply.metadata.response_code = ResponseCode::NoError;
    for _ in 0..MAX_ALIASES {
        let known: Vec<_> = ZONE.iter().filter(|(owner, ..)| *owner == name).collect();
        match known.first() {
            None if ZONE.iter().any(|(owner, ..)| owner.ends_with(&format!(".{name}"))) => break,
            None => reply.metadata.response_code = ResponseCode::NXDomain,
            Some((_, "FAIL", _)) => reply.metadata.response_code = ResponseCode::ServFail,
            Some((_, "SILENT", _)) => return None,
            Some((_, "NOTIMP", _)) => reply.metadata.response_code = ResponseCode::NotImp,
            Some((_, "FORMERR", _)) => reply.metadata.response_code = ResponseCode::FormErr,
            Some((_, "REFUSED", _)) => reply.metadata.response_code = ResponseCode::Refused,
            // Of half a failure the other half is a failure to say anything about IPv6.
            Some(("halffail.a.test", ..)) if question.query_type() == RecordType::AAAA => {
                reply.metadata.response_code = ResponseCode::ServFail;
            }
            Some(_) => {}
        }
        let alias = known.iter().find(|(_, kind, _)| *kind == "CNAME");
        let wanted = question.query_type().to_string();
        for (_, kind, value) in known.iter().filter(|(_, kind, _)| *kind == wanted || *kind == "CNAME") {
            // The name that was asked for is repeated as it was spelt.
            let owner = if name == text(question.name()) { question.name().clone() } else { owner(&name) };
            reply.add_answer(Record::from_rdata(owner, 60, data(kind, value)));
        }
        match alias {
            Some((.., target)) => (*target).clone_into(&mut name),
            None => break,
        }
    }
    if reply.answers.is_empty()
        && matches!(reply.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
    {
        let soa = SOA::new(owner("test"), owner("test"), 1, 3600, 600, 86_400, 60);
        reply.add_authority(Record::from_rdata(owner("test"), 60, RData::SOA(soa)));
    }
    reply.to_vec().ok()
}

fn text(name: &Name) -> String {
    let text = name.to_lowercase().to_ascii();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

fn owner(name: &str) -> Name {
    Name::from_ascii(format!("{name}.")).unwrap()
}

fn data(kind: &str, value: &str) -> RData {
    match kind {
        "A" => RData::A(A(value.parse().unwrap())),
        "AAAA" => RData::AAAA(AAAA(value.parse().unwrap())),
        "CNAME" => RData::CNAME(CNAME(owner(value))),
        "PTR" => RData::PTR(PTR(owner(value))),
        _ => RData::TXT(TXT::new(vec![value.to_owned()])),
    }
}

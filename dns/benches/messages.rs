//! What a message costs: nanoseconds per query encoded, reply read, judged and written.
//!
//! `cargo bench -p grapeshot-dns --bench messages`
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use grapeshot_dns::proto::{Name, Query, QueryOptions, RData, RecordType, Reply, Style, present_data, rdata};
use hickory_proto::op::{Edns, Message, OpCode};
use hickory_proto::rr::Record;

/// Calls in one round, which takes less than a millisecond or two.
const CALLS: u32 = 1000;
const ROUNDS: usize = 500;

fn main() -> Result<(), Box<dyn Error>> {
    let name = Name::from_ascii("www.example.com.")?;
    let options = QueryOptions::default();
    let query = Query::new(name.clone(), RecordType::A, &options);
    let mut buffer = Vec::with_capacity(512);
    measure("query made and encoded", || {
        buffer.clear();
        Query::new(black_box(&name).clone(), RecordType::A, &options).encode(7, &mut buffer);
    });
    for (what, message) in
        [("one A record", reply(&name, 0, 1)?), ("three aliases, four A records", reply(&name, 3, 4)?)]
    {
        measure(&format!("reply read, {what}"), || drop(black_box(Reply::parse(black_box(&message)))));
        measure(&format!("the same by hickory-proto, {what}"), || {
            drop(black_box(Message::from_vec(black_box(&message))))
        });
        let reply = Reply::parse(&message)?;
        measure(&format!("belongs to its query, {what}"), || {
            black_box(reply.belongs_to(black_box(&query), 7));
        });
        measure(&format!("outcome, {what}"), || drop(black_box(reply.outcome(black_box(&query)))));
    }
    let data = RData::MX(rdata::MX::new(10, name));
    measure("MX record written", || drop(black_box(present_data(black_box(&data), Style::PLAIN).to_string())));
    Ok(())
}

/// Prints the best time that `work` takes: what else the machine does lengthens the others.
fn measure(what: &str, mut work: impl FnMut()) {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        (0..CALLS).for_each(|_| work());
        best = best.min(start.elapsed());
    }
    println!("{:8.0} ns  {what}", best.as_nanos() as f64 / f64::from(CALLS));
}

/// A reply with that many aliases and addresses, compressed as servers do it.
fn reply(name: &Name, aliases: u8, addresses: u8) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut message = Message::response(7, OpCode::Query);
    message.add_query(hickory_proto::op::Query::query(name.clone(), RecordType::A));
    let mut owner = name.clone();
    for alias in 0..aliases {
        let target = Name::from_ascii(format!("alias{alias}.cdn.example.net."))?;
        message.add_answer(Record::from_rdata(owner, 300, RData::CNAME(rdata::CNAME(target.clone()))));
        owner = target;
    }
    for address in 0..addresses {
        let data = RData::A(rdata::A::new(192, 0, 2, address));
        message.add_answer(Record::from_rdata(owner.clone(), 300, data));
    }
    message.set_edns(Edns::new());
    Ok(message.to_vec()?)
}

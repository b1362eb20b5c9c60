//! Answers by type.

use std::net::{Ipv4Addr, Ipv6Addr};

use grapeshot_dns::proto::{
    Caa, Cname, Https, Mx, Ns, Ptr, Record, RecordData, RecordType, ServiceBinding, Soa, Srv, Txt, records_of,
};

use super::messages::{Raw, name, wire_name};

/// Records of a type, read from a message.
fn read(record_type: RecordType, data: &[&[u8]]) -> Vec<Record> {
    let mut raw = Raw::reply(0, "a.", record_type);
    for data in data {
        raw = raw.answer_raw(&[0], record_type.into(), 60, data);
    }
    raw.parse().answers().to_vec()
}

#[track_caller]
fn one<T: RecordData>(data: &[u8]) -> T {
    records_of::<T>(&read(T::TYPE, &[data])).pop().unwrap()
}

#[test]
fn rfc_1035_section_3_3_names_and_texts() {
    assert_eq!(one::<Cname>(&wire_name("b.c.")), Cname(name("b.c.")));
    assert_eq!(one::<Ns>(&wire_name("b.c.")), Ns(name("b.c.")));
    assert_eq!(one::<Ptr>(&wire_name("b.c.")), Ptr(name("b.c.")));
    let mx = [&[0, 10][..], &wire_name("mail.")].concat();
    assert_eq!(one::<Mx>(&mx), Mx { preference: 10, exchange: name("mail.") });
    let txt = one::<Txt>(b"\x02v=\x00\x03a b");
    assert_eq!(txt.strings, [b"v=".to_vec(), b"".to_vec(), b"a b".to_vec()]);
    assert_eq!(txt.text(), "v=a b");
    assert_eq!(one::<Txt>(b"\x01\xff").text(), "\u{fffd}");
}

#[test]
fn rfc_1035_section_3_3_13_the_intervals_of_an_authority_are_not_negative() {
    let mut data = [wire_name("ns."), wire_name("root.")].concat();
    for field in [1_u32, u32::MAX, 2, 3, 4] {
        data.extend(field.to_be_bytes());
    }
    let soa = one::<Soa>(&data);
    assert_eq!((soa.primary, soa.mailbox), (name("ns."), name("root.")));
    assert_eq!((soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum), (1, u32::MAX, 2, 3, 4));
}

#[test]
fn rfc_3596_section_2_addresses() {
    assert_eq!(one::<Ipv4Addr>(&[192, 0, 2, 1]), Ipv4Addr::new(192, 0, 2, 1));
    let v6: Ipv6Addr = "2001:db8::1".parse().unwrap();
    assert_eq!(one::<Ipv6Addr>(&v6.octets()), v6);
}

#[test]
fn rfc_2782_a_service() {
    let data = [&[0, 1, 0, 2, 0x13, 0xC4][..], &wire_name("sip.")].concat();
    assert_eq!(one::<Srv>(&data), Srv { priority: 1, weight: 2, port: 5060, target: name("sip.") });
}

#[test]
fn rfc_8659_section_4_1_who_may_issue() {
    let caa = one::<Caa>(b"\x80\x05issueca.example");
    assert_eq!(caa, Caa { critical: true, tag: "issue".to_owned(), value: b"ca.example".to_vec() });
    assert!(!one::<Caa>(b"\x00\x05iodefmailto:a").critical);
}

#[test]
fn records_of_other_types_are_passed_over() {
    let mut records = read(RecordType::A, &[&[192, 0, 2, 1], &[192, 0, 2, 2]]);
    records.extend(read(RecordType::NS, &[&wire_name("ns.")]));
    assert_eq!(records_of::<Ipv4Addr>(&records).len(), 2);
    assert_eq!(records_of::<Ns>(&records), [Ns(name("ns."))]);
    assert!(records_of::<Txt>(&records).is_empty());
}

fn binding() -> Vec<u8> {
    let mut data = vec![0, 1];
    data.extend(wire_name("svc."));
    for (key, value) in [
        (0_u16, &[0, 1, 0, 3][..]),
        (1, b"\x02h2\x02h3"),
        (2, b""),
        (3, &[0x20, 0xFB]),
        (4, &[192, 0, 2, 1, 192, 0, 2, 2]),
        (5, b"ech"),
        (6, &[0; 16]),
        (667, b"hello"),
    ] {
        data.extend(key.to_be_bytes());
        data.extend((value.len() as u16).to_be_bytes());
        data.extend(value);
    }
    data
}

#[test]
fn rfc_9460_section_2_the_parameters_of_a_service() {
    let service = one::<ServiceBinding>(&binding());
    assert_eq!(
        service,
        ServiceBinding {
            priority: 1,
            target: name("svc."),
            alpn: vec!["h2".to_owned(), "h3".to_owned()],
            no_default_alpn: true,
            port: Some(8443),
            ipv4_hints: vec![Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)],
            ipv6_hints: vec![Ipv6Addr::UNSPECIFIED],
            ech: Some(b"ech".to_vec()),
            mandatory: vec![1, 3],
            others: vec![(667, b"hello".to_vec())],
        }
    );
    assert_eq!(one::<Https>(&binding()).0, service);
    assert!(!service.is_alias() && service.is_usable());
}

#[test]
fn rfc_9460_section_2_2_keys_out_of_order_make_a_record_malformed() {
    let mut data = vec![0, 1, 0];
    data.extend([0, 3, 0, 2, 0, 80, 0, 1, 0, 3, 2, b'h', b'2']);
    let raw = Raw::reply(0, "a.", RecordType::HTTPS).answer_raw(&[0], 65, 60, &data);
    assert!(grapeshot_dns::proto::Reply::parse(&raw.bytes).is_err());
}

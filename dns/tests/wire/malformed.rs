//! Messages that lie, each with the error that names the lie and its place.

use grapeshot_dns::proto::{Fault, MAX_POINTERS, MalformedReply, RecordType, Reply, Section};

use super::messages::{RESPONSE, Raw, TO_QUESTION, a, wire_name};

#[track_caller]
fn error(bytes: &[u8]) -> MalformedReply {
    match Reply::parse(bytes) {
        Ok(reply) => panic!("parsed: {reply:?}"),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            error
        }
    }
}

/// The section, the place and the fault of a bad record.
#[track_caller]
fn record_fault(raw: &Raw) -> (Section, usize, usize, Fault) {
    match error(&raw.bytes) {
        MalformedReply::Record { section, index, at, fault } => (section, index, at, fault),
        other => panic!("{other:?}"),
    }
}

/// The length of a header and the question `a.`.
const HEAD: usize = 12 + 3 + 4;

fn reply() -> Raw {
    Raw::reply(0, "a.", RecordType::A)
}

#[test]
fn rfc_1035_section_4_1_1_a_header_takes_twelve_bytes() {
    for length in 0..12 {
        assert!(matches!(error(&vec![0; length]), MalformedReply::Header { length: told } if told == length));
    }
}

#[test]
fn rfc_1035_section_4_2_2_a_message_takes_at_most_65535_bytes() {
    let raw = Raw::header(RESPONSE | 0x0200);
    let mut bytes = raw.bytes;
    bytes.resize(65_536, 0);
    assert!(matches!(error(&bytes), MalformedReply::TooLong { length: 65_536 }));
}

#[test]
fn rfc_9619_section_4_there_is_at_most_one_question() {
    let raw = reply().question("a.", RecordType::A);
    assert!(matches!(error(&raw.bytes), MalformedReply::Questions { count: 2 }));
}

#[test]
fn a_count_that_lies_is_found_out() {
    for (at, section) in [(6, Section::Answer), (8, Section::Authority), (10, Section::Additional)] {
        let mut raw = reply().answer("a.", 60, a(1));
        // As many records as can be counted are announced.
        raw.bytes[at..at + 2].copy_from_slice(&[0xFF, 0xFF]);
        let (told, index, place, fault) = record_fault(&raw);
        assert_eq!((told, index), (section, usize::from(section == Section::Answer)));
        assert_eq!(place, raw.bytes.len());
        assert!(matches!(fault, Fault::CutShort), "{fault:?}");
    }
}

#[test]
fn a_message_cut_at_any_byte_is_malformed() {
    let raw = reply().answer("a.", 60, a(1)).authority("a.", 60, super::messages::soa(1)).opt(1232, 0, &[(3, b"x")]);
    raw.parse();
    for length in 0..raw.bytes.len() {
        error(&raw.bytes[..length]);
    }
}

#[test]
fn bytes_behind_the_last_record_are_told() {
    let mut raw = reply().answer("a.", 60, a(1));
    let end = raw.bytes.len();
    raw.bytes.extend([1, 2, 3]);
    assert!(matches!(error(&raw.bytes), MalformedReply::TrailingBytes { at, count: 3 } if at == end));
}

#[test]
fn rfc_1035_section_4_1_4_a_name_that_points_to_itself_is_refused() {
    let raw = reply().answer_raw(&[0xC0, HEAD as u8], 1, 60, &[1, 2, 3, 4]);
    let (section, index, at, fault) = record_fault(&raw);
    assert_eq!((section, index, at), (Section::Answer, 0, HEAD));
    assert!(matches!(fault, Fault::Pointer { target: HEAD }));
}

#[test]
fn rfc_1035_section_4_1_4_names_that_point_to_each_other_are_refused() {
    // The second name of the record's data points back to the first, which points forward to the second.
    let data_at = (HEAD + 1 + 10) as u8;
    let raw = reply().answer_raw(&[0], 6, 60, &[0xC0, data_at + 2, 0xC0, data_at]);
    let (_, _, at, fault) = record_fault(&raw);
    assert_eq!(at, usize::from(data_at));
    assert!(matches!(fault, Fault::Pointer { .. }));
}

#[test]
fn rfc_1035_section_4_1_4_a_name_that_runs_into_its_own_pointer_is_refused() {
    // `1 x` and then a pointer to that `1`: the name would never end.
    let raw = reply().answer_raw(&[1, b'x', 0xC0, HEAD as u8], 1, 60, &[1, 2, 3, 4]);
    let (_, _, _, fault) = record_fault(&raw);
    assert!(matches!(fault, Fault::Pointer { target: HEAD }));
}

#[test]
fn a_pointer_into_the_header_is_refused() {
    for target in 0..12 {
        let (_, _, _, fault) = record_fault(&reply().answer_raw(&[0xC0, target], 1, 60, &[1, 2, 3, 4]));
        assert!(matches!(fault, Fault::Pointer { target: told } if told == usize::from(target)));
    }
}

#[test]
fn a_name_takes_a_bounded_number_of_pointers() {
    // The data of the first record is a chain of pointers, each to the one before it, the first to the question.
    let start = HEAD + 1 + 10;
    let chain = |length: usize| {
        let mut data = TO_QUESTION.to_vec();
        for index in 1..length {
            let target = 0xC000 | (start + 2 * (index - 1)) as u16;
            data.extend(target.to_be_bytes());
        }
        let last = 0xC000 | (start + 2 * (length - 1)) as u16;
        reply().answer_raw(&[0], 731, 60, &data).answer_raw(&last.to_be_bytes(), 1, 60, &[1, 2, 3, 4])
    };
    assert_eq!(chain(MAX_POINTERS - 1).parse().answers()[1].name, super::messages::name("a."));
    let (_, index, _, fault) = record_fault(&chain(MAX_POINTERS));
    assert_eq!(index, 1);
    assert!(matches!(fault, Fault::TooManyPointers));
}

#[test]
fn rfc_1035_section_2_3_4_a_name_takes_at_most_255_bytes() {
    let owner = |last: usize| {
        let mut owner = Vec::new();
        for length in [63, 63, 63, last] {
            owner.push(length as u8);
            owner.resize(owner.len() + length, b'x');
        }
        owner.push(0);
        owner
    };
    // Three labels of 1 + 63 bytes, one of 1 + 61, and the root.
    assert_eq!(owner(61).len(), 255);
    assert_eq!(reply().answer_raw(&owner(61), 1, 60, &[1, 2, 3, 4]).parse().answers()[0].name.num_labels(), 4);
    let (_, _, _, fault) = record_fault(&reply().answer_raw(&owner(62), 1, 60, &[1, 2, 3, 4]));
    assert!(matches!(fault, Fault::NameTooLong));
}

#[test]
fn a_name_grown_by_pointers_takes_at_most_255_bytes() {
    let mut first = Vec::new();
    for length in [63, 63, 63, 50] {
        first.push(length);
        first.resize(first.len() + usize::from(length), b'x');
    }
    first.push(0);
    // One label more in front of the 244 bytes.
    let second = |length: u8| {
        let mut second = vec![length];
        second.resize(1 + usize::from(length), b'y');
        second.extend([0xC0, HEAD as u8]);
        second
    };
    let raw = |length| reply().answer_raw(&first, 1, 60, &[1; 4]).answer_raw(&second(length), 1, 60, &[1; 4]);
    raw(10).parse();
    let (_, index, _, fault) = record_fault(&raw(11));
    assert_eq!(index, 1);
    assert!(matches!(fault, Fault::NameTooLong));
}

#[test]
fn rfc_6891_section_5_other_kinds_of_labels_are_refused() {
    for byte in [0x40, 0x7F, 0x80, 0xBF] {
        let (_, _, at, fault) = record_fault(&reply().answer_raw(&[byte], 1, 60, &[1, 2, 3, 4]));
        assert_eq!(at, HEAD);
        assert!(matches!(fault, Fault::LabelKind { byte: told } if told == byte));
    }
}

#[test]
fn data_that_goes_past_the_message_is_told_with_both_lengths() {
    let mut raw = reply().answer("a.", 60, a(1));
    let length_at = raw.bytes.len() - 6;
    raw.bytes[length_at + 1] = 200;
    let (_, _, at, fault) = record_fault(&raw);
    assert_eq!(at, length_at);
    assert!(matches!(fault, Fault::DataLength { length: 200, left: 4 }));
}

#[test]
fn data_of_the_wrong_length_for_its_type_is_refused() {
    for (record_type, data) in [(1, &[1, 2, 3][..]), (1, &[1, 2, 3, 4, 5]), (28, &[0; 15]), (15, &[0]), (33, &[0; 6])] {
        record_fault(&reply().answer_raw(&[0], record_type, 60, data));
    }
    // And with data that its type cannot do without.
    for record_type in [1, 2, 5, 6, 12, 15, 28, 33, 35, 257] {
        record_fault(&reply().answer_raw(&[0], record_type, 60, &[]));
    }
}

#[test]
fn a_name_in_data_ends_with_the_data() {
    // The data is cut within the name, and what follows in the message would complete it.
    let mut raw = reply();
    raw = raw.record(&[0], 5, 1, 60, &[3, b'w']).count(6);
    raw.bytes.extend([b'w', b'w', 0]);
    let (_, _, _, fault) = record_fault(&raw);
    assert!(matches!(fault, Fault::CutShort));
}

#[test]
fn rfc_2181_section_5_a_record_of_another_class_is_refused() {
    let raw = reply().record(&wire_name("a."), 1, 3, 60, &[1, 2, 3, 4]).count(6);
    let (_, _, _, fault) = record_fault(&raw);
    assert_eq!(fault.to_string(), "the record's class is 3, not IN");
}

#[test]
fn a_question_of_another_class_is_refused() {
    let mut raw = reply();
    raw.bytes[HEAD - 1] = 4;
    assert!(matches!(error(&raw.bytes), MalformedReply::Question { at, fault: Fault::Class { .. } } if at == HEAD - 2));
}

#[test]
fn rfc_6891_section_6_1_1_there_is_one_opt_record_at_most() {
    let raw = reply().opt(1232, 0, &[]).opt(1232, 0, &[]);
    let (section, index, _, fault) = record_fault(&raw);
    assert_eq!((section, index), (Section::Additional, 1));
    assert!(matches!(fault, Fault::SecondOpt));
}

#[test]
fn rfc_6891_section_6_1_1_the_opt_record_is_in_the_additional_section() {
    let (section, _, _, fault) = record_fault(&reply().answer_raw(&[0], 41, 0, &[]));
    assert_eq!(section, Section::Answer);
    assert!(matches!(fault, Fault::OptOutsideAdditional));
}

#[test]
fn rfc_6891_section_6_1_2_the_opt_record_belongs_to_the_root() {
    let raw = reply().record(&TO_QUESTION, 41, 1232, 0, &[]).count(10);
    assert!(matches!(record_fault(&raw).3, Fault::OptOwner));
}

#[test]
fn rfc_6891_section_6_1_2_an_option_ends_with_its_record() {
    let raw = reply().record(&[0], 41, 1232, 0, &[0, 10, 0, 9, 1, 2]).count(10);
    assert!(matches!(record_fault(&raw).3, Fault::OptionLength { code: 10 }));
    let raw = reply().record(&[0], 41, 1232, 0, &[0, 10, 0]).count(10);
    assert!(matches!(record_fault(&raw).3, Fault::CutShort));
}

#[test]
fn an_error_says_what_where_and_why() {
    let raw = reply().answer_raw(&[0xC0, HEAD as u8], 1, 60, &[1, 2, 3, 4]);
    let message =
        "record 0 of the answer section is malformed at byte 19: a name points to byte 19, where no earlier name is";
    assert_eq!(error(&raw.bytes).to_string(), message);
    let raw = reply().answer_raw(&[0], 1, 60, &[1, 2, 3]);
    let message = error(&raw.bytes).to_string();
    assert!(message.contains("the data of a record of type A is wrong"), "{message}");
}

/// A chain of pointers costs as much per name as it has links, and a message has room for thousands of names.
#[test]
fn the_most_expensive_message_takes_a_bounded_number_of_steps() {
    let start = HEAD + 1 + 10;
    let mut chain = TO_QUESTION.to_vec();
    for index in 1..8000 {
        chain.extend((0xC000 | (start + 2 * (index - 1)) as u16).to_be_bytes());
    }
    let mut raw = reply().answer_raw(&[0], 731, 60, &chain);
    let last = (0xC000 | (start + 2 * 7999) as u16).to_be_bytes();
    while raw.bytes.len() < 65_000 {
        raw = raw.record(&last, 731, 1, 60, &[]);
    }
    raw.bytes[6..8].copy_from_slice(&3000_u16.to_be_bytes());
    let (_, index, _, fault) = record_fault(&raw);
    assert_eq!(index, 1, "the first name with such a chain ends the reading");
    assert!(matches!(fault, Fault::TooManyPointers));
}

//! Cookies, the client's side.

use grapeshot_dns::proto::{Cookie, CookieState, CookieVerdict, Query, QueryOptions, RecordType, Reply};

use super::messages::{ID, Raw, name};

const RANDOM: u64 = 0x0102_0304_0506_0708;
const CLIENT: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

fn reply(cookie: Option<&[u8]>) -> Reply {
    let raw = Raw::reply(0, "a.", RecordType::A);
    match cookie {
        Some(cookie) => raw.opt(1232, 0, &[(10, cookie)]).parse(),
        None => raw.opt(1232, 0, &[]).parse(),
    }
}

fn both(server: &[u8]) -> Vec<u8> {
    [&CLIENT, server].concat()
}

#[test]
fn rfc_7873_section_4_the_server_part_takes_8_to_32_bytes() {
    let lengths: Vec<usize> = (0..60).filter(|length| Cookie::parse(&vec![7; *length]).is_some()).collect();
    assert_eq!(lengths[0], 8);
    assert_eq!(lengths[1..], (16..=40).collect::<Vec<_>>());
    let cookie = Cookie::parse(&both(&[9; 16])).unwrap();
    assert_eq!((cookie.client_part(), cookie.server_part()), (&CLIENT[..], &[9; 16][..]));
    assert_eq!(cookie.as_bytes(), both(&[9; 16]));
}

#[test]
fn rfc_7873_section_5_1_the_last_server_part_is_sent_along() {
    let mut state = CookieState::new(RANDOM);
    assert_eq!(state.cookie().as_bytes(), CLIENT);
    assert_eq!(state.receive(&reply(Some(&both(&[1; 16])))), CookieVerdict::Genuine);
    assert_eq!(state.cookie().as_bytes(), both(&[1; 16]));
}

#[test]
fn rfc_9018_section_4_3_a_server_renews_its_part_at_any_time() {
    let mut state = CookieState::new(RANDOM);
    state.receive(&reply(Some(&both(&[1; 16]))));
    assert_eq!(state.receive(&reply(Some(&both(&[2; 8])))), CookieVerdict::Genuine);
    assert_eq!(state.cookie().as_bytes(), both(&[2; 8]));
}

#[test]
fn rfc_9018_section_3_each_server_is_shown_a_cookie_of_its_own() {
    assert_ne!(CookieState::new(1).cookie().client_part(), CookieState::new(2).cookie().client_part());
}

#[test]
fn a_server_without_cookies_is_served_as_before() {
    let mut state = CookieState::new(RANDOM);
    assert_eq!(state.receive(&reply(None)), CookieVerdict::Unsupported);
    assert_eq!(state.receive(&Raw::reply(0, "a.", RecordType::A).parse()), CookieVerdict::Unsupported);
}

#[test]
fn rfc_7873_section_5_3_a_reply_without_the_expected_cookie_is_ignored() {
    let mut state = CookieState::new(RANDOM);
    state.receive(&reply(Some(&both(&[1; 16]))));
    assert_eq!(state.receive(&reply(None)), CookieVerdict::Missing);
}

#[test]
fn rfc_7873_section_5_3_a_reply_with_another_cookie_is_ignored() {
    let mut state = CookieState::new(RANDOM);
    let before = state.clone();
    assert_eq!(state.receive(&reply(Some(&[9; 24]))), CookieVerdict::Forged);
    assert_eq!(state.receive(&reply(Some(&both(&[1; 7])))), CookieVerdict::Forged, "a length that there is not");
    assert_eq!(state, before, "nothing was learnt from it");
}

#[test]
fn rfc_7873_section_5_3_badcookie_asks_to_ask_again_with_the_new_server_part() {
    let mut state = CookieState::new(RANDOM);
    let fresh = both(&[3; 16]);
    let bad = Raw::reply(7, "a.", RecordType::A).opt(1232, 0x0100_0000, &[(10, &fresh)]).parse();
    assert_eq!(state.receive(&bad), CookieVerdict::AskAgain);
    assert_eq!(state.cookie().as_bytes(), fresh);
}

#[test]
fn rfc_7873_section_5_3_a_reply_with_another_cookie_does_not_belong_to_the_query() {
    let cookie = Some(CookieState::new(RANDOM).cookie());
    let options = QueryOptions { cookie, ..QueryOptions::default() };
    let query = Query::new(name("a."), RecordType::A, &options);
    assert!(reply(Some(&both(&[1; 16]))).belongs_to(&query, ID));
    assert!(reply(None).belongs_to(&query, ID));
    assert!(!reply(Some(&[9; 24])).belongs_to(&query, ID));
    assert!(!reply(Some(&both(&[1; 3]))).belongs_to(&query, ID));
    let without = Query::new(name("a."), RecordType::A, &QueryOptions::default());
    assert!(reply(Some(&[9; 24])).belongs_to(&without, ID), "none was asked for");
}

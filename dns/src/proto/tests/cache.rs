//! The cache, with a time that is passed in.

use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hickory_proto::rr::rdata::{A, CNAME, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::{Cache, CacheCounts, CacheLimits, CachedRecords, Found, Key, MAX_CACHED_ALIASES};

const SECOND: Duration = Duration::from_secs(1);

type Failures = &'static str;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn key(text: &str) -> Key {
    Key::new(&name(text), RecordType::A)
}

fn a(owner: &str, ttl: u32, last: u8) -> Record {
    Record::from_rdata(name(owner), ttl, RData::A(A(Ipv4Addr::new(192, 0, 2, last))))
}

fn alias(owner: &str, ttl: u32, target: &str) -> Record {
    Record::from_rdata(name(owner), ttl, RData::CNAME(CNAME(name(target))))
}

fn soa() -> Option<Rc<Record>> {
    let soa = SOA::new(name("ns.example."), name("root.example."), 1, 2, 3, 4, 5);
    Some(Rc::new(Record::from_rdata(name("example."), 60, RData::SOA(soa))))
}

fn cache() -> Cache<Failures> {
    Cache::new(CacheLimits::default())
}

fn put(cache: &mut Cache<Failures>, records: &[Record], now: Instant) {
    cache.insert_records(records.into(), false, now);
}

/// The last bytes of the addresses that are found, and their TTL in seconds.
fn found(cache: &mut Cache<Failures>, text: &str, now: Instant) -> Option<(Vec<u8>, u64)> {
    match cache.find(&key(text), now)? {
        Found::Records(found) => Some((last_bytes(&found), found.ttl.as_secs())),
        other => panic!("{other:?}"),
    }
}

fn last_bytes(found: &CachedRecords) -> Vec<u8> {
    let last_byte = |record: &Record| match record.data {
        RData::A(address) => address.octets()[3],
        ref other => panic!("{other:?}"),
    };
    found.records.iter().map(last_byte).collect()
}

#[test]
fn records_are_found_until_their_ttl_is_over_and_it_counts_down() {
    let (mut cache, now) = (cache(), Instant::now());
    put(&mut cache, &[a("www.example.", 60, 1)], now);
    assert_eq!(found(&mut cache, "www.example.", now), Some((vec![1], 60)));
    assert_eq!(found(&mut cache, "www.example.", now + 59 * SECOND), Some((vec![1], 1)));
    assert_eq!(found(&mut cache, "www.example.", now + 60 * SECOND), None);
    assert!(cache.is_empty());
    assert_eq!(cache.bytes(), 0);
}

#[test]
fn rfc_4343_section_3_case_makes_no_difference() {
    let (mut cache, now) = (cache(), Instant::now());
    put(&mut cache, &[a("WWW.example.", 60, 1)], now);
    assert!(found(&mut cache, "www.EXAMPLE.", now).is_some());
}

#[test]
fn dns_3_one_record_that_is_over_ends_the_whole_set() {
    let (mut cache, now) = (cache(), Instant::now());
    put(&mut cache, &[a("www.example.", 60, 1), a("www.example.", 5, 2)], now);
    assert_eq!(found(&mut cache, "www.example.", now), Some((vec![1, 2], 5)));
    assert_eq!(found(&mut cache, "www.example.", now + 5 * SECOND), None);
}

#[test]
fn rfc_2181_section_5_4_1_a_new_set_takes_the_place_of_the_old_one() {
    let (mut cache, now) = (cache(), Instant::now());
    put(&mut cache, &[a("www.example.", 60, 1)], now);
    put(&mut cache, &[a("www.example.", 60, 2)], now);
    assert_eq!(found(&mut cache, "www.example.", now), Some((vec![2], 60)));
}

#[test]
fn rfc_1035_section_3_2_1_a_ttl_of_zero_is_for_this_once() {
    let (mut cache, now) = (cache(), Instant::now());
    put(&mut cache, &[a("www.example.", 60, 1)], now);
    put(&mut cache, &[a("www.example.", 0, 2)], now);
    assert_eq!(found(&mut cache, "www.example.", now), None);
}

#[test]
fn rfc_2181_section_8_a_ttl_of_32_bits_counts_as_zero() {
    let (mut cache, now) = (cache(), Instant::now());
    put(&mut cache, &[a("www.example.", 0x8000_0000, 1)], now);
    assert_eq!(found(&mut cache, "www.example.", now), None);
    put(&mut cache, &[a("www.example.", 0x7fff_ffff, 1)], now);
    assert_eq!(found(&mut cache, "www.example.", now), Some((vec![1], 86_400)), "a day is the most");
}

#[test]
fn dns_2_a_floor_for_ttls_is_an_option() {
    let limits = CacheLimits { min_ttl: 1800 * SECOND, ..CacheLimits::default() };
    let (mut cache, now) = (Cache::new(limits), Instant::now());
    put(&mut cache, &[a("www.example.", 60, 1)], now);
    assert_eq!(found(&mut cache, "www.example.", now), Some((vec![1], 1800)));
}

#[test]
fn each_record_takes_its_turn_as_the_first() {
    let (mut cache, now) = (cache(), Instant::now());
    put(&mut cache, &[a("www.example.", 60, 1), a("www.example.", 60, 2), a("www.example.", 60, 3)], now);
    let mut turns = Vec::new();
    for _ in 0..4 {
        match cache.find(&key("www.example."), now) {
            Some(Found::Records(found)) => turns.push(found.turn),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(turns, [0, 1, 2, 0]);
}

#[test]
fn dns_3_aliases_are_followed_in_the_cache() {
    let (mut cache, now) = (cache(), Instant::now());
    put(&mut cache, &[alias("www.example.", 30, "a.example.")], now);
    put(&mut cache, &[alias("a.example.", 20, "b.example.")], now);
    cache.insert_records([a("b.example.", 60, 9)].as_slice().into(), true, now);
    match cache.find(&key("www.example."), now) {
        Some(Found::Records(found)) => {
            assert_eq!(last_bytes(&found), [9]);
            assert_eq!(found.aliases.len(), 2);
            assert_eq!(found.ttl, 20 * SECOND, "the shortest link");
            assert!(!found.validated, "the aliases are not");
        }
        other => panic!("{other:?}"),
    }
    // Asked for itself, an alias is not followed.
    let alias_itself = Key::new(&name("www.example."), RecordType::CNAME);
    assert!(matches!(cache.find(&alias_itself, now), Some(Found::Records(found)) if found.aliases.is_empty()));
    assert_eq!(cache.find(&key("www.example."), now + 20 * SECOND), None);
}

#[test]
fn a_circle_of_aliases_ends() {
    let (mut cache, now) = (cache(), Instant::now());
    put(&mut cache, &[alias("a.example.", 60, "b.example.")], now);
    put(&mut cache, &[alias("b.example.", 60, "a.example.")], now);
    assert_eq!(cache.find(&key("a.example."), now), None);
}

#[test]
fn a_chain_that_is_too_long_is_not_followed_to_its_end() {
    let (mut cache, now) = (cache(), Instant::now());
    for number in 0..=MAX_CACHED_ALIASES {
        put(&mut cache, &[alias(&format!("n{number}.example."), 60, &format!("n{}.example.", number + 1))], now);
    }
    put(&mut cache, &[a(&format!("n{}.example.", MAX_CACHED_ALIASES + 1), 60, 1)], now);
    assert_eq!(found(&mut cache, "n0.example.", now), None);
    assert_eq!(found(&mut cache, "n1.example.", now), Some((vec![1], 60)));
}

#[test]
fn rfc_2308_section_5_no_data_is_remembered_for_one_type() {
    let (mut cache, now) = (cache(), Instant::now());
    cache.insert_no_data(&key("www.example."), soa(), Some(60), now);
    assert!(
        matches!(cache.find(&key("WWW.example."), now), Some(Found::NoData(absence)) if absence.ttl == 60 * SECOND)
    );
    let other_type = Key::new(&name("www.example."), RecordType::AAAA);
    assert_eq!(cache.find(&other_type, now), None);
    assert_eq!(cache.find(&key("www.example."), now + 60 * SECOND), None);
}

#[test]
fn rfc_2308_section_5_no_such_name_is_remembered_for_all_types() {
    let (mut cache, now) = (cache(), Instant::now());
    put(&mut cache, &[a("www.example.", 60, 1)], now);
    cache.insert_no_such_name(&key("www.example."), soa(), Some(60), now);
    for record_type in [RecordType::A, RecordType::AAAA, RecordType::CNAME] {
        let found = cache.find(&Key::new(&name("www.example."), record_type), now);
        assert!(matches!(found, Some(Found::NoSuchName(_))), "{record_type}: {found:?}");
    }
    // What is under the name is another matter.
    assert_eq!(cache.find(&key("a.www.example."), now), None);
}

#[test]
fn records_end_the_news_that_there_is_no_such_name() {
    let (mut cache, now) = (cache(), Instant::now());
    cache.insert_no_such_name(&key("www.example."), soa(), Some(60), now);
    put(&mut cache, &[a("www.example.", 60, 1)], now);
    assert!(found(&mut cache, "www.example.", now).is_some());
    assert_eq!(cache.find(&Key::new(&name("www.example."), RecordType::AAAA), now), None);
}

#[test]
fn rfc_2308_section_5_without_a_soa_record_nothing_is_remembered() {
    let (mut cache, now) = (cache(), Instant::now());
    cache.insert_no_data(&key("a.example."), None, None, now);
    cache.insert_no_such_name(&key("b.example."), None, None, now);
    assert!(cache.is_empty());
}

#[test]
fn rfc_2308_section_5_a_negative_answer_lives_three_hours_at_most() {
    let (mut cache, now) = (cache(), Instant::now());
    cache.insert_no_data(&key("www.example."), soa(), Some(1 << 30), now);
    assert!(cache.find(&key("www.example."), now + Duration::from_secs(3 * 3600 - 1)).is_some());
    assert!(cache.find(&key("www.example."), now + Duration::from_secs(3 * 3600)).is_none());
}

#[test]
fn rfc_2308_section_2_1_the_end_of_a_chain_of_aliases_may_not_exist() {
    let (mut cache, now) = (cache(), Instant::now());
    put(&mut cache, &[alias("www.example.", 60, "gone.example.")], now);
    cache.insert_no_such_name(&key("gone.example."), soa(), Some(30), now);
    match cache.find(&key("www.example."), now) {
        Some(Found::NoSuchName(absence)) => {
            assert_eq!(absence.aliases.len(), 1);
            assert_eq!(absence.ttl, 30 * SECOND);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn rfc_9520_section_3_2_failures_are_kept_twice_as_long_each_time_up_to_a_limit() {
    let (mut cache, mut now) = (cache(), Instant::now());
    let key = key("www.example.");
    for seconds in [1, 2, 4, 8, 16, 30, 30] {
        cache.insert_failure(&key, "no luck", now);
        let until = now + seconds * SECOND;
        assert_eq!(cache.find(&key, until - SECOND / 2), Some(Found::Failure("no luck")), "{seconds}");
        assert_eq!(cache.find(&key, until), None, "{seconds}");
        now = until;
    }
    // Of another type nothing is known.
    cache.insert_failure(&key, "no luck", now);
    assert_eq!(cache.find(&Key::new(&name("www.example."), RecordType::AAAA), now), None);
    // An answer ends the row.
    put(&mut cache, &[a("www.example.", 1, 1)], now);
    cache.insert_failure(&key, "again", now + SECOND);
    assert_eq!(cache.find(&key, now + 2 * SECOND), None);
}

#[test]
fn rfc_9520_section_3_2_failures_are_kept_for_a_second_to_five_minutes_whatever_is_set() {
    let hours = Duration::from_secs(7200);
    for (min, max, least) in [(Duration::ZERO, Duration::ZERO, 1), (hours, hours, 300)] {
        let limits = CacheLimits { min_failure_ttl: min, max_failure_ttl: max, ..CacheLimits::default() };
        let (mut cache, now) = (Cache::new(limits), Instant::now());
        cache.insert_failure(&key("www.example."), "no luck", now);
        let until = now + least * SECOND;
        assert!(cache.find(&key("www.example."), until - SECOND / 2).is_some(), "{least}");
        assert!(cache.find(&key("www.example."), until).is_none(), "{least}");
    }
}

#[test]
fn rfc_8767_section_5_old_records_stand_in_when_all_failed() {
    let limits = CacheLimits { max_stale: 3600 * SECOND, ..CacheLimits::default() };
    let (mut cache, now) = (Cache::new(limits), Instant::now());
    put(&mut cache, &[alias("www.example.", 60, "a.example.")], now);
    put(&mut cache, &[a("a.example.", 60, 1)], now);
    let late = now + 600 * SECOND;
    assert_eq!(cache.find(&key("www.example."), late), None, "they are over");
    cache.insert_failure(&key("www.example."), "no luck", late);
    assert_eq!(cache.find(&key("www.example."), late), Some(Found::Failure("no luck")));
    let stale = cache.find_stale(&key("www.example."), late).unwrap();
    assert_eq!((last_bytes(&stale), stale.ttl), (vec![1], Duration::ZERO));
    assert_eq!(cache.find_stale(&key("www.example."), now + 3660 * SECOND), None);
    assert_eq!(cache.counts().stale, 1);
}

#[test]
fn rfc_8767_is_off_unless_asked_for() {
    let (mut cache, now) = (cache(), Instant::now());
    put(&mut cache, &[a("www.example.", 60, 1)], now);
    assert_eq!(cache.find_stale(&key("www.example."), now + 60 * SECOND), None);
}

#[test]
fn dns_1_the_least_recently_used_entry_makes_room() {
    assert_eq!(CacheLimits::default().entries, 10_000);
    let limits = CacheLimits { entries: 2, ..CacheLimits::default() };
    let (mut cache, now) = (Cache::new(limits), Instant::now());
    put(&mut cache, &[a("a.example.", 60, 1)], now);
    put(&mut cache, &[a("b.example.", 60, 2)], now);
    assert!(found(&mut cache, "a.example.", now).is_some());
    put(&mut cache, &[a("c.example.", 60, 3)], now);
    assert_eq!(cache.len(), 2);
    assert!(found(&mut cache, "b.example.", now).is_none());
    assert!(found(&mut cache, "a.example.", now).is_some());
    assert_eq!(cache.counts().evicted, 1);
}

#[test]
fn the_bytes_of_all_entries_are_bounded() {
    let limits = CacheLimits { bytes: 100_000, ..CacheLimits::default() };
    let (mut cache, now) = (Cache::<Failures>::new(limits), Instant::now());
    for number in 0..50 {
        let text = TXT::new(vec!["x".repeat(255); 40]);
        let record = Record::from_rdata(name(&format!("n{number}.example.")), 60, RData::TXT(text));
        cache.insert_records([record].as_slice().into(), false, now);
        assert!(cache.bytes() <= 100_000);
    }
    assert!((5..=9).contains(&cache.len()), "{}", cache.len());
    // One that is larger than all the room is not kept, and drives nobody out.
    let text = TXT::new(vec!["x".repeat(255); 400]);
    let before = cache.len();
    cache.insert_records(
        [Record::from_rdata(name("big.example."), 60, RData::TXT(text))].as_slice().into(),
        false,
        now,
    );
    assert_eq!(cache.len(), before);
}

#[test]
fn a_cache_of_no_entries_keeps_nothing() {
    let limits = CacheLimits { entries: 0, ..CacheLimits::default() };
    let (mut cache, now) = (Cache::new(limits), Instant::now());
    put(&mut cache, &[a("www.example.", 60, 1)], now);
    cache.insert_failure(&key("www.example."), "no luck", now);
    assert_eq!(cache.find(&key("www.example."), now), None);
}

#[test]
fn dns_12_what_is_asked_is_counted() {
    let (mut cache, now) = (cache(), Instant::now());
    put(&mut cache, &[a("www.example.", 60, 1)], now);
    cache.insert_no_such_name(&key("gone.example."), soa(), Some(60), now);
    cache.find(&key("www.example."), now);
    cache.find(&key("gone.example."), now);
    cache.find(&key("new.example."), now);
    cache.find(&key("www.example."), now + 60 * SECOND);
    let counts = CacheCounts { hits: 1, exceptions: 1, misses: 2, expired: 1, ..CacheCounts::default() };
    assert_eq!(cache.counts(), counts);
}

#[test]
fn a_cache_that_is_cleared_has_forgotten() {
    let (mut cache, now) = (cache(), Instant::now());
    put(&mut cache, &[a("www.example.", 60, 1)], now);
    cache.clear();
    assert_eq!((cache.len(), cache.bytes()), (0, 0));
    assert_eq!(found(&mut cache, "www.example.", now), None);
}

proptest::proptest! {
    #[test]
    fn the_limits_hold_whatever_is_kept(
        steps in proptest::collection::vec((0_u8..20, 0_u8..5, 0_u32..100, 0_u64..50), 1..200)
    ) {
        let limits = CacheLimits { entries: 7, bytes: 4000, ..CacheLimits::default() };
        let (mut cache, mut now) = (Cache::<Failures>::new(limits.clone()), Instant::now());
        for (number, what, ttl, wait) in steps {
            let owner = format!("n{number}.example.");
            match what {
                0 => put(&mut cache, &[a(&owner, ttl, number)], now),
                1 => put(&mut cache, &[alias(&owner, ttl, &format!("n{}.example.", ttl % 20))], now),
                2 => cache.insert_no_such_name(&key(&owner), soa(), Some(ttl), now),
                3 => cache.insert_failure(&key(&owner), "no luck", now),
                _ => drop(cache.find(&key(&owner), now)),
            }
            now += Duration::from_millis(wait * 100);
            proptest::prop_assert!(cache.len() <= limits.entries && cache.bytes() <= limits.bytes);
            proptest::prop_assert_eq!(cache.places.len(), cache.len());
        }
    }
}

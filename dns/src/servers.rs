//! What is known of the servers: who was silent lately, who does not speak EDNS, and their cookies.
//!
//! # Invariants
//!
//! - Nothing is kept of a server of which there is nothing to be said, and of [`MAX_KNOWN`] servers at most.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::config::{Config, NameServer};
use crate::proto::{Cookie, CookieState, CookieVerdict, Reply};

/// For how long a server that was silent is asked after the others; twice as long each further time in a row.
pub const SILENCE_REMEMBERED: Duration = Duration::from_secs(10);

/// The longest that a server is asked after the others.
pub const MAX_SILENCE_REMEMBERED: Duration = Duration::from_secs(300);

/// For how long a server that did not know EDNS is asked without; it may learn.
pub const NO_EDNS_REMEMBERED: Duration = Duration::from_secs(900);

/// Of how many servers something is remembered.
const MAX_KNOWN: usize = 256;

/// What is known of the servers.
#[derive(Default)]
pub(crate) struct Servers {
    known: RefCell<HashMap<NameServer, Known>>,
    /// Which server begins the next lookup, if they take turns.
    turn: Cell<usize>,
}

#[derive(Default)]
struct Known {
    /// Asked last until then, after so many silences in a row.
    silent: Option<(Instant, u32)>,
    no_edns_until: Option<Instant>,
    cookie: Option<CookieState>,
}

impl Servers {
    /// The servers in the order in which they are to be asked: as configured or in turns, the silent ones last.
    pub(crate) fn in_order<'a>(&self, config: &'a Config, now: Instant) -> Vec<&'a NameServer> {
        let count = config.servers.len();
        let mut servers: Vec<&NameServer> = config.servers.iter().collect();
        if config.rotate && count > 0 {
            let turn = self.turn.get();
            self.turn.set(turn.wrapping_add(1));
            servers.rotate_left(turn % count);
        }
        self.put_silent_last(&mut servers, now);
        servers
    }

    /// Moves the servers that were silent lately behind the others, and leaves their order otherwise.
    pub(crate) fn put_silent_last(&self, servers: &mut [&NameServer], now: Instant) {
        let known = self.known.borrow();
        if !known.is_empty() && servers.len() > 1 {
            let is_silent = |server: &&NameServer| {
                known.get(*server).and_then(|known| known.silent).is_some_and(|(until, _)| now < until)
            };
            servers.sort_by_key(is_silent);
        }
    }

    pub(crate) fn note_silence(&self, server: &NameServer, now: Instant) {
        self.change(server, |known| {
            let in_a_row = known.silent.map_or(0, |(_, in_a_row)| in_a_row);
            let wait = SILENCE_REMEMBERED.saturating_mul(1 << in_a_row.min(16)).min(MAX_SILENCE_REMEMBERED);
            known.silent = Some((now + wait, in_a_row.saturating_add(1)));
        });
    }

    pub(crate) fn note_reply(&self, server: &NameServer) {
        let mut known = self.known.borrow_mut();
        if known.is_empty() {
            return;
        }
        if let Some(known) = known.get_mut(server) {
            known.silent = None;
        }
    }

    pub(crate) fn note_no_edns(&self, server: &NameServer, now: Instant) {
        self.change(server, |known| known.no_edns_until = Some(now + NO_EDNS_REMEMBERED));
    }

    pub(crate) fn speaks_edns(&self, server: &NameServer, now: Instant) -> bool {
        let known = self.known.borrow();
        known.is_empty() || known.get(server).and_then(|known| known.no_edns_until).is_none_or(|until| until <= now)
    }

    /// The cookie for a server; its client's part is drawn once.
    pub(crate) fn cookie(&self, server: &NameServer) -> Cookie {
        self.change(server, |known| known.cookie.get_or_insert_with(|| CookieState::new(rand::random())).cookie())
    }

    pub(crate) fn receive_cookie(&self, server: &NameServer, reply: &Reply) -> CookieVerdict {
        self.change(server, |known| match &mut known.cookie {
            Some(cookie) => cookie.receive(reply),
            None => CookieVerdict::Unsupported,
        })
    }

    /// Forgets everything: the network may be another one.
    pub(crate) fn clear(&self) {
        self.known.borrow_mut().clear();
    }

    fn change<T>(&self, server: &NameServer, change: impl FnOnce(&mut Known) -> T) -> T {
        let mut known = self.known.borrow_mut();
        if known.len() >= MAX_KNOWN && !known.contains_key(server) {
            // Far more servers than anybody configures: the program makes them up as it goes.
            known.clear();
        }
        change(known.entry(server.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(rotate: bool) -> Config {
        let servers = ["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"].map(|server| server.parse().unwrap());
        Config { rotate, ..Config::with_servers(servers) }
    }

    fn order(servers: &Servers, config: &Config, now: Instant) -> Vec<u8> {
        let last = |server: &&NameServer| server.address.ip().to_string().bytes().last().unwrap() - b'0';
        servers.in_order(config, now).iter().map(last).collect()
    }

    #[test]
    fn servers_are_asked_in_their_order_or_in_turns() {
        let now = Instant::now();
        let servers = Servers::default();
        assert_eq!(order(&servers, &config(false), now), [1, 2, 3]);
        assert_eq!(order(&servers, &config(false), now), [1, 2, 3]);
        for expected in [[1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 2, 3]] {
            assert_eq!(order(&servers, &config(true), now), expected);
        }
    }

    #[test]
    fn who_was_silent_is_asked_last_for_a_while_and_longer_each_time() {
        let (servers, config, now) = (Servers::default(), config(false), Instant::now());
        servers.note_silence(&config.servers[0], now);
        assert_eq!(order(&servers, &config, now), [2, 3, 1]);
        assert_eq!(order(&servers, &config, now + SILENCE_REMEMBERED), [1, 2, 3]);
        servers.note_silence(&config.servers[0], now);
        assert_eq!(order(&servers, &config, now + SILENCE_REMEMBERED), [2, 3, 1]);
        for _ in 0..40 {
            servers.note_silence(&config.servers[0], now);
        }
        assert_eq!(order(&servers, &config, now + MAX_SILENCE_REMEMBERED), [1, 2, 3]);
        servers.note_silence(&config.servers[1], now);
        servers.note_reply(&config.servers[0]);
        assert_eq!(order(&servers, &config, now), [1, 3, 2]);
    }

    #[test]
    fn rfc_6891_section_7_a_server_without_edns_is_remembered_for_a_while() {
        let (servers, config, now) = (Servers::default(), config(false), Instant::now());
        servers.note_no_edns(&config.servers[0], now);
        assert!(!servers.speaks_edns(&config.servers[0], now));
        assert!(servers.speaks_edns(&config.servers[1], now));
        assert!(servers.speaks_edns(&config.servers[0], now + NO_EDNS_REMEMBERED));
    }

    #[test]
    fn rfc_7873_section_9_1_each_server_has_a_cookie_of_its_own() {
        let (servers, config) = (Servers::default(), config(false));
        let [first, second, _] = &config.servers[..] else { panic!("three servers") };
        assert_eq!(servers.cookie(first), servers.cookie(first));
        assert_ne!(servers.cookie(first), servers.cookie(second));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (servers, now) = (Servers::default(), Instant::now());
        for port in 1..2000 {
            let server: std::net::SocketAddr = ([192, 0, 2, 1], port).into();
            servers.note_silence(&NameServer::from(server), now);
        }
        assert!(servers.known.borrow().len() <= MAX_KNOWN);
    }
}

//! Which names are asked for when a person types one: the name itself, and the name under each domain of the search list.
//!
//! ```text
//!   ends in a dot ────────────────► the name as it is, and nothing else
//!   has `ndots` dots or more ─────► the name as it is, then under each domain
//!   fewer ────────────────────────► under each domain, then the name as it is
//! ```
//!
//! What a reply means for the next step, as in glibc:
//!
//! | outcome | next | if nothing is found |
//! |---|---|---|
//! | no such name | goes on | "no such name" |
//! | no such data | goes on | is remembered, and wins over "no such name" |
//! | server failure | goes on | is remembered, and wins over "no such name" |
//! | no answer | skips to the name as it is, if that is to come | is the result |
//!
//! If the name as it is was asked for first, its outcome is the result of a search that found nothing, and whatever it is,
//! the list follows.
//!
//! # Invariants
//!
//! - Each name is handed out once, and there are no more than domains in the list plus one.
//! - A name that would be too long is passed over.
//!
//! Sources: resolv.conf(5) and resolver(5); RFC 1535, section 6; RFC 1123, section 6.1.4.3.

use hickory_proto::rr::Name;

/// What came of asking for one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchStep {
    /// There is no such name.
    NoSuchName,
    /// The name has no such data.
    NoData,
    /// A server has failed at it.
    ServerFailure,
    /// Nobody answered, or the lookup cannot be done for another reason: the rest of the list would only take longer.
    NoAnswer,
}

/// The names to be asked for, one after the other.
///
/// # Examples
///
/// ```
/// use grapeshot_dns::proto::{Name, Search, SearchStep};
///
/// let domains = [Name::from_ascii("example.com.").unwrap()];
/// let mut search = Search::new(&Name::from_ascii("www").unwrap(), 1, &domains);
/// assert_eq!(search.candidate().unwrap().to_ascii(), "www.example.com.");
/// search.note(SearchStep::NoSuchName);
/// assert_eq!(search.candidate().unwrap().to_ascii(), "www.");
/// search.note(SearchStep::NoSuchName);
/// assert_eq!(search.candidate(), None);
/// assert_eq!(search.verdict(), SearchStep::NoSuchName);
/// ```
#[derive(Clone, Debug)]
pub struct Search {
    /// What is left to be asked for, the next one last.
    left: Vec<Name>,
    /// The name that was handed out is the one that was typed.
    asks_as_is: bool,
    as_typed: Name,
    starts_as_is: bool,
    remembered: Option<SearchStep>,
}

impl Search {
    /// The names for `typed`, which is absolute if it ends in a dot ([`Name::is_fqdn`]).
    pub fn new(typed: &Name, ndots: usize, domains: &[Name]) -> Search {
        let mut as_typed = typed.clone();
        as_typed.set_fqdn(true);
        let dots = typed.iter().count().saturating_sub(1);
        let starts_as_is = typed.is_fqdn() || dots >= ndots;
        let mut names = Vec::with_capacity(domains.len() + 1);
        if starts_as_is {
            names.push(as_typed.clone());
        }
        if !typed.is_fqdn() {
            names.extend(domains.iter().filter_map(|domain| typed.clone().append_domain(domain).ok()));
            names.push(as_typed.clone());
        }
        Search { left: once_each(names), asks_as_is: false, as_typed, starts_as_is, remembered: None }
    }

    /// The next name to ask for, absolute; `None` when there is none left.
    pub fn candidate(&mut self) -> Option<Name> {
        let name = self.left.pop()?;
        self.asks_as_is = name == self.as_typed;
        Some(name)
    }

    /// Notes what came of the last candidate, if it was no answer.
    pub fn note(&mut self, outcome: SearchStep) {
        let decides = self.asks_as_is && self.starts_as_is;
        // Whoever does not answer for a name at the top may well do so for one's own domains, as glibc has it.
        if outcome == SearchStep::NoAnswer && !decides {
            self.left.retain(|name| *name == self.as_typed);
        }
        if decides || self.remembered.is_none_or(|known| !self.starts_as_is && weight(outcome) > weight(known)) {
            self.remembered = Some(outcome);
        }
    }

    /// What is to be said when no candidate gave an answer.
    pub fn verdict(&self) -> SearchStep {
        self.remembered.unwrap_or(SearchStep::NoSuchName)
    }
}

/// Which of several outcomes says more.
fn weight(outcome: SearchStep) -> u8 {
    match outcome {
        SearchStep::NoSuchName => 0,
        SearchStep::ServerFailure => 1,
        SearchStep::NoData => 2,
        SearchStep::NoAnswer => 3,
    }
}

/// The names reversed, and only the first of each.
fn once_each(names: Vec<Name>) -> Vec<Name> {
    let mut seen: Vec<Name> = Vec::with_capacity(names.len());
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen.reverse();
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn domains() -> [Name; 2] {
        [name("a.example."), name("b.example.")]
    }

    fn candidates(typed: &str, ndots: usize, domains: &[Name]) -> Vec<String> {
        let mut search = Search::new(&name(typed), ndots, domains);
        std::iter::from_fn(|| search.candidate()).map(|name| name.to_ascii()).collect()
    }

    #[test]
    fn a_name_with_few_dots_is_searched_for_first() {
        assert_eq!(candidates("www", 1, &domains()), ["www.a.example.", "www.b.example.", "www."]);
        assert_eq!(candidates("x.www", 2, &domains()), ["x.www.a.example.", "x.www.b.example.", "x.www."]);
    }

    #[test]
    fn a_name_with_many_dots_is_asked_for_as_it_is_first() {
        assert_eq!(candidates("x.www", 1, &domains()), ["x.www.", "x.www.a.example.", "x.www.b.example."]);
        assert_eq!(candidates("www", 0, &domains())[0], "www.");
        assert_eq!(candidates("*.www", 1, &domains())[0], "*.www.");
    }

    #[test]
    fn an_absolute_name_is_asked_for_as_it_is_and_no_other() {
        assert_eq!(candidates("www.", 1, &domains()), ["www."]);
        assert_eq!(candidates(".", 1, &domains()), ["."]);
    }

    #[test]
    fn without_a_search_list_there_is_one_name() {
        assert_eq!(candidates("www", 1, &[]), ["www."]);
        assert_eq!(candidates("x.www", 1, &[]), ["x.www."]);
    }

    #[test]
    fn the_root_in_the_list_gives_the_name_as_it_is_its_place() {
        assert_eq!(candidates("www", 1, &[Name::root(), name("a.example.")]), ["www.", "www.a.example."]);
    }

    #[test]
    fn a_domain_that_makes_the_name_too_long_is_passed_over() {
        let long =
            [["l".repeat(63), "m".repeat(63), "n".repeat(63), "o".repeat(55)].join("."), String::new()].join(".");
        assert_eq!(candidates("www-1234", 1, &[name(&long), name("a.example.")]), ["www-1234.a.example.", "www-1234."]);
    }

    #[track_caller]
    fn assert_verdict(typed: &str, outcomes: &[SearchStep], verdict: SearchStep) {
        let mut search = Search::new(&name(typed), 1, &domains());
        for outcome in outcomes {
            assert!(search.candidate().is_some(), "another candidate for {typed}");
            search.note(*outcome);
        }
        assert_eq!(search.candidate(), None);
        assert_eq!(search.verdict(), verdict, "{typed}: {outcomes:?}");
    }

    use SearchStep::{NoAnswer, NoData, NoSuchName, ServerFailure};

    #[test]
    fn rfc_1535_section_6_every_domain_is_tried_before_the_search_fails() {
        assert_verdict("www", &[NoSuchName, NoSuchName, NoSuchName], NoSuchName);
    }

    #[test]
    fn no_data_and_server_failures_are_remembered() {
        assert_verdict("www", &[NoData, NoSuchName, NoSuchName], NoData);
        assert_verdict("www", &[NoSuchName, ServerFailure, NoSuchName], ServerFailure);
        assert_verdict("www", &[ServerFailure, NoData, NoSuchName], NoData);
    }

    #[test]
    fn no_answer_skips_the_rest_of_the_list() {
        assert_verdict("www", &[NoAnswer, NoSuchName], NoAnswer);
        assert_verdict("x.www", &[NoSuchName, NoAnswer], NoSuchName);
    }

    #[test]
    fn no_answer_for_the_name_as_it_is_leaves_the_list_if_it_came_first() {
        assert_verdict("x.www", &[NoAnswer, NoSuchName, NoData], NoAnswer);
        assert_verdict("x.www", &[NoAnswer, NoAnswer], NoAnswer);
    }

    #[test]
    fn the_outcome_of_the_name_as_it_is_decides_if_it_came_first() {
        assert_verdict("x.www", &[NoSuchName, NoData, ServerFailure], NoSuchName);
        assert_verdict("x.www", &[ServerFailure, NoSuchName, NoSuchName], ServerFailure);
        assert_verdict("x.www", &[NoData, NoAnswer], NoData);
    }

    #[test]
    fn a_search_that_asked_nobody_found_nothing() {
        assert_eq!(Search::new(&Name::root(), 1, &[]).verdict(), NoSuchName);
    }
}

//! The order in which a host's name is looked for: the line `hosts:` of nsswitch.conf.
//!
//! ```text
//!   hosts:  files  mdns4_minimal [NOTFOUND=return]  dns
//!           └ source             └ status=action    └ the next, if the action was to continue
//! ```
//!
//! # What is absent
//!
//! Sources other than `files`, `dns` and `myhostname`: they are programs loaded into the process. They count as unavailable,
//! so that the next source is asked, except that a name under `local` is not found by `mdns…_minimal`, which keeps it from DNS
//! as it does where Multicast DNS is spoken (RFC 6762, section 3). The action `merge` counts as `return`, as glibc merges groups only.
//!
//! Sources: nsswitch.conf(5).

/// Where names are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameSource {
    /// The hosts file.
    Files,
    /// The name servers.
    Dns,
    /// This host's own name, and `localhost`.
    MyHostname,
    /// Multicast DNS for names under `local`, which is not spoken here.
    MulticastDns,
    /// Anything else, which is not there.
    Other(Box<str>),
}

/// What came of asking a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceStatus {
    /// There is an answer.
    Success,
    /// The source knows that there is none.
    NotFound,
    /// The source could not be asked.
    Unavailable,
    /// The source could not answer now.
    TryAgain,
}

const STATUSES: [(&str, SourceStatus); 4] = [
    ("SUCCESS", SourceStatus::Success),
    ("NOTFOUND", SourceStatus::NotFound),
    ("UNAVAIL", SourceStatus::Unavailable),
    ("TRYAGAIN", SourceStatus::TryAgain),
];

/// One source, and for which statuses the lookup ends with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    source: NameSource,
    ends: [bool; STATUSES.len()],
}

impl Step {
    fn new(word: &str) -> Step {
        let source = match word {
            "files" => NameSource::Files,
            "dns" => NameSource::Dns,
            "myhostname" => NameSource::MyHostname,
            word if word.starts_with("mdns") && word.ends_with("_minimal") => NameSource::MulticastDns,
            word => NameSource::Other(word.into()),
        };
        // Success ends the lookup unless something else is said.
        Step { source, ends: STATUSES.map(|(_, status)| status == SourceStatus::Success) }
    }

    /// The source.
    pub fn source(&self) -> &NameSource {
        &self.source
    }

    /// Whether the lookup ends here when the source has answered so, and does not go on with the next.
    pub fn ends_with(&self, status: SourceStatus) -> bool {
        STATUSES.iter().zip(self.ends).any(|((_, known), ends)| *known == status && ends)
    }

    /// Reads one `[status=action]` or `[!status=action]`, without its brackets; nothing if it is none.
    fn add_action(&mut self, text: &str) {
        let Some((status, action)) = text.split_once('=') else {
            return;
        };
        let (is_negated, status) = match status.strip_prefix('!') {
            Some(status) => (true, status),
            None => (false, status),
        };
        let Some(named) = STATUSES.iter().position(|(word, _)| word.eq_ignore_ascii_case(status)) else {
            return;
        };
        let ends = match action.to_ascii_lowercase().as_str() {
            "return" | "merge" => true,
            "continue" => false,
            _ => return,
        };
        for (place, known) in self.ends.iter_mut().enumerate() {
            if (place == named) != is_negated {
                *known = ends;
            }
        }
    }
}

/// How many sources are kept of a line.
pub const MAX_SOURCES: usize = 16;

/// The sources in the order they are asked.
///
/// # Examples
///
/// ```
/// use grapeshot_dns::proto::{HostsOrder, NameSource, SourceStatus};
///
/// let order = HostsOrder::parse(b"hosts: files [NOTFOUND=return] dns");
/// let first = &order.steps()[0];
/// assert_eq!(*first.source(), NameSource::Files);
/// assert!(first.ends_with(SourceStatus::NotFound));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostsOrder {
    steps: Vec<Step>,
}

impl Default for HostsOrder {
    /// The files and then DNS, which is what glibc does without nsswitch.conf.
    fn default() -> HostsOrder {
        HostsOrder { steps: vec![Step::new("files"), Step::new("dns")] }
    }
}

impl HostsOrder {
    /// Reads the line `hosts:` of nsswitch.conf, the last if there are several; the default if there is none.
    pub fn parse(text: &[u8]) -> HostsOrder {
        let text = String::from_utf8_lossy(text);
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let mut databases = lines.filter_map(|line| line.split_once(':'));
        let last = databases.rfind(|(database, _)| database.trim() == "hosts");
        last.map_or_else(HostsOrder::default, |(_, sources)| HostsOrder { steps: parse_steps(sources) })
    }

    /// The sources, first to last.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

fn parse_steps(line: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    // Brackets need no spaces around them, and may hold several actions.
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let word;
        if let Some(inside) = rest.strip_prefix('[') {
            (word, rest) = inside.split_once(']').unwrap_or((inside, ""));
            if let Some(step) = steps.last_mut() {
                word.split_ascii_whitespace().for_each(|action| step.add_action(action));
            }
        } else {
            let end = rest.find(|c: char| c.is_ascii_whitespace() || c == '[').unwrap_or(rest.len());
            (word, rest) = rest.split_at(end);
            if steps.len() == MAX_SOURCES {
                break;
            }
            steps.push(Step::new(word));
        }
        rest = rest.trim_start();
    }
    steps
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sources(line: &str) -> Vec<NameSource> {
        HostsOrder::parse(line.as_bytes()).steps().iter().map(|step| step.source().clone()).collect()
    }

    #[test]
    fn without_a_line_the_files_come_before_dns() {
        assert_eq!(sources("passwd: files\n"), [NameSource::Files, NameSource::Dns]);
        assert_eq!(sources(""), [NameSource::Files, NameSource::Dns]);
    }

    #[test]
    fn the_last_line_counts_and_comments_do_not() {
        assert_eq!(
            sources("hosts: files\n# hosts: files dns\n hosts:\tdns files # and dns\n"),
            [NameSource::Dns, NameSource::Files]
        );
        assert_eq!(sources("hosts:\n"), []);
    }

    #[test]
    fn sources_of_others_keep_their_place() {
        assert_eq!(
            sources("hosts: mymachines resolve [!UNAVAIL=return] files myhostname mdns4_minimal mdns4 dns"),
            [
                NameSource::Other("mymachines".into()),
                NameSource::Other("resolve".into()),
                NameSource::Files,
                NameSource::MyHostname,
                NameSource::MulticastDns,
                NameSource::Other("mdns4".into()),
                NameSource::Dns
            ]
        );
    }

    #[track_caller]
    fn assert_ends(line: &str, expected: [bool; 4]) {
        let order = HostsOrder::parse(line.as_bytes());
        assert_eq!(STATUSES.map(|(_, status)| order.steps()[0].ends_with(status)), expected, "{line}");
    }

    #[test]
    fn only_success_ends_a_lookup_unless_something_else_is_said() {
        assert_ends("hosts: files dns", [true, false, false, false]);
    }

    #[test]
    fn actions_change_what_they_name() {
        assert_ends("hosts: files [NOTFOUND=return] dns", [true, true, false, false]);
        assert_ends("hosts: files[notfound=RETURN tryagain=return]dns", [true, true, false, true]);
        assert_ends("hosts: files [SUCCESS=continue] dns", [false, false, false, false]);
        assert_ends("hosts: files [SUCCESS=merge] dns", [true, false, false, false]);
        assert_ends("hosts: files [!UNAVAIL=return] dns", [true, true, false, true]);
        assert_ends("hosts: files [!SUCCESS=continue] dns", [true, false, false, false]);
    }

    #[test]
    fn actions_that_make_no_sense_are_passed_over() {
        assert_ends("hosts: files [NOTFOUND] [NOTFOUND=stop] [FOUND=return] [ dns", [true, false, false, false]);
        assert_ends("hosts: [NOTFOUND=return] files", [true, false, false, false]);
    }

    #[test]
    fn no_more_than_the_limit_of_sources_is_kept() {
        assert_eq!(sources(&format!("hosts:{}", " dns".repeat(100))).len(), MAX_SOURCES);
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut line = b"hosts:".to_vec();
            line.extend(text);
            prop_assert!(HostsOrder::parse(&line).steps().len() <= MAX_SOURCES);
        }
    }
}

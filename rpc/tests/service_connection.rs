//! Typed clients and services at the two ends of a connection: calls (BEA-16), callbacks, time limits, streams, listing, and
//! two versions of one service that meet.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{now, sleep, test};
use grapeshot_net::memory;
use grapeshot_rpc::stream::{Items, Sink};
use grapeshot_rpc::{CallError, CallerExt, Connection, Context, Failure, MethodInfo, Service, ServiceError, service};
use serde::{Deserialize, Serialize};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Match {
    line: u32,
    text: String,
}

#[derive(Debug, PartialEq, ServiceError)]
#[rpc(crate = grapeshot_rpc)]
enum SearchError {
    #[rpc(code = 1)]
    EmptyPattern,
    #[rpc(code = 2)]
    TooMany { limit: usize },
}

impl fmt::Display for SearchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SearchError::EmptyPattern => f.write_str("an empty pattern matches everything"),
            SearchError::TooMany { limit } => write!(f, "there are more than {limit} matches"),
        }
    }
}

/// A stream that breaks is not the search's own error; here it ends as one that was cut off.
impl From<grapeshot_rpc::StreamError> for SearchError {
    fn from(_: grapeshot_rpc::StreamError) -> SearchError {
        SearchError::TooMany { limit: 0 }
    }
}

/// Searches a text.
#[service(crate = grapeshot_rpc)]
trait Search {
    /// Counts the lines with a pattern in them.
    #[rpc(idempotent)]
    fn count(&self, pattern: &str) -> Result<usize, SearchError>;

    /// Sends them.
    fn find(&self, pattern: String, most: Option<usize>, matches: Sink<Match>) -> Result<usize, SearchError>;

    /// Takes lines for the text.
    fn append(&self, lines: Items<String>) -> Result<usize, Failure>;

    /// Searches, and tells the caller how far it is.
    fn count_slowly(&self, context: &Context, pattern: String) -> Result<usize, SearchError>;

    /// Takes that many seconds.
    fn dawdle(&self, context: &Context, seconds: u64) -> bool;

    #[rpc(notification)]
    fn forget(&self);
}

/// What a caller of `count_slowly` answers to.
#[service(crate = grapeshot_rpc)]
trait Progress {
    fn step(&self, line: usize) -> bool;
}

struct Text {
    lines: RefCell<Vec<String>>,
    log: test::Log,
}

impl Text {
    fn new(log: &test::Log) -> Text {
        let lines = ["round shot", "grape shot", "canister"].map(str::to_owned).into();
        Text { lines: RefCell::new(lines), log: log.clone() }
    }
}

impl Search for Text {
    fn count(&self, pattern: &str) -> Result<usize, SearchError> {
        match pattern {
            "" => Err(SearchError::EmptyPattern),
            pattern => Ok(self.lines.borrow().iter().filter(|line| line.contains(pattern)).count()),
        }
    }

    fn find(&self, pattern: String, most: Option<usize>, matches: Sink<Match>) -> Result<usize, SearchError> {
        let lines = self.lines.borrow().clone();
        let found = lines.into_iter().zip(1..).filter(|(text, _)| text.contains(&pattern));
        let mut count = 0;
        for (text, line) in found {
            if most == Some(count) {
                return Err(SearchError::TooMany { limit: count });
            }
            matches.send(&Match { line, text })?;
            count += 1;
        }
        Ok(count)
    }

    fn append(&self, lines: Items<String>) -> Result<usize, Failure> {
        for line in lines {
            self.lines.borrow_mut().push(line?);
        }
        Ok(self.lines.borrow().len())
    }

    fn count_slowly(&self, context: &Context, pattern: String) -> Result<usize, SearchError> {
        let progress = context.caller().cloned().map(ProgressClient::new);
        let progress = progress.ok_or(SearchError::EmptyPattern)?;
        let lines = self.lines.borrow().len();
        for line in 1..=lines {
            // Whoever answers with false has seen enough.
            if !progress.step(line).unwrap_or(false) {
                return Err(SearchError::TooMany { limit: line });
            }
        }
        self.count(&pattern)
    }

    fn dawdle(&self, context: &Context, seconds: u64) -> bool {
        struct Unwound(test::Log);
        impl Drop for Unwound {
            fn drop(&mut self) {
                self.0.add("the method is over");
            }
        }
        let _unwound = Unwound(self.log.clone());
        let left = context.deadline().map(|deadline| deadline - now());
        self.log.add(format!("{} s are left", left.unwrap_or_default().as_secs_f32().round()));
        sleep(Duration::from_secs(seconds));
        true
    }

    fn forget(&self) {
        self.lines.borrow_mut().clear();
    }
}

/// A client that answers to `service`, and the server's end, which lives as long.
fn pair_with(service: impl Service + 'static, log: &test::Log) -> (SearchClient<Connection>, Connection) {
    let (near, far) = memory::pair();
    let server = Connection::over(far).service(SearchService(Text::new(log))).accept().unwrap();
    (SearchClient::new(Connection::over(near).service(service).open().unwrap()), server)
}

fn pair() -> (SearchClient<Connection>, Connection) {
    pair_with(ProgressService(Patience(u64::MAX, Rc::default())), &test::Log::new())
}

/// How many steps are welcome, and those that came.
struct Patience(u64, Rc<RefCell<Vec<usize>>>);

impl Progress for Patience {
    fn step(&self, line: usize) -> bool {
        self.1.borrow_mut().push(line);
        line as u64 <= self.0
    }
}

#[test]
fn a_typed_call_and_its_own_error_cross_a_connection() {
    test::run(|| {
        let (client, _server) = pair();
        assert_eq!(client.count("shot").unwrap(), 2);
        let error = client.count("").unwrap_err();
        assert_eq!(error.service(), Some(SearchError::EmptyPattern));
        assert_eq!(error.to_string(), "the callee failed: an empty pattern matches everything (code 1)");
    });
}

#[test]
fn items_of_structs_come_before_the_answer_or_the_error() {
    test::run(|| {
        let (client, _server) = pair();
        let call = client.find("shot".into(), None).unwrap();
        let found: Vec<Match> = call.items().map(Result::unwrap).collect();
        let expected = [(1, "round shot"), (2, "grape shot")].map(|(line, text)| Match { line, text: text.into() });
        assert_eq!(found, expected);
        assert_eq!(call.finish().unwrap(), 2);
        let call = client.find("shot".into(), Some(1)).unwrap();
        assert_eq!(call.recv().unwrap(), Some(expected[0].clone()));
        assert_eq!(call.finish().unwrap_err().service(), Some(SearchError::TooMany { limit: 1 }));
    });
}

#[test]
fn a_caller_streams_into_a_typed_method() {
    test::run(|| {
        let (client, _server) = pair();
        let call = client.append().unwrap();
        ["chain shot", "shrapnel"].iter().for_each(|line| call.send(&(*line).to_owned()).unwrap());
        assert_eq!(call.finish().unwrap(), 5);
        assert_eq!(client.count("shot").unwrap(), 3);
    });
}

#[test]
fn a_method_calls_its_caller_back_with_a_typed_client() {
    test::run(|| {
        let steps = Rc::new(RefCell::new(Vec::new()));
        let progress = ProgressService(Patience(5, steps.clone()));
        let (client, _server) = pair_with(progress, &test::Log::new());
        assert_eq!(client.count_slowly("shot".into()).unwrap(), 2);
        assert_eq!(*steps.borrow(), [1, 2, 3]);
        let (client, _server) = pair_with(ProgressService(Patience(1, steps)), &test::Log::new());
        let error = client.count_slowly("shot".into()).unwrap_err();
        assert_eq!(error.service(), Some(SearchError::TooMany { limit: 2 }));
    });
}

#[test]
fn a_clients_time_limit_reaches_the_method_and_ends_it() {
    test::run(|| {
        let log = test::Log::new();
        let (client, _server) = pair_with(ProgressService(Patience(0, Rc::default())), &log);
        let began = now();
        let error = client.with_timeout(3 * SECOND).dawdle(3600).unwrap_err();
        assert!(matches!(error, CallError::TimedOut { sent: true, .. }), "{error}");
        assert_eq!(now() - began, 3 * SECOND);
        sleep(SECOND);
        assert_eq!(log.take(), ["3 s are left", "the method is over"]);
        assert!(client.dawdle(1).unwrap());
    });
}

#[test]
fn a_call_sees_what_the_notification_before_it_did() {
    test::run(|| {
        let (client, _server) = pair();
        client.forget().unwrap();
        assert_eq!(client.count("shot").unwrap(), 0);
    });
}

#[test]
fn a_listing_crosses_the_connection_as_it_is() {
    test::run(|| {
        let (client, _server) = pair();
        let listed = client.caller().methods().unwrap();
        assert_eq!(listed, SearchService(Text::new(&test::Log::new())).methods());
        let signatures: Vec<String> = listed.iter().map(MethodInfo::to_string).collect();
        assert_eq!(
            signatures[..2],
            [
                "count(pattern: str) -> usize",
                "find(pattern: String, most: Option<usize>) -> stream of Match, then usize"
            ]
        );
    });
}

/// The service as it was, and as a later version has it.
mod versions {
    use super::service;

    #[service(crate = grapeshot_rpc)]
    pub(super) trait Old {
        fn greet(&self, name: String) -> String;
    }

    #[service(crate = grapeshot_rpc)]
    pub(super) trait New {
        #[rpc(alias = "greet")]
        fn salute(&self, name: String, title: Option<String>) -> String;
    }

    pub(super) struct Herald;

    impl Old for Herald {
        fn greet(&self, name: String) -> String {
            format!("hello {name}")
        }
    }

    impl New for Herald {
        fn salute(&self, name: String, title: Option<String>) -> String {
            format!("hail {}{name}", title.unwrap_or_default())
        }
    }
}

#[test]
fn a_client_and_a_server_of_two_versions_understand_each_other() {
    use versions::{Herald, NewService, OldClient, OldService};

    /// What a later client knows of the service, by its former name.
    #[service(crate = grapeshot_rpc)]
    trait Later {
        fn greet(&self, name: String, title: Option<String>) -> String;
    }

    fn connect(service: impl Service + 'static) -> (Connection, Connection) {
        let (near, far) = memory::pair();
        let server = Connection::over(far).service(service).accept().unwrap();
        (Connection::over(near).open().unwrap(), server)
    }

    test::run(|| {
        let (connection, _server) = connect(NewService(Herald));
        assert_eq!(OldClient::new(&connection).greet("ann".into()).unwrap(), "hail ann");
        assert_eq!(LaterClient::new(&connection).greet("ann".into(), Some("dr ".into())).unwrap(), "hail dr ann");
        let (connection, _server) = connect(OldService(Herald));
        let later = LaterClient::new(&connection);
        assert_eq!(later.greet("ann".into(), None).unwrap(), "hello ann");
        // What the old version cannot honour, it refuses, and says what it takes.
        let error = later.greet("ann".into(), Some("dr ".into())).unwrap_err();
        assert_eq!(error.failure().unwrap().code, Failure::INVALID_PARAMS);
        assert!(error.to_string().contains("`greet` takes 1 parameter (name: String), and 2 came"), "{error}");
    });
}

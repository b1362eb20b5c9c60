//! Endpoints from SRV records, with a name server that is a table, under virtual time.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use grapeshot_core::{sleep, test};
use grapeshot_dns::proto::rdata::SRV;
use grapeshot_dns::proto::{Name, Query, RData, Record, Reply, Request as Question, ResponseCode};
use grapeshot_dns::transport::{ExchangeError, Notes, Place, Transport};
use grapeshot_dns::{Config, NameServer, Resolver, ResolverBuilder};
use grapeshot_rpc::balance::{Balancer, BalancerOptions, EndpointSource, Policy, ServiceRecords};
use grapeshot_rpc::{CallError, CallOptions, Caller, Encoded, OpenCall, Request};

const SECOND: Duration = Duration::from_secs(1);
const SERVICE: &str = "_calc._tcp.example.";

/// Priority, weight, port, target.
type Row = (u16, u16, u16, &'static str);

/// A name server that knows one service.
#[derive(Clone, Default)]
struct Zone {
    records: Rc<RefCell<Vec<Row>>>,
    ttl: Rc<Cell<u32>>,
    code: Rc<Cell<Option<ResponseCode>>>,
    asked: Rc<Cell<usize>>,
}

impl Transport for Zone {
    fn name(&self) -> &'static str {
        "a table"
    }

    fn exchange_in(
        &self,
        _: &Place<'_>,
        _: &NameServer,
        query: &Query,
        _: Instant,
        _: &mut Notes,
    ) -> Result<Reply, ExchangeError> {
        self.asked.set(self.asked.get() + 1);
        let mut message = Vec::new();
        query.encode(1, &mut message);
        let question = Question::parse(&message).unwrap();
        let records = self.records.borrow();
        let answers = records.iter().map(|&(priority, weight, port, target)| {
            let data = SRV::new(priority, weight, port, Name::from_ascii(target).unwrap());
            Record::from_rdata(question.name().clone(), self.ttl.get(), RData::SRV(data))
        });
        let response = match self.code.get() {
            Some(code) => question.respond(code),
            None => question.respond(ResponseCode::NoError).answers(answers),
        };
        Ok(Reply::parse(&response.encode_for_datagram()).unwrap())
    }
}

impl Zone {
    fn of(records: &[Row]) -> Zone {
        let zone = Zone::default();
        zone.ttl.set(60);
        *zone.records.borrow_mut() = records.to_vec();
        zone
    }

    fn resolver(&self) -> Resolver {
        let config = Config::with_servers(["192.0.2.53:53".parse().unwrap()]);
        ResolverBuilder::with_config(config).udp(self.clone()).tcp(self.clone()).build()
    }

    fn records(&self) -> ServiceRecords {
        ServiceRecords::new(self.resolver(), SERVICE)
    }

    fn balancer(&self) -> Balancer<Named> {
        let mut options = BalancerOptions::default();
        options.policy = Policy::RoundRobin;
        Balancer::with_options(self.records(), options, |endpoint| Named(endpoint.address.clone()))
    }
}

/// Answers with its address.
struct Named(String);

impl Caller for Named {
    fn exchange(&self, _: &Request<'_>) -> Result<Encoded, CallError> {
        Ok(Encoded::of(&self.0).unwrap())
    }

    fn tell(&self, _: &Request<'_>) -> Result<(), CallError> {
        Ok(())
    }

    fn open(&self, _: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
        Err(CallError::Refused { reason: "no streams here".to_owned() })
    }
}

fn names(balancer: &Balancer<Named>, calls: usize) -> Vec<String> {
    let request = Request { method: "name", params: &[0x90], options: &CallOptions::default() };
    let mut names: Vec<String> = (0..calls).map(|_| balancer.exchange(&request).unwrap().decode().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn rfc_2782_targets_of_the_lowest_priority_are_called_by_their_weights() {
    test::run(|| {
        let zone = Zone::of(&[(10, 3, 7000, "a.example."), (10, 1, 7001, "b.example."), (20, 9, 7000, "c.example.")]);
        let balancer = zone.balancer();
        assert_eq!(names(&balancer, 4), ["a.example:7000", "a.example:7000", "a.example:7000", "b.example:7001"]);
        let backup = &balancer.endpoints()[2].endpoint;
        assert_eq!((backup.address.as_str(), backup.priority, backup.weight), ("c.example:7000", 20, 9));
    });
}

#[test]
fn records_are_asked_for_again_when_their_time_is_over() {
    test::run(|| {
        let zone = Zone::of(&[(0, 1, 1, "a.example.")]);
        let balancer = zone.balancer();
        assert_eq!(names(&balancer, 1), ["a.example:1"]);
        *zone.records.borrow_mut() = vec![(0, 1, 1, "b.example.")];
        sleep(59 * SECOND);
        assert_eq!((names(&balancer, 1), zone.asked.get()), (vec!["a.example:1".to_owned()], 1));
        sleep(2 * SECOND);
        assert_eq!((names(&balancer, 1), zone.asked.get()), (vec!["b.example:1".to_owned()], 2));
    });
}

#[test]
fn a_very_short_time_to_live_floods_nobody() {
    test::run(|| {
        let zone = Zone::of(&[(0, 1, 1, "a.example.")]);
        zone.ttl.set(0);
        let balancer = zone.balancer();
        names(&balancer, 1);
        sleep(100 * SECOND);
        assert!((15..=21).contains(&zone.asked.get()), "{}", zone.asked.get());
    });
}

#[test]
fn an_interval_of_the_programs_counts_instead() {
    test::run(|| {
        let zone = Zone::of(&[(0, 1, 1, "a.example.")]);
        zone.ttl.set(5);
        let source = zone.records().interval(600 * SECOND);
        assert_eq!(source.find().unwrap().good_for, Some(600 * SECOND));
        assert_eq!(zone.records().find().unwrap().good_for, Some(5 * SECOND));
    });
}

#[test]
fn rfc_2782_a_target_of_the_root_means_that_there_is_no_such_service() {
    test::run(|| {
        let zone = Zone::of(&[(0, 0, 0, ".")]);
        let found = zone.records().find().unwrap();
        assert!(found.endpoints.is_empty() && found.good_for.is_some());
    });
}

#[test]
fn a_name_server_that_fails_takes_no_endpoints_away() {
    test::run(|| {
        let zone = Zone::of(&[(0, 1, 1, "a.example.")]);
        let balancer = zone.balancer();
        names(&balancer, 1);
        for code in [ResponseCode::ServFail, ResponseCode::NXDomain] {
            zone.code.set(Some(code));
            sleep(600 * SECOND);
            assert_eq!(names(&balancer, 1), ["a.example:1"], "{code}");
        }
    });
}

#[test]
fn a_service_that_cannot_be_found_says_so_to_its_caller() {
    test::run(|| {
        let zone = Zone::of(&[]);
        zone.code.set(Some(ResponseCode::NXDomain));
        let balancer = zone.balancer();
        let request = Request { method: "name", params: &[0x90], options: &CallOptions::default() };
        let error = balancer.exchange(&request).unwrap_err().to_string();
        assert_eq!(
            error,
            "the call was not sent: the endpoints cannot be found: no such name: _calc._tcp.example. (SRV)"
        );
    });
}

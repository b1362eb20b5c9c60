//! Whatever comes in whatever order, the bounds hold and no number has an effect twice.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{sleep, spawn, test, with_timeout, yield_now};
use grapeshot_rpc::replies::{AtMostOnce, BEGIN, ReplyLimits};
use grapeshot_rpc::{Context, Encoded, Failure, Sequence, Service, Value};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

/// What comes next.
#[derive(Clone, Debug)]
enum Step {
    Begin,
    /// A call of one of the clients there are.
    Call {
        client: usize,
        number: u64,
        lowest: u64,
        method: &'static str,
        /// After how many seconds its caller goes away.
        patience: u64,
    },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let method = prop_oneof![Just("bump"), Just("large"), Just("slow"), Just("fail"), Just("busy")];
    prop_oneof![
        1 => Just(Step::Begin),
        8 => (0_usize..5, 0_u64..12, 0_u64..8, method, 0_u64..20).prop_map(|(client, number, lowest, method, patience)| {
            Step::Call { client, number, lowest, method, patience }
        }),
        1 => (0_u64..400).prop_map(Step::Wait),
    ]
}

/// Counts the effects of each number.
#[derive(Default)]
struct Effects {
    of: RefCell<HashMap<([u8; 16], u64), usize>>,
}

impl Service for Effects {
    fn call(&self, method: &str, _params: &[u8], context: &Context) -> Result<Encoded, Failure> {
        let sequence = context.sequence().unwrap();
        if method == "busy" {
            return Err(Failure::new(Failure::BUSY, "not now"));
        }
        *self.of.borrow_mut().entry((sequence.client, sequence.number)).or_default() += 1;
        match method {
            "slow" => sleep(SECOND * 10),
            "large" => return Ok(Encoded::of(&vec![0_u32; 200]).unwrap()),
            "fail" => return Err(Failure::new(1, "failed")),
            _ => {}
        }
        Ok(Encoded::of(&(sequence.number,)).unwrap())
    }
}

fn limits() -> ReplyLimits {
    let mut limits = ReplyLimits::default();
    limits.clients = 3;
    limits.replies_per_client = 3;
    limits.bytes = 1500;
    limits.stretches_per_client = 4;
    limits.running = 2;
    limits.run_time = SECOND * 8;
    limits
}

fn begin(service: &AtMostOnce<Rc<Effects>>) -> Option<[u8; 16]> {
    let probe = Sequence { client: [0; 16], number: 0, lowest: 0 };
    let reply = service.call(BEGIN, &[0x90], &Context::detached().with_sequence(probe)).ok()?;
    match reply.decode::<Value>().unwrap() {
        Value::Binary(id) => Some(id.try_into().unwrap()),
        other => panic!("no id: {other}"),
    }
}

/// Takes the steps, looking at the bounds after each, and returns how many effects there were and the most of one number.
fn take(steps: Vec<Step>) -> (usize, usize) {
    test::run(move || {
        let effects = Rc::new(Effects::default());
        let service = Rc::new(AtMostOnce::with_limits(effects.clone(), limits()));
        let mut clients = vec![[9; 16]];
        for step in steps {
            match step {
                Step::Begin => clients.extend(begin(&service)),
                Step::Wait(seconds) => sleep(SECOND * u32::try_from(seconds).unwrap()),
                Step::Call { client, number, lowest, method, patience } => {
                    let sequence = Sequence { client: clients[client % clients.len()], number, lowest };
                    let service = service.clone();
                    let context = Context::detached().with_sequence(sequence);
                    let patience = SECOND * u32::try_from(patience).unwrap();
                    spawn(move || with_timeout(patience, || service.call(method, &[0x90], &context)));
                    yield_now();
                    yield_now();
                }
            }
            let counts = service.counts();
            assert!(counts.clients <= 3 && counts.replies <= 9, "{counts:?}");
            assert!(counts.bytes <= 1500 && counts.running <= 2, "{counts:?}");
        }
        assert!(service.wait_idle(None));
        // Far beyond every age: nothing is left but the client that asks for it.
        sleep(SECOND * 2000);
        begin(&service).unwrap();
        let counts = service.counts();
        assert_eq!((counts.clients, counts.replies, counts.bytes, counts.running), (1, 0, 0, 0));
        let effects = effects.of.borrow();
        (effects.values().sum(), effects.values().copied().max().unwrap_or(0))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_bounds_hold_and_no_number_has_an_effect_twice(steps in proptest::collection::vec(step(), 0..120)) {
        let (_, most) = take(steps);
        prop_assert!(most <= 1);
    }
}

#[test]
fn the_steps_have_effects() {
    let call = |number, method| Step::Call { client: 1, number, lowest: 1, method, patience: 1 };
    let steps = vec![Step::Begin, call(1, "bump"), call(2, "slow"), call(2, "slow"), call(1, "bump"), call(3, "busy")];
    assert_eq!(take(steps), (2, 1));
}

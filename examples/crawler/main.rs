//! A crawler's skeleton: a scope of fetchers, a semaphore that says how many at a time, limits on every fetch.
//!
//! ```sh
//! cargo run --release --example crawler
//! cargo run --release --example crawler -- 8 http://127.0.0.1:8080/      # of `quickstart`, for one
//! ```
//!
//! It follows the links of a page to the same server, takes each page once, and prints them in the order of arrival.
//! Without addresses it crawls a site of its own in the same process, some pages of which are slow, broken or endless.
//! The number says how many fetches go on at a time; addresses are numeric, as no names are looked up.
//!
//! There is a coroutine for each page and no queue: those who wait for the semaphore are the queue.
//! `fetch.rs` is a GET by hand, with its limits, and `site.rs` the site.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

mod fetch;
mod site;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use grapeshot::sync::Semaphore;
use grapeshot::{Scope, scope, with_timeout};

use fetch::{Address, fetch};

const AT_A_TIME: usize = 4;
const MOST_AT_A_TIME: usize = 1000;

/// How long a page may take, from the connection to its last byte.
const PAGE_TIME: Duration = Duration::from_secs(2);

/// How many pages are looked at, so that a site that invents its links comes to an end.
const PAGES: usize = 1000;

fn main() -> ExitCode {
    let Some((at_a_time, addresses)) = arguments() else {
        eprintln!("usage: crawler [AT_A_TIME http://ADDRESS:PORT/PATH...], such as 8 http://127.0.0.1:8080/");
        return ExitCode::from(2);
    };
    grapeshot::run(move || {
        let addresses = if addresses.is_empty() { vec![site::start()?] } else { addresses };
        crawl(at_a_time, addresses);
        Ok::<(), io::Error>(())
    })
}

fn arguments() -> Option<(usize, Vec<Address>)> {
    let mut arguments = std::env::args().skip(1);
    let Some(at_a_time) = arguments.next() else { return Some((AT_A_TIME, Vec::new())) };
    let at_a_time = at_a_time.parse().ok().filter(|at_a_time| (1..=MOST_AT_A_TIME).contains(at_a_time))?;
    let addresses: Vec<Address> = arguments.map(|address| Address::parse(&address)).collect::<Option<_>>()?;
    (!addresses.is_empty()).then_some((at_a_time, addresses))
}

struct Crawl {
    /// A unit for each fetch that may go on.
    turns: Semaphore,
    seen: RefCell<HashSet<Address>>,
    fetching: Cell<usize>,
    most: Cell<usize>,
    failed: Cell<usize>,
}

fn crawl(at_a_time: usize, addresses: Vec<Address>) {
    let began = Instant::now();
    let crawl = Crawl {
        turns: Semaphore::new(at_a_time),
        seen: RefCell::default(),
        fetching: Cell::new(0),
        most: Cell::new(0),
        failed: Cell::new(0),
    };
    // Pages start pages; the scope ends with the last of them.
    scope(|scope| {
        for address in addresses {
            visit(scope, &crawl, address);
        }
    });
    let (pages, failed, most) = (crawl.seen.borrow().len(), crawl.failed.get(), crawl.most.get());
    println!("{pages} pages, {failed} of them failed, {most} at a time at most, in {:.1?}", began.elapsed());
}

/// Starts a coroutine for a page, unless there has been one.
fn visit<'scope>(scope: &'scope Scope<'scope, '_>, crawl: &'scope Crawl, address: Address) {
    let is_full = crawl.seen.borrow().len() >= PAGES;
    if is_full || !crawl.seen.borrow_mut().insert(address.clone()) {
        return;
    }
    scope.spawn(move || {
        let turn = crawl.turns.acquire(1);
        crawl.fetching.set(crawl.fetching.get() + 1);
        crawl.most.set(crawl.most.get().max(crawl.fetching.get()));
        let began = Instant::now();
        let fetched = with_timeout(PAGE_TIME, || fetch(&address)).unwrap_or_else(|late| Err(late.into()));
        crawl.fetching.set(crawl.fetching.get() - 1);
        drop(turn);
        match fetched {
            Ok(page) => {
                let links = address.links(&page.body);
                let (status, bytes, time) = (page.status, page.body.len(), began.elapsed());
                println!("{status}  {bytes:>7} bytes  {:>2} links  {time:>8.1?}  {address}", links.len());
                links.into_iter().for_each(|link| visit(scope, crawl, link));
            }
            Err(error) => {
                crawl.failed.set(crawl.failed.get() + 1);
                println!("failed: {error}: {address}");
            }
        }
    });
}

//! A site to crawl: thirty pages that link to each other, and some that a crawler has to get over.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use grapeshot::http::{Limits, Request, Response, Server, StatusCode};
use grapeshot::{random_u64, sleep, spawn};

use crate::PAGE_TIME;
use crate::fetch::Address;

const PAGES: u32 = 30;

/// Serves the site on a port of the system's choice, and says where it begins.
pub(crate) fn start() -> io::Result<Address> {
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = server.local_addr()?;
    let mut limits = Limits::default();
    // The program's end waits for answers under way, and nobody is left to wait for the slow page.
    limits.drain_timeout = Duration::ZERO;
    spawn(move || server.limits(limits).serve(answer));
    Ok(Address::new(address, "/"))
}

fn answer(request: &mut Request<'_>) -> Response {
    match request.path() {
        "/" => page(&["/1", "/slow", "/endless", "/missing"]),
        "/slow" => {
            sleep(10 * PAGE_TIME);
            page(&[])
        }
        "/endless" => Response::reader(io::repeat(b' '), None),
        path => match path.trim_start_matches('/').parse::<u32>() {
            Ok(number) if (1..=PAGES).contains(&number) => {
                sleep(Duration::from_millis(5 + random_u64() % 50));
                // Each leads to two more, as in a heap, and back to its parent; those beyond the last are missing.
                let links = [number / 2, 2 * number, 2 * number + 1].map(|number| format!("/{number}"));
                page(&links.each_ref().map(String::as_str)[..if number <= PAGES / 2 { 3 } else { 1 }])
            }
            _ => Response::text("there is no such page\n").status(StatusCode::NOT_FOUND),
        },
    }
}

fn page(links: &[&str]) -> Response {
    let links: String = links.iter().map(|link| format!("<a href=\"{link}\">{link}</a>\n")).collect();
    Response::html(format!("<title>a page</title>\n{links}"))
}

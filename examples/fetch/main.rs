//! Fetches URLs over HTTP and HTTPS, as curl does: GET, and exit code 0 only if every answer came whole.
//!
//! ```sh
//! cargo run --release --example fetch -- http://127.0.0.1:8080/            # of `quickstart`, for one
//! cargo run --release --example fetch -- -i -o page.html https://example.org/
//! cargo run --release --example fetch -- -s --cacert ca.pem --resolve shop.test:8443:127.0.0.1 https://shop.test:8443/
//! ```
//!
//! The body goes to stdout, or to FILE as it comes: after a failure FILE holds what came before it.
//! A line for each URL, or its failure, goes to stderr. Several URLs are fetched in their order, over the same
//! connection where that serves, and the exit code is that of the first failure.
//!
//! | code | is |
//! |---|---|
//! | 0 | every answer came whole; one of 404 is an answer |
//! | 1 | neither `http` nor `https`, or an answer that is not HTTP/1 |
//! | 2 | wrong arguments |
//! | 3 | a URL that is none, or that two readers could take for two |
//! | 6, 7 | the name leads nowhere, no address takes a connection |
//! | 8 | the answer's head is not as it should be |
//! | 18 | the answer ends before its body does |
//! | 22 | with `-f`: a status from 400 on |
//! | 23 | what came cannot be written |
//! | 28 | a limit of time has passed |
//! | 35, 60 | no TLS with the server, or its certificate is not trusted |
//! | 52 | the server hung up without an answer |
//! | 55, 56 | sending or receiving failed, or the body is not as it should be |
//! | 58, 77 | the files of `--cert` and `--key`, or of `--cacert`, cannot be used |
//! | 63 | the body is larger than `--max-filesize` |
//!
//! They are curl's codes for the same. What curl repairs, this refuses: see the module `http::client`.
//! `arguments.rs` reads the command line, `transfer.rs` fetches, `failure.rs` says what went wrong.
#![expect(clippy::print_stderr, reason = "an example talks to its user")]

mod arguments;
mod failure;
mod transfer;

use std::process::ExitCode;

use arguments::Arguments;
use failure::Failure;
use transfer::{client, fetch};

const USAGE: &str = "usage: fetch [-s] [-S] [-i] [-f] [-o FILE]... [--cacert FILE] [--cert FILE [--key FILE]] \
                     [--resolve HOST:PORT:ADDRESS[,ADDRESS]...]... [--connect-timeout SECONDS] [--max-time SECONDS] \
                     [--max-filesize BYTES] URL...";

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("fetch: {wrong}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let exit = grapeshot::run(move || ExitCode::from(fetch_all(&arguments)));
    std::process::Termination::report(exit)
}

/// Fetches one after the other; the first failure says the code.
fn fetch_all(arguments: &Arguments) -> u8 {
    let client = match client(arguments) {
        Ok(client) => client,
        Err(failure) => return tell(arguments, &failure),
    };
    let mut code = 0;
    for (url, output) in arguments.transfers() {
        match fetch(&client, arguments, url, output) {
            Ok(line) if arguments.is_silent => drop(line),
            Ok(line) => eprintln!("{url}: {line}"),
            Err(cause) => {
                let failed = tell(arguments, &Failure { url: Some(url.to_owned()), ..cause });
                code = if code == 0 { failed } else { code };
            }
        }
    }
    code
}

fn tell(arguments: &Arguments, failure: &Failure) -> u8 {
    if !arguments.is_silent || arguments.shows_errors {
        eprintln!("fetch: {failure}");
    }
    failure.code
}

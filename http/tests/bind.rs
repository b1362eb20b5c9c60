//! Where a server listens.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::io::ErrorKind;

use grapeshot_core::test;
use grapeshot_http::Server;

#[test]
fn an_address_in_use_is_named_in_the_error() {
    test::run(|| {
        let first = Server::bind("127.0.0.1:0").unwrap();
        let address = first.local_addr().unwrap();
        let error = Server::bind(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().starts_with(&format!("cannot listen on {address}: ")), "{error}");
    });
}

#[test]
fn a_name_instead_of_an_address_is_refused() {
    let name = "localhost:0";
    let error = Server::bind(name).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains(name), "{error}");
}

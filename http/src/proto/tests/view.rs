//! Reading a parsed head, as it is and as types of the `http` crate.

use http::{HeaderMap, Method, Version};

use super::head_of;
use crate::proto::HeadView;

const REQUEST: &str = "PATCH /a?b HTTP/1.1\r\nhost: h\r\nX-Two: 1\r\nAccept: x\r\nx-tWO: 2\r\n\r\n";

#[test]
fn a_header_is_found_whatever_the_case_of_its_name() {
    let head = head_of(REQUEST);
    let view = HeadView::new(REQUEST.as_bytes(), &head);
    assert_eq!(view.header("HOST"), Some(&b"h"[..]));
    assert_eq!(view.header("accept"), Some(&b"x"[..]));
    assert_eq!(view.header("accep"), None);
}

/// HTTP-5: names are multi-valued.
#[test]
fn all_headers_of_a_name_are_found_in_order() {
    let head = head_of(REQUEST);
    let view = HeadView::new(REQUEST.as_bytes(), &head);
    assert_eq!(view.headers_named("x-two").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(view.header("x-two"), Some(&b"1"[..]));
    assert_eq!(view.headers_named("none").count(), 0);
}

#[test]
fn headers_are_listed_as_sent() {
    let head = head_of(REQUEST);
    let names: Vec<_> = HeadView::new(REQUEST.as_bytes(), &head).headers().map(|(name, _)| name).collect();
    assert_eq!(names, ["host", "X-Two", "Accept", "x-tWO"]);
}

#[test]
fn the_types_of_the_http_crate_say_the_same() {
    let head = head_of(REQUEST);
    let view = HeadView::new(REQUEST.as_bytes(), &head);
    assert_eq!(view.to_method().unwrap(), Method::PATCH);
    assert_eq!(view.to_uri().unwrap(), "/a?b");
    assert_eq!(view.to_version(), Version::HTTP_11);
    let map: HeaderMap = view.to_header_map().unwrap();
    assert_eq!(map.get_all("x-two").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(map.len(), 4);
}

#[test]
fn a_view_outlives_the_copy_it_was_read_from() {
    let head = head_of(REQUEST);
    let method = {
        let view = HeadView::new(REQUEST.as_bytes(), &head);
        view.method()
    };
    assert_eq!(method, "PATCH");
}

#[test]
#[should_panic(expected = "shorter than the head")]
fn a_buffer_that_is_too_short_is_refused() {
    let head = head_of(REQUEST);
    HeadView::new(&REQUEST.as_bytes()[..10], &head);
}

#[test]
fn another_buffer_of_that_length_gives_wrong_text_and_nothing_worse() {
    let head = head_of(REQUEST);
    let other = vec![0xff; REQUEST.len()];
    let view = HeadView::new(&other, &head);
    assert_eq!((view.method(), view.path(), view.authority()), ("", "", ""));
    assert!(view.to_method().is_err() && view.to_uri().is_err() && view.to_header_map().is_err());
}

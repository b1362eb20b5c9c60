//! Scans whatever comes for messages, whole and in pieces, reads them, and writes again what was read.
#![no_main]

use grapeshot_rpc::proto::{
    Concerns, ItemRun, Message, MessageFault, Meta, MetaLimits, Scan, ScanError, Scanner, append_callee_item,
    append_caller_end, append_caller_item, append_cancel, append_error_response, append_failure, append_go_away,
    append_grant_to_callee, append_grant_to_caller, append_notification, append_ping, append_pong, append_request,
    append_response, peek_call, read_failure, whole_item,
};
use libfuzzer_sys::fuzz_target;

const MAX_BYTES: usize = 1 << 16;
const MAX_DEPTH: usize = 64;
const META: MetaLimits = MetaLimits { pairs: 64, bytes: 8 << 10 };

// The first byte says how large the pieces are.
fuzz_target!(|bytes: &[u8]| {
    let Some((piece, mut rest)) = bytes.split_first() else {
        return;
    };
    let mut scanner = Scanner::new(MAX_BYTES, MAX_DEPTH);
    let mut in_pieces = scanner.clone();
    loop {
        let run = ItemRun::at_start(rest, MAX_BYTES);
        let scanned = scanner.scan(rest);
        if let Some(mut run) = run
            && let Some(item) = run.next()
        {
            assert_eq!(scanned, Ok(Scan::Complete(run.passed())));
            let (Ok(Message::CallerItem { id, item: parsed }) | Ok(Message::CalleeItem { id, item: parsed })) =
                Message::parse(&rest[..run.passed()])
            else {
                panic!("it is no item");
            };
            assert_eq!((run.id(), item), (id, parsed));
        }
        assert_eq!(scan_in_pieces(&mut in_pieces, rest, usize::from(*piece) + 1), scanned);
        match scanned {
            Ok(Scan::Complete(length)) => {
                check_frame(&rest[..length]);
                rest = &rest[length..];
            }
            Ok(Scan::NeedMore) => break,
            Err(error) => {
                assert_eq!(scanner.scan(rest), Err(error), "an error stays");
                assert!(!error.to_string().is_empty());
                break;
            }
        }
    }
});

fn scan_in_pieces(scanner: &mut Scanner, bytes: &[u8], piece: usize) -> Result<Scan, ScanError> {
    let mut end = 0;
    while end < bytes.len() {
        match scanner.scan(&bytes[..end]) {
            Ok(Scan::NeedMore) => end += piece,
            other => return other,
        }
    }
    scanner.scan(bytes)
}

fn check_frame(frame: &[u8]) {
    assert!((1..=MAX_BYTES).contains(&frame.len()));
    let mut rest = frame;
    rmpv::decode::read_value(&mut rest).expect("rmpv finds a value there as well");
    assert!(rest.is_empty(), "of the same length");
    if let Some(item) = whole_item(frame) {
        assert_eq!(Message::parse(frame), Ok(item));
    }
    match Message::parse(frame) {
        Ok(message) => check_message(frame, message),
        Err(error) => {
            assert!(error.at <= frame.len());
            assert!(!error.to_string().is_empty());
            let is_cut =
                matches!(error.fault, MessageFault::Truncated | MessageFault::Trailing { .. } | MessageFault::Reserved);
            assert!(!is_cut, "a scanner found it: {error}");
        }
    }
}

fn check_message(frame: &[u8], message: Message<'_>) {
    let call = match message {
        Message::Request { id, .. } => Some(Concerns::Request(id)),
        Message::Response { id, .. } => Some(Concerns::Response(id)),
        _ => None,
    };
    assert_eq!(peek_call(frame), call);
    let mut meta = None;
    if let Message::Request { meta: Some(bytes), .. } | Message::Notification { meta: Some(bytes), .. } = message {
        meta = Meta::decode(bytes, META).ok();
    }
    let mut bytes = Vec::new();
    append(&mut bytes, message, meta.as_ref());
    let again = Message::parse(&bytes).expect("what was written is read again");
    assert_eq!(plain(again), plain(message));
    if let Message::Request { meta: Some(bytes), .. } | Message::Notification { meta: Some(bytes), .. } = again {
        assert_eq!(Meta::decode(bytes, MetaLimits { bytes: usize::MAX, ..META }).ok(), meta);
    }
    if let Message::Response { error: Some(error), .. } | Message::CallerEnd { error: Some(error), .. } = message {
        check_failure(error);
    }
}

/// The message without what is not written again: metadata, and a result beside an error.
fn plain(message: Message<'_>) -> Message<'_> {
    match message {
        Message::Request { id, method, params, .. } => Message::Request { id, method, params, meta: None },
        Message::Notification { method, params, .. } => Message::Notification { method, params, meta: None },
        Message::Response { id, error: error @ Some(_), .. } => Message::Response { id, error, result: &[] },
        other => other,
    }
}

fn check_failure(error: &[u8]) {
    let failure = read_failure(error);
    let (mut once, mut twice) = (Vec::new(), Vec::new());
    append_failure(&mut once, &failure);
    append_failure(&mut twice, &read_failure(&once));
    assert_eq!(once, twice);
}

fn append(out: &mut Vec<u8>, message: Message<'_>, meta: Option<&Meta<'_>>) {
    match message {
        Message::Request { id, method, params, .. } => append_request(out, id, method, params, meta),
        Message::Response { id, error: None, result } => append_response(out, id, result),
        Message::Response { id, error: Some(error), .. } => append_error_response(out, id, error),
        Message::Notification { method, params, .. } => append_notification(out, method, params, meta),
        Message::Cancel { id } => append_cancel(out, id),
        Message::CallerItem { id, item } => append_caller_item(out, id, item),
        Message::CallerEnd { id, error } => append_caller_end(out, id, error),
        Message::CalleeItem { id, item } => append_callee_item(out, id, item),
        Message::GrantToCaller { id, bytes } => append_grant_to_caller(out, id, bytes),
        Message::GrantToCallee { id, bytes } => append_grant_to_callee(out, id, bytes),
        Message::Ping { number } => append_ping(out, number),
        Message::Pong { number } => append_pong(out, number),
        Message::GoAway => append_go_away(out),
    }
}

//! Reads whatever comes as an introduction, and writes again what was read.
#![no_main]

use grapeshot_rpc::proto::{ExtensionSet, Hello, MAX_HELLO_BYTES};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for read in [Hello::decode(bytes), Hello::decode_params(bytes)] {
        match read {
            Ok(hello) => check(&hello),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});

fn check(hello: &Hello) {
    let ours = Hello { extensions: ExtensionSet::all(), ..Hello::default() };
    assert_eq!(ours.agree(hello).extensions, hello.extensions);
    assert_eq!(ours.agree(hello).limits, hello.limits);
    let mut bytes = Vec::new();
    hello.append(&mut bytes);
    // What was left away is written out, which may make a long one too long.
    if bytes.len() <= MAX_HELLO_BYTES {
        assert_eq!(Hello::decode(&bytes).as_ref(), Ok(hello));
    }
}

//! Reads whatever comes as the metadata of a call, and writes again what was read.
#![no_main]

use grapeshot_rpc::proto::{Meta, MetaLimits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match Meta::decode(bytes, MetaLimits { pairs: 8, bytes: 1024 }) {
        Ok(meta) => {
            assert!(bytes.len() <= 1024 && meta.metadata.len() <= 8);
            let mut again = Vec::new();
            meta.append(&mut again);
            assert_eq!(Meta::decode(&again, MetaLimits { pairs: 8, bytes: usize::MAX }), Ok(meta));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

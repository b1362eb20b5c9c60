//! C++ at the other end: msgpack-cxx as a client of our server.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::path::Path;
use std::time::Duration;

use grapeshot_harness::{Program, Ready, TempDir, example, require_from};

/// Only a failure waits this long; a debug build on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// As for the compiler, whose work is templates.
const COMPILING: Duration = Duration::from_secs(180);

const HEADER: &str = "/usr/include/msgpack.hpp";

#[test]
fn a_client_of_msgpack_cxx_calls_our_server() {
    let Some(compiler) = require_from("g++", "g++") else { return };
    // No program has this name: it says that one is missing, and fails where every peer is asked for.
    if !Path::new(HEADER).exists() && require_from("msgpack.hpp", "libmsgpack-cxx-dev").is_none() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let client = folder.path().join("client");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rpc_peers/client.cpp");
    let compiled = Program::new(compiler).args(["-std=c++17", "-Wall", "-Werror", "-o"]).arg(&client).arg(source);
    compiled.output(COMPILING).unwrap().assert_success();

    let server = example("rpc_server").unwrap().args(["--listen", "127.0.0.1:0"]);
    let server = server.ready_when(Ready::line("listening on")).start().unwrap();
    let port = server.ready_addr().unwrap().port().to_string();
    let output = Program::new(client).arg(port).output(PATIENCE).unwrap();
    assert_eq!(output.assert_success().stdout.text(), "done\n");
}

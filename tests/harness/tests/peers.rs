//! The harness with a real server and a real client, skipped where they are not installed.

use std::time::Duration;

use grapeshot_harness::{Program, Ready, require, require_from};

/// Never reached by a test that passes.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_server_that_prints_its_port_serves_a_client() {
    let (Some(socat), Some(nc)) = (require("socat"), require_from("nc", "netcat-openbsd")) else {
        return;
    };
    let mut server = Program::new(socat)
        .args(["-d", "-d", "TCP-LISTEN:0,bind=127.0.0.1,fork", "EXEC:cat"])
        .ready_when(Ready::line("listening on"))
        .start()
        .unwrap();
    let addr = server.ready_addr().unwrap();
    let client = Program::new(nc)
        .args(["-N", &addr.ip().to_string(), &addr.port().to_string()])
        .input("hello\n")
        .output(PATIENCE)
        .unwrap();
    assert_eq!(client.assert_success().stdout.text(), "hello\n");
    // Ended by SIGTERM, not by the kill that would follow.
    let end = server.stop(PATIENCE).unwrap();
    assert!(end.to_string().contains("143"), "{end}");
}

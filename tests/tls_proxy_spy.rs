//! The example `tls_proxy_spy` between real programs: curl and OpenSSL's client on one side, OpenSSL's server on the other.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::fs;
use std::io::pipe;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use grapeshot::tls::SelfSigned;
use grapeshot_harness::{End, Program, Ready, Running, TempDir, example, require};

/// Never reached by a test that passes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, the spy before it, and the folder of their files.
struct World {
    dir: TempDir,
    spy: Running,
    address: SocketAddr,
    _server: Running,
}

impl World {
    /// `openssl s_server` as `mode` says, and the spy that believes the authority in the file `believed`.
    fn start(openssl: &Path, mode: &str, believed: &str) -> World {
        let dir = TempDir::new().unwrap();
        let path = |name: &str| dir.path().join(name);
        let (real, stranger) = (SelfSigned::new(["localhost"]).unwrap(), SelfSigned::new(["localhost"]).unwrap());
        for (name, text) in [
            ("server.pem", real.chain_pem()),
            ("server.key", real.key_pem()),
            ("real.pem", &real.authority_pem()),
            ("stranger.pem", &stranger.authority_pem()),
        ] {
            fs::write(path(name), text).unwrap();
        }
        let server = Program::new(openssl).args(["s_server", "-accept", "127.0.0.1:0", mode]);
        let server = server.arg("-cert").arg(path("server.pem")).arg("-key").arg(path("server.key"));
        let server = server.open_input().ready_when(Ready::line("ACCEPT")).start().unwrap();
        let to = server.ready_addr().unwrap().to_string();
        let spy = example("tls_proxy_spy").unwrap().args(["--listen", "127.0.0.1:0", "--to", &to]);
        let spy = spy.arg("--cacert").arg(path(believed)).arg("--authority").arg(path("spy.pem"));
        let spy = spy.ready_when(Ready::line("spying on")).start().unwrap();
        World { address: spy.ready_addr().unwrap(), dir, spy, _server: server }
    }

    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }
}

#[test]
fn curl_gets_its_page_and_the_spy_shows_it() {
    let (Some(curl), Some(openssl)) = (require("curl"), require("openssl")) else { return };
    let world = World::start(&openssl, "-www", "real.pem");
    let url = format!("https://localhost:{}/any/page", world.address.port());
    let resolved = format!("localhost:{}:127.0.0.1", world.address.port());
    let ask = |authority: &str| {
        let curl = Program::new(&curl).args(["-q", "-sS", "--noproxy", "*", "--resolve", &resolved]);
        curl.args(["--cacert", &world.file(authority), &url]).output(PATIENCE).unwrap()
    };
    let page = ask("spy.pem");
    page.assert_success();
    assert!(page.stdout.text().contains("Ciphers supported in s_server binary"), "{page}");
    for line in [r"#1 > GET /any/page HTTP/1.1\r\n", r"#1 < HTTP/1.0 200 ok\r\n", "#1 ended: "] {
        world.spy.wait_line(line, PATIENCE).unwrap();
    }
    // Who trusts the real server only does not take the spy for it: a certificate that cannot be verified is curl's 60.
    let refused = ask("real.pem");
    assert!(refused.end.to_string().contains("60"), "{refused}");
    world.spy.wait_line("#2 failed: ", PATIENCE).unwrap();
}

#[test]
fn lines_go_both_ways_between_openssl_and_openssl() {
    let Some(openssl) = require("openssl") else { return };
    let world = World::start(&openssl, "-rev", "real.pem");
    let client = Program::new(&openssl).args(["s_client", "-connect", &world.address.to_string()]);
    let client = client.args(["-servername", "localhost", "-verify_return_error", "-CAfile", &world.file("spy.pem")]);
    let mut client = client.open_input().start().unwrap();
    for (said, heard) in [("round shot\n", "tohs dnuor"), ("grape shot\n", "tohs eparg")] {
        client.send(said.as_bytes()).unwrap();
        client.wait_line(heard, PATIENCE).unwrap();
    }
    client.end_input();
    assert!(client.wait_exit(PATIENCE).unwrap().success());
    world.spy.wait_line(r"#1 > grape shot\n", PATIENCE).unwrap();
    world.spy.wait_line(r"#1 < tohs eparg\n", PATIENCE).unwrap();
    world.spy.wait_line("#1 ended: 22 bytes > and 22 bytes <", PATIENCE).unwrap();
}

#[test]
fn a_server_that_the_spy_does_not_believe_gets_nothing() {
    let Some(openssl) = require("openssl") else { return };
    let world = World::start(&openssl, "-rev", "stranger.pem");
    let client = Program::new(&openssl).args(["s_client", "-connect", &world.address.to_string()]);
    let client = client.args(["-servername", "localhost", "-CAfile", &world.file("spy.pem")]);
    let output = client.input("secret\n").output(PATIENCE).unwrap();
    assert!(!output.stdout.text().contains("terces"), "{output}");
    let line = world.spy.wait_line("#1 failed: ", PATIENCE).unwrap();
    assert!(line.contains("localhost"), "{line}");
}

#[test]
fn bad_arguments_get_the_usage_and_code_2() {
    for arguments in [&[][..], &["--to", "127.0.0.1:1"], &["--authority", "x.pem"], &["--spy"]] {
        let output = example("tls_proxy_spy").unwrap().args(arguments).output(PATIENCE).unwrap();
        assert!(matches!(output.end, End::Exited(status) if status.code() == Some(2)), "{output}");
        assert!(output.stderr.text().starts_with("usage: tls_proxy_spy "), "{output}");
    }
}

#[test]
fn a_spy_whose_output_nobody_reads_ends_without_a_panic() {
    // Built if it was not, but the harness would read.
    example("tls_proxy_spy").unwrap();
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples/tls_proxy_spy");
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let output = Command::new(program).arg("--self-test").stdin(Stdio::null()).stdout(writer).output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), complaint.lines().count()), (Some(1), 1), "{complaint}");
}

#[test]
fn the_self_test_passes() {
    let output = example("tls_proxy_spy").unwrap().arg("--self-test").output(PATIENCE).unwrap();
    output.assert_success();
    assert!(output.stdout.text().contains(r#"the client got "ROUND SHOT, GRAPE SHOT\n""#), "{output}");
}

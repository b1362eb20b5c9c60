//! `http_echo` with a certificate, and `https_server`: curl, OpenSSL's client, nginx as a proxy, and wrk over TLS.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use grapeshot::tls::SelfSigned;
use grapeshot_harness::{Output, Program, Ready, Running, Signal, TempDir, example, require};

/// Never reached by a test that passes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, and the folder of its files.
struct Secure {
    dir: TempDir,
    running: Running,
    address: SocketAddr,
}

impl Secure {
    /// `http_echo`, which trusts in files that it is given.
    fn echo() -> Secure {
        let dir = TempDir::new().unwrap();
        let own = SelfSigned::new(["localhost"]).unwrap();
        let files =
            [("chain.pem", own.chain_pem()), ("key.pem", own.key_pem()), ("authority.pem", &own.authority_pem())];
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let program = example("http_echo").unwrap().args(["--listen", "127.0.0.1:0"]);
        let program = program.arg("--cert").arg(dir.path().join("chain.pem"));
        Secure::start(program.arg("--key").arg(dir.path().join("key.pem")), dir)
    }

    /// `https_server`, which makes its own.
    fn pages() -> Secure {
        let dir = TempDir::new().unwrap();
        let program = example("https_server").unwrap().args(["--listen", "127.0.0.1:0"]);
        Secure::start(program.arg("--authority").arg(dir.path().join("authority.pem")), dir)
    }

    fn start(program: Program, dir: TempDir) -> Secure {
        let running = program.ready_when(Ready::line("listening on https://")).start().unwrap();
        let address = running.ready_addr().unwrap();
        Secure { dir, running, address }
    }

    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://localhost:{}{path}", self.address.port())
    }

    /// curl without a user's settings, silent but for errors; `None` where there is none.
    fn curl(&self) -> Option<Program> {
        let resolved = format!("localhost:{}:127.0.0.1", self.address.port());
        Some(Program::new(require("curl")?).args(["-q", "-sS", "--noproxy", "*", "--resolve", &resolved]))
    }

    /// curl that trusts the server.
    fn trusting_curl(&self) -> Option<Program> {
        Some(self.curl()?.args(["--cacert", &self.file("authority.pem")]))
    }

    /// OpenSSL's client, which says `request` and shows what comes until the end.
    fn s_client(&self, options: &[&str], request: &str) -> Option<Output> {
        let program = Program::new(require("openssl")?).args(["s_client", "-connect", &self.address.to_string()]);
        let program = program.args(["-servername", "localhost", "-CAfile", &self.file("authority.pem")]);
        let program = program.args(["-verify_return_error", "-ign_eof"]).args(options.iter().copied());
        Some(program.input(request).output(PATIENCE).unwrap())
    }

    /// Ends it as Ctrl-C does.
    fn interrupt(mut self) -> String {
        self.running.signal(Signal::INT).unwrap();
        let status = self.running.wait_exit(PATIENCE).unwrap();
        assert!(status.success(), "{status}");
        self.running.stderr().text().into_owned()
    }
}

/// The output of a program that has to succeed.
fn text(program: Program) -> String {
    let output = program.output(PATIENCE).unwrap();
    output.assert_success().stdout.text().into_owned()
}

/// Bytes in which a lost, doubled or moved piece shows.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

#[test]
fn curl_is_answered_when_it_trusts_the_authority_and_refuses_when_it_does_not() {
    let secure = Secure::echo();
    let (Some(trusting), Some(doubting)) = (secure.trusting_curl(), secure.curl()) else { return };
    let url = secure.url("https", "/any");
    assert_eq!(text(trusting.args(["--data", "round shot", &url])), "round shot");
    let refused = doubting.arg(&url).output(PATIENCE).unwrap();
    // "Peer certificate cannot be authenticated", in curl(1).
    assert!(refused.end.to_string().contains("60"), "{refused}");
    assert_eq!(secure.interrupt(), "");
}

#[test]
fn an_authority_is_replaced_by_its_like_and_nothing_else_is() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("authority.pem");
    let program = || example("https_server").unwrap().args(["--listen", "127.0.0.1:0", "--authority"]).arg(&file);
    let start = || program().ready_when(Ready::line("listening on https://")).start().unwrap();
    drop(start());
    let first = fs::read(&file).unwrap();
    drop(start());
    assert_ne!(fs::read(&file).unwrap(), first);
    let others = SelfSigned::new(["localhost"]).unwrap().authority_pem();
    fs::write(&file, &others).unwrap();
    let refused = program().output(PATIENCE).unwrap();
    assert!(!refused.end.success(), "{refused}");
    assert!(refused.stderr.text().starts_with("https_server: cannot write "), "{refused}");
    assert_eq!(fs::read_to_string(&file).unwrap(), others);
}

#[test]
fn both_versions_of_tls_carry_bodies_byte_for_byte_on_one_connection() {
    let secure = Secure::echo();
    let body = pattern(7 << 20);
    for (version, name) in [("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")] {
        let Some(curl) = secure.trusting_curl() else { return };
        let (sent, back, url) = (secure.file("sent"), secure.file("back"), secure.url("https", "/"));
        fs::write(&sent, &body).unwrap();
        let log = curl.args(["-v", "--http1.1", &format!("--tlsv{version}"), "--tls-max", version]);
        let log = log.args(["-w", "%{num_connects} ", "-T", &sent, "-o", &back, &url]);
        // The same again, the second time in chunks.
        let log =
            log.args(["-H", "Transfer-Encoding: chunked", "-T", &sent, "-o", &back, &url]).output(PATIENCE).unwrap();
        assert_eq!(log.assert_success().stdout.text(), "1 0 ");
        assert!(fs::read(&back).unwrap() == body, "TLS {version}");
        let log = log.stderr.text();
        assert!(log.contains(&format!("SSL connection using {name}")), "{log}");
        assert!(log.contains("ALPN: server accepted http/1.1"), "{log}");
    }
    assert_eq!(secure.interrupt(), "");
}

/// nginx does the same: the client learns what is wrong, in the protocol that it speaks.
#[test]
fn curl_without_tls_is_told_to_use_it() {
    let secure = Secure::echo();
    let Some(curl) = secure.curl() else { return };
    let told = text(curl.args(["-i", &secure.url("http", "/")]));
    assert!(told.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{told}");
    assert!(told.contains("only with TLS (https)"), "{told}");
    assert_eq!(secure.interrupt(), "");
}

/// RFC 8446 section 6.1: OpenSSL takes an end without close_notify for an error, and says so.
#[test]
fn openssl_sees_a_whole_answer_and_its_end() {
    let secure = Secure::echo();
    let request = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nConnection: close\r\n\r\nshot";
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let Some(output) = secure.s_client(&[version, "-alpn", "h2,http/1.1"], request) else { return };
        let shown = output.assert_success().stdout.text();
        assert!(shown.contains(name) && shown.contains("ALPN protocol: http/1.1"), "{output}");
        assert!(shown.contains("Verify return code: 0 (ok)") || shown.contains("Verification: OK"), "{output}");
        assert!(shown.contains("4\r\nshot\r\n0\r\n\r\n") || shown.contains("\r\n\r\nshot"), "{output}");
        assert!(!output.stderr.text().contains("unexpected eof"), "{output}");
    }
    assert_eq!(secure.interrupt(), "");
}

/// nginx before us, as a proxy that verifies the certificate, keeps connections and resumes sessions.
#[test]
fn nginx_passes_requests_on_over_tls() {
    let (Some(nginx), Some(curl)) = (require("nginx"), require("curl")) else { return };
    let secure = Secure::echo();
    let (front, back) = (secure.file("front"), secure.file("back"));
    fs::write(secure.dir.path().join("nginx.conf"), in_front_of(&secure)).unwrap();
    let front_ready = Ready::unix(&front);
    let proxy = Program::new(nginx).args(["-e", "stderr", "-p"]).arg(secure.dir.path());
    let proxy = proxy.arg("-c").arg(secure.file("nginx.conf")).ready_when(front_ready).start().unwrap();
    let body = pattern(3 << 20);
    for len in [0, 1, 70_000, body.len()] {
        let curl =
            Program::new(&curl).args(["-q", "-sSf", "--unix-socket", &front, "--data-binary", "@-", "-o", &back]);
        text(curl.arg("http://front/").input(&body[..len]));
        assert!(fs::read(&back).unwrap_or_default() == body[..len], "{len} bytes");
    }
    drop(proxy);
    assert_eq!(secure.interrupt(), "");
}

fn in_front_of(secure: &Secure) -> String {
    let (folder, address) = (secure.dir.path().display(), secure.address);
    format!(
        "daemon off; master_process off; pid {folder}/nginx.pid; worker_processes 1;
        events {{ worker_connections 64; }}
        http {{
            access_log off; client_max_body_size 20m;
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
            upstream echo {{ server {address}; keepalive 4; }}
            server {{
                listen unix:{folder}/front;
                location / {{
                    proxy_pass https://echo; proxy_http_version 1.1; proxy_set_header Connection \"\";
                    proxy_ssl_verify on; proxy_ssl_trusted_certificate {folder}/authority.pem;
                    proxy_ssl_name localhost; proxy_ssl_server_name on;
                }}
            }}
        }}"
    )
}

/// RFC 7301 section 3.2: without a protocol in common there is the alert no_application_protocol.
#[test]
fn openssl_is_refused_when_it_speaks_no_protocol_of_ours() {
    let secure = Secure::echo();
    let Some(output) = secure.s_client(&["-alpn", "h2"], "") else { return };
    assert!(output.stderr.text().contains("no application protocol"), "{output}");
    assert_eq!(secure.interrupt(), "");
}

#[test]
fn wrk_meets_no_errors_over_tls() {
    let Some(wrk) = require("wrk") else { return };
    let secure = Secure::echo();
    let report = text(Program::new(wrk).args(["-t1", "-c32", "-d1s", &format!("https://{}/", secure.address)]));
    assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");
    let requests = report.lines().find_map(|line| line.trim().split_once(" requests in ")).unwrap().0;
    assert!(requests.parse::<u64>().unwrap() > 100, "{report}");
    assert_eq!(secure.interrupt(), "");
}

/// The three commands of its header.
#[test]
fn https_server_answers_over_tls_and_sends_others_there() {
    let secure = Secure::pages();
    let (Some(trusting), Some(plain), Some(doubting)) = (secure.trusting_curl(), secure.curl(), secure.curl()) else {
        return;
    };
    let page = text(trusting.arg(secure.url("https", "/page")));
    assert!(page.starts_with("/page for localhost, over TLSv1_3 with TLS13_"), "{page}");
    let elsewhere = text(plain.args(["-i", &secure.url("http", "/page?query")]));
    assert!(elsewhere.starts_with("HTTP/1.1 308 "), "{elsewhere}");
    assert!(elsewhere.contains(&format!("location: {}\r\n", secure.url("https", "/page?query"))), "{elsewhere}");
    assert!(!doubting.arg(secure.url("https", "/")).output(PATIENCE).unwrap().end.to_string().is_empty());
    let log = secure.interrupt();
    assert!(log.starts_with("no handshake with 127.0.0.1:") && log.contains("UnknownCA"), "{log}");
}

/// A certificate without its key is a mistake on the command line, and one that does not fit is told.
#[test]
fn http_echo_says_what_is_wrong_with_its_files() {
    let dir = TempDir::new().unwrap();
    let (one, other) = (SelfSigned::new(["localhost"]).unwrap(), SelfSigned::new(["localhost"]).unwrap());
    let (chain, key) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
    fs::write(&chain, one.chain_pem()).unwrap();
    fs::write(&key, other.key_pem()).unwrap();
    let alone = example("http_echo").unwrap().arg("--cert").arg(&chain).output(PATIENCE).unwrap();
    assert!(alone.stderr.text().starts_with("usage: http_echo "), "{alone}");
    let strangers = example("http_echo").unwrap().arg("--cert").arg(&chain).arg("--key").arg(&key);
    let strangers = strangers.output(PATIENCE).unwrap();
    assert!(strangers.end.to_string().contains('1'), "{strangers}");
    assert!(strangers.stderr.text().starts_with("http_echo: "), "{strangers}");
}

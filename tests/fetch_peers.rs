//! `fetch` and real servers: nginx, OpenSSL's, Python's, and our own, in the clear and over TLS.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod fetching;
mod served;

use std::fs;
use std::net::SocketAddr;

use grapeshot_harness::{Program, Ready, Running, TempDir, require, unused_addr};

use fetching::{Files, PATIENCE, assert_code, fetch, pattern};
use served::Served;

/// nginx at work until it is dropped.
struct Nginx {
    _running: Running,
    files: Files,
    plain: SocketAddr,
    secure: SocketAddr,
    /// Wants a certificate of its clients.
    choosy: SocketAddr,
}

impl Nginx {
    fn start() -> Option<Nginx> {
        let nginx = require("nginx")?;
        let files = Files::new();
        let root = files.path("root");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("page.html"), "<p>round shot</p>").unwrap();
        fs::write(root.join("large"), pattern(20 << 20)).unwrap();
        fs::write(root.join("empty"), "").unwrap();
        let [plain, secure, choosy] = [(); 3].map(|()| unused_addr().unwrap());
        files.write("nginx.conf", configuration(&files, plain, secure, choosy));
        let running = Program::new(nginx)
            .args(["-e", "stderr", "-p"])
            .arg(files.dir.path())
            .arg("-c")
            .arg(files.path("nginx.conf"))
            .ready_when(Ready::port(choosy))
            .start()
            .unwrap();
        Some(Nginx { _running: running, files, plain, secure, choosy })
    }

    /// What makes `fetch` find and believe it.
    fn trusting(&self, authority: &str) -> Vec<String> {
        let known = |address: SocketAddr| format!("shop.test:{}:127.0.0.1", address.port());
        let arguments = ["--cacert", &self.files.arg(authority), "--resolve", &known(self.secure)];
        let more = ["--resolve", &known(self.choosy)];
        arguments.iter().chain(&more).map(|argument| (*argument).to_owned()).collect()
    }

    fn url(address: SocketAddr, path: &str) -> String {
        format!("https://shop.test:{}/{path}", address.port())
    }
}

fn configuration(files: &Files, plain: SocketAddr, secure: SocketAddr, choosy: SocketAddr) -> String {
    let folder = files.dir.path().display();
    let tls = format!("ssl_certificate {folder}/chain.pem; ssl_certificate_key {folder}/key.pem;");
    format!(
        "daemon off; master_process off; pid {folder}/nginx.pid; worker_processes 1;
        events {{ worker_connections 64; }}
        http {{
            access_log off; root {folder}/root; default_type text/html;
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
            add_header X-Connection $connection; add_header X-Requests $connection_requests;
            location_placeholder
        }}"
    )
    .replace(
        "location_placeholder",
        &format!(
            "server {{ listen {plain};
                location = /chunked {{ alias {folder}/root/page.html; sub_filter round chunked; }}
                location = /moved {{ return 301 /page.html; }}
                location = /nothing {{ return 204; }}
                location = /limited {{ alias {folder}/root/large; limit_rate 64k; }}
            }}
            server {{ listen {secure} ssl; {tls} }}
            server {{ listen {choosy} ssl; {tls} ssl_client_certificate {folder}/ca.pem; ssl_verify_client on; }}"
        ),
    )
}

#[test]
fn nginx_serves_pages_of_every_framing() {
    let Some(nginx) = Nginx::start() else { return };
    let url = |path: &str| format!("http://{}/{path}", nginx.plain);
    assert_eq!(fetch(["-s", &url("page.html")]).assert_success().stdout.text(), "<p>round shot</p>");
    assert_eq!(fetch(["-s", &url("empty")]).assert_success().stdout.text(), "");
    assert_eq!(fetch(["-s", &url("nothing")]).assert_success().stdout.text(), "");
    let chunked = fetch(["-si", &url("chunked")]).assert_success().stdout.text().into_owned();
    assert!(chunked.contains("\r\ntransfer-encoding: chunked\r\n"), "{chunked}");
    assert!(chunked.ends_with("\r\n\r\n<p>chunked shot</p>"), "{chunked}");
    // It is not followed, and so is an answer.
    let moved = fetch(["-si", &url("moved")]).assert_success().stdout.text().into_owned();
    assert!(moved.starts_with("HTTP/1.1 301 Moved Permanently\r\n"), "{moved}");
    assert_code(&fetch(["-s", "-f", &url("missing")]), 22);
}

#[test]
fn a_large_page_comes_from_nginx_byte_for_byte() {
    let Some(nginx) = Nginx::start() else { return };
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("large");
    let mut arguments = nginx.trusting("ca.pem");
    arguments.extend(["-so".to_owned(), path.display().to_string()]);
    for url in [format!("http://{}/large", nginx.plain), Nginx::url(nginx.secure, "large")] {
        fetch(arguments.iter().chain([&url])).assert_success();
        assert!(fs::read(&path).unwrap() == pattern(20 << 20), "{url}");
    }
}

#[test]
fn urls_of_one_server_share_a_connection() {
    let Some(nginx) = Nginx::start() else { return };
    let plain = format!("http://{}/page.html", nginx.plain);
    let secure = Nginx::url(nginx.secure, "page.html");
    for url in [plain, secure] {
        let arguments = nginx.trusting("ca.pem");
        let output = fetch(arguments.iter().map(String::as_str).chain(["-si", &url, &url, &url]));
        let text = output.assert_success().stdout.text().into_owned();
        let requests: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("x-requests: ")).collect();
        assert_eq!(requests, ["1", "2", "3"], "{url}");
    }
}

#[test]
fn a_page_that_takes_too_long_ends_at_its_limit_with_what_came() {
    let Some(nginx) = Nginx::start() else { return };
    let output = fetch(["--max-time", "0.5", &format!("http://{}/limited", nginx.plain)]);
    assert_code(&output, 28);
    assert!(output.stderr.text().contains("not done within 500ms"), "{output}");
}

#[test]
fn nginx_is_believed_by_its_authority_and_nobody_elses() {
    let Some(nginx) = Nginx::start() else { return };
    let url = Nginx::url(nginx.secure, "page.html");
    let output = fetch(nginx.trusting("ca.pem").iter().chain([&url]));
    assert_eq!(output.assert_success().stdout.text(), "<p>round shot</p>");
    let output = fetch(nginx.trusting("other.pem").iter().chain([&url]));
    assert_code(&output, 60);
    assert_eq!(output.stdout.text(), "");
    // By the right authority, for another name.
    let by_address = format!("https://{}/page.html", nginx.secure);
    assert_code(&fetch(["--cacert", &nginx.files.arg("ca.pem"), &by_address]), 60);
    // What is no certificate, or not there.
    for file in ["key.pem", "missing.pem"] {
        let output = fetch(nginx.trusting(file).iter().chain([&url]));
        assert_code(&output, 77);
        assert!(output.stderr.text().contains(file), "{output}");
    }
}

#[test]
fn a_server_that_wants_a_certificate_gets_that_of_the_command_line() {
    let Some(nginx) = Nginx::start() else { return };
    let url = Nginx::url(nginx.choosy, "page.html");
    let mut arguments = nginx.trusting("ca.pem");
    // nginx does not break off: it answers that it wants one.
    let refused = fetch(arguments.iter().map(String::as_str).chain(["-f", &url]));
    assert_code(&refused, 22);
    let (certificate, key) = (nginx.files.arg("me.pem"), nginx.files.arg("me.key"));
    arguments.extend(["--cert".to_owned(), certificate, "--key".to_owned(), key]);
    let output = fetch(arguments.iter().map(String::as_str).chain(["-f", &url]));
    assert_eq!(output.assert_success().stdout.text(), "<p>round shot</p>");
    *arguments.last_mut().unwrap() = nginx.files.arg("key.pem");
    assert_code(&fetch(arguments.iter().chain([&url])), 58);
}

#[test]
fn tls_and_plain_are_not_taken_for_each_other() {
    let Some(nginx) = Nginx::start() else { return };
    let output = fetch([format!("https://{}/", nginx.plain)]);
    assert_code(&output, 35);
    // nginx says what is wrong, in the clear.
    let output = fetch(["-s", "-f", &format!("http://{}/", nginx.secure)]);
    assert_code(&output, 22);
}

/// OpenSSL's server ends its page, which has no length, with the connection, and announces that end.
#[test]
fn the_page_of_openssl_ends_with_the_connection() {
    let Some(openssl) = require("openssl") else { return };
    let files = Files::new();
    for version in ["-tls1_2", "-tls1_3"] {
        let program = Program::new(&openssl).args(["s_server", "-www", "-accept", "127.0.0.1:0", version]);
        let program = program.args(["-cert", &files.arg("chain.pem"), "-key", &files.arg("key.pem")]);
        let running = program.open_input().ready_when(Ready::line("ACCEPT")).start().unwrap();
        let port = running.ready_addr().unwrap().port();
        let known = format!("shop.test:{port}:127.0.0.1");
        let url = format!("https://shop.test:{port}/");
        let output = fetch(["--cacert", &files.arg("ca.pem"), "--resolve", &known, &url]);
        let page = output.assert_success().stdout.text().into_owned();
        assert!(
            page.contains("Ciphers supported in s_server binary") && page.trim_end().ends_with("</HTML>"),
            "{page}"
        );
        assert!(output.stderr.text().contains("no length was said"), "{output}");
    }
}

#[test]
fn files_come_from_pythons_server() {
    let Some(python) = require("python3") else { return };
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("large"), pattern(5 << 20)).unwrap();
    let program = Program::new(python).args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]);
    let running = program.current_dir(dir.path()).ready_when(Ready::line("Serving HTTP")).start().unwrap();
    let line = running.stdout().text().into_owned();
    let port: u16 = line.split(" port ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let output = fetch(["-si", &format!("http://127.0.0.1:{port}/")]);
    let listing = output.assert_success().stdout.text().into_owned();
    assert!(listing.starts_with("HTTP/1.0 200 OK\r\n") && listing.contains("large"), "{listing}");
    let copy = dir.path().join("copy");
    fetch(["-so", copy.to_str().unwrap(), &format!("http://127.0.0.1:{port}/large")]).assert_success();
    assert!(fs::read(copy).unwrap() == pattern(5 << 20));
    assert_code(&fetch(["-s", "-f", &format!("http://127.0.0.1:{port}/missing")]), 22);
}

#[test]
fn our_own_server_answers_in_chunks() {
    let served = Served::start();
    let output = fetch(["-si", &served.url("/any/path?query")]);
    let text = output.assert_success().stdout.text().into_owned();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("\r\ntransfer-encoding: chunked\r\n"), "{text}");
    served.interrupt();
}

/// curl gets the same bytes from the same server.
#[test]
fn curl_gets_the_same() {
    let (Some(curl), Some(nginx)) = (require("curl"), Nginx::start()) else { return };
    let url = Nginx::url(nginx.secure, "page.html");
    let arguments: Vec<String> = nginx.trusting("ca.pem").into_iter().chain([url]).collect();
    let theirs = Program::new(curl).args(["-q", "-sS", "--noproxy", "*"]).args(&arguments).output(PATIENCE).unwrap();
    let ours = fetch(&arguments);
    assert_eq!(ours.assert_success().stdout.bytes, theirs.assert_success().stdout.bytes);
}

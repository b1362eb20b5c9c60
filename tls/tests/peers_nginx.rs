//! Our client at nginx, which says in its answers what it has seen of us.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod peers;

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;

use grapeshot_harness::{Program, Ready, Running, require, unused_addr};
use grapeshot_tls::{ClientConfig, SelfSigned, TlsError, Version};

use peers::{Files, VERSIONS, client_of, connect, localhost, run};

/// nginx at work, until it is dropped.
struct Nginx {
    address: SocketAddr,
    _running: Running,
    _files: Files,
}

impl Nginx {
    fn start(program: &Path, signed: &SelfSigned) -> Nginx {
        // nginx can neither choose its port nor say which it got.
        let (files, address) = (Files::of(signed), unused_addr().unwrap());
        let text = format!(
            r#"
            daemon off; master_process off; error_log stderr; pid {folder}/pid;
            events {{ worker_connections 64; }}
            http {{
                access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
                fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
                server {{
                    listen {address} ssl http2;
                    ssl_certificate {folder}/chain.pem; ssl_certificate_key {folder}/key.pem;
                    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:test:1m;
                    ssl_verify_client optional; ssl_client_certificate {folder}/ca.pem;
                    location / {{
                        return 200 "$ssl_protocol $ssl_server_name $ssl_alpn_protocol $ssl_session_reused $ssl_client_verify $ssl_client_s_dn";
                    }}
                    location /required {{
                        if ($ssl_client_verify != SUCCESS) {{ return 403; }}
                        return 200 "let in";
                    }}
                }}
            }}
            "#,
            folder = files.arg("").trim_end_matches('/'),
        );
        fs::write(files.path("nginx.conf"), text).unwrap();
        let nginx = Program::new(program).args(["-e", "stderr", "-c", &files.arg("nginx.conf")]);
        let running = nginx.ready_when(Ready::port(address)).start().unwrap();
        Nginx { address, _running: running, _files: files }
    }
}

/// One request over HTTP/1.0, and the body of its answer up to nginx's close_notify.
fn get(address: SocketAddr, config: &ClientConfig, name: &str, path: &str) -> std::io::Result<(String, bool)> {
    let mut stream = connect(address, config, name)?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {name}\r\n\r\n").as_bytes())?;
    stream.flush()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    stream.close()?;
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned();
    Ok((body, stream.is_resumed()))
}

/// RFC 7301 section 3.2, RFC 6066 section 3, RFC 8446 sections 2.2 and 6.1, RFC 5246 section 7.2.1, as nginx sees us.
#[test]
fn rfc_7301_3_2_and_6066_3_and_8446_2_2_nginx_sees_protocol_name_and_resumption() {
    let Some(program) = require("nginx") else { return };
    let signed = localhost();
    let nginx = Nginx::start(&program, &signed);
    for (version, spoken) in [(Version::Tls12, "TLSv1.2"), (Version::Tls13, "TLSv1.3")] {
        let client = client_of(&signed).alpn(["http/1.1"]).oldest_version(version).newest_version(version);
        let (address, config) = (nginx.address, client.build().unwrap());
        run(move || {
            let (first, resumed) = get(address, &config, "localhost", "/").unwrap();
            assert_eq!((first.trim_end(), resumed), (&*format!("{spoken} localhost http/1.1 . NONE"), false));
            let (second, resumed) = get(address, &config, "localhost", "/").unwrap();
            assert_eq!((second.trim_end(), resumed), (&*format!("{spoken} localhost http/1.1 r NONE"), true));
        });
    }
}

/// RFC 7301 section 3.2: nginx prefers HTTP/2, and we offer both.
#[test]
fn rfc_7301_3_2_nginx_takes_http_2_when_it_is_offered() {
    let Some(program) = require("nginx") else { return };
    let signed = localhost();
    let nginx = Nginx::start(&program, &signed);
    let (address, config) = (nginx.address, client_of(&signed).alpn(["http/1.1", "h2"]).build().unwrap());
    run(move || {
        let stream = connect(address, &config, "localhost").unwrap();
        assert_eq!(stream.alpn_protocol().as_deref(), Some(&b"h2"[..]));
        stream.close().unwrap();
    });
}

/// RFC 8446 section 4.4.2, RFC 5246 section 7.4.6: nginx sees who we are.
#[test]
fn rfc_8446_4_4_2_and_5246_7_4_6_nginx_sees_our_certificate() {
    let Some(program) = require("nginx") else { return };
    let signed = localhost();
    let nginx = Nginx::start(&program, &signed);
    for (version, _) in VERSIONS {
        let me = signed.issue(["grape shot"]).unwrap().identity().unwrap();
        let client = client_of(&signed).oldest_version(version).newest_version(version);
        let (with, without) = (client.clone().identity(me).build().unwrap(), client.build().unwrap());
        let address = nginx.address;
        run(move || {
            let (seen, _) = get(address, &with, "localhost", "/").unwrap();
            assert!(seen.ends_with("SUCCESS CN=grape shot"), "{seen}");
            assert_eq!(get(address, &with, "localhost", "/required").unwrap().0, "let in");
            assert!(get(address, &without, "localhost", "/required").unwrap().0.contains("403 Forbidden"));
        });
    }
}

/// RFC 9525 section 6: its certificate is not for the name that we want.
#[test]
fn rfc_9525_6_a_certificate_for_another_name_is_refused() {
    let Some(program) = require("nginx") else { return };
    let signed = localhost();
    let nginx = Nginx::start(&program, &signed);
    let (address, config) = (nginx.address, client_of(&signed).build().unwrap());
    run(move || {
        for name in ["example.org", "127.0.0.1"] {
            let error = get(address, &config, name, "/").unwrap_err();
            assert!(matches!(TlsError::of(&error), Some(TlsError::CertificateRefused { .. })), "{error}");
        }
    });
}

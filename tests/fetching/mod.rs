//! The example `fetch` at work, and a server that answers as it is told.
#![allow(dead_code, reason = "each file uses a part of this")]
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use grapeshot::tls::SelfSigned;
use grapeshot_harness::{End, Output, TempDir, example};

/// Never reached by a test that passes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn fetch(arguments: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>) -> Output {
    example("fetch").unwrap().args(arguments).output(PATIENCE).unwrap()
}

#[track_caller]
pub(crate) fn code(output: &Output) -> i32 {
    match &output.end {
        End::Exited(status) => status.code().unwrap_or_else(|| panic!("{output}")),
        end => panic!("{end:?}: {output}"),
    }
}

#[track_caller]
pub(crate) fn assert_code(output: &Output, expected: i32) {
    assert_eq!(code(output), expected, "{output}");
}

/// A server that answers every connection with the same bytes, and hangs up.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    ended: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Scripted {
    pub(crate) fn new(answer: impl Into<Vec<u8>>) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, answer) = (listener.local_addr().unwrap(), answer.into());
        let (heads, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (seen, over) = (heads.clone(), ended.clone());
        let serving = thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                seen.lock().unwrap().push(play(stream.unwrap(), &answer));
            }
        });
        Scripted { address, heads, ended, serving: Some(serving) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The heads of the requests that came.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn play(mut stream: TcpStream, answer: &[u8]) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    // A client that has seen enough hangs up.
    let _ = stream.write_all(answer);
    String::from_utf8(head).unwrap()
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // So that it looks.
        drop(TcpStream::connect(self.address));
        if let Some(serving) = self.serving.take() {
            let served = serving.join();
            assert!(served.is_ok() || thread::panicking());
        }
    }
}

/// Certificates in files, as programs take them.
pub(crate) struct Files {
    pub(crate) dir: TempDir,
}

impl Files {
    /// Of a server `shop.test`, of the client `me`, both by the authority `ca.pem`, and of another authority.
    pub(crate) fn new() -> Files {
        let files = Files { dir: TempDir::new().unwrap() };
        let shop = SelfSigned::new(["shop.test"]).unwrap();
        let me = shop.issue(["me"]).unwrap();
        files.write("ca.pem", shop.authority_pem());
        files.write("chain.pem", shop.chain_pem());
        files.write("key.pem", shop.key_pem());
        files.write("me.pem", me.chain_pem());
        files.write("me.key", me.key_pem());
        files.write("other.pem", SelfSigned::new(["other.test"]).unwrap().authority_pem());
        files
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// As an argument of a command line.
    pub(crate) fn arg(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }
}

/// Bytes in which a lost, doubled or moved piece shows.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

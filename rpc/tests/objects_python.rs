//! The other side of an object connection in plain Python: its standard library, and no more.
#![allow(clippy::unwrap_used, reason = "these are parts of tests")]

use std::time::Duration;

use grapeshot_core::spawn;
use grapeshot_core::test::Test;
use grapeshot_harness::require;
use grapeshot_net::process::Command;
use grapeshot_rpc::auth::AuthKey;
use grapeshot_rpc::objects::{Connection, Listener, ObjectError};

const LIMIT: Duration = Duration::from_secs(30);

/// What both sides of the exchange need.
const COMMON: &str = r#"
import hashlib, hmac, os, socket, struct, sys

def send(peer, content):
    peer.sendall(struct.pack(">I", len(content)) + content)

def exactly(peer, count):
    content = peer.recv(count, socket.MSG_WAITALL)
    assert len(content) == count, "the end"
    return content

def recv(peer):
    return exactly(peer, struct.unpack(">I", exactly(peer, 4))[0])

def proof(side, client, server):
    return hmac.new(b"0123456789abcdef", b"grapeshot objects 1 " + side + client + server, hashlib.sha256).digest()
"#;

const CLIENT: &str = r#"
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
mine = os.urandom(32)
send(peer, mine)
theirs = recv(peer)
send(peer, proof(b"client", mine, theirs))
assert hmac.compare_digest(recv(peer), proof(b"server", mine, theirs)), "refused"
send(peer, b"\x92\xa3add\x93\x01\x02\xcd\x03\xe8")  # ["add", [1, 2, 1000]]
print(recv(peer).hex())
"#;

const SERVER: &str = r#"
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
peer, _ = listener.accept()
theirs = recv(peer)
mine = os.urandom(32)
send(peer, mine)
if not hmac.compare_digest(recv(peer), proof(b"client", theirs, mine)):
    send(peer, b"")
    sys.exit("refused")
send(peer, proof(b"server", theirs, mine))
send(peer, b"\x81\xa4name\xa6python")  # {"name": "python"}
print(recv(peer).hex())
"#;

fn key() -> AuthKey {
    AuthKey::new(b"0123456789abcdef").unwrap()
}

fn python(script: &str) -> Option<Command> {
    let mut command = Command::new(require("python3")?);
    command.arg("-c").arg(format!("{COMMON}{script}"));
    Some(command)
}

#[test]
fn python_proves_itself_and_sends_an_object() {
    let Some(mut python) = python(CLIENT) else { return };
    Test::new().real_time().run(move || {
        let listener = Listener::bind("127.0.0.1:0", key()).unwrap();
        let port = listener.local_addr().unwrap().port();
        let output = spawn(move || python.arg(port.to_string()).output_timeout(LIMIT).unwrap());
        let (connection, _) = listener.accept().unwrap();
        let (operation, numbers) = connection.recv::<(String, Vec<u32>)>().unwrap().unwrap();
        assert_eq!((operation.as_str(), numbers.as_slice()), ("add", &[1, 2, 1000][..]));
        connection.send(&numbers.iter().sum::<u32>()).unwrap();
        let output = output.join().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "cd03eb\n", "{output:?}");
    });
}

/// Starts the server in Python; where it listens, and what it says in the end.
fn with_server(check: impl FnOnce(u16) -> Connection<grapeshot_net::TcpStream> + 'static) -> Option<String> {
    use std::io::Read;
    let mut python = python(SERVER)?;
    Some(Test::new().real_time().run(move || {
        let said = grapeshot_core::with_timeout(LIMIT, || {
            let mut child = python.stdout(std::process::Stdio::piped()).spawn().unwrap();
            let mut stdout = child.stdout.take().unwrap();
            let mut port = String::new();
            while !port.ends_with('\n') {
                let mut byte = [0];
                stdout.read_exact(&mut byte).unwrap();
                port.push(char::from(byte[0]));
            }
            let connection = check(port.trim().parse().unwrap());
            let mut said = String::new();
            stdout.read_to_string(&mut said).unwrap();
            drop(connection);
            assert!(child.wait().unwrap().success(), "{said}");
            said
        });
        said.unwrap()
    }))
}

#[test]
fn python_asks_for_proof_and_receives_an_object() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Greeting {
        name: String,
    }
    let said = with_server(|port| {
        let connection = Connection::connect("127.0.0.1", port, &key()).unwrap();
        assert_eq!(connection.recv::<Greeting>().unwrap().unwrap().name, "python");
        connection.send(&(true, "grape")).unwrap();
        connection
    });
    let Some(said) = said else { return };
    assert_eq!(said, "92c3a56772617065\n");
}

#[test]
fn python_with_another_key_is_kept_out() {
    let Some(mut python) = python(CLIENT) else { return };
    Test::new().real_time().run(move || {
        let listener = Listener::bind("127.0.0.1:0", AuthKey::new(b"another sixteen.").unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        let output = spawn(move || python.arg(port.to_string()).output_timeout(LIMIT).unwrap());
        let (connection, _) = listener.accept().unwrap();
        assert!(matches!(connection.recv::<u8>(), Err(ObjectError::Unproven(_))));
        let output = output.join().unwrap();
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("refused"), "{output:?}");
    });
}

//! Calls both ways over every transport, up to a plugin: a child process that is called, and calls back, over its stdio.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are parts of tests")]

use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::Test;
use grapeshot_core::{WaitLimit, spawn, test, with_timeout};
use grapeshot_net::process::Command;
use grapeshot_net::{TcpListener, TcpStream, UnixStream, memory};
use grapeshot_rpc::transport::{AnyStream, ChildTransport, Stdio};
use grapeshot_rpc::{CallerExt, CloseReason, Connection, Context, Failure, Router, Transport};
use grapeshot_tls::TlsStream;

const LIMIT: Duration = Duration::from_secs(30);

/// What both sides offer: `ask` calls the other side's `name` and answers with what that is.
fn service(own_name: &'static str) -> Router {
    Router::new().method("name", move |()| Ok::<_, Failure>(own_name)).method_with_context(
        "ask",
        |context: &Context, (greeting,): (String,)| {
            let caller = context.caller().expect("a connection");
            let name: String =
                caller.call("name", &()).map_err(|error| Failure::new(Failure::INTERNAL, error.to_string()))?;
            Ok::<_, Failure>(format!("{greeting}, {name}"))
        },
    )
}

/// Has both ends call each other, and one of them end.
fn both_ways(near: impl Transport, far: impl Transport) {
    let far = spawn(move || {
        let far = Connection::over(far).service(service("far")).accept().unwrap();
        let asked: String = far.call("ask", &("moin",)).unwrap();
        assert_eq!(asked, "moin, far");
        far.wait_closed()
    });
    let near = Connection::over(near).service(service("near")).open().unwrap();
    let asked: String = near.call("ask", &("hello",)).unwrap();
    assert_eq!(asked, "hello, near");
    // Its answer to the other side's question may be on its way.
    near.wait_idle(None);
    near.close();
    assert!(matches!(near.wait_closed(), CloseReason::Closed));
    assert!(matches!(far.join().unwrap(), CloseReason::PeerEnded));
}

#[test]
fn over_tcp() {
    Test::new().real_time().run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        both_ways(near, listener.accept().unwrap().0);
    });
}

#[test]
fn over_a_unix_socket() {
    Test::new().real_time().run(|| {
        let (near, far) = UnixStream::pair().unwrap();
        both_ways(near, far);
    });
}

#[test]
fn over_memory_and_any_other_stream() {
    test::run(|| {
        let (near, far) = memory::pair();
        both_ways(Rc::new(near), AnyStream::new(far));
    });
}

#[test]
fn over_tls_whose_handshake_is_that_of_the_connections_own_coroutines() {
    test::run(|| {
        let own = grapeshot_tls::SelfSigned::new(["localhost"]).unwrap();
        let (near, far) = memory::pair();
        let near = TlsStream::client(near, &own.client_config().unwrap(), "localhost").unwrap();
        both_ways(near, TlsStream::server(far, &own.server_config().unwrap()).unwrap());
    });
}

/// Makes this test, started anew, the plugin.
const PLUGIN: &str = "GRAPESHOT_RPC_PLUGIN_TEST";

/// What the plugin says before its first message: the test's own harness has written to stdout before.
const BEGIN: &[u8] = b"<begin>";

#[test]
fn over_the_stdio_of_a_plugin_that_ends_with_its_connection() {
    if std::env::var_os(PLUGIN).is_some() {
        Test::new().real_time().run(|| {
            let stdio = Stdio::new();
            stdio.write_all_within(BEGIN, WaitLimit::Never).unwrap();
            let connection = Connection::over(stdio).service(service("plugin")).accept().unwrap();
            assert!(matches!(connection.wait_closed(), CloseReason::PeerEnded));
        });
        std::process::exit(7);
    }
    Test::new().real_time().run(|| {
        let name = "over_the_stdio_of_a_plugin_that_ends_with_its_connection";
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(PLUGIN, "1");
        let plugin = ChildTransport::spawn(command).unwrap().grace(LIMIT);
        let exit = plugin.exit();
        skip_to_the_begin(&plugin);
        let played = with_timeout(LIMIT, move || {
            let connection = Connection::over(plugin).service(service("editor")).open().unwrap();
            assert_eq!(connection.call::<String>("name", &()).unwrap(), "plugin");
            let asked: String = connection.call("ask", &("ahoy",)).unwrap();
            assert_eq!(asked, "ahoy, editor", "it has called back");
            connection.close();
            connection.wait_closed();
            exit.wait().unwrap()
        });
        assert_eq!(played.unwrap().code(), Some(7), "it has seen the end, and was not killed");
    });
}

fn skip_to_the_begin(transport: &impl Transport) {
    let mut said = Vec::new();
    while !said.ends_with(BEGIN) {
        let mut byte = [0];
        assert_eq!(transport.read_within(&mut byte, WaitLimit::After(LIMIT)).unwrap(), 1, "the plugin has ended");
        said.push(byte[0]);
    }
}

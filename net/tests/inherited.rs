//! Sockets handed over by whoever started the process.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::env;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener as StdListener, UdpSocket as StdUdp};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::process::{self, Command, Stdio};

use grapeshot_core::test::Test;
use grapeshot_net::{Inherited, TcpStream, UdpSocket, UnixStream, unix};

use self::support::*;

/// Gives stdin, stdout and stderr the numbers 3, 4 and 5 and announces them, as systemd does.
const HAND_OVER: &str = r#"
    exec 3<&0 4<&1 5<&2 0</dev/null 1>/dev/null 2>/dev/null
    LISTEN_FDS=3 LISTEN_PID=$$ LISTEN_FDNAMES=web:local:web exec "$0" "$@"
"#;

/// What the process that was started does: an exchange on each socket; it ends with a failure if anything is amiss.
fn started() {
    Test::new().real_time().run(|| {
        let mut inherited = Inherited::from_env();
        assert!(env::var_os("LISTEN_FDS").is_none() && Inherited::from_env().is_empty());
        assert_eq!(inherited.len(), 3);
        assert_eq!(inherited.named("web").collect::<Vec<_>>(), [0, 2]);
        assert_eq!(inherited.named("nobody").count(), 0);
        for (wrong, index) in [
            (inherited.take_unix_listener(0).map(drop), 0),
            (inherited.take_tcp_listener(1).map(drop), 1),
            (inherited.take_tcp_listener(2).map(drop), 2),
            (inherited.take_unix_datagram(2).map(drop), 2),
        ] {
            let error = wrong.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().starts_with(&format!("inherited socket {index}: ")), "{error}");
        }
        let tcp = inherited.take_tcp_listener(0).unwrap();
        let local = inherited.take_unix_listener(1).unwrap();
        let udp = inherited.take_udp_socket(2).unwrap();
        let error = inherited.take_tcp_listener(0).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::NotFound, "inherited socket 0: it has been taken already")
        );
        let error = inherited.take_tcp_listener(3).unwrap_err();
        assert!(error.to_string().contains("started with 3, counted from 0"), "{error}");
        assert!(rustix::io::fcntl_getfd(&tcp).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        tcp.accept().unwrap().0.write_all(b"over tcp").unwrap();
        local.accept().unwrap().0.write_all(b"at home").unwrap();
        let (_, from) = udp.recv_from(&mut [0; 8]).unwrap();
        udp.send_to(b"by udp", from).unwrap();
    });
}

fn command(tcp: StdListener, local: StdUnixListener, udp: StdUdp) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(HAND_OVER).arg(env::current_exe().unwrap());
    command.args(["--exact", "the_sockets_of_a_service_manager_are_taken_by_their_numbers", "--nocapture"]);
    let stdio = |descriptor: OwnedFd| Stdio::from(descriptor);
    command.stdin(stdio(tcp.into())).stdout(stdio(local.into())).stderr(stdio(udp.into()));
    command
}

/// The test starts itself: who finds sockets announced is the one that was started.
#[test]
fn the_sockets_of_a_service_manager_are_taken_by_their_numbers() {
    if env::var_os("LISTEN_FDS").is_some() {
        return started();
    }
    let tcp = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let udp = StdUdp::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let name = unix::SocketAddr::from_abstract_name(format!("grapeshot-{}-inherited", process::id())).unwrap();
    let local = StdUnixListener::bind_addr(&name).unwrap();
    let (tcp_address, udp_address) = (tcp.local_addr().unwrap(), udp.local_addr().unwrap());
    let mut child = command(tcp, local, udp).spawn().unwrap();
    // They are listening already, whether the process has started or not.
    let mut answer = String::new();
    TcpStream::connect(tcp_address).unwrap().read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "over tcp");
    answer.clear();
    UnixStream::connect_addr(&name).unwrap().read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "at home");
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    client.set_read_timeout(Some(30 * SECOND)).unwrap();
    client.send_to(b"x", udp_address).unwrap();
    assert_eq!(client.recv(&mut [0; 16]).unwrap(), 6);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_process_that_was_given_none_finds_none() {
    let mut inherited = Inherited::from_env();
    assert!(inherited.is_empty());
    let error = inherited.take_tcp_listener(0).unwrap_err();
    assert_eq!(error.to_string(), "inherited socket 0: this process was started with none");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

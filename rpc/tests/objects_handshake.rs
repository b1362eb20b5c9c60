//! The handshake of object connections: who gets in, who does not, and that nobody waits for somebody else's (BEA-9).
#![allow(clippy::unwrap_used, reason = "these are parts of tests")]

use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::Test;
use grapeshot_core::{now, scope, sleep, spawn, test, with_timeout};
use grapeshot_net::TcpStream;
use grapeshot_net::memory::{Builder, Faults, pair};
use grapeshot_rpc::auth::{AuthKey, Keys};
use grapeshot_rpc::objects::{Connection, Listener, ObjectError};
use grapeshot_rpc::proto::auth::AuthFault;

fn key() -> AuthKey {
    AuthKey::new(b"sixteen bytes it").unwrap()
}

fn other_key() -> AuthKey {
    AuthKey::new(b"sixteen others, ").unwrap()
}

/// What each side says of a handshake between two with these keys.
fn between(client: AuthKey, server: AuthKey) -> (Result<(), ObjectError>, Result<(), ObjectError>) {
    let (near, far) = pair();
    let far = spawn(move || Connection::new(far).demanding(&server).handshake());
    let near = Connection::new(near).authenticate(&client);
    (near, far.join().unwrap())
}

#[test]
fn two_that_know_the_key_exchange_objects() {
    test::run(|| {
        let (near, far) = pair();
        let near = spawn(move || {
            let near = Connection::new(near);
            near.authenticate(&key()).unwrap();
            near.send("hello").unwrap();
            near.recv::<u8>().unwrap()
        });
        let far = Connection::new(far).demanding(key().named("ours"));
        assert_eq!(far.peer_key(), None);
        assert_eq!(far.recv::<String>().unwrap().as_deref(), Some("hello"), "the first use does the handshake");
        assert_eq!(far.peer_key().as_deref(), Some("ours"));
        far.send(&7).unwrap();
        assert_eq!(near.join().unwrap(), Some(7));
    });
}

#[test]
fn two_that_know_different_keys_both_find_out() {
    test::run(|| {
        let (client, server) = between(key(), other_key());
        assert!(matches!(client, Err(ObjectError::Refused)), "{client:?}");
        assert!(matches!(server, Err(ObjectError::Unproven(AuthFault::WrongProof))), "{server:?}");
    });
}

#[test]
fn any_of_several_keys_will_do() {
    test::run(|| {
        let keys = Keys::new([key().named("old"), other_key().named("new")]).unwrap();
        let (near, far) = pair();
        let client = spawn(move || Connection::new(near).authenticate(&other_key()));
        let far = Connection::new(far).demanding(keys);
        far.handshake().unwrap();
        assert_eq!(far.peer_key().as_deref(), Some("new"));
        client.join().unwrap().unwrap();
    });
}

#[test]
fn a_server_that_sends_everything_back_is_found_out() {
    test::run(|| {
        let (near, far) = pair();
        spawn(move || {
            let mut buf = [0; 64];
            loop {
                match (&far).read(&mut buf) {
                    Ok(0) | Err(_) => return,
                    Ok(count) => (&far).write_all(&buf[..count]).unwrap(),
                }
            }
        });
        let error = Connection::new(near).authenticate(&key()).unwrap_err();
        assert!(matches!(error, ObjectError::Unproven(AuthFault::Reflected)), "{error:?}");
    });
}

#[test]
fn what_was_overheard_opens_no_other_connection() {
    test::run(|| {
        // A client's whole part, as somebody on the way hears it.
        let (near, middle) = pair();
        let (out, far) = pair();
        let overheard = spawn(move || {
            let mut heard = Vec::new();
            let mut buf = [0; 64];
            for _ in 0..2 {
                let count = (&middle).read(&mut buf).unwrap();
                heard.extend_from_slice(&buf[..count]);
                (&out).write_all(&buf[..count]).unwrap();
                let count = (&out).read(&mut buf).unwrap();
                (&middle).write_all(&buf[..count]).unwrap();
            }
            heard
        });
        let server = spawn(move || Connection::new(far).demanding(key()).handshake());
        Connection::new(near).authenticate(&key()).unwrap();
        server.join().unwrap().unwrap();
        let heard = overheard.join().unwrap();
        assert_eq!(heard.len(), 72, "a nonce and a proof");

        let (mut replaying, far) = pair();
        replaying.write_all(&heard).unwrap();
        let error = Connection::new(far).demanding(key()).handshake().unwrap_err();
        assert!(matches!(error, ObjectError::Unproven(AuthFault::WrongProof)), "{error:?}");
        let mut answers = Vec::new();
        replaying.read_to_end(&mut answers).unwrap();
        assert_eq!(answers.len(), 36 + 4, "its nonce and an empty frame: it proves nothing to such a client");
        assert_eq!(answers[36..], [0; 4]);
    });
}

#[test]
fn nothing_is_read_of_a_client_that_has_not_proven_itself() {
    test::run(|| {
        let (near, far) = pair();
        Connection::new(near).send("forty bytes, of one who knows of no keys").unwrap();
        let far = Connection::new(far).demanding(key());
        for _ in 0..2 {
            let error = far.recv::<String>().unwrap_err();
            assert!(matches!(error, ObjectError::Unproven(AuthFault::Length { bytes: 42 })), "{error:?}");
        }
    });
}

/// What a client hears that has forgotten to authenticate, once it has sent this; with the server's own error.
fn forgetful(said: Option<&str>) -> (Result<Option<String>, ObjectError>, ObjectError) {
    let (near, far) = pair();
    let server = spawn(move || Connection::new(far).demanding(key()).recv::<String>().unwrap_err());
    let near = Connection::new(near);
    if let Some(said) = said {
        near.send(said).unwrap();
    }
    let heard = near.recv();
    assert!(matches!(heard, Ok(None)) || near.recv::<u8>().is_err(), "and it stays out: {heard:?}");
    (heard, server.join().unwrap())
}

#[test]
fn a_client_that_forgets_to_prove_itself_hears_of_it_whatever_it_sends() {
    test::run(|| {
        for said in [None, Some(""), Some("hello"), Some("forty bytes, of one who knows of no keys")] {
            let began = now();
            let (heard, error) = forgetful(said);
            assert!(matches!(heard, Err(ObjectError::KeyDemanded)), "{said:?}: {heard:?}");
            let is_silent = said.is_none();
            assert_eq!(matches!(error, ObjectError::HandshakeTimedOut { .. }), is_silent, "{said:?}: {error:?}");
            assert_eq!(now() - began, Duration::from_secs(if is_silent { 5 } else { 0 }), "{said:?}");
            assert_eq!(std::io::Error::from(heard.unwrap_err()).kind(), ErrorKind::PermissionDenied);
        }
        // A text of 31 bytes has a frame of 32 bytes, and passes for a nonce.
        let (heard, error) = forgetful(Some("a text that has 31 bytes in all"));
        assert!(heard.is_err(), "{heard:?}");
        assert!(matches!(error, ObjectError::HandshakeTimedOut { .. }), "{error:?}");
    });
}

#[test]
fn a_client_that_forgets_to_prove_itself_hears_of_it_over_a_socket() {
    Test::new().real_time().run(|| {
        let listener = Listener::bind("127.0.0.1:0", key()).unwrap();
        let address = listener.local_addr().unwrap();
        let server = spawn(move || listener.accept().unwrap().0.recv::<String>());
        let client = Connection::new(TcpStream::connect(address).unwrap());
        client.send("hello").unwrap();
        let heard = client.recv::<String>();
        assert!(matches!(heard, Err(ObjectError::KeyDemanded)), "{heard:?}");
        assert!(server.join().unwrap().is_err());
    });
}

#[test]
fn a_refusal_for_which_there_is_no_room_holds_nobody_up() {
    test::run(|| {
        // The server's nonce fills it, and the client reads nothing.
        let (mut near, far) = Builder::new().capacity(36).pair();
        near.write_all(&[&[0, 0, 0, 32][..], &[7; 32]].concat()).unwrap();
        let server = spawn(move || {
            let far = Connection::new(far).demanding(key());
            (far.handshake().unwrap_err(), now())
        });
        let began = now();
        let (error, ended) = server.join().unwrap();
        assert!(matches!(error, ObjectError::HandshakeTimedOut { .. }), "{error:?}");
        assert_eq!(ended - began, Duration::from_secs(5));
    });
}

#[test]
fn a_handshake_that_ends_early_is_an_error_on_either_side_wherever_it_ends() {
    for at in 0..72 {
        test::run(move || {
            // As the client's bytes end, and as the server's do.
            for cuts_client in [true, false] {
                let cut = Faults::new().end_at(at);
                let builder = if cuts_client { Builder::new().to_far(cut) } else { Builder::new().to_near(cut) };
                let (near, far) = builder.pair();
                let server = spawn(move || {
                    let far = Connection::new(far).demanding(key());
                    let first = far.handshake();
                    (first, far.recv::<u8>())
                });
                let near = Connection::new(near);
                let client = near.authenticate(&key());
                assert!(client.is_err(), "{at}: {client:?}");
                assert!(near.send(&1).is_err() && near.recv::<u8>().is_err(), "{at}: and it stays one");
                drop(near);
                let (first, second) = server.join().unwrap();
                if cuts_client {
                    assert!(first.is_err() && second.is_err(), "{at}: {first:?} {second:?}");
                } else {
                    assert!(!matches!(second, Ok(Some(_))), "{at}: {second:?}");
                }
            }
        });
    }
}

#[test]
fn a_spoiled_byte_anywhere_keeps_out() {
    for at in 0..72 {
        test::run(move || {
            for spoils_client in [true, false] {
                let spoiled = Faults::new().garbage(at..at + 1);
                let builder =
                    if spoils_client { Builder::new().to_far(spoiled) } else { Builder::new().to_near(spoiled) };
                let (near, far) = builder.pair();
                let server = spawn(move || Connection::new(far).demanding(key()).handshake());
                let client = Connection::new(near).authenticate(&key());
                let server = server.join().unwrap();
                assert!(client.is_err() || server.is_err(), "{at}");
            }
        });
    }
}

#[test]
fn a_peer_that_says_nothing_or_little_at_a_time_meets_the_limit() {
    test::run(|| {
        let (near, far) = pair();
        let began = now();
        let error = Connection::new(far).demanding(key()).handshake().unwrap_err();
        assert!(
            matches!(error, ObjectError::HandshakeTimedOut { limit } if limit == Duration::from_secs(5)),
            "{error:?}"
        );
        assert_eq!(now() - began, Duration::from_secs(5));
        drop(near);

        // A byte a second would be more than half a minute for the nonce alone.
        let (mut near, far) = pair();
        let client = spawn(move || {
            [0, 0, 0, 32].into_iter().chain([7; 32]).try_for_each(|byte| {
                sleep(Duration::from_secs(1));
                near.write_all(&[byte])
            })
        });
        let began = now();
        let far = Connection::new(far).demanding(key());
        assert!(matches!(far.recv::<u8>(), Err(ObjectError::HandshakeTimedOut { .. })));
        assert_eq!(now() - began, Duration::from_secs(5));
        assert!(matches!(far.send(&1), Err(ObjectError::HandshakeTimedOut { .. })), "and it stays out");
        drop(far);
        assert!(client.join().unwrap().is_err());
    });
}

#[test]
fn one_that_is_cut_off_in_the_handshake_leaves_a_connection_that_says_so() {
    test::run(|| {
        let (_near, far) = pair();
        let far = Connection::new(far).demanding(key());
        assert!(with_timeout(Duration::from_secs(1), || far.handshake()).is_err());
        assert!(matches!(far.recv::<u8>(), Err(ObjectError::Abandoned)));
        assert!(matches!(far.send(&1), Err(ObjectError::Abandoned)));
    });
}

#[test]
fn two_that_use_it_first_do_one_handshake() {
    test::run(|| {
        let (near, far) = pair();
        let client = spawn(move || {
            let near = Connection::new(near);
            near.authenticate(&key()).unwrap();
            near.send("up").unwrap();
            near.recv::<String>().unwrap()
        });
        let far = Connection::new(far).demanding(key());
        scope(|scope| {
            scope.spawn(|| assert_eq!(far.recv::<String>().unwrap().as_deref(), Some("up")));
            scope.spawn(|| far.send("down").unwrap());
        });
        assert_eq!(client.join().unwrap().as_deref(), Some("down"));
    });
}

#[test]
fn a_silent_peer_keeps_nobody_else_out() {
    Test::new().real_time().run(|| {
        let listener = Listener::bind("127.0.0.1:0", key()).unwrap();
        let address = listener.local_addr().unwrap();
        let silent = TcpStream::connect(address).unwrap();
        let (first, peer) = listener.accept().unwrap();
        assert_eq!(peer, silent.local_addr().unwrap());
        let first = Rc::new(first);
        let waiting = spawn({
            let first = first.clone();
            move || first.recv::<u8>()
        });
        let client = spawn(move || {
            let connection = Connection::connect("127.0.0.1", address.port(), &key()).unwrap();
            connection.send(&7).unwrap();
            connection
        });
        let (second, _) = listener.accept().unwrap();
        assert_eq!(second.recv::<u8>().unwrap(), Some(7));
        client.join().unwrap();
        drop(silent);
        assert!(matches!(waiting.join().unwrap(), Err(ObjectError::Truncated { bytes: 0, .. })));
    });
}

#[test]
fn a_wrong_key_is_permission_denied_as_an_io_error() {
    Test::new().real_time().run(|| {
        let listener = Listener::bind("127.0.0.1:0", key()).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = spawn(move || listener.accept().unwrap().0.recv::<u8>());
        let error = Connection::connect("127.0.0.1", port, &other_key()).unwrap_err();
        assert_eq!(std::io::Error::from(error).kind(), ErrorKind::PermissionDenied);
        assert!(server.join().unwrap().is_err());
    });
}

#[test]
fn closing_the_listener_ends_an_accept_that_waits() {
    Test::new().real_time().run(|| {
        let listener = Rc::new(Listener::bind("127.0.0.1:0", key()).unwrap());
        let accepting = spawn({
            let listener = listener.clone();
            move || listener.accept().map(drop)
        });
        grapeshot_core::yield_now();
        assert!(listener.close());
        assert!(accepting.join().unwrap().is_err());
    });
}

//! Objects over any stream: send and receive any serde value, between two that know a key (BEA-10, BEA-8).
//!
//! The small everyday form, where there is nothing to call:
//!
//! ```
//! use grapeshot_core::{spawn, test};
//! use grapeshot_rpc::auth::AuthKey;
//! use grapeshot_rpc::objects::{Connection, Listener, ObjectError};
//!
//! test::run(|| {
//!     let key = AuthKey::new(b"0123456789abcdef").unwrap();
//!     let listener = Listener::bind("127.0.0.1:0", &key).unwrap();
//!     let port = listener.local_addr().unwrap().port();
//!     let server = spawn(move || -> Result<(), ObjectError> {
//!         let (connection, _) = listener.accept()?;
//!         while let Some((left, right)) = connection.recv::<(i64, i64)>()? {
//!             connection.send(&(left + right))?;
//!         }
//!         Ok(())
//!     });
//!     let connection = Connection::connect("127.0.0.1", port, &key).unwrap();
//!     connection.send(&(3, 4)).unwrap();
//!     assert_eq!(connection.recv::<i64>().unwrap(), Some(7));
//!     drop(connection);
//!     server.join().unwrap().unwrap();
//! });
//! ```
//!
//! # The format
//!
//! Every frame is its size, four bytes with the highest first, and so many bytes. An object is one MessagePack value in a
//! frame; a struct is a map with the names of its fields. Where a key is asked for, four frames come first:
//!
//! ```text
//!   client ─► server   32 random bytes, C                    server ─► client   32 random bytes, S
//!   client ─► server   HMAC-SHA-256(key, "grapeshot objects 1 client" ‖ C ‖ S)
//!   server ─► client   HMAC-SHA-256(key, "grapeshot objects 1 server" ‖ C ‖ S), or an empty frame and the end
//! ```
//!
//! The empty frame is also the answer to a client that sends something else, or nothing in time: it is no object, and so
//! one that has forgotten the handshake hears of it ([`ObjectError::KeyDemanded`]). An object of just 32 bytes passes for
//! the client's: the server's then come in answer, which are hardly ever an object, and the empty frame after the limit.
//!
//! That is fifteen lines of any language with an HMAC; `objects_python.rs` among the tests has them in Python.
//!
//! # Invariants
//!
//! - Without a proof no object is read, and no frame of more than 32 bytes.
//! - To accept waits for no handshake: the coroutine that uses a connection does its handshake, within a limit.
//! - A size and a depth that are above their limits are refused before memory is taken for them.
//! - An end between two objects is an end; one within an object is an error.
//! - An object goes out whole or the connection says from then on that it is broken; it never goes on in the middle.
//!
//! # What is absent
//!
//! Secrecy, and protection of the objects against change on the way: see [`proto::auth`](crate::proto::auth).
//! Where somebody may sit in between, the stream is a `grapeshot_tls::TlsStream`.

mod connection;
mod handshake;
mod incoming;
mod listener;
mod error;

pub use self::connection::Connection;
pub use self::error::ObjectError;
pub use self::listener::Listener;

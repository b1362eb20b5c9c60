//! Mutual proof of a shared key, without I/O and without the algorithm (BEA-9).
//!
//! ```text
//!   client                                                          server
//!   begun ───────────── client's nonce ──────────────────────────►  fresh
//!         ◄──────────── server's nonce ──────────────────────────── challenged ◄─ a second begin restarts
//!   challenged ──────── MAC(key, client label ‖ both nonces) ────►
//!         ◄──────────── MAC(key, server label ‖ both nonces) ────── proven, or failed
//!   verified, or failed
//! ```
//!
//! # Invariants
//!
//! - Each side makes a nonce of its own for each exchange, so a proof that was overheard proves nothing later.
//! - The labels differ by direction and by protocol: a proof that is sent back to who made it, or on to another protocol,
//!   is a proof of something else.
//! - The server proves nothing to a client that has not proven itself.
//! - A wrong proof ends the exchange: there is one guess a connection.
//!
//! # What is absent
//!
//! Secrecy: what follows the exchange is neither encrypted nor authenticated by it, and whoever sits in between may
//! pass the exchange on and change the rest. On networks where somebody may, this goes inside TLS.

use std::error::Error;
use std::fmt;

/// The bytes of a nonce.
pub const NONCE_BYTES: usize = 32;

/// The bytes of a proof: an HMAC-SHA-256 (RFC 2104, FIPS 180-4).
pub const PROOF_BYTES: usize = 32;

/// A number used once.
pub type Nonce = [u8; NONCE_BYTES];

/// What shows that its maker knows the key.
pub type Proof = [u8; PROOF_BYTES];

/// Opens the exchange between connections that make calls: `[client's nonce]`, answered by the server's nonce.
pub const BEGIN_METHOD: &str = "$/auth.begin";

/// Ends it: `[client's proof]`, answered by the server's proof.
pub const PROVE_METHOD: &str = "$/auth.prove";

/// What distinguishes the proofs of the two directions, and of one protocol from those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Labels {
    client: &'static str,
    server: &'static str,
}

impl Labels {
    /// Of connections that make calls.
    pub const CALLS: Labels = Labels { client: "grapeshot rpc 1 client", server: "grapeshot rpc 1 server" };

    /// Of object connections.
    pub const OBJECTS: Labels = Labels { client: "grapeshot objects 1 client", server: "grapeshot objects 1 server" };

    fn client_message(&self, nonces: &Nonces) -> Vec<u8> {
        [self.client.as_bytes(), &nonces.client, &nonces.server].concat()
    }

    fn server_message(&self, nonces: &Nonces) -> Vec<u8> {
        [self.server.as_bytes(), &nonces.client, &nonces.server].concat()
    }
}

/// A key, or several of which any will do: the half of the exchange that needs an algorithm.
pub trait Prover {
    /// HMAC-SHA-256 of the message with the key of this number.
    fn sign(&self, key: usize, message: &[u8]) -> Proof;

    /// The number of the key with which the proof was made, if it was with one of them; compared in constant time.
    fn verify(&self, message: &[u8], proof: &[u8]) -> Option<usize>;
}

/// Why an exchange does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthFault {
    /// A nonce or proof has another length than 32 bytes.
    Length {
        /// The bytes that it has.
        bytes: usize,
    },
    /// The peer sent back this side's own nonce or proof, as one does that has no key.
    Reflected,
    /// The proof was not made with a key that this side knows.
    WrongProof,
    /// This step is not due: a proof without a beginning, or anything after the end.
    OutOfTurn,
}

impl fmt::Display for AuthFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuthFault::Length { bytes } => {
                write!(f, "a nonce or proof of {bytes} bytes, and {NONCE_BYTES} are due")
            }
            AuthFault::Reflected => f.write_str("the peer sent back what this side had sent"),
            AuthFault::WrongProof => f.write_str("the proof is wrong: the peer does not know the key"),
            AuthFault::OutOfTurn => f.write_str("this step of the authentication is not due now"),
        }
    }
}

impl Error for AuthFault {}

#[derive(Clone, Copy)]
struct Nonces {
    client: Nonce,
    server: Nonce,
}

/// The client's side.
///
/// ```
/// use grapeshot_rpc::proto::auth::{AuthFault, ClientExchange, Labels, Proof, Prover, ServerExchange};
///
/// // No algorithm that proves anything, but enough to see the steps.
/// struct Sum;
/// impl Prover for Sum {
///     fn sign(&self, _key: usize, message: &[u8]) -> Proof {
///         let mut sum = [0; 32];
///         message.iter().enumerate().for_each(|(at, byte)| sum[at % 32] ^= byte.rotate_left(at as u32));
///         sum
///     }
///     fn verify(&self, message: &[u8], proof: &[u8]) -> Option<usize> {
///         (self.sign(0, message) == proof).then_some(0)
///     }
/// }
///
/// let (mut client, begin) = ClientExchange::begin(Labels::CALLS, [1; 32]);
/// let mut server = ServerExchange::new(Labels::CALLS);
/// let challenge = server.begin(&begin, [2; 32])?;
/// let proof = client.challenged(&challenge, &Sum)?;
/// let answer = server.prove(&proof, &Sum)?;
/// client.finish(&answer, &Sum)?;
/// assert_eq!(server.proven_key(), Some(0));
/// # Ok::<(), AuthFault>(())
/// ```
pub struct ClientExchange {
    labels: Labels,
    state: ClientState,
}

enum ClientState {
    Begun(Nonce),
    Challenged { nonces: Nonces, own: Proof },
    Over,
}

impl ClientExchange {
    /// Begins, and gives what is to be sent. The nonce must be random and never used before.
    pub fn begin(labels: Labels, nonce: Nonce) -> (ClientExchange, Nonce) {
        (ClientExchange { labels, state: ClientState::Begun(nonce) }, nonce)
    }

    /// Takes the server's nonce, and gives the proof to be sent, made with key 0.
    ///
    /// # Errors
    ///
    /// See [`AuthFault`]; the exchange is over then.
    pub fn challenged(&mut self, nonce: &[u8], prover: &impl Prover) -> Result<Proof, AuthFault> {
        let ClientState::Begun(client) = std::mem::replace(&mut self.state, ClientState::Over) else {
            return Err(AuthFault::OutOfTurn);
        };
        let server = of_length(nonce)?;
        if server == client {
            return Err(AuthFault::Reflected);
        }
        let nonces = Nonces { client, server };
        let own = prover.sign(0, &self.labels.client_message(&nonces));
        self.state = ClientState::Challenged { nonces, own };
        Ok(own)
    }

    /// Takes the server's proof. When this is good, each side knows that the other knows the key.
    ///
    /// # Errors
    ///
    /// See [`AuthFault`]; the exchange is over then.
    pub fn finish(&mut self, proof: &[u8], prover: &impl Prover) -> Result<(), AuthFault> {
        let ClientState::Challenged { nonces, own } = std::mem::replace(&mut self.state, ClientState::Over) else {
            return Err(AuthFault::OutOfTurn);
        };
        let proof = of_length(proof)?;
        if proof == own {
            return Err(AuthFault::Reflected);
        }
        prover.verify(&self.labels.server_message(&nonces), &proof).map(drop).ok_or(AuthFault::WrongProof)
    }
}

/// The server's side.
pub struct ServerExchange {
    labels: Labels,
    state: ServerState,
}

enum ServerState {
    Fresh,
    Challenged(Nonces),
    Proven { key: usize },
    Failed,
}

impl ServerExchange {
    /// Waits for a client to begin.
    pub fn new(labels: Labels) -> ServerExchange {
        ServerExchange { labels, state: ServerState::Fresh }
    }

    /// Takes the client's nonce, and gives this side's, which must be random and never used before.
    ///
    /// Until the client has proven itself it may begin again, which makes what came before void.
    ///
    /// # Errors
    ///
    /// [`AuthFault::Length`]; [`AuthFault::Reflected`]; [`AuthFault::OutOfTurn`] after the end.
    pub fn begin(&mut self, nonce: &[u8], own: Nonce) -> Result<Nonce, AuthFault> {
        match self.state {
            ServerState::Proven { .. } | ServerState::Failed => return Err(AuthFault::OutOfTurn),
            ServerState::Fresh | ServerState::Challenged(_) => self.state = ServerState::Fresh,
        }
        let client = of_length(nonce)?;
        if client == own {
            return Err(AuthFault::Reflected);
        }
        self.state = ServerState::Challenged(Nonces { client, server: own });
        Ok(own)
    }

    /// Takes the client's proof, and gives this side's, made with the same key.
    ///
    /// # Errors
    ///
    /// [`AuthFault::WrongProof`] and [`AuthFault::Length`]: the exchange has failed then, and nothing mends it.
    /// [`AuthFault::OutOfTurn`] before a beginning and after the end.
    pub fn prove(&mut self, proof: &[u8], prover: &impl Prover) -> Result<Proof, AuthFault> {
        let ServerState::Challenged(nonces) = self.state else {
            return Err(AuthFault::OutOfTurn);
        };
        self.state = ServerState::Failed;
        let proof: Proof = of_length(proof)?;
        let key = prover.verify(&self.labels.client_message(&nonces), &proof).ok_or(AuthFault::WrongProof)?;
        self.state = ServerState::Proven { key };
        Ok(prover.sign(key, &self.labels.server_message(&nonces)))
    }

    /// The number of the key that the client has proven to know; `None` until it has.
    pub fn proven_key(&self) -> Option<usize> {
        match self.state {
            ServerState::Proven { key } => Some(key),
            _ => None,
        }
    }

    /// Whether a proof was wrong, after which nothing is right any more.
    pub fn has_failed(&self) -> bool {
        matches!(self.state, ServerState::Failed)
    }

    /// Has the exchange failed, such as when its time is up. One that is proven stays so.
    pub fn fail(&mut self) {
        if self.proven_key().is_none() {
            self.state = ServerState::Failed;
        }
    }
}

fn of_length<const LENGTH: usize>(bytes: &[u8]) -> Result<[u8; LENGTH], AuthFault> {
    bytes.try_into().map_err(|_| AuthFault::Length { bytes: bytes.len() })
}

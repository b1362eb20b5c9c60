//! TLS servers with one and the same configuration of rustls, and the same loop of requests.
//!
//! A request is a [`HEAD`] that says how many bytes follow it and how many are wanted back. The certificate is the one
//! that the table has left in [`folder`].

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use grapeshot::{Runtime, net, spawn};
use grapeshot_tls::{Identity, ServerConfig, TlsListener, TlsStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::announce;
use crate::peers;

/// Two numbers of eight bytes.
pub const HEAD: usize = 16;

/// Bytes written, or room to read into, at a time.
const PIECE: usize = 64 << 10;

/// Where the certificate and its key are.
pub fn folder() -> io::Result<PathBuf> {
    peers::scratch()
}

/// What both servers do with their connections: TLS 1.2 and 1.3, tickets, the provider of the suite's choice.
fn config() -> io::Result<ServerConfig> {
    let folder = folder()?;
    let identity = Identity::from_pem_files(folder.join("tls-chain.pem"), folder.join("tls-key.pem"));
    ServerConfig::builder().identity(identity.map_err(io::Error::other)?).build().map_err(io::Error::other)
}

fn numbers(head: &[u8; HEAD]) -> (usize, usize) {
    let number = |from: usize| head[from..from + 8].iter().fold(0, |number, &byte| number << 8 | usize::from(byte));
    (number(0), number(8))
}

pub fn grapeshot() -> io::Result<()> {
    let config = config()?;
    let main = move || -> io::Result<()> {
        let listener = TlsListener::bind((Ipv4Addr::LOCALHOST, 0), config)?;
        announce(listener.local_addr()?)?;
        loop {
            let (stream, _) = listener.accept()?;
            stream.inner().set_nodelay(true)?;
            // A client that leaves ends its connection, which is no matter.
            spawn(move || drop(answer(&stream)));
        }
    };
    Runtime::new().run(main).map(drop)
}

fn answer(mut stream: &TlsStream<net::TcpStream>) -> io::Result<()> {
    let mut piece = Vec::new();
    loop {
        let mut head = [0; HEAD];
        stream.read_exact(&mut head)?;
        let (mut coming, mut wanted) = numbers(&head);
        if piece.len() < PIECE.min(coming.max(wanted)) {
            piece.resize(PIECE.min(coming.max(wanted)), 7);
        }
        while coming > 0 {
            let room = coming.min(piece.len());
            match stream.read(&mut piece[..room])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => coming -= count,
            }
        }
        while wanted > 0 {
            let count = wanted.min(piece.len());
            stream.write_all(&piece[..count])?;
            wanted -= count;
        }
    }
}

pub fn tokio_rustls(listener: TcpListener) -> io::Result<()> {
    let acceptor = TlsAcceptor::from(Arc::clone(config()?.rustls()));
    super::tokio::accept(listener, move |stream| {
        let acceptor = acceptor.clone();
        async move { drop(answer_async(acceptor, stream).await) }
    })
}

async fn answer_async(acceptor: TlsAcceptor, stream: TcpStream) -> io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let mut piece = Vec::new();
    loop {
        let mut head = [0; HEAD];
        stream.read_exact(&mut head).await?;
        let (mut coming, mut wanted) = numbers(&head);
        if piece.len() < PIECE.min(coming.max(wanted)) {
            piece.resize(PIECE.min(coming.max(wanted)), 7);
        }
        while coming > 0 {
            let room = coming.min(piece.len());
            match stream.read(&mut piece[..room]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => coming -= count,
            }
        }
        while wanted > 0 {
            let count = wanted.min(piece.len());
            stream.write_all(&piece[..count]).await?;
            wanted -= count;
        }
        stream.flush().await?;
    }
}

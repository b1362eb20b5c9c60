//! tarpc over TCP with bincode, which is its fastest codec.

use std::io;
use std::net::SocketAddr;

use tarpc::context;
use tarpc::serde_transport;
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_serde::formats::Bincode;
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::StreamExt;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::TEXT;
use super::client::Load;
use super::on_tokio::{self, Calls};
use crate::serve;

#[tarpc::service]
trait Echo {
    async fn echo(text: String) -> String;
}

#[derive(Clone)]
struct EchoServer;

impl Echo for EchoServer {
    async fn echo(self, _: context::Context, text: String) -> String {
        text
    }
}

pub fn serve() -> io::Result<()> {
    let listener = serve::listen()?;
    on_tokio::block_on(async {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let transport = serde_transport::new(framed(stream), Bincode::default());
            let mut requests = Box::pin(BaseChannel::with_defaults(transport).execute(EchoServer.serve()));
            tokio::spawn(async move {
                while let Some(request) = requests.next().await {
                    tokio::spawn(request);
                }
            });
        }
    })
}

fn framed(stream: TcpStream) -> Framed<TcpStream, LengthDelimitedCodec> {
    Framed::new(stream, LengthDelimitedCodec::new())
}

pub fn call(addr: SocketAddr, load: Load) -> io::Result<()> {
    on_tokio::call::<EchoClient>(addr, load)
}

impl Calls for EchoClient {
    async fn connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let transport = serde_transport::new(framed(stream), Bincode::default());
        Ok(EchoClient::new(Default::default(), transport).spawn())
    }

    async fn work(&mut self, _: Load) -> io::Result<u64> {
        let answer = self.echo(context::current(), TEXT.to_owned()).await.map_err(io::Error::other)?;
        assert_eq!(answer, TEXT);
        Ok(1)
    }
}

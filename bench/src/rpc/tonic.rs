//! tonic: gRPC over HTTP/2, with prost's messages. What its generator would write is written out here.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::client::Grpc as ClientGrpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{Service, http};
use tonic::server::{Grpc as ServerGrpc, NamedService, ServerStreamingService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::client::{Load, Unit};
use super::on_tokio::{self, Calls};
use super::{ITEM, ITEMS, TEXT};
use crate::serve;

const ECHO: &str = "/bench.Echo/Echo";
const REPEAT: &str = "/bench.Echo/Repeat";

#[derive(Clone, PartialEq, prost::Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Count {
    #[prost(uint32, tag = "1")]
    count: u32,
}

type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Where the items of a stream come from.
#[derive(Clone, Copy)]
pub enum Source {
    /// A task that sends them into a channel, which is how tonic's guide writes a method that streams.
    Channel,
    /// An iterator, which never waits: the items of a whole frame are encoded in one go.
    Iterator,
}

/// Items that the channel holds, as in tonic's example.
const CHANNEL: usize = 128;

/// The service, by the path of its methods.
#[derive(Clone)]
struct Echo(Source);

impl NamedService for Echo {
    const NAME: &'static str = "bench.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer<Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let repeat = RepeatMethod(self.0);
        Box::pin(async move {
            Ok(match request.uri().path() {
                ECHO => ServerGrpc::new(ProstCodec::default()).unary(EchoMethod, request).await,
                REPEAT => ServerGrpc::new(ProstCodec::default()).server_streaming(repeat, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

struct EchoMethod;

impl UnaryService<Text> for EchoMethod {
    type Response = Text;
    type Future = Answer<Result<Response<Text>, Status>>;

    fn call(&mut self, request: Request<Text>) -> Self::Future {
        Box::pin(async move { Ok(Response::new(request.into_inner())) })
    }
}

struct RepeatMethod(Source);

impl ServerStreamingService<Count> for RepeatMethod {
    type Response = Text;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Text, Status>> + Send>>;
    type Future = Answer<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Count>) -> Self::Future {
        let items = (0..request.into_inner().count).map(|_| Ok(Text { text: ITEM.to_owned() }));
        let stream: Self::ResponseStream = match self.0 {
            Source::Iterator => Box::pin(tokio_stream::iter(items)),
            Source::Channel => {
                let (sender, receiver) = mpsc::channel(CHANNEL);
                tokio::spawn(async move {
                    for item in items {
                        if sender.send(item).await.is_err() {
                            return;
                        }
                    }
                });
                Box::pin(ReceiverStream::new(receiver))
            }
        };
        Box::pin(async move { Ok(Response::new(stream)) })
    }
}

pub fn serve(source: Source) -> io::Result<()> {
    let listener = serve::listen()?;
    on_tokio::block_on(async {
        listener.set_nonblocking(true)?;
        let incoming = TcpIncoming::from(TcpListener::from_std(listener)?).with_nodelay(Some(true));
        let server = Server::builder().add_service(Echo(source));
        server.serve_with_incoming(incoming).await.map_err(io::Error::other)
    })
}

pub fn call(addr: SocketAddr, load: Load) -> io::Result<()> {
    on_tokio::call::<EchoClient>(addr, load)
}

#[derive(Clone)]
struct EchoClient(ClientGrpc<Channel>);

impl Calls for EchoClient {
    async fn connect(addr: SocketAddr) -> io::Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{addr}")).map_err(io::Error::other)?;
        let channel = endpoint.tcp_nodelay(true).connect().await.map_err(io::Error::other)?;
        Ok(EchoClient(ClientGrpc::new(channel)))
    }

    async fn work(&mut self, load: Load) -> io::Result<u64> {
        match load.unit {
            Unit::Call => self.echo().await,
            Unit::Item => self.repeat().await,
        }
        .map_err(io::Error::other)
    }
}

impl EchoClient {
    async fn echo(&mut self) -> Result<u64, Status> {
        self.0.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
        let request = Request::new(Text { text: TEXT.to_owned() });
        let path = PathAndQuery::from_static(ECHO);
        let answer: Response<Text> = self.0.unary(request, path, ProstCodec::<Text, Text>::default()).await?;
        assert_eq!(answer.into_inner().text, TEXT);
        Ok(1)
    }

    async fn repeat(&mut self) -> Result<u64, Status> {
        self.0.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
        let request = Request::new(Count { count: ITEMS });
        let path = PathAndQuery::from_static(REPEAT);
        let answer = self.0.server_streaming(request, path, ProstCodec::<Count, Text>::default()).await?;
        let (mut items, mut count) = (answer.into_inner(), 0);
        while let Some(item) = items.message().await? {
            assert_eq!(item.text, ITEM);
            count += 1;
        }
        assert_eq!(count, u64::from(ITEMS));
        Ok(count)
    }
}

//! tokio's current-thread runtime: hyper's HTTP/1 server, and an echo server.

use std::convert::Infallible;
use std::io;
use std::net::{TcpListener, UdpSocket};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, SERVER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;

use super::{BODY, ECHO_BUFFER};

/// hyper without limits: no timer is given to it. Flushing once for a pipelined batch is its fastest setting.
pub fn http(listener: TcpListener) -> io::Result<()> {
    accept(listener, |stream| async move {
        let connection =
            http1::Builder::new().pipeline_flush(true).serve_connection(TokioIo::new(stream), service_fn(plaintext));
        let _ = connection.await;
    })
}

async fn plaintext(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(BODY.as_bytes())));
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("bench"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

pub fn echo(listener: TcpListener) -> io::Result<()> {
    accept(listener, |mut stream| async move {
        let mut buf = [0; ECHO_BUFFER];
        while let Ok(len @ 1..) = stream.read(&mut buf).await {
            if stream.write_all(&buf[..len]).await.is_err() {
                return;
            }
        }
    })
}

/// Serves each connection of `listener` in a task of its own, for ever.
pub(super) fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(serve(stream));
        }
    })
}

/// Sends datagrams back to whom they came from, for ever.
pub fn udp_echo(socket: UdpSocket) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = tokio::net::UdpSocket::from_std(socket)?;
        let mut buf = [0; ECHO_BUFFER];
        loop {
            let (len, from) = socket.recv_from(&mut buf).await?;
            socket.send_to(&buf[..len], from).await?;
        }
    })
}

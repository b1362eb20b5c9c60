//! The traits of `tokio`, of which nothing else is used.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Polled, poll_flush, poll_read, poll_write, poll_write_vectored, shut_down};
use crate::TcpStream;

/// Both traits for a type.
macro_rules! tokio_traits {
    ([$($generic:tt)*] $Stream:ty, $Inner:ty) => {
        impl<$($generic)*> AsyncRead for $Stream
        where
            for<'a> &'a $Inner: Read,
        {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let read = poll_read(&*self, context, buf.initialize_unfilled());
                read.map_ok(|count| buf.advance(count))
            }
        }

        impl<$($generic)*> AsyncWrite for $Stream
        where
            for<'a> &'a $Inner: Write,
        {
            fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                poll_write(&*self, context, bytes)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                poll_write_vectored(&*self, context, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                poll_flush(&*self, context)
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(shut_down(&*self))
            }
        }
    };
}

tokio_traits!([] TcpStream, std::net::TcpStream);
tokio_traits!([] & TcpStream, std::net::TcpStream);
tokio_traits!([S: AsFd] Polled<S>, S);
tokio_traits!([S: AsFd] &Polled<S>, S);

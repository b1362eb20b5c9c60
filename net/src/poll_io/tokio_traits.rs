//! The traits of `tokio`, of which nothing else is used.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{poll_read, poll_write, shut_down};
use crate::{Pollable, TcpStream, UnixStream};

/// Both traits for a type.
macro_rules! tokio_traits {
    ([$($generic:tt)*] $Stream:ty) => {
        impl<$($generic)*> AsyncRead for $Stream {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let read = poll_read(&*self, context, buf.initialize_unfilled());
                read.map_ok(|count| buf.advance(count))
            }
        }

        impl<$($generic)*> AsyncWrite for $Stream {
            fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                poll_write(&*self, context, &[IoSlice::new(bytes)])
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                poll_write(&*self, context, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                // The kernel has all there is.
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(shut_down(&*self))
            }
        }
    };
}

tokio_traits!([] TcpStream);
tokio_traits!([] & TcpStream);
tokio_traits!([] UnixStream);
tokio_traits!([] & UnixStream);
tokio_traits!([T: AsFd] Pollable<T>);
tokio_traits!([T: AsFd] &Pollable<T>);

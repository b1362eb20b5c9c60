//! The traits of `futures-io`.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use super::{Polled, poll_flush, poll_read, poll_write, poll_write_vectored, shut_down};
use crate::TcpStream;

/// Both traits for a type.
macro_rules! futures_traits {
    ([$($generic:tt)*] $Stream:ty, $Inner:ty) => {
        impl<$($generic)*> AsyncRead for $Stream
        where
            for<'a> &'a $Inner: Read,
        {
            fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
                poll_read(&*self, context, buf)
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

            fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                poll_flush(&*self, context)
            }

            fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(shut_down(&*self))
            }
        }
    };
}

futures_traits!([] TcpStream, std::net::TcpStream);
futures_traits!([] & TcpStream, std::net::TcpStream);
futures_traits!([S: AsFd] Polled<S>, S);
futures_traits!([S: AsFd] &Polled<S>, S);

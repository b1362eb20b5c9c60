//! The traits of `futures-io`.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use super::{poll_read, poll_write, shut_down};
use crate::{Pollable, TcpStream, UnixStream};

/// Both traits for a type.
macro_rules! futures_traits {
    ([$($generic:tt)*] $Stream:ty) => {
        impl<$($generic)*> AsyncRead for $Stream {
            fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
                poll_read(&*self, context, buf)
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

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                // The kernel has all there is.
                Poll::Ready(Ok(()))
            }

            fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(shut_down(&*self))
            }
        }
    };
}

futures_traits!([] TcpStream);
futures_traits!([] & TcpStream);
futures_traits!([] UnixStream);
futures_traits!([] & UnixStream);
futures_traits!([T: AsFd] Pollable<T>);
futures_traits!([T: AsFd] &Pollable<T>);

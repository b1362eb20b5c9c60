//! TCP, Unix sockets and memory pairs as transports: they have all that is asked of one.

use std::io;

use grapeshot_core::WaitLimit;
use grapeshot_net::memory::MemoryStream;
use grapeshot_net::{Shutdown, TcpStream, UnixStream};

use super::{Credentials, Identity, Transport, write_all};

impl Transport for TcpStream {
    fn read_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
        TcpStream::read_within(self, buf, limit)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        TcpStream::try_write(self, bytes)
    }

    fn write_all_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<()> {
        write_all(bytes, |rest| self.write_within(rest, limit))
    }

    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn close(&self) {
        TcpStream::close(self);
    }

    fn identity(&self) -> Identity {
        Identity { address: self.peer_addr().ok(), ..Identity::default() }
    }
}

impl Transport for UnixStream {
    fn read_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
        UnixStream::read_within(self, buf, limit)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        UnixStream::try_write(self, bytes)
    }

    fn write_all_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<()> {
        write_all(bytes, |rest| self.write_within(rest, limit))
    }

    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn close(&self) {
        UnixStream::close(self);
    }

    fn identity(&self) -> Identity {
        let credentials = self.peer_cred().ok();
        let credentials = credentials.map(|peer| Credentials { uid: peer.uid, gid: peer.gid, pid: peer.pid });
        Identity { credentials, ..Identity::default() }
    }
}

impl Transport for MemoryStream {
    fn read_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
        MemoryStream::read_within(self, buf, limit)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        MemoryStream::try_write(self, bytes)
    }

    fn write_all_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<()> {
        write_all(bytes, |rest| self.write_within(rest, limit))
    }

    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn close(&self) {
        MemoryStream::close(self);
    }

    fn peer(&self) -> String {
        "the other end of a memory pair".to_owned()
    }
}

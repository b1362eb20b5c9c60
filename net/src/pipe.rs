//! Pipes: bytes in one direction, between coroutines, threads and processes.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::process::Stdio;
use std::time::Duration;

use grapeshot_core::{Source, WaitLimit};
use rustix::pipe::PipeFlags;

use crate::channel::Channel;
use crate::handle::{handle_api, read_api, read_limit_api, write_api, write_limit_api};

/// A new pipe, as `std::io::pipe`: what is written to its writer is read from its reader.
///
/// # Errors
///
/// When the system has no descriptors left.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use grapeshot_core::{spawn, test};
/// use grapeshot_net::pipe;
///
/// test::run(|| {
///     let (mut reader, mut writer) = pipe().unwrap();
///     let writing = spawn(move || writer.write_all(b"through a pipe"));
///     let mut text = String::new();
///     reader.read_to_string(&mut text).unwrap();
///     assert_eq!(text, "through a pipe");
///     writing.join().unwrap().unwrap();
/// });
/// ```
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    Ok((PipeReader::of_nonblocking(reader.into()), PipeWriter::of_nonblocking(writer.into())))
}

/// The end of a pipe to read from, as `std::io::PipeReader`.
///
/// The stream ends when the last writer has been dropped, in whatever process.
pub struct PipeReader {
    channel: Channel<io::PipeReader>,
}

handle_api!(PipeReader, io::PipeReader);
read_limit_api!(PipeReader);
read_api!(PipeReader);

/// The end of a pipe to write to, as `std::io::PipeWriter`.
///
/// Writing to a pipe that nobody reads from any more fails with `BrokenPipe`.
pub struct PipeWriter {
    channel: Channel<io::PipeWriter>,
}

handle_api!(PipeWriter, io::PipeWriter);
write_limit_api!(PipeWriter);
write_api!(PipeWriter);

/// What both ends have.
macro_rules! end_of_pipe {
    ($End:ident, $Std:ty) => {
        impl $End {
            /// Takes over an end of std's, and puts it into non-blocking mode.
            ///
            /// That mode is shared by all handles to this end, in other processes as well.
            ///
            /// # Errors
            ///
            /// When the system refuses that mode.
            pub fn from_std(end: $Std) -> io::Result<$End> {
                rustix::io::ioctl_fionbio(&end, true)?;
                Ok($End::of_nonblocking(end))
            }

            /// Gives this end to a child process, in blocking mode as programs expect it.
            ///
            /// # Errors
            ///
            /// When the system refuses that mode.
            pub fn into_stdio(self) -> io::Result<Stdio> {
                let end = self.into_std();
                rustix::io::ioctl_fionbio(&end, false)?;
                Ok(end.into())
            }

            /// Ends every wait on this handle with an error and refuses all further use.
            ///
            /// Idempotent; answers whether it was open. Never suspends.
            /// The other end notices when the handle is dropped.
            pub fn close(&self) -> bool {
                self.channel.source.close()
            }
        }

        impl fmt::Debug for $End {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($End)).field("descriptor", &self.as_raw_fd()).finish()
            }
        }
    };
}

end_of_pipe!(PipeReader, io::PipeReader);
end_of_pipe!(PipeWriter, io::PipeWriter);

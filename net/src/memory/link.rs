//! The two directions, and which end uses which.

use std::io;
use std::rc::Rc;

use super::faults::Faults;
use super::pipe::{Attempt, Pipe};

/// Two pipes: from near to far, and back.
pub(super) struct Link {
    pipes: [Pipe; 2],
}

/// One of the ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Near,
    Far,
}

impl Link {
    pub(super) fn new(capacity: usize, to_far: Faults, to_near: Faults) -> Rc<Link> {
        let link = Link { pipes: [Pipe::new(capacity, to_far), Pipe::new(capacity, to_near)] };
        if link.pipes.iter().any(Pipe::is_reset) {
            link.reset();
        }
        Rc::new(link)
    }

    /// Where this end writes.
    pub(super) fn outgoing(&self, end: End) -> &Pipe {
        &self.pipes[end as usize]
    }

    /// Where this end reads.
    pub(super) fn incoming(&self, end: End) -> &Pipe {
        &self.pipes[1 - end as usize]
    }

    pub(super) fn write(&self, end: End, bytes: &[u8]) -> io::Result<Attempt<usize>> {
        Ok(match self.outgoing(end).try_write(bytes)? {
            Attempt::Wait(until) => Attempt::Wait(until),
            Attempt::Done(written) => {
                if written.resets {
                    self.reset();
                }
                Attempt::Done(written.count)
            }
        })
    }

    fn reset(&self) {
        self.pipes.iter().for_each(Pipe::reset);
    }
}

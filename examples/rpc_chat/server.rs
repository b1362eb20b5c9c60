//! The room, and a seat in it for each connection.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use grapeshot::channel::{Receiver, Sender, bounded};
use grapeshot::rpc::{Caller, Context, Limits, Server};
use grapeshot::spawn;

use crate::chat::{ChatError, EarClient, Room, RoomService};

const PEOPLE: usize = 1000;
const LONGEST_NAME: usize = 16;
const LONGEST_LINE: usize = 512;

/// How many lines somebody may be behind, and how long the answer to one may take.
const BEHIND: usize = 100;
const PATIENCE: Duration = Duration::from_secs(10);

/// How many calls a second a client may make, and twice as many at once.
const PACE: u32 = 100;

/// The sender of what the server says itself.
const HOUSE: &str = "*";

/// Serves until Ctrl-C.
pub(crate) fn serve(address: &str) -> Result<(), Box<dyn Error>> {
    let mut limits = Limits::default();
    limits.calls_per_second = Some(PACE);
    // Who only listens is welcome; whose connection is dead is found out by pings.
    limits.idle_timeout = None;
    let hall = Rc::new(Hall::default());
    let server = Server::bind(address)?.limits(limits);
    crate::say(&format!("rpc_chat on {}", server.local_addr()?));
    let seat = move |_: &_| RoomService(Seat { hall: hall.clone(), place: Cell::new(None) });
    Ok(server.service_with(seat).serve()?)
}

/// Who says something, and what.
type Line = (Rc<str>, Rc<str>);

/// Everybody who is in the room.
#[derive(Default)]
struct Hall {
    /// By the numbers of their places, which are given once.
    members: RefCell<BTreeMap<u64, Member>>,
    next: Cell<u64>,
}

struct Member {
    name: Rc<str>,
    lines: Sender<Line>,
}

impl Hall {
    fn enter(&self, name: &str, lines: Sender<Line>) -> Result<u64, ChatError> {
        let mut members = self.members.borrow_mut();
        if members.values().any(|member| &*member.name == name) {
            return Err(ChatError::NameTaken { name: name.to_owned() });
        }
        if members.len() >= PEOPLE {
            return Err(ChatError::RoomFull { people: PEOPLE });
        }
        let place = self.next.replace(self.next.get() + 1);
        members.insert(place, Member { name: name.into(), lines });
        Ok(place)
    }

    fn name(&self, place: u64) -> Option<Rc<str>> {
        self.members.borrow().get(&place).map(|member| member.name.clone())
    }

    fn names(&self) -> Vec<String> {
        self.members.borrow().values().map(|member| member.name.to_string()).collect()
    }

    /// Puts a line into the queues of all but one, and never waits: whose queue is full has to go.
    fn tell(&self, from: &str, text: &str, but: u64) {
        let line: Line = (from.into(), text.into());
        let mut dropped = Vec::new();
        self.members.borrow_mut().retain(|place, member| {
            let keeps_up = *place == but || member.lines.try_send(line.clone()).is_ok();
            if !keeps_up {
                dropped.push((*place, member.name.clone()));
            }
            keeps_up
        });
        for (place, name) in dropped {
            self.tell(HOUSE, &format!("{name} is dropped, {BEHIND} lines behind"), place);
        }
    }
}

/// One connection's place in the room, or beside it. It is dropped with its connection.
struct Seat {
    hall: Rc<Hall>,
    place: Cell<Option<u64>>,
}

impl Room for Seat {
    fn join(&self, context: &Context, name: &str) -> Result<Vec<String>, ChatError> {
        if !(1..=LONGEST_NAME).contains(&name.len()) || !name.chars().all(char::is_alphanumeric) {
            return Err(ChatError::NoName { longest: LONGEST_NAME });
        }
        let caller = context.caller().ok_or(ChatError::NotHere)?.clone();
        self.leave();
        let (sender, lines) = bounded(BEHIND);
        let place = self.hall.enter(name, sender)?;
        self.place.set(Some(place));
        spawn(move || deliver(caller, lines));
        self.hall.tell(HOUSE, &format!("{name} joins"), place);
        Ok(self.hall.names())
    }

    fn speak(&self, text: &str) -> Result<(), ChatError> {
        if text.len() > LONGEST_LINE {
            return Err(ChatError::TooLong { bytes: text.len(), limit: LONGEST_LINE });
        }
        let place = self.place.get().ok_or(ChatError::NotHere)?;
        let name = self.hall.name(place).ok_or(ChatError::NotHere)?;
        // What moves a cursor here would move it on everybody's screen.
        let text: String = text.chars().filter(|character| !character.is_control()).collect();
        self.hall.tell(&name, &text, place);
        Ok(())
    }
}

impl Seat {
    fn leave(&self) {
        let Some(place) = self.place.take() else { return };
        let left = self.hall.members.borrow_mut().remove(&place);
        if let Some(member) = left {
            self.hall.tell(HOUSE, &format!("{} leaves", member.name), place);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Calls a client back with each line, until it leaves the room or does not answer.
fn deliver(caller: Rc<dyn Caller>, lines: Receiver<Line>) {
    let client = EarClient::new(caller);
    let client = client.with_timeout(PATIENCE);
    for (from, text) in lines {
        if client.say(&from, &text).is_err() {
            return;
        }
    }
}

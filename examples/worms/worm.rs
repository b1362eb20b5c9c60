//! A worm: a coroutine that crawls about until somebody cancels it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use grapeshot::sleep;

use crate::arena::{Arena, Colour, Direction, Position, Square, random_below};

/// A worm rests this long between two steps, in milliseconds.
const REST: std::ops::RangeInclusive<u64> = 20..=40;

/// A worm that ran head-on into another one lies still for this long.
const STUN: Duration = Duration::from_secs(5);

/// One step in so many turns aside, for no reason.
const WHIM: usize = 12;

/// Bright ones, for a dark background.
const COLOURS: [u8; 12] = [203, 208, 214, 226, 154, 83, 49, 51, 75, 141, 207, 217];

pub(crate) struct Worm {
    arena: Rc<Arena>,
    colour: Colour,
    /// The head first.
    body: VecDeque<Position>,
    direction: Direction,
    /// How long worms grow; whoever likes may change it.
    full_length: Rc<Cell<usize>>,
}

impl Worm {
    /// A small worm on an empty square; `None` when there is no room.
    pub(crate) fn new(arena: &Rc<Arena>, full_length: &Rc<Cell<usize>>) -> Option<Worm> {
        let worm = Worm {
            arena: arena.clone(),
            colour: Colour(COLOURS[random_below(COLOURS.len())]),
            body: VecDeque::from([arena.random_empty()?]),
            direction: Direction::random(),
            full_length: full_length.clone(),
        };
        worm.show();
        Some(worm)
    }

    /// The worm's whole life. It ends by cancellation: the sleep unwinds, and the worm is dropped.
    pub(crate) fn live(mut self) {
        loop {
            let rest = REST.start() + random_below((REST.end() - REST.start() + 1) as usize) as u64;
            sleep(Duration::from_millis(rest));
            match self.look_around() {
                Some(direction) => self.step(direction),
                None if self.runs_head_on() => self.be_stunned(),
                None => self.turn_about(),
            }
        }
    }

    /// A way that is open: straight on as a rule, to the sides if need be, or now and then on a whim.
    fn look_around(&self) -> Option<Direction> {
        if self.runs_head_on() {
            return None;
        }
        let ahead = self.direction;
        let (one, other) =
            if random_below(2) == 0 { (ahead.left(), ahead.right()) } else { (ahead.right(), ahead.left()) };
        let ways = if random_below(WHIM) == 0 { [one, ahead, other] } else { [ahead, one, other] };
        ways.into_iter().find(|&way| self.arena.is_empty(self.head().towards(way)))
    }

    /// Whether the square ahead holds the head of another worm that comes our way.
    fn runs_head_on(&self) -> bool {
        let ahead = self.arena.get(self.head().towards(self.direction));
        matches!(ahead, Square::Head(_, direction) if direction == self.direction.opposite())
    }

    fn step(&mut self, direction: Direction) {
        self.direction = direction;
        let neck = self.head();
        self.body.push_front(neck.towards(direction));
        self.arena.set(neck, Square::Body(self.colour));
        self.arena.set(self.head(), Square::Head(self.colour, direction));
        // A worm that is too long, because the length was changed, loses one square more than it gained.
        for _ in 0..2 {
            if self.body.len() > self.full_length.get().max(1) {
                self.body.pop_back().into_iter().for_each(|tail| self.arena.set(tail, Square::Empty));
            }
        }
    }

    fn be_stunned(&mut self) {
        self.body.iter().for_each(|&part| self.arena.set(part, Square::Stunned(self.colour)));
        sleep(STUN);
        self.turn_about();
    }

    /// The tail becomes the head, and goes where it came from.
    fn turn_about(&mut self) {
        self.body.make_contiguous().reverse();
        let away_from_neck = |&neck: &Position| {
            let all = [Direction::North, Direction::East, Direction::South, Direction::West];
            all.into_iter().find(|&direction| neck.towards(direction) == self.head())
        };
        self.direction = self.body.get(1).and_then(away_from_neck).unwrap_or(self.direction.opposite());
        self.show();
    }

    fn head(&self) -> Position {
        self.body[0]
    }

    fn show(&self) {
        self.body.iter().for_each(|&part| self.arena.set(part, Square::Body(self.colour)));
        self.arena.set(self.head(), Square::Head(self.colour, self.direction));
    }
}

impl Drop for Worm {
    fn drop(&mut self) {
        self.body.iter().for_each(|&part| self.arena.set(part, Square::Empty));
    }
}

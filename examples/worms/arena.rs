//! The arena: squares that worms live on and viewers look at.
//!
//! Nobody is told of a change. A viewer compares the squares with what it has drawn when it has time to draw,
//! so neither the number of viewers nor their speed costs the worms anything.

use std::cell::Cell;

use grapeshot::random_u64;

pub(crate) const WIDTH: u16 = 150;
pub(crate) const HEIGHT: u16 = 53;

/// How often a random square is tried before the arena counts as full.
const ATTEMPTS: usize = 200;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Square {
    #[default]
    Empty,
    Wall(Wall),
    Body(Colour),
    Head(Colour, Direction),
    Stunned(Colour),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wall {
    Horizontal,
    Vertical,
    TopLeft,
    TopRight,
    BottomLeft,
    BottomRight,
}

/// A number in the terminal's palette of 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colour(pub(crate) u8);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    North,
    East,
    South,
    West,
}

impl Direction {
    pub(crate) fn left(self) -> Direction {
        match self {
            Direction::North => Direction::West,
            Direction::West => Direction::South,
            Direction::South => Direction::East,
            Direction::East => Direction::North,
        }
    }

    pub(crate) fn opposite(self) -> Direction {
        self.left().left()
    }

    pub(crate) fn right(self) -> Direction {
        self.opposite().left()
    }

    pub(crate) fn random() -> Direction {
        let all = [Direction::North, Direction::East, Direction::South, Direction::West];
        all[random_below(all.len())]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) x: u16,
    pub(crate) y: u16,
}

impl Position {
    /// The square beside this one. Walls all around keep worms from asking at the edge.
    pub(crate) fn towards(self, direction: Direction) -> Position {
        let Position { x, y } = self;
        match direction {
            Direction::North => Position { x, y: y - 1 },
            Direction::East => Position { x: x + 1, y },
            Direction::South => Position { x, y: y + 1 },
            Direction::West => Position { x: x - 1, y },
        }
    }
}

pub(crate) struct Arena {
    squares: Vec<Cell<Square>>,
}

impl Arena {
    /// An arena with walls and nothing else.
    pub(crate) fn new() -> Arena {
        let squares = (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| Cell::new(wall_at(x, y))));
        Arena { squares: squares.collect() }
    }

    pub(crate) fn get(&self, position: Position) -> Square {
        self.squares[index(position)].get()
    }

    pub(crate) fn set(&self, position: Position, square: Square) {
        self.squares[index(position)].set(square);
    }

    pub(crate) fn is_empty(&self, position: Position) -> bool {
        self.get(position) == Square::Empty
    }

    /// The first `len` squares of a row, from the left.
    pub(crate) fn row(&self, y: u16, len: u16) -> &[Cell<Square>] {
        let start = index(Position { x: 0, y });
        &self.squares[start..start + usize::from(len)]
    }

    /// An empty square anywhere; `None` when there are hardly any.
    pub(crate) fn random_empty(&self) -> Option<Position> {
        let anywhere =
            || Position { x: random_below(usize::from(WIDTH)) as u16, y: random_below(usize::from(HEIGHT)) as u16 };
        (0..ATTEMPTS).map(|_| anywhere()).find(|&position| self.is_empty(position))
    }
}

fn index(position: Position) -> usize {
    usize::from(position.y) * usize::from(WIDTH) + usize::from(position.x)
}

fn wall_at(x: u16, y: u16) -> Square {
    const RIGHT: u16 = WIDTH - 1;
    const BOTTOM: u16 = HEIGHT - 1;
    match (x, y) {
        (0, 0) => Square::Wall(Wall::TopLeft),
        (RIGHT, 0) => Square::Wall(Wall::TopRight),
        (0, BOTTOM) => Square::Wall(Wall::BottomLeft),
        (RIGHT, BOTTOM) => Square::Wall(Wall::BottomRight),
        (_, 0 | BOTTOM) => Square::Wall(Wall::Horizontal),
        (0 | RIGHT, _) => Square::Wall(Wall::Vertical),
        _ => Square::Empty,
    }
}

/// A number from 0 to `limit` - 1.
pub(crate) fn random_below(limit: usize) -> usize {
    (random_u64() % limit as u64) as usize
}

//! What a viewer's terminal shows, and the bytes that bring it up to date: only the squares that have changed.
//!
//! The terminal is an ANSI one with 256 colours; walls are drawn in its line-drawing characters, so all is ASCII.

use std::fmt::Write as _;

use crate::arena::{Arena, Colour, Direction, HEIGHT, Square, WIDTH, Wall};

/// Goes to the alternate screen, where there is one, hides the cursor, and ends no line by itself.
pub(crate) const BEGIN: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l";

/// Takes all of that back.
pub(crate) const END: &[u8] = b"\x1b(B\x1b[0m\x1b[?7h\x1b[?25h\x1b[2J\x1b[H\x1b[?1049l";

/// The part of the terminal we may draw on, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    columns: u16,
    rows: u16,
}

impl Window {
    /// Room for the arena and the line below it.
    pub(crate) const WHOLE: Window = Window { columns: WIDTH, rows: HEIGHT + 1 };

    /// As much of that as a terminal of this size has; a size of zero is one that the terminal does not know.
    pub(crate) fn of_terminal(columns: u16, rows: u16) -> Window {
        let within = |given: u16, most: u16| if given == 0 { most } else { given.min(most) };
        Window { columns: within(columns, Window::WHOLE.columns), rows: within(rows, Window::WHOLE.rows) }
    }
}

/// How characters look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Wall,
    Body(Colour),
    Head(Colour),
    Stunned(Colour),
    Status,
}

/// A terminal as far as we know it.
pub(crate) struct Screen {
    window: Window,
    shown: Vec<Square>,
    status: String,
    style: Option<Style>,
    /// Where the terminal writes next, as column and row from zero.
    cursor: Option<(u16, u16)>,
    output: String,
}

impl Screen {
    /// A terminal with anything on it.
    pub(crate) fn new(window: Window) -> Screen {
        let mut screen = Screen {
            window,
            shown: vec![Square::Empty; usize::from(WIDTH) * usize::from(HEIGHT)],
            status: String::new(),
            style: None,
            cursor: None,
            output: String::new(),
        };
        screen.begin_style(Style::Plain);
        screen.output.push_str("\x1b[2J");
        screen
    }

    /// The bytes that make the terminal show the arena as it is now, and `status` below it.
    pub(crate) fn update(&mut self, arena: &Arena, status: &str) -> &mut String {
        for y in 0..self.window.rows.saturating_sub(1) {
            for (x, square) in (0..).zip(arena.row(y, self.window.columns)) {
                let shown = usize::from(y) * usize::from(WIDTH) + usize::from(x);
                if self.shown[shown] != square.get() {
                    self.shown[shown] = square.get();
                    self.draw(x, y, square.get());
                }
            }
        }
        if self.status != status {
            status.clone_into(&mut self.status);
            self.draw_status();
        }
        &mut self.output
    }

    fn draw(&mut self, x: u16, y: u16, square: Square) {
        let (style, glyph) = match square {
            Square::Empty => (Style::Plain, ' '),
            Square::Wall(wall) => (Style::Wall, wall_glyph(wall)),
            Square::Body(colour) => (Style::Body(colour), ' '),
            Square::Head(colour, direction) => (Style::Head(colour), head_glyph(direction)),
            Square::Stunned(colour) => (Style::Stunned(colour), 'x'),
        };
        self.go_to(x, y);
        self.begin_style(style);
        self.output.push(glyph);
        self.cursor = Some((x + 1, y));
    }

    fn draw_status(&mut self) {
        self.go_to(0, self.window.rows - 1);
        self.begin_style(Style::Status);
        let width = usize::from(self.window.columns);
        // Writing to a string does not fail. The status is ASCII: a character is a column.
        let _ = write!(self.output, "{:width$.width$}", self.status);
        self.cursor = None;
    }

    fn go_to(&mut self, x: u16, y: u16) {
        if self.cursor != Some((x, y)) {
            let _ = write!(self.output, "\x1b[{};{}H", y + 1, x + 1);
        }
    }

    fn begin_style(&mut self, style: Style) {
        let before = self.style.replace(style);
        if before == Some(style) {
            return;
        }
        if before.is_none_or(|before| before == Style::Wall) {
            self.output.push_str("\x1b(B");
        }
        let _ = match style {
            Style::Plain => self.output.write_str("\x1b[0m"),
            Style::Wall => self.output.write_str("\x1b[0;38;5;244m\x1b(0"),
            Style::Body(Colour(colour)) => write!(self.output, "\x1b[0;48;5;{colour}m"),
            Style::Head(Colour(colour)) => write!(self.output, "\x1b[0;1;38;5;16;48;5;{colour}m"),
            Style::Stunned(Colour(colour)) => write!(self.output, "\x1b[0;38;5;{colour}m"),
            Style::Status => self.output.write_str("\x1b[0;7m"),
        };
    }
}

/// In the line-drawing set of the VT100.
fn wall_glyph(wall: Wall) -> char {
    match wall {
        Wall::Horizontal => 'q',
        Wall::Vertical => 'x',
        Wall::TopLeft => 'l',
        Wall::TopRight => 'k',
        Wall::BottomLeft => 'm',
        Wall::BottomRight => 'j',
    }
}

fn head_glyph(direction: Direction) -> char {
    match direction {
        Direction::North => '^',
        Direction::East => '>',
        Direction::South => 'v',
        Direction::West => '<',
    }
}

//! A viewer: two coroutines on one connection, one that reads keys and one that draws.

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::time::Duration;

use grapeshot::net::TcpStream;
use grapeshot::{sleep, try_scope};

use crate::screen::{self, Screen, Window};
use crate::telnet::{self, Decoder, Event};
use crate::world::World;

/// The time from one picture to the next.
const FRAME: Duration = Duration::from_millis(33);

/// How long the first picture waits for the client to say how large its window is.
const INTRODUCTION: Duration = Duration::from_millis(150);

/// A viewer that takes nothing for this long has gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most bytes of telnet answers that wait for the next picture; a client that provokes more is not answered.
const MOST_REPLIES: usize = 300;

/// What the two coroutines of a viewer have in common.
struct Viewer {
    window: Cell<Window>,
    redraw: Cell<bool>,
    replies: RefCell<Vec<u8>>,
}

enum Pressed {
    Quit,
    AnythingElse,
}

/// Shows the world to a client until it quits or goes.
pub(crate) fn show(world: &World, stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let viewer =
        Viewer { window: Cell::new(Window::WHOLE), redraw: Cell::new(true), replies: RefCell::new(Vec::new()) };
    let _restored = Restored(stream);
    // If drawing fails, the scope cancels the reading, and the other way round.
    try_scope(|scope| {
        let drawing = scope.spawn(|| draw(world, stream, &viewer));
        let reading = read_keys(world, stream, &viewer);
        drawing.cancel();
        reading
    })
}

/// Gives the user's terminal back as it was, also when the program ends.
struct Restored<'a>(&'a TcpStream);

impl Drop for Restored<'_> {
    fn drop(&mut self) {
        // A coroutine that unwinds writes what can be written at once; a client that does not read gets nothing.
        let _ = self.0.write_all(screen::END);
    }
}

fn read_keys(world: &World, mut stream: &TcpStream, viewer: &Viewer) -> io::Result<()> {
    let mut decoder = Decoder::new();
    let mut buf = [0; 256];
    loop {
        let len = stream.read(&mut buf)?;
        if len == 0 {
            return Ok(());
        }
        for event in buf[..len].iter().filter_map(|&byte| decoder.decode(byte)) {
            match event {
                Event::Key(key) => {
                    if let Pressed::Quit = press(key, world, viewer)? {
                        return Ok(());
                    }
                }
                Event::Interrupt => return Ok(()),
                Event::Window { columns, rows } => {
                    viewer.window.set(Window::of_terminal(columns, rows));
                    viewer.redraw.set(true);
                }
                Event::Reply(reply) => viewer.reply(reply),
            }
        }
    }
}

fn press(key: u8, world: &World, viewer: &Viewer) -> io::Result<Pressed> {
    const CONTROL_C: u8 = 3;
    match key {
        b'q' | CONTROL_C => return Ok(Pressed::Quit),
        b'r' => viewer.redraw.set(true),
        b'n' => world.add_worms(1)?,
        b'h' => world.add_worms(10)?,
        b'c' => world.cull(),
        b'l' => world.lengthen(),
        _ => {}
    }
    Ok(Pressed::AnythingElse)
}

/// Draws picture after picture, as fast as the client takes them and no faster than [`FRAME`].
///
/// Beyond the kernel's buffer of the connection there is no queue that could grow: what the client has not been sent is
/// the difference between the arena and the screen as it is known, and a slow client skips pictures.
fn draw(world: &World, mut stream: &TcpStream, viewer: &Viewer) -> io::Result<()> {
    stream.write_all(&telnet::OPENING)?;
    stream.write_all(screen::BEGIN)?;
    sleep(INTRODUCTION);
    let mut screen = Screen::new(viewer.window.get());
    loop {
        if viewer.redraw.take() {
            screen = Screen::new(viewer.window.get());
        }
        let replies = viewer.replies.take();
        stream.write_all(&replies)?;
        let output = screen.update(world.arena(), &world.status());
        stream.write_all(output.as_bytes())?;
        output.clear();
        sleep(FRAME);
    }
}

impl Viewer {
    /// Leaves an answer for the drawing coroutine: of two writers on one connection, the second would be refused.
    fn reply(&self, reply: [u8; 3]) {
        let mut replies = self.replies.borrow_mut();
        if replies.len() < MOST_REPLIES {
            replies.extend(reply);
        }
    }
}

//! The client: it calls the room with what is typed, and is called back with what others say.

use std::error::Error;

use grapeshot::net::stdio::stdin;
use grapeshot::rpc::{CallError, Client};
use grapeshot::{set_exit, spawn};

use crate::chat::{ChatError, Ear, EarService, RoomClient};
use crate::say;

/// What the server calls.
struct Screen;

impl Ear for Screen {
    fn say(&self, from: &str, text: &str) {
        say(&format!("{from}: {text}"));
    }
}

/// Chats until stdin ends.
pub(crate) fn chat(address: &str, name: &str) -> Result<(), Box<dyn Error>> {
    let client = Client::builder().service(EarService(Screen)).connect(address)?;
    let room = RoomClient::new(client.clone());
    let names = room.join(name)?;
    say(&format!("* here: {}", names.join(", ")));
    let watch = spawn({
        let connection = client.connection().clone();
        move || {
            let reason = connection.wait_closed();
            say(&format!("* the server is gone: {reason}"));
            // The one who waits for the keyboard need not wait any longer.
            set_exit(1);
        }
    });
    for line in stdin().lines() {
        speak(&room, line?.trim_end())?;
    }
    watch.cancel();
    client.close();
    Ok(())
}

/// What the room says to it is shown; what happens to the connection ends the chat.
fn speak(room: &RoomClient<Client>, text: &str) -> Result<(), CallError> {
    match room.speak(text) {
        Err(error) if error.failure().is_some() => {
            match error.service::<ChatError>() {
                Some(error) => say(&format!("* {error}")),
                None => say(&format!("* {error}")),
            }
            Ok(())
        }
        other => other,
    }
}

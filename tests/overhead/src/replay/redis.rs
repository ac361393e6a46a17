//! Redis: clients that keep the state of sessions, one command at a time on each connection.

use probe_core::record::{Role, Side};

use super::scene::{Connection, Scene};
use super::{STREAMS, Traffic};

const ORCHESTRATOR: u32 = 2000;
const PORT: u16 = 6379;

pub(super) struct Redis {
    clients: Vec<Connection>,
}

impl Redis {
    pub(super) fn begin(scene: &mut Scene) -> Self {
        scene.process(ORCHESTRATOR, Role::Orchestrator, "orchestrator");
        let clients = (0..STREAMS).map(|_| scene.open(ORCHESTRATOR, Side::Client, PORT));
        Self {
            clients: clients.collect(),
        }
    }
}

impl Traffic for Redis {
    fn step(&mut self, scene: &mut Scene) {
        scene.next_frame();
        for (index, client) in self.clients.iter_mut().enumerate() {
            scene.turn(index, STREAMS);
            let key = format!("session:{index:04}");
            scene.send(client, &command(&["HSET", &key, "state", "speaking"]));
            scene.receive(client, b":0\r\n");
            scene.send(client, &command(&["GET", &key]));
            scene.receive(client, b"$8\r\nspeaking\r\n");
        }
    }
}

/// A command as clients send it: an array of bulk strings.
fn command(words: &[&str]) -> Vec<u8> {
    let strings = words
        .iter()
        .map(|word| format!("${}\r\n{word}\r\n", word.len()));
    let strings: Vec<String> = strings.collect();
    format!("*{}\r\n{}", words.len(), strings.concat()).into_bytes()
}

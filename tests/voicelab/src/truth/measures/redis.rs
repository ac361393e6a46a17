//! `redis_*`, as a client knows them.

use super::Book;
use crate::truth::{Event, Line, Orchestration};

/// Measures the commands of one client.
pub(super) fn measure(lines: &[&Line], book: &mut Book) {
    for line in lines {
        let Event::Orchestration(event) = &line.event else {
            continue;
        };
        match event {
            Orchestration::RedisOpened => book.count("redis_connections_active", &[]),
            Orchestration::RedisClosed => book.add("redis_connections_active", &[], -1.0),
            Orchestration::RedisCommand {
                command,
                sent_ns,
                error,
            } => {
                let labels = [("command", command.as_str())];
                book.latency("redis_command_latency_ms", &labels, *sent_ns, line.t_ns);
                if let Some(error) = error {
                    let labels = [("command", command.as_str()), ("error_type", error)];
                    book.count("redis_command_errors_total", &labels);
                }
            }
            _ => {}
        }
    }
}

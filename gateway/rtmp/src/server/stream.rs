//! NetStreams: who publishes or plays what on which id.
//!
//! ```text
//!   createStream -> Idle --publish--> Publishing --closeStream--> Idle     the id stays good: Flash publishes
//!                     \-----play----> Playing    --closeStream--> Idle     again on it for the next call
//!   deleteStream: gone from any state
//! ```

use super::{ServerSession, info};
use crate::amf::Value;
use crate::error::Fault;
use crate::message::{self, Command, kind};
use crate::{Event, Level, StreamId, TransactionId};
use std::time::Instant;

/// Our chunk size from the first `play` on: an audio message is one chunk then.
const PLAY_CHUNK_SIZE: u32 = 4096;

#[derive(Debug)]
enum Role {
    Idle,
    Publishing { name: String },
    Playing { name: String, paused: bool, deaf: bool },
}

#[derive(Debug)]
struct NetStream {
    id: StreamId,
    role: Role,
}

/// The streams of a connection, oldest first.
#[derive(Debug)]
pub(super) struct NetStreams {
    streams: Vec<NetStream>,
    last: u32,
    limit: usize,
}

impl NetStreams {
    pub(super) fn new(limit: usize) -> Self {
        Self { streams: Vec::new(), last: 0, limit }
    }

    /// A new stream, and the idle one that had to go for it. `None` if all streams are busy, or no number is left.
    pub(super) fn create(&mut self) -> Option<(StreamId, Option<StreamId>)> {
        let next = self.last.checked_add(1)?;
        let mut gone = None;
        if self.streams.len() >= self.limit {
            let idle = self.streams.iter().position(|stream| matches!(stream.role, Role::Idle))?;
            gone = Some(self.streams.remove(idle).id);
        }
        self.last = next;
        self.streams.push(NetStream { id: StreamId(next), role: Role::Idle });
        Some((StreamId(next), gone))
    }

    pub(super) fn is_published(&self, id: StreamId) -> bool {
        self.streams.iter().any(|stream| stream.id == id && matches!(stream.role, Role::Publishing { .. }))
    }

    pub(super) fn wants_audio(&self, id: StreamId) -> bool {
        let wanted = |role: &Role| matches!(role, Role::Playing { paused: false, deaf: false, .. });
        self.streams.iter().any(|stream| stream.id == id && wanted(&stream.role))
    }

    fn get(&mut self, id: StreamId) -> Option<&mut NetStream> {
        self.streams.iter_mut().find(|stream| stream.id == id)
    }

    /// Gives a stream a new role and tells what the old one was the end of.
    fn turn(&mut self, id: StreamId, role: Role) -> Option<Event> {
        let stream = self.get(id)?;
        match std::mem::replace(&mut stream.role, role) {
            Role::Idle => None,
            Role::Publishing { name } => Some(Event::Unpublish { stream: id, name }),
            Role::Playing { name, .. } => Some(Event::StopPlay { stream: id, name }),
        }
    }

    fn is_name_published_elsewhere(&self, wanted: &str, id: StreamId) -> bool {
        self.streams
            .iter()
            .any(|stream| stream.id != id && matches!(&stream.role, Role::Publishing { name } if name == wanted))
    }
}

/// The first argument of `publish` and `play`.
enum Target {
    Name {
        name: String,
        query: Option<String>,
    },
    /// `publish(false)`, `play(null)`: stop.
    Nothing,
}

impl Target {
    /// The error is for the client.
    fn read(args: &[Value]) -> Result<Self, String> {
        match args.first() {
            None => Err("a stream name is missing".into()),
            Some(Value::String(text)) => {
                let (name, query) = match text.split_once('?') {
                    Some((name, query)) => (name, Some(query.to_owned())),
                    None => (text.as_str(), None),
                };
                if name.is_empty() {
                    return Err("the stream name is empty".into());
                }
                Ok(Self::Name { name: name.to_owned(), query })
            }
            Some(value) if value.is_nothing() || *value == Value::Boolean(false) => Ok(Self::Nothing),
            Some(other) => Err(format!("a stream name is a String, not {}", other.kind())),
        }
    }
}

impl ServerSession {
    /// A command that only makes sense on a NetStream.
    pub(super) fn stream_command(&mut self, now: Instant, stream: StreamId, command: Command) -> Result<(), Fault> {
        if command.name == "deleteStream" {
            return self.delete_stream(now, stream, &command);
        }
        if self.streams.get(stream).is_none() {
            self.respond_error(now, command.id, &format!("{}: stream {stream} was not created", command.name));
            return Ok(());
        }
        match command.name.as_str() {
            "publish" => self.publish(now, stream, &command),
            "play" => self.play(now, stream, &command),
            "closeStream" => self.close_stream(now, stream, &command),
            _ => {
                self.control_play(now, stream, &command);
                Ok(())
            }
        }
    }

    fn publish(&mut self, now: Instant, stream: StreamId, command: &Command) -> Result<(), Fault> {
        let bad_name = |description: &str| info(Level::Error, "NetStream.Publish.BadName", description);
        let (name, query) = match Target::read(&command.args) {
            Ok(Target::Name { name, query }) => (name, query),
            Ok(Target::Nothing) => return self.close_stream(now, stream, command),
            Err(description) => {
                self.status(now, stream, command.id, bad_name(&description));
                return Ok(());
            }
        };
        if self.streams.is_name_published_elsewhere(&name, stream) {
            self.status(now, stream, command.id, bad_name("Stream name already in use"));
            return Ok(());
        }
        self.turn(stream, Role::Publishing { name: name.clone() })?;
        self.status(now, stream, command.id, info(Level::Status, "NetStream.Publish.Start", ""));
        let mode = command.args.get(1).and_then(Value::as_str).map(str::to_owned);
        self.tell(Event::Publish { stream, name, query, mode })
    }

    fn play(&mut self, now: Instant, stream: StreamId, command: &Command) -> Result<(), Fault> {
        let name = match Target::read(&command.args) {
            Ok(Target::Name { name, .. }) => name,
            Ok(Target::Nothing) => return self.close_stream(now, stream, command),
            Err(description) => {
                self.status(now, stream, command.id, info(Level::Error, "NetStream.Play.Failed", &description));
                return Ok(());
            }
        };
        self.turn(stream, Role::Playing { name: name.clone(), paused: false, deaf: false })?;
        self.link.send_chunk_size(PLAY_CHUNK_SIZE);
        self.link.send_control(kind::USER_CONTROL, &message::stream_begin(stream));
        self.status(now, stream, command.id, info(Level::Status, "NetStream.Play.Start", &name));
        self.tell(Event::Play { stream, name })
    }

    /// `closeStream` wants no answer; whoever gave it a number gets one.
    fn close_stream(&mut self, now: Instant, stream: StreamId, command: &Command) -> Result<(), Fault> {
        if command.id != TransactionId::NONE {
            self.respond(now, command.id, &[]);
        }
        self.turn(stream, Role::Idle)
    }

    /// The stream is named by the argument; some clients send the command on the stream itself.
    fn delete_stream(&mut self, now: Instant, on: StreamId, command: &Command) -> Result<(), Fault> {
        let stream = match command.args.first() {
            Some(Value::Number(number)) => StreamId(*number as u32),
            None => on,
            Some(other) => {
                let description = format!("deleteStream: a stream id is a Number, not {}", other.kind());
                self.respond_error(now, command.id, &description);
                return Ok(());
            }
        };
        self.turn(stream, Role::Idle)?;
        self.streams.streams.retain(|known| known.id != stream);
        if stream != StreamId::CONNECTION {
            self.link.forget(stream);
        }
        self.respond(now, command.id, &[]);
        Ok(())
    }

    /// `pause`, `receiveAudio` and `seek` of a player.
    fn control_play(&mut self, now: Instant, stream: StreamId, command: &Command) {
        let flag = command.args.first().and_then(Value::as_bool);
        let role = self.streams.get(stream).map(|stream| &mut stream.role);
        match (command.name.as_str(), role, flag) {
            ("pause", Some(Role::Playing { paused, .. }), Some(flag)) => {
                *paused = flag;
                let code = if flag { "NetStream.Pause.Notify" } else { "NetStream.Unpause.Notify" };
                self.status(now, stream, command.id, info(Level::Status, code, ""));
            }
            ("receiveAudio", Some(Role::Playing { deaf, .. }), Some(flag)) => {
                *deaf = !flag;
                self.respond(now, command.id, &[]);
            }
            ("seek", ..) => {
                let info = info(Level::Error, "NetStream.Seek.Failed", "a live stream cannot be sought in");
                self.status(now, stream, command.id, info);
            }
            (name, Some(Role::Playing { .. }), None) => {
                self.respond_error(now, command.id, &format!("{name}: wants a Boolean"));
            }
            // Before play: there is nothing to pause.
            _ => self.respond(now, command.id, &[]),
        }
    }

    fn turn(&mut self, stream: StreamId, role: Role) -> Result<(), Fault> {
        match self.streams.turn(stream, role) {
            Some(ended) => self.tell(ended),
            None => Ok(()),
        }
    }
}

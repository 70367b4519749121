//! The commands of the NetConnection: `connect`, `createStream`, calls and their answers.

use super::{CONNECT_ID, FIRST_CALL, ServerSession, Stage, info};
use crate::amf::{Object, Value};
use crate::error::Fault;
use crate::message::Command;
use crate::{Connect, ConnectAccepted, Event, Level, ObjectEncoding, RtmpTimestamp, StreamId, TransactionId};
use std::time::Instant;

/// Announced before `connect` is answered: acknowledge after a GiB, which is to say hardly ever (siprtmp's figure).
const WINDOW_ACK_SIZE: u32 = 0x4000_0000;

impl ServerSession {
    /// Answers `connect` with `_result` / `NetConnection.Connect.Success`. Without effect if there is none to answer.
    pub fn accept_connect(&mut self, _now: Instant, accepted: ConnectAccepted) {
        let Stage::Deciding { echo } = self.stage else {
            return;
        };
        self.stage = Stage::Connected;
        let mut info = connect_info("NetConnection.Connect.Success", &accepted.description, &accepted.fms_version);
        if echo {
            info = info.with("objectEncoding", self.encoding.number());
        }
        info.properties.push(("details".into(), Value::Null));
        info.properties.extend(accepted.more);
        self.answer_connect("_result", info);
    }

    /// Answers `connect` with one `_error` / `NetConnection.Connect.Rejected`, then closes. Without effect if there is
    /// none to answer.
    pub fn reject_connect(&mut self, _now: Instant, description: &str) {
        if matches!(self.stage, Stage::Deciding { .. }) {
            self.refuse_connect(description);
        }
    }

    fn refuse_connect(&mut self, description: &str) {
        let fms_version = ConnectAccepted::default().fms_version;
        let info = connect_info("NetConnection.Connect.Rejected", description, &fms_version);
        self.answer_connect("_error", info.with("details", Value::Null));
        self.link.close();
    }

    fn answer_connect(&mut self, name: &str, info: Object) {
        let at_zero = RtmpTimestamp::default();
        self.send_command(at_zero, StreamId::CONNECTION, name, CONNECT_ID, &[info.into()]);
    }

    pub(super) fn command(&mut self, now: Instant, stream: StreamId, command: Command) -> Result<(), Fault> {
        match (command.name.as_str(), self.stage) {
            ("connect", Stage::AwaitConnect) => self.connect(now, command),
            ("connect", _) => {
                self.respond_error(now, command.id, "already connected");
                Ok(())
            }
            (_, Stage::AwaitConnect) => {
                self.respond_error(now, command.id, "connect first");
                Ok(())
            }
            ("_result" | "_error", _) => self.call_result(command),
            ("createStream", _) => {
                self.create_stream(now, command.id);
                Ok(())
            }
            ("publish" | "play" | "closeStream" | "deleteStream" | "pause" | "seek" | "receiveAudio", _) => {
                self.stream_command(now, stream, command)
            }
            _ => self.other_command(now, stream, command),
        }
    }

    fn connect(&mut self, now: Instant, command: Command) -> Result<(), Fault> {
        self.link.connect_seen(now);
        self.link.send_window_ack_size(WINDOW_ACK_SIZE);
        let (Value::Object(object) | Value::EcmaArray(object)) = command.object else {
            self.refuse_connect("connect without a command object");
            return Ok(());
        };
        let object_encoding = match read_encoding(&object) {
            Ok(encoding) => encoding,
            Err(description) => {
                self.refuse_connect(&description);
                return Ok(());
            }
        };
        self.encoding = object_encoding.unwrap_or_default();
        self.stage = Stage::Deciding { echo: object_encoding.is_some() };
        let text = |name| object.get_str(name).unwrap_or_default().to_owned();
        let (app, tc_url) = (text("app"), text("tcUrl"));
        let transaction = command.id;
        self.tell(Event::Connect(Connect { transaction, app, tc_url, object_encoding, object, args: command.args }))
    }

    /// Answers that belong to no call of ours are dropped.
    fn call_result(&mut self, command: Command) -> Result<(), Fault> {
        let ours = f64::from(FIRST_CALL)..f64::from(self.next_call);
        if !ours.contains(&command.id.number()) || command.id.number().fract() != 0.0 {
            return Ok(());
        }
        let ok = command.name == "_result";
        self.tell(Event::CallResult { id: command.id, ok, values: command.args })
    }

    fn create_stream(&mut self, now: Instant, id: TransactionId) {
        match self.streams.create() {
            Some((stream, gone)) => {
                if let Some(gone) = gone {
                    self.link.forget(gone);
                }
                self.respond(now, id, &[f64::from(stream.0).into()]);
            }
            None => self.respond_error(now, id, "too many streams"),
        }
    }

    /// What ffmpeg, librtmp and OBS ask before they go on, and methods of the application.
    fn other_command(&mut self, now: Instant, stream: StreamId, command: Command) -> Result<(), Fault> {
        let Command { name, id, args, .. } = command;
        match name.as_str() {
            "releaseStream" | "FCPublish" | "FCUnpublish" | "FCSubscribe" | "FCUnsubscribe" | "_checkbw"
            | "checkBandwidth" | "receiveVideo" => self.respond(now, id, &[]),
            // Live streams have no length.
            "getStreamLength" => self.respond(now, id, &[0.0.into()]),
            _ if self.stage != Stage::Connected => self.respond_error(now, id, "not connected yet"),
            _ => self.tell(Event::Call { id, stream, name, args })?,
        }
        Ok(())
    }
}

/// The `objectEncoding` of a connect object; the error is for the client.
fn read_encoding(object: &Object) -> Result<Option<ObjectEncoding>, String> {
    let number = match object.get("objectEncoding") {
        None => return Ok(None),
        Some(value) if value.is_nothing() => return Ok(None),
        Some(Value::Number(number)) => *number,
        Some(other) => return Err(format!("objectEncoding is a number, not {}", other.kind())),
    };
    ObjectEncoding::from_number(number).map(Some).ok_or_else(|| {
        format!("Unsupported encoding {number}. Please use NetConnection.defaultObjectEncoding=ObjectEncoding.AMF0")
    })
}

fn connect_info(code: &str, description: &str, fms_version: &str) -> Object {
    // The level of a rejection is "status" too: siprtmp says so, and its clients read the code.
    let mut info = info(Level::Status, code, description);
    info.properties.pop();
    info.with("fmsVer", fms_version)
}

//! What the stock clients say, written down: the generator of `tests/fixtures/*.txt`.
//!
//! The clients are those of siprtmp's world, VideoPhone and VideoIO, as section 9 of the contract describes them; none of their
//! bytes are copied from anywhere. A fixture is a conversation of three:
//!
//! ```text
//!   C 030000...    bytes that the client sends, chunks and all
//!   S 3 17 0 ...   the message that must come next: chunk stream, type, message stream, values
//!   P rings        what the SIP peer does or sees
//! ```

use crate::amf::{Amf, text, texts};
use crate::wire::{AMF0_COMMAND, AMF3_COMMAND, AUDIO, CONNECTION, FlashWriter, STREAM, command, connect};
use std::fmt::Write;

/// VideoPhone's codec list in a Flash Player 11.
const VIDEO_PHONE_WORDS: &[&str] = &["wideband", "narrowband", "pcmu", "pcma", "ulaw", "alaw", "dtmf", "h264", "flv"];

/// A frame of Speex wideband as a Flash Player sends it at quality 6: 52 bytes for 20 ms.
pub(crate) const SPEEX_FRAME: &str =
    "28548220d272e0239ec71c3c83b9700fcc6d47e60c1cb81288a769ed86ee5c0762ebf9261c7ae7867bfde6f548462118c66318d7";

/// Who plays, and where his SIP peer is: an address of loopback for each conversation, so that many can be held at once.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) host: &'static str,
    write: fn(&mut Script, &str),
}

pub(crate) const SCENES: &[Scene] = &[
    Scene { name: "videophone-outgoing", host: "127.9.1.1", write: video_phone_outgoing },
    Scene { name: "videophone-incoming", host: "127.9.1.2", write: video_phone_incoming },
    Scene { name: "videophone-rejected", host: "127.9.1.3", write: video_phone_rejected },
    Scene { name: "videophone-cancelled", host: "127.9.1.4", write: video_phone_cancelled },
    Scene { name: "videoio-outgoing", host: "127.9.2.1", write: video_io_outgoing },
    Scene { name: "videoio-incoming", host: "127.9.2.2", write: video_io_incoming },
    Scene { name: "videoio-rejected", host: "127.9.2.3", write: video_io_rejected },
    Scene { name: "videoio-cancelled", host: "127.9.2.4", write: video_io_cancelled },
];

impl Scene {
    /// The fixture's text.
    pub(crate) fn text(&self) -> String {
        let mut script = Script::default();
        writeln!(script.text, "# {}: made by tests/contract/script.rs, read by tests/contract/stock.rs", self.name)
            .unwrap();
        (self.write)(&mut script, self.host);
        script.text
    }
}

/// A conversation being written.
#[derive(Default)]
struct Script {
    text: String,
    writer: FlashWriter,
    /// The client's clock.
    ms: u32,
    /// Calls of the server so far.
    told: u32,
    /// Whether the server has raised its chunk size: it does with its first answer to `play`.
    large_chunks: bool,
}

impl Script {
    fn client(&mut self, chunk_stream: u8, kind: u8, stream: u32, body: &[u8], what: &str) {
        self.ms += 20;
        let bytes = self.writer.message(chunk_stream, self.ms, kind, stream, body);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(self.text, "\n# {what}\nC {hex}").unwrap();
    }

    fn server(&mut self, message: &str) {
        writeln!(self.text, "S {message}").unwrap();
    }

    fn peer(&mut self, step: &str) {
        writeln!(self.text, "\nP {step}").unwrap();
    }

    /// A method of the connection. Both clients give null for the responder: the number is 0 then.
    fn call(&mut self, name: &str, args: &[Amf]) {
        self.client(CONNECTION, AMF3_COMMAND, 0, &command(AMF3_COMMAND, name, 0.0, args), name);
        self.server("3 17 0 \"_result\" 0 null");
    }

    fn tells(&mut self, name: &str, args: &[&str]) {
        self.told += 1;
        let number = self.told + 1;
        let args: String = args.iter().map(|arg| format!(" {arg}")).collect();
        self.server(&format!("3 17 0 \"{name}\" {number} null{args}"));
    }

    /// `connect`, whose type is 20 whatever the encoding, and its answer.
    fn connects(&mut self, host: &str, args: &[Amf]) {
        let body = connect(&format!("sip/alice@{host}"), Some(3.0), args);
        self.client(CONNECTION, AMF0_COMMAND, 0, &body, "connect");
        self.server("2 5 0 40000000");
        self.peer("has registered alice");
        self.server(
            "3 17 0 \"_result\" 1 null {level: \"status\", code: \"NetConnection.Connect.Success\", \
             description: \"Connection succeeded.\", fmsVer: \"rtmplite/8,2\", objectEncoding: 3, details: null}",
        );
    }

    fn creates_stream(&mut self, call: f64, number: u32) {
        self.client(CONNECTION, AMF3_COMMAND, 0, &command(AMF3_COMMAND, "createStream", call, &[]), "createStream");
        self.server(&format!("3 17 0 \"_result\" {call} null {number}"));
    }

    /// Set Buffer Length (user control event 3), answered by Stream Begin (event 0).
    fn sets_buffer(&mut self, stream: u32, ms: u32) {
        let body = [&[0, 3][..], &stream.to_be_bytes(), &ms.to_be_bytes()].concat();
        self.client(2, 4, 0, &body, "Set Buffer Length");
        self.server(&format!("2 4 0 0000{stream:08x}"));
    }

    fn publishes(&mut self, stream: u32, chunk_stream: u32, mode: Amf) {
        let body = command(AMF3_COMMAND, "publish", 0.0, &[text("local"), mode]);
        self.client(STREAM, AMF3_COMMAND, stream, &body, "publish");
        self.status(stream, chunk_stream, "NetStream.Publish.Start", "");
    }

    fn plays(&mut self, stream: u32, chunk_stream: u32) {
        self.client(STREAM, AMF3_COMMAND, stream, &command(AMF3_COMMAND, "play", 0.0, &[text("remote")]), "play");
        if !std::mem::replace(&mut self.large_chunks, true) {
            self.server("2 1 0 00001000");
        }
        self.server(&format!("2 4 0 0000{stream:08x}"));
        self.status(stream, chunk_stream, "NetStream.Play.Start", "remote");
    }

    /// `onStatus` is of type 20 even here (contract section 2).
    fn status(&mut self, stream: u32, chunk_stream: u32, code: &str, description: &str) {
        self.server(&format!(
            "{chunk_stream} 20 {stream} \"onStatus\" 0 null \
             {{level: \"status\", code: \"{code}\", description: \"{description}\", details: null}}"
        ));
    }

    fn closes(&mut self, stream: u32) {
        self.client(STREAM, AMF3_COMMAND, stream, &command(AMF3_COMMAND, "closeStream", 0.0, &[]), "closeStream");
    }

    /// siprtmp answers this although it does not know it (contract section 1).
    fn deletes(&mut self, stream: u32) {
        self.call("deleteStream", &[Amf::Number(stream.into())]);
    }

    fn speaks(&mut self, stream: u32, body: &[u8], messages: usize) {
        for _ in 0..messages {
            self.client(AUDIO, 8, stream, body, "audio");
        }
    }
}

fn ulaw_message() -> Vec<u8> {
    // Two frames of 10 ms: Flash calls that framesPerPacket 2.
    std::iter::once(0x82).chain((0..160).map(|n| 0x20 + n as u8 % 64)).collect()
}

fn speex_message() -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&SPEEX_FRAME[at..at + 2], 16).unwrap();
    std::iter::once(0xB2).chain((0..SPEEX_FRAME.len()).step_by(2).map(byte)).collect()
}

// --- VideoPhone: three arguments, codec lists, two streams from the beginning -------------------------------------------------------

fn video_phone_begins(script: &mut Script, host: &str) {
    script.connects(host, &texts(&["alice", "secret", "Alice A"]));
    script.creates_stream(2.0, 1);
    script.creates_stream(3.0, 2);
    script.sets_buffer(2, 0);
}

fn video_phone_invites(script: &mut Script, host: &str) {
    let bob = format!("sip:bob@{host}");
    script.call("invite", &texts(&[&[&bob[..]], VIDEO_PHONE_WORDS].concat()));
    script.peer("is called: 96 speex/16000, 98 speex/8000, 0 pcmu/8000, 8 pcma/8000, 101 telephone-event/8000, 100 telephone-event/16000");
    script.peer("rings");
    script.tells("ringing", &["\"180 Ringing\""]);
}

/// On `accepted`: publish and play on the streams that exist, microphone on.
fn video_phone_talks(script: &mut Script) {
    script.publishes(1, 4, text("live"));
    script.plays(2, 5);
    script.sets_buffer(2, 0);
    script.speaks(1, &ulaw_message(), 4);
    script.peer("hears 0 of 160 bytes, 2 times");
    script.peer("speaks 0, 8 times");
    script.server("5 8 2 audio 82 160, 3 times");
}

fn video_phone_falls_silent(script: &mut Script) {
    script.closes(1);
    script.closes(2);
}

fn video_phone_outgoing(script: &mut Script, host: &str) {
    video_phone_begins(script, host);
    // The second call is made on the same streams, with no createStream between.
    for last in [false, true] {
        video_phone_invites(script, host);
        script.peer("answers: 0 101");
        script.tells("accepted", &["\"pcmu\"", "null"]);
        video_phone_talks(script);
        script.call("sendDTMF", &[text("5")]);
        script.peer("is told digit 5");
        if last {
            script.call("bye", &[]);
            script.peer("is hung up on");
        } else {
            script.call("hold", &[Amf::Boolean(true)]);
            script.peer("is held: sendonly");
            script.call("hold", &[Amf::Boolean(false)]);
            script.peer("is held: sendrecv");
            script.peer("hangs up");
            script.tells("byed", &[]);
        }
        video_phone_falls_silent(script);
    }
}

fn is_invited(script: &mut Script, host: &str) {
    script.peer("calls: 0 101");
    invitation(script, host, "invited");
}

fn invitation(script: &mut Script, host: &str, name: &str) {
    let from = format!("\"\\\"Peer\\\" <sip:peer@{host}:5070>\"");
    let to = format!("\"\\\"Alice A\\\" <sip:alice@{host}>\"");
    script.tells(name, &[&from, &to]);
}

fn video_phone_incoming(script: &mut Script, host: &str) {
    video_phone_begins(script, host);
    is_invited(script, host);
    script.call("accept", &texts(VIDEO_PHONE_WORDS));
    script.peer("is answered: 0 101");
    script.tells("accepted", &["\"pcmu\"", "null"]);
    video_phone_talks(script);
    script.peer("hangs up");
    script.tells("byed", &[]);
    video_phone_falls_silent(script);
}

fn video_phone_rejected(script: &mut Script, host: &str) {
    video_phone_begins(script, host);
    is_invited(script, host);
    script.call("reject", &[text("Declined")]);
    script.peer("is refused: 603 Declined");
    // What it does by itself when it is not idle.
    is_invited(script, host);
    script.call("reject", &[text("486 Busy Here")]);
    script.peer("is refused: 486 Busy Here");
    // And the other way.
    video_phone_invites(script, host);
    script.peer("refuses: 486 Busy Here");
    script.tells("rejected", &["\"486 Busy Here\""]);
}

fn video_phone_cancelled(script: &mut Script, host: &str) {
    video_phone_begins(script, host);
    is_invited(script, host);
    script.peer("cancels");
    invitation(script, host, "cancelled");
    // And the other way: no indication follows, the client changes its state itself.
    video_phone_invites(script, host);
    script.call("bye", &[]);
    script.peer("is cancelled");
    video_phone_falls_silent(script);
    // Only then comes what is told next.
    is_invited(script, host);
}

// --- VideoIO: four arguments, no codec lists, streams as they are needed --------------------------------------------------------------

fn video_io_begins(script: &mut Script, host: &str) {
    script.connects(host, &texts(&["alice", "secret", "Alice A", "narrowband"]));
}

fn video_io_invites(script: &mut Script, host: &str) {
    script.call("invite", &[text(&format!("sip:bob@{host}"))]);
    // "narrowband" swaps the two Speex formats, not their places.
    script.peer("is called: 96 speex/8000, 9 g722/8000, 98 speex/16000, 0 pcmu/8000, 8 pcma/8000, 111 opus/48000/2, 101 telephone-event/8000, 100 telephone-event/16000, 106 telephone-event/48000, 13 cn/8000");
    script.peer("rings");
    script.tells("ringing", &["\"180 Ringing\""]);
}

/// On `accepted`: both streams are created now, and are numbers never seen before in every call.
fn video_io_talks(script: &mut Script, first: u32, chunk_stream: u32) {
    script.creates_stream(f64::from(first) + 1.0, first);
    script.publishes(first, chunk_stream, Amf::Null);
    script.creates_stream(f64::from(first) + 2.0, first + 1);
    script.plays(first + 1, chunk_stream + 1);
    script.sets_buffer(first + 1, 100);
    script.speaks(first, &speex_message(), 4);
}

fn video_io_falls_silent(script: &mut Script, first: u32) {
    for stream in [first, first + 1] {
        script.closes(stream);
        script.deletes(stream);
    }
}

fn video_io_outgoing(script: &mut Script, host: &str) {
    video_io_begins(script, host);
    for first in [1, 3] {
        video_io_invites(script, host);
        script.peer("answers: 96 101");
        script.tells("accepted", &[]);
        video_io_talks(script, first, 4);
        // Wideband from Flash whatever was agreed; the narrowband layer alone reaches the peer.
        script.peer("hears 96 of 38 bytes, 2 times");
        script.peer("speaks 96, 8 times");
        script.server(&format!("5 8 {} audio b2 38, 3 times", first + 1));
        if first == 1 {
            script.peer("hangs up");
            script.tells("byed", &[]);
        } else {
            script.call("bye", &[]);
            script.peer("is hung up on");
        }
        video_io_falls_silent(script, first);
    }
}

fn video_io_incoming(script: &mut Script, host: &str) {
    video_io_begins(script, host);
    is_invited(script, host);
    script.call("accept", &[]);
    script.peer("is answered: 0 101");
    script.tells("accepted", &[]);
    video_io_talks(script, 1, 4);
    script.peer("hears 0 of 160 bytes, 2 times");
    script.peer("speaks 0, 8 times");
    script.server("5 8 2 audio b2 62, 3 times");
    script.call("bye", &[]);
    script.peer("is hung up on");
    video_io_falls_silent(script, 1);
}

fn video_io_rejected(script: &mut Script, host: &str) {
    video_io_begins(script, host);
    is_invited(script, host);
    script.call("reject", &[]);
    script.peer("is refused: 603 Decline");
    video_io_invites(script, host);
    script.peer("refuses: 603 Decline");
    script.tells("rejected", &["\"603 Decline\""]);
}

fn video_io_cancelled(script: &mut Script, host: &str) {
    video_io_begins(script, host);
    is_invited(script, host);
    script.peer("cancels");
    invitation(script, host, "cancelled");
    video_io_invites(script, host);
    script.call("bye", &[]);
    script.peer("is cancelled");
    is_invited(script, host);
}

//! Whole paths in virtual time: audio in at one end, RTP or messages out at the other, over networks that are bad on
//! purpose.

mod downlink;
mod dtmf;
mod loss_reports;
mod matrix;
mod nellymoser;
mod networks;
mod robustness;
mod uplink;

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::{
    codec::{Codec, Decoder, Encoder, SampleRate},
    flv::{AudioTag, AudioTagWriter},
    path::{Input, MediaPath, Output, PathConfig},
    rtp::{RtpPacket, RtpTimestamp, RtpWriter},
    sdp::Negotiated,
    testing::{epoch, negotiated},
};

fn ms(ms: f64) -> Duration {
    Duration::from_secs_f64(ms / 1000.0)
}

fn config(negotiated: Negotiated, phone_codec: Codec) -> PathConfig {
    PathConfig {
        negotiated,
        phone_codec,
        ssrc: 0x1234_5678,
        initial_sequence: 65_500,
        initial_timestamp: u32::MAX - 4000,
        cname: "call@example".into(),
        rtmp_base_ms: 0,
        ntp_base: 0xE000_0000_0000_0000,
    }
}

/// A path whose clock the test moves, with all that came out of it.
struct Rig {
    path: MediaPath,
    out: Vec<(Instant, Output)>,
}

impl Rig {
    fn new(codec: Codec, phone_codec: Codec) -> Self {
        Self::with(config(negotiated(codec), phone_codec))
    }

    fn with(config: PathConfig) -> Self {
        Self { path: MediaPath::new(epoch(), config), out: Vec::new() }
    }

    /// Lets every deadline up to `now` come.
    fn advance(&mut self, now: Instant) {
        while let Some(due) = self.path.poll_timeout().filter(|due| *due <= now) {
            self.path.handle_input(due, Input::Timeout);
            self.collect(due);
            let next = self.path.poll_timeout();
            assert!(next.is_none_or(|next| next > due), "a deadline that does not pass");
        }
    }

    fn feed(&mut self, now: Instant, input: Input<'_>) {
        self.advance(now);
        self.path.handle_input(now, input);
        self.collect(now);
    }

    /// Feeds messages of `message_ms`, number n at `arrival(n)` ms with RTMP timestamp n x `message_ms`.
    fn feed_messages(&mut self, messages: &[Bytes], message_ms: u32, arrival: impl Fn(usize) -> f64) {
        for (n, body) in messages.iter().enumerate() {
            let timestamp_ms = message_ms * n as u32;
            self.feed(epoch() + ms(arrival(n)), Input::PhoneAudio { timestamp_ms, body });
        }
    }

    /// Feeds messages of 20 ms in their time.
    fn speak(&mut self, messages: &[Bytes]) {
        self.feed_messages(messages, 20, |n| 20.0 * n as f64);
    }

    fn collect(&mut self, now: Instant) {
        while let Some(output) = self.path.poll_output() {
            self.out.push((now, output));
        }
    }

    /// RTP packets sent: departure in ms since the start, packet.
    fn rtp(&self) -> Vec<(f64, RtpPacket<'_>)> {
        let packets = self.out.iter().filter_map(|(at, output)| match output {
            Output::Rtp(bytes) => Some((since_start(*at), RtpPacket::parse(bytes).unwrap())),
            _ => None,
        });
        packets.collect()
    }

    /// Messages for the phone: departure in ms since the start, RTMP timestamp, body.
    fn messages(&self) -> Vec<(f64, u32, &Bytes)> {
        let messages = self.out.iter().filter_map(|(at, output)| match output {
            Output::PhoneAudio { timestamp_ms, body } => Some((since_start(*at), *timestamp_ms, body)),
            _ => None,
        });
        messages.collect()
    }

    fn digits(&self) -> String {
        let digits = self.out.iter().filter_map(|(_, output)| match output {
            Output::DtmfReceived(digit) => Some(*digit),
            _ => None,
        });
        digits.collect()
    }

    /// What the SIP peer hears: audio packets decoded one after the other.
    fn heard_by_peer(&self, codec: Codec) -> Vec<i16> {
        let mut decoder = Decoder::new(codec);
        let mut pcm = Vec::new();
        for (_, packet) in self.rtp().iter().filter(|(_, packet)| packet.payload_type != 101) {
            decoder.decode(packet.payload, &mut pcm).unwrap();
        }
        pcm
    }

    /// What the phone hears: messages decoded one after the other, as Flash does (Speex always wideband).
    fn heard_by_phone(&self, rate: SampleRate) -> Vec<i16> {
        let mut decoder: Option<Decoder> = None;
        let mut pcm = Vec::new();
        for (_, _, body) in self.messages() {
            let AudioTag::Packet { codec, payload } = AudioTag::parse(body) else { panic!("no audio") };
            assert_eq!(codec.sample_rate(), rate);
            decoder.get_or_insert_with(|| Decoder::new(codec)).decode(payload, &mut pcm).unwrap();
        }
        pcm
    }
}

fn since_start(at: Instant) -> f64 {
    (at - epoch()).as_secs_f64() * 1000.0
}

/// Audio messages of a phone, `frames` 20 ms frames in each.
fn phone_messages(codec: Codec, pcm: &[i16], frames: usize) -> Vec<Bytes> {
    let (mut encoder, mut writer) = (Encoder::new(codec), AudioTagWriter::default());
    pcm.chunks_exact(codec.frame_samples() * frames)
        .map(|chunk| {
            let mut payload = Vec::new();
            encoder.encode(chunk, &mut payload).unwrap();
            writer.message(codec, &payload)
        })
        .collect()
}

/// RTP packets of a peer, `frames` 20 ms frames in each.
fn peer_packets(codec: Codec, pcm: &[i16], frames: usize, first: u16, timestamp: u32) -> Vec<Bytes> {
    let (mut encoder, mut writer) = (Encoder::new(codec), RtpWriter::new(0xBEEF, first));
    let step = codec.clock_rate() as usize / 50 * frames;
    let payload_type = codec.info().static_payload_type.unwrap_or(96);
    pcm.chunks_exact(codec.frame_samples() * frames)
        .enumerate()
        .map(|(n, chunk)| {
            let mut payload = Vec::new();
            encoder.encode(chunk, &mut payload).unwrap();
            let timestamp = RtpTimestamp(timestamp).plus((n * step) as i64);
            writer.packet(n == 0, payload_type, timestamp, &payload)
        })
        .collect()
}

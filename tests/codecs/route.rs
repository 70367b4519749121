//! A cell of the matrix, and the way through the gateway's media engine in virtual time.

use bytes::Bytes;
use call_media::codec::nellymoser::BLOCK_SAMPLES;
use call_media::codec::{Codec, NellymoserRate, SampleRate, SpeexQuality};
use call_media::flv::{AudioTag, AudioTagWriter};
use call_media::path::{Input, MediaPath, Output, PathConfig};
use call_media::rtp::{RtpPacket, RtpTimestamp, RtpWriter};
use call_media::sdp::PayloadFormat;
use gateway_tests::media;
use std::fmt;
use std::time::{Duration, Instant};

const FRAME: Duration = Duration::from_millis(20);

/// Which way the speech goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Phone to peer.
    Up,
    /// Peer to phone.
    Down,
}

/// What a side speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    Codec(Codec),
    /// Phones only, and they hear Speex.
    Nellymoser(NellymoserRate),
}

/// What ffmpeg's encoder of Nellymoser knows.
pub(crate) const NELLYMOSER: [NellymoserRate; 5] = [
    NellymoserRate::Hz8000,
    NellymoserRate::Hz11025,
    NellymoserRate::Hz16000,
    NellymoserRate::Hz22050,
    NellymoserRate::Hz44100,
];

/// A pair of codecs and a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) phone: Voice,
    pub(crate) peer: Codec,
    pub(crate) direction: Direction,
}

impl Cell {
    /// The whole matrix.
    pub(crate) fn all() -> Vec<Self> {
        let codecs = Codec::OF_PHONES
            .into_iter()
            .flat_map(|codec| [Direction::Up, Direction::Down].map(|direction| (Voice::Codec(codec), direction)));
        let nellymoser = NELLYMOSER.map(|rate| (Voice::Nellymoser(rate), Direction::Up));
        let columns = codecs.chain(nellymoser);
        columns.flat_map(|(phone, direction)| Codec::ALL.map(|peer| Self { phone, peer, direction })).collect()
    }

    pub(crate) fn from(self) -> Voice {
        if self.direction == Direction::Up { self.phone } else { Voice::Codec(self.peer) }
    }

    pub(crate) fn to(self) -> Codec {
        match (self.direction, self.phone) {
            (Direction::Down, Voice::Codec(phone)) => phone,
            _ => self.peer,
        }
    }

    /// Whether nothing is decoded on the way.
    pub(crate) fn is_relay(self) -> bool {
        let Voice::Codec(phone) = self.phone else { return false };
        (phone.is_speex() && self.peer.is_speex()) || phone == self.peer
    }

    /// What one side's codec works at: Opus at 16 kHz as well, since the speech has no more.
    pub(crate) fn codec_rate(self, codec: Codec) -> SampleRate {
        if codec == Codec::Opus { SampleRate::Hz16000 } else { codec.sample_rate() }
    }

    /// What the speaker encodes at.
    pub(crate) fn source_hz(self) -> u32 {
        match self.from() {
            Voice::Codec(codec) => self.codec_rate(codec).hz(),
            Voice::Nellymoser(rate) => rate.samples_in_2s() / 2,
        }
    }

    /// What the listener decodes at.
    pub(crate) fn target_rate(self) -> SampleRate {
        self.codec_rate(self.to())
    }

    /// 8 kHz where a side has less than 16.
    pub(crate) fn judged_at(self) -> SampleRate {
        let telephone = match self.phone {
            Voice::Codec(codec) => codec.sample_rate() == SampleRate::Hz8000,
            Voice::Nellymoser(_) => self.source_hz() < 16_000,
        };
        if telephone || self.peer.sample_rate() == SampleRate::Hz8000 {
            SampleRate::Hz8000
        } else {
            SampleRate::Hz16000
        }
    }

    /// How long one message or packet of the speaker's sounds.
    fn message(self) -> Duration {
        match self.from() {
            Voice::Codec(_) => FRAME,
            Voice::Nellymoser(_) => Duration::from_secs(BLOCK_SAMPLES as u64) / self.source_hz(),
        }
    }

    /// What the gateway encodes Speex with.
    pub(crate) fn speex_quality(self) -> SpeexQuality {
        if self.direction == Direction::Up { SpeexQuality::Usual } else { SpeexQuality::ToPhone }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = if self.direction == Direction::Up { ("phone", "peer") } else { ("peer", "phone") };
        let what = if self.is_relay() { "relay" } else { "transcode" };
        write!(f, "{} ({from}) to {} ({to}), {what}", name(self.from()), name(Voice::Codec(self.to())))
    }
}

/// What people call it.
pub(crate) fn name(voice: Voice) -> &'static str {
    let codec = match voice {
        Voice::Codec(codec) => codec,
        Voice::Nellymoser(NellymoserRate::Hz5512) => return "Nellymoser 5.5 kHz",
        Voice::Nellymoser(NellymoserRate::Hz8000) => return "Nellymoser 8 kHz",
        Voice::Nellymoser(NellymoserRate::Hz11025) => return "Nellymoser 11 kHz",
        Voice::Nellymoser(NellymoserRate::Hz16000) => return "Nellymoser 16 kHz",
        Voice::Nellymoser(NellymoserRate::Hz22050) => return "Nellymoser 22 kHz",
        Voice::Nellymoser(NellymoserRate::Hz44100) => return "Nellymoser 44 kHz",
    };
    match codec {
        Codec::SpeexNarrowband => "Speex NB",
        Codec::SpeexWideband => "Speex WB",
        Codec::SpeexUltraWideband => "Speex UWB",
        Codec::Pcmu => "PCMU",
        Codec::Pcma => "PCMA",
        Codec::G722 => "G.722",
        Codec::Opus => "Opus",
        Codec::L16Narrowband => "L16 8 kHz",
        Codec::L16Wideband => "L16 16 kHz",
    }
}

/// Sends packets or messages through a path; returns what comes out, and what 20 ms cost.
pub(crate) fn through(cell: Cell, packets: &[Vec<u8>]) -> (Vec<Vec<u8>>, Duration) {
    let start = Instant::now();
    let mut path = MediaPath::new(start, config(cell));
    let inputs = inputs(cell, packets);
    let mut received = Vec::new();
    let began = Instant::now();
    for (number, bytes) in inputs.iter().enumerate() {
        let now = start + cell.message() * number as u32;
        while let Some(due) = path.poll_timeout().filter(|due| *due <= now) {
            path.handle_input(due, Input::Timeout);
            collect(&mut path, &mut received);
        }
        let timestamp_ms = (now - start).as_millis() as u32;
        path.handle_input(
            now,
            match cell.direction {
                Direction::Up => Input::PhoneAudio { timestamp_ms, body: bytes },
                Direction::Down => Input::Rtp(bytes),
            },
        );
        collect(&mut path, &mut received);
    }
    let frames = (cell.message() * inputs.len() as u32).div_duration_f64(FRAME);
    let cost = began.elapsed().div_f64(frames);
    let received: Vec<Vec<u8>> =
        received.iter().map(|output| payload(cell, output)).filter(|p| !p.is_empty()).collect();
    // Blocks of Nellymoser are no whole frames: the last ones wait for more.
    let missing = (frames.round() as usize).checked_sub(received.len());
    let waiting = if matches!(cell.from(), Voice::Codec(_)) { 0..=0 } else { 0..=3 };
    assert!(
        missing.is_some_and(|missing| waiting.contains(&missing)),
        "{cell}: {} of {frames} packets",
        received.len()
    );
    (received, cost)
}

fn collect(path: &mut MediaPath, received: &mut Vec<Output>) {
    while let Some(output) = path.poll_output() {
        received.push(output);
    }
}

fn inputs(cell: Cell, packets: &[Vec<u8>]) -> Vec<Bytes> {
    let (mut tags, mut rtp) = (AudioTagWriter::default(), RtpWriter::new(7, 100));
    let step = i64::from(cell.peer.clock_rate() / 50);
    let number = PayloadFormat::offered(cell.peer).payload_type;
    let wrap = |(index, packet): (usize, &Vec<u8>)| match cell.direction {
        Direction::Up => match cell.phone {
            Voice::Codec(phone) => tags.message(phone, packet),
            Voice::Nellymoser(_) => Bytes::copy_from_slice(packet),
        },
        Direction::Down => rtp.packet(index == 0, number, RtpTimestamp(5000).plus(step * index as i64), packet),
    };
    packets.iter().enumerate().map(wrap).collect()
}

/// What the listener decodes; nothing for what is no audio.
fn payload(cell: Cell, output: &Output) -> Vec<u8> {
    match (cell.direction, output) {
        (Direction::Up, Output::Rtp(bytes)) => {
            let packet = RtpPacket::parse(bytes).expect("an RTP packet of ours");
            assert_eq!(packet.payload_type, PayloadFormat::offered(cell.peer).payload_type, "{cell}");
            packet.payload.to_vec()
        }
        (Direction::Down, Output::PhoneAudio { body, .. }) => match AudioTag::parse(body) {
            AudioTag::Packet { payload, .. } => payload.to_vec(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn config(cell: Cell) -> PathConfig {
    media::config(cell.peer, if let Voice::Codec(phone) = cell.phone { phone } else { Codec::SpeexWideband })
}

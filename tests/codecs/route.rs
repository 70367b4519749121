//! A cell of the matrix, and the way through the gateway's media engine in virtual time.

use bytes::Bytes;
use call_media::codec::{Codec, OpusWishes, SampleRate, SpeexQuality};
use call_media::flv::{AudioTag, AudioTagWriter};
use call_media::path::{Input, MediaPath, Output, PathConfig};
use call_media::rtp::{RtpPacket, RtpTimestamp, RtpWriter};
use call_media::sdp::{self, Negotiated, PayloadFormat};
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

/// A pair of codecs and a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) phone: Codec,
    pub(crate) peer: Codec,
    pub(crate) direction: Direction,
}

impl Cell {
    /// The whole matrix.
    pub(crate) fn all() -> Vec<Self> {
        let pairs = Codec::OF_PHONES.into_iter().flat_map(|phone| Codec::ALL.map(|peer| (phone, peer)));
        let both = [Direction::Up, Direction::Down];
        pairs.flat_map(|(phone, peer)| both.map(|direction| Self { phone, peer, direction })).collect()
    }

    pub(crate) fn from(self) -> Codec {
        if self.direction == Direction::Up { self.phone } else { self.peer }
    }

    pub(crate) fn to(self) -> Codec {
        if self.direction == Direction::Up { self.peer } else { self.phone }
    }

    /// Whether nothing is decoded on the way.
    pub(crate) fn is_relay(self) -> bool {
        (self.phone.is_speex() && self.peer.is_speex()) || self.phone == self.peer
    }

    /// What the speaker encodes at: Opus at 16 kHz as well, since the speech has no more.
    pub(crate) fn source_rate(self) -> SampleRate {
        wideband_at_most(self.from())
    }

    /// What the listener decodes at.
    pub(crate) fn target_rate(self) -> SampleRate {
        wideband_at_most(self.to())
    }

    /// 8 kHz where a side has no more.
    pub(crate) fn judged_at(self) -> SampleRate {
        self.phone.sample_rate().min(self.peer.sample_rate()).min(SampleRate::Hz16000)
    }

    /// What the gateway encodes Speex with.
    pub(crate) fn speex_quality(self) -> SpeexQuality {
        if self.direction == Direction::Up { SpeexQuality::Usual } else { SpeexQuality::ToPhone }
    }
}

fn wideband_at_most(codec: Codec) -> SampleRate {
    if codec == Codec::Opus { SampleRate::Hz16000 } else { codec.sample_rate() }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = if self.direction == Direction::Up { ("phone", "peer") } else { ("peer", "phone") };
        let what = if self.is_relay() { "relay" } else { "transcode" };
        write!(f, "{} ({from}) to {} ({to}), {what}", name(self.from()), name(self.to()))
    }
}

/// What people call it.
pub(crate) fn name(codec: Codec) -> &'static str {
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

/// Sends packets of 20 ms through a path; returns what comes out, and what a frame costs.
pub(crate) fn through(cell: Cell, packets: &[Vec<u8>]) -> (Vec<Vec<u8>>, Duration) {
    let start = Instant::now();
    let mut path = MediaPath::new(start, config(cell));
    let inputs = inputs(cell, packets);
    let mut received = Vec::new();
    let began = Instant::now();
    for (number, bytes) in inputs.iter().enumerate() {
        let now = start + FRAME * number as u32;
        while let Some(due) = path.poll_timeout().filter(|due| *due <= now) {
            path.handle_input(due, Input::Timeout);
            collect(&mut path, &mut received);
        }
        let timestamp_ms = 20 * number as u32;
        path.handle_input(
            now,
            match cell.direction {
                Direction::Up => Input::PhoneAudio { timestamp_ms, body: bytes },
                Direction::Down => Input::Rtp(bytes),
            },
        );
        collect(&mut path, &mut received);
    }
    let cost = began.elapsed() / inputs.len() as u32;
    let received: Vec<Vec<u8>> =
        received.iter().map(|output| payload(cell, output)).filter(|p| !p.is_empty()).collect();
    assert_eq!(received.len(), packets.len(), "{cell}: packets");
    (received, cost)
}

fn collect(path: &mut MediaPath, received: &mut Vec<Output>) {
    while let Some(output) = path.poll_output() {
        received.push(output);
    }
}

fn inputs(cell: Cell, packets: &[Vec<u8>]) -> Vec<Bytes> {
    let (mut tags, mut rtp) = (AudioTagWriter::default(), RtpWriter::new(7, 100));
    let step = i64::from(cell.from().clock_rate() / 50);
    let number = PayloadFormat::offered(cell.peer).payload_type;
    let wrap = |(index, packet): (usize, &Vec<u8>)| match cell.direction {
        Direction::Up => tags.message(cell.phone, packet),
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
    let format = PayloadFormat::offered(cell.peer);
    let negotiated = Negotiated {
        remote_rtp: Some(([192, 0, 2, 1], 4000).into()),
        remote_rtcp: None,
        send: format,
        receive: vec![format],
        telephone_event: None,
        receive_events: Vec::new(),
        opus: OpusWishes::default(),
        comfort_noise: None,
        receive_comfort_noise: None,
        direction: sdp::Direction::SendRecv,
        ptime_ms: 20,
    };
    PathConfig {
        negotiated,
        phone_codec: cell.phone,
        ssrc: 7,
        initial_sequence: 1,
        initial_timestamp: 1,
        cname: "matrix".into(),
        rtmp_base_ms: 0,
        ntp_base: 0,
    }
}

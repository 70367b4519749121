//! The comparison: what siprtmp does with the same arrivals (its contract, sections 7.1 and 7.2), and a bare decoder with
//! its library's concealment.

use call_media::{
    codec::{Codec, SampleRate},
    limits::SPEEX_QUALITY_TO_PHONE,
    resample::Resampler,
};
use gateway_tests::{g711, libspeex};
use speex_codec::Mode;

use crate::{
    ears::Ear,
    gateway::in_order_of_arrival,
    network::FRAME_MS,
    playout::{BUFFER_MS, Frame, Heard},
};

/// siprtmp to the phone: every packet becomes a message when it arrives, in the order of arrival, with the RTP
/// timestamp as its time. Nothing is put in order, nothing is held, nothing is made for what is missing.
pub(crate) fn downlink(packets: &[Vec<u8>], arrivals: &[Option<f64>]) -> Vec<Frame> {
    let frame = |(at_ms, n): (f64, usize)| Frame::new(at_ms, n as f64 * FRAME_MS, packets[n].clone());
    in_order_of_arrival(arrivals).into_iter().map(frame).collect()
}

/// siprtmp to the SIP peer: every message becomes a packet when it arrives, the RTP time counts messages. Speex is
/// transcoded for a G.711 peer as its `audiospeex` does it: decoded as wideband, halved in rate.
pub(crate) fn uplink(phone: Codec, peer: Codec, payloads: &[Vec<u8>], arrivals: &[f64]) -> Vec<Frame> {
    let mut transcoder = (phone != peer).then(|| Transcoder::new(phone, peer));
    let frames = payloads.iter().zip(arrivals).enumerate();
    frames
        .map(|(n, (payload, at_ms))| {
            let payload = transcoder.as_mut().map_or_else(|| payload.clone(), |transcoder| transcoder.convert(payload));
            Frame::new(*at_ms, n as f64 * FRAME_MS, payload)
        })
        .collect()
}

/// Speex to PCMU, by libspeex.
struct Transcoder {
    ear: Ear,
    resampler: Resampler,
}

impl Transcoder {
    fn new(phone: Codec, peer: Codec) -> Self {
        assert_eq!(peer, Codec::Pcmu, "the one codec that peers here are transcoded to");
        Self { ear: Ear::new(phone), resampler: Resampler::new(phone.sample_rate(), SampleRate::Hz8000) }
    }

    fn convert(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut narrow = Vec::new();
        self.resampler.process(&self.ear.hear(payload), &mut narrow);
        narrow.into_iter().map(g711::ulaw_encode).collect()
    }
}

/// A decoder with its concealment behind a jitter buffer of a fixed 60 ms: what came in time is decoded, the rest is
/// concealed. For a phone with another codec it is encoded and decoded once more, by libraries again.
pub(crate) fn bare(peer: Codec, phone: Codec, packets: &[Vec<u8>], arrivals: &[Option<f64>]) -> Heard {
    let first = in_order_of_arrival(arrivals).first().map_or(0.0, |(at, n)| at - *n as f64 * FRAME_MS);
    let turn_ms = |n: usize| n as f64 * FRAME_MS + first + BUFFER_MS;
    let is_there = |n: usize, by_ms: f64| arrivals.get(n).copied().flatten().is_some_and(|at| at <= by_ms);
    let mut ear = Ear::new(peer);
    let mut heard = Heard { pcm: Vec::new(), delays_ms: Vec::new() };
    for (n, payload) in packets.iter().enumerate() {
        if is_there(n, turn_ms(n)) {
            heard.pcm.extend(ear.hear(payload));
            heard.delays_ms.push(first + BUFFER_MS);
        } else {
            heard.pcm.extend(ear.conceal(is_there(n + 1, turn_ms(n)).then(|| &packets[n + 1][..])));
        }
    }
    if phone != peer {
        heard.pcm = encoded_again(phone, &heard.pcm);
    }
    heard
}

/// Speech after a bare encoder and decoder of the phone's codec.
fn encoded_again(phone: Codec, pcm: &[i16]) -> Vec<i16> {
    if phone == Codec::Pcmu {
        return pcm.iter().map(|sample| g711::ulaw_decode(g711::ulaw_encode(*sample))).collect();
    }
    assert_eq!(phone, Codec::SpeexWideband, "the one other codec that phones here are transcoded to");
    let (mut encoder, mut ear, mut packet) = (libspeex::Encoder::new(Mode::Wideband), Ear::new(phone), Vec::new());
    encoder.set_quality(SPEEX_QUALITY_TO_PHONE.into());
    let frames = pcm.chunks_exact(Mode::Wideband.frame_samples());
    let mut again = |frame| {
        encoder.encode(frame, &mut packet);
        ear.hear(&packet)
    };
    frames.flat_map(&mut again).collect()
}

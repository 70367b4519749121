//! The gateway's media core between the two phones, in virtual time.

use call_media::{
    codec::Codec,
    flv::AudioTag,
    path::{Input, MediaPath, Output, PathConfig},
    rtp::{RtpPacket, RtpTimestamp, RtpWriter},
    sdp::PayloadFormat,
};
use gateway_tests::media;
use std::time::{Duration, Instant};

use crate::{network::FRAME_MS, playout::Frame};

/// RTP of a SIP peer in, frames for the RTMP phone out. `arrivals` holds for each of the packets when it comes, if it does.
pub(crate) fn downlink(peer: Codec, phone: Codec, packets: &[Vec<u8>], arrivals: &[Option<f64>]) -> Vec<Frame> {
    let mut writer = RtpWriter::new(0xBEEF, 65_500);
    let (payload_type, step) = (PayloadFormat::offered(peer).payload_type, i64::from(peer.clock_rate()) / 50);
    let sent: Vec<_> = (0..)
        .zip(packets)
        .map(|(n, payload)| writer.packet(n == 0, payload_type, RtpTimestamp(u32::MAX - 8000).plus(n * step), payload))
        .collect();
    let arriving = in_order_of_arrival(arrivals);
    let first = arriving.first().map_or(0, |(_, n)| *n);
    let mut run = Run::new(peer, phone);
    for (at_ms, n) in arriving {
        run.feed(at_ms, Input::Rtp(&sent[n]));
    }
    run.finish(packets.len());
    let mut base = None;
    run.outputs.iter().filter_map(|(at_ms, output)| phone_frame(*at_ms, output, first, &mut base)).collect()
}

/// The message as a frame: its timestamps count from the first packet that came.
fn phone_frame(at_ms: f64, output: &Output, first: usize, base: &mut Option<u32>) -> Option<Frame> {
    let Output::PhoneAudio { timestamp_ms, body } = output else { return None };
    let AudioTag::Packet { payload, .. } = AudioTag::parse(body) else { return None };
    let base = *base.get_or_insert(*timestamp_ms);
    let spoken_ms = first as f64 * FRAME_MS + f64::from(timestamp_ms.wrapping_sub(base) as i32);
    Some(Frame::new(at_ms, spoken_ms, payload.to_vec()))
}

/// Audio messages of the RTMP phone in, frames for the SIP peer out.
pub(crate) fn uplink(phone: Codec, peer: Codec, payloads: &[Vec<u8>], arrivals: &[f64]) -> Vec<Frame> {
    let mut run = Run::new(peer, phone);
    for (n, (payload, at_ms)) in payloads.iter().zip(arrivals).enumerate() {
        let body = [phone.info().flv_header, payload.as_slice()].concat();
        let timestamp_ms = 5000 + (n as f64 * FRAME_MS) as u32;
        run.feed(*at_ms, Input::PhoneAudio { timestamp_ms, body: &body });
    }
    run.finish(payloads.len());
    let mut base = None;
    let frame = |((at_ms, output), shift_ms): (&(f64, Output), &f64)| {
        let frame = peer_frame(peer, *at_ms, output, &mut base)?;
        Some(Frame { said_ms: frame.spoken_ms - shift_ms, ..frame })
    };
    run.outputs.iter().zip(&run.shifts_ms).filter_map(frame).collect()
}

/// The packet as a frame: the first message is heard at its start.
fn peer_frame(peer: Codec, at_ms: f64, output: &Output, base: &mut Option<RtpTimestamp>) -> Option<Frame> {
    let Output::Rtp(bytes) = output else { return None };
    let packet = RtpPacket::parse(bytes).expect("a packet of our own");
    let base = *base.get_or_insert(packet.timestamp);
    let spoken_ms = f64::from(packet.timestamp.distance_from(base)) * 1000.0 / f64::from(peer.clock_rate());
    Some(Frame::new(at_ms, spoken_ms, packet.payload.to_vec()))
}

/// Which packet arrives when, in the order of arrival.
pub(crate) fn in_order_of_arrival(arrivals: &[Option<f64>]) -> Vec<(f64, usize)> {
    let mut order: Vec<_> = arrivals.iter().enumerate().filter_map(|(n, at)| at.map(|at| (at, n))).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    order
}

/// One path and its virtual clock.
struct Run {
    start: Instant,
    path: MediaPath,
    outputs: Vec<(f64, Output)>,
    /// For each output: how much later in the stream audio stood then than on the phone's timeline.
    shifts_ms: Vec<f64>,
}

impl Run {
    fn new(peer: Codec, phone: Codec) -> Self {
        let start = Instant::now() + Duration::from_secs(1000);
        let config =
            PathConfig { initial_sequence: 65_500, initial_timestamp: u32::MAX - 4000, ..media::config(peer, phone) };
        Self { start, path: MediaPath::new(start, config), outputs: Vec::new(), shifts_ms: Vec::new() }
    }

    fn feed(&mut self, at_ms: f64, input: Input<'_>) {
        self.advance(at_ms);
        self.path.handle_input(self.instant(at_ms), input);
        self.collect(at_ms);
    }

    /// Lets every deadline up to this time come.
    fn advance(&mut self, until_ms: f64) {
        let until = self.instant(until_ms);
        while let Some(due) = self.path.poll_timeout().filter(|due| *due <= until) {
            self.path.handle_input(due, Input::Timeout);
            self.collect((due - self.start).as_secs_f64() * 1000.0);
        }
    }

    /// Lets what waits come out; what the path invents after the end of the stream is heard as well.
    fn finish(&mut self, frames: usize) {
        self.advance(frames as f64 * FRAME_MS + 1000.0);
    }

    fn collect(&mut self, at_ms: f64) {
        while let Some(output) = self.path.poll_output() {
            self.outputs.push((at_ms, output));
            self.shifts_ms.push(self.path.stats().uplink.shift_ms as f64);
        }
    }

    fn instant(&self, at_ms: f64) -> Instant {
        self.start + Duration::from_secs_f64(at_ms / 1000.0)
    }
}

//! What fills a gap in a Speex stream: frames written from those on both sides of it, nothing decoded or encoded. A phone
//! plays them like any other; a decoder of ours does so too, because that is better than its own concealment, which knows
//! one side only.

/// Remembers what a gap would begin with.
#[derive(Debug, Default)]
pub struct SpeexGap {
    /// The last packet that came.
    last: Vec<u8>,
    /// Frames filled in since.
    filled: usize,
    seed: u32,
}

impl SpeexGap {
    /// Takes note of a good packet.
    pub fn heard(&mut self, packet: &[u8]) {
        self.filled = 0;
        self.last.clear();
        self.last.extend_from_slice(packet);
    }

    /// Appends a packet of one frame in place of the next one missing, which `next` is right behind if it is at hand.
    /// False, and nothing appended, if no good packet came yet.
    pub fn fill(&mut self, next: Option<&[u8]>, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        out.resize(start + self.last.len().max(next.map_or(0, <[u8]>::len)), 0);
        let room = &mut out[start..];
        // A packet behind the gap that is malformed tells nothing.
        let told = next.and_then(|next| speex_codec::frame_before(next, &self.last, room).ok());
        let length =
            told.or_else(|| speex_codec::frame_after(&self.last, self.filled, &mut self.seed, room).ok()).unwrap_or(0);
        out.truncate(start + length);
        self.filled += 1;
        length > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::{Codec, Decoder, Encoder},
        testing::{Random, band_distance_db, rms, voice},
    };
    use speex_codec::Mode;

    /// One packet for each frame of a voice.
    fn packets(codec: Codec, pcm: &[i16]) -> Vec<Vec<u8>> {
        let mut encoder = Encoder::new(codec);
        let frames = pcm.chunks_exact(codec.frame_samples());
        frames
            .map(|frame| {
                let mut packet = Vec::new();
                encoder.encode(frame, &mut packet).unwrap();
                packet
            })
            .collect()
    }

    #[test]
    fn a_phone_that_is_told_nothing_hears_more_of_a_lossy_stream_than_one_that_conceals_by_itself() {
        let codecs = [
            (Codec::SpeexNarrowband, Mode::Narrowband, [0.96, 0.95]),
            (Codec::SpeexWideband, Mode::Wideband, [0.985, 1.005]),
        ];
        for (codec, mode, most) in codecs {
            let rate = codec.sample_rate();
            for (burst, most) in (1..).zip(most) {
                let (mut ours, mut its_own) = (0.0, 0.0);
                for seed in 0..6 {
                    let packets = packets(codec, &voice(rate, 4000, seed));
                    let lost = |n: usize| n % 7 >= 7 - burst;
                    let (mut gap, mut heard, mut concealed) = (SpeexGap::default(), Vec::new(), Vec::new());
                    let mut clean = Vec::new();
                    let mut decoders = [0; 2].map(|_| speex_codec::Decoder::new(mode));
                    let mut whole = Decoder::new(codec);
                    for (n, packet) in packets.iter().enumerate() {
                        whole.decode(packet, &mut clean).unwrap();
                        let mut frames = [0; 2].map(|_| vec![0; codec.frame_samples()]);
                        if lost(n) {
                            let next = packets.get(n + 1).filter(|_| !lost(n + 1));
                            let mut made = Vec::new();
                            assert!(gap.fill(next.map(|packet| &packet[..]), &mut made));
                            decoders[0].decode(&made, &mut frames[0]).unwrap();
                            decoders[1].conceal(&mut frames[1]);
                        } else {
                            gap.heard(packet);
                            decoders[0].decode(packet, &mut frames[0]).unwrap();
                            decoders[1].decode(packet, &mut frames[1]).unwrap();
                        }
                        heard.extend_from_slice(&frames[0]);
                        concealed.extend_from_slice(&frames[1]);
                    }
                    ours += band_distance_db(&clean, &heard, rate) / 6.0;
                    its_own += band_distance_db(&clean, &concealed, rate) / 6.0;
                }
                println!("{codec:?}, {burst} lost: {ours:.2} dB, own concealment {its_own:.2} dB");
                assert!(ours < most * its_own, "{codec:?}, {burst} lost: {ours:.2} dB against {its_own:.2} dB");
            }
        }
    }

    #[test]
    fn nothing_is_made_before_something_came_and_a_malformed_packet_behind_the_gap_is_passed_over() {
        let packets = packets(Codec::SpeexNarrowband, &voice(Codec::SpeexNarrowband.sample_rate(), 200, 1));
        let (mut gap, mut out) = (SpeexGap::default(), vec![9]);
        assert!(!gap.fill(Some(&packets[3]), &mut out));
        assert_eq!(out, [9]);
        let (mut other, mut same) = (SpeexGap::default(), Vec::new());
        gap.heard(&packets[3]);
        other.heard(&packets[3]);
        assert!(gap.fill(Some(&[0xFF; 70]), &mut out) && other.fill(None, &mut same));
        assert_eq!(out[1..], same);
        assert_eq!(same.len(), packets[3].len());
    }

    #[test]
    fn a_long_gap_fades_and_a_good_packet_begins_a_new_one() {
        let codec = Codec::SpeexNarrowband;
        let packets = packets(codec, &voice(codec.sample_rate(), 1000, 1));
        let (mut gap, mut decoder) = (SpeexGap::default(), Decoder::new(codec));
        let mut pcm = Vec::new();
        packets.iter().for_each(|packet| decoder.decode(packet, &mut pcm).unwrap());
        let mut first = Vec::new();
        gap.heard(&packets[49]);
        for n in 0..12 {
            let mut packet = Vec::new();
            assert!(gap.fill(None, &mut packet));
            decoder.decode(&packet, &mut pcm).unwrap();
            if n == 0 {
                first = packet;
            }
        }
        assert!(rms(&pcm[pcm.len() - 160..]) < 0.05 * rms(&pcm[..8000]));
        let mut again = Vec::new();
        gap.seed = 0;
        gap.heard(&packets[49]);
        gap.fill(None, &mut again);
        assert_eq!(again, first);
    }

    #[test]
    fn any_packets_do_no_harm() {
        let mut random = Random::new(5);
        let (mut gap, mut out) = (SpeexGap::default(), Vec::new());
        for _ in 0..50_000 {
            let packet: Vec<u8> = (0..random.below(90)).map(|_| random.next_u64() as u8).collect();
            out.clear();
            match random.below(3) {
                0 => gap.heard(&packet),
                1 => drop(gap.fill(None, &mut out)),
                _ => drop(gap.fill(Some(&packet), &mut out)),
            }
            assert!(out.is_empty() || speex_codec::frame_count(&out, Mode::Wideband) == Ok(1));
        }
    }
}

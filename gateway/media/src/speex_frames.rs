//! Where the frames of a Speex packet lie, without decoding: so that packets can be split and joined on the way through.
//!
//! ```text
//! packet   |0 mode:4 ......|1 mode:3 ....|0 mode:4 ......|1 mode:3 ....|0 1 1 1|
//!           narrowband layer wideband layer                              padding
//!          '-------- frame ------------'
//! ```
//! Frames follow each other on bit borders; the last byte is filled with a zero and ones (RFC 5574 section 3.3). The
//! lengths are those of the Speex manual (Jean-Marc Valin, tables 9.2 and 10.1).

use std::ops::Range;

use crate::limits::MAX_SPEEX_FRAMES_PER_PACKET;

/// Bits of a narrowband layer by its mode, the leading zero and the mode included.
const NARROWBAND_BITS: [usize; 9] = [5, 43, 119, 160, 220, 300, 364, 492, 79];
/// Bits of a wideband layer by its mode, the leading one and the mode included.
const WIDEBAND_BITS: [usize; 5] = [4, 36, 112, 192, 352];
/// A wideband layer and an ultra-wideband layer.
const MAX_EXTRA_LAYERS: usize = 2;
const MODE_USER_DATA: u32 = 13;
const MODE_REQUEST: u32 = 14;
const MODE_TERMINATOR: u32 = 15;

/// The packet holds no whole frame: it ends within the first one, or names a mode that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed Speex packet")]
pub struct MalformedSpeex;

/// The frames of one packet as ranges of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameMap {
    ends: [u16; MAX_SPEEX_FRAMES_PER_PACKET],
    /// Where an ultra-wideband layer starts: the end, where there is none.
    wideband_ends: [u16; MAX_SPEEX_FRAMES_PER_PACKET],
    count: usize,
    narrowband: bool,
}

impl FrameMap {
    /// Finds the frames. Those in front of a fault count, as they do to the decoder; so do the first
    /// [`MAX_SPEEX_FRAMES_PER_PACKET`] of a packet that holds more.
    pub fn of(packet: &[u8]) -> Result<Self, MalformedSpeex> {
        let nothing = [0; MAX_SPEEX_FRAMES_PER_PACKET];
        let mut map = Self { ends: nothing, wideband_ends: nothing, count: 0, narrowband: true };
        let mut bits = BitReader { bytes: packet, position: 0 };
        while map.count < MAX_SPEEX_FRAMES_PER_PACKET {
            match skip_frame(&mut bits) {
                Ok(Some((narrowband_end, wideband_end))) => {
                    map.narrowband &= narrowband_end == bits.position;
                    map.ends[map.count] = u16::try_from(bits.position).map_err(|_| MalformedSpeex)?;
                    map.wideband_ends[map.count] = wideband_end.min(bits.position) as u16;
                }
                Ok(None) => break,
                Err(_) if map.count > 0 => break,
                Err(error) => return Err(error),
            }
            map.count += 1;
        }
        if map.count == 0 { Err(MalformedSpeex) } else { Ok(map) }
    }

    /// Frames of 20 ms.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The bits of each frame, in order.
    pub fn frames(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        (0..self.count).map(|n| self.start(n)..self.ends[n] as usize)
    }

    /// The same without layers above wideband.
    pub fn wideband_frames(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        (0..self.count).map(|n| self.start(n)..self.wideband_ends[n] as usize)
    }

    /// Whether no frame has a layer above narrowband.
    pub fn is_narrowband(&self) -> bool {
        self.narrowband
    }

    /// Whether a frame has a layer above wideband.
    pub fn is_ultra_wideband(&self) -> bool {
        self.ends != self.wideband_ends
    }

    fn start(&self, frame: usize) -> usize {
        frame.checked_sub(1).map_or(0, |before| self.ends[before] as usize)
    }
}

/// Moves behind the next frame and tells where its narrowband and its wideband layer end; `None` at the end of the packet.
fn skip_frame(bits: &mut BitReader<'_>) -> Result<Option<(usize, usize)>, MalformedSpeex> {
    loop {
        if bits.remaining() < 5 {
            return Ok(None);
        }
        if bits.take(1)? == 1 {
            return Err(MalformedSpeex); // a wideband layer without a narrowband one
        }
        match bits.take(4)? {
            MODE_TERMINATOR => return Ok(None),
            MODE_REQUEST => {
                let width = match bits.take(4)? {
                    0..=1 => 1,
                    2..=7 => 4,
                    8..=9 => 8,
                    10..=11 => 16,
                    12..=13 => 32,
                    _ => 64,
                };
                bits.skip(width)?;
            }
            MODE_USER_DATA => {
                let bytes = bits.take(4)? as usize;
                bits.skip(1 + 8 * bytes)?;
            }
            mode => {
                let length = *NARROWBAND_BITS.get(mode as usize).ok_or(MalformedSpeex)?;
                bits.skip(length - 5)?;
                let narrowband_end = bits.position;
                return skip_wideband_layers(bits).map(|wideband_end| Some((narrowband_end, wideband_end)));
            }
        }
    }
}

fn skip_wideband_layers(bits: &mut BitReader<'_>) -> Result<usize, MalformedSpeex> {
    let mut wideband_end = bits.position;
    for layer in 0..MAX_EXTRA_LAYERS {
        if bits.remaining() < 4 || bits.peek() == 0 {
            break;
        }
        bits.skip(1)?;
        let mode = bits.take(3)?;
        let length = *WIDEBAND_BITS.get(mode as usize).ok_or(MalformedSpeex)?;
        bits.skip(length - 4)?;
        if layer == 0 {
            wideband_end = bits.position;
        }
    }
    Ok(wideband_end)
}

struct BitReader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl BitReader<'_> {
    fn remaining(&self) -> usize {
        self.bytes.len() * 8 - self.position
    }

    /// The next bit; the caller knows that there is one.
    fn peek(&self) -> u8 {
        bit_at(self.bytes, self.position)
    }

    fn take(&mut self, count: usize) -> Result<u32, MalformedSpeex> {
        let start = self.position;
        self.skip(count)?;
        Ok((start..self.position).fold(0, |value, at| value << 1 | bit_at(self.bytes, at) as u32))
    }

    fn skip(&mut self, count: usize) -> Result<(), MalformedSpeex> {
        if count > self.remaining() {
            return Err(MalformedSpeex);
        }
        self.position += count;
        Ok(())
    }
}

fn bit_at(bytes: &[u8], position: usize) -> u8 {
    bytes[position / 8] >> (7 - position % 8) & 1
}

/// Joins frames into a packet.
#[derive(Debug, Default)]
pub struct FrameJoiner {
    bytes: Vec<u8>,
    bits: usize,
}

impl FrameJoiner {
    /// Appends the bits `frame` of `packet`; they must lie in it.
    pub fn push(&mut self, packet: &[u8], frame: Range<usize>) {
        for position in frame {
            if self.bits.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.len() - 1;
            self.bytes[last] |= bit_at(packet, position) << (7 - self.bits % 8);
            self.bits += 1;
        }
    }

    /// Fills the last byte and hands the packet out; the joiner is empty when it has been read.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.bits.is_multiple_of(8) {
            let last = self.bytes.len() - 1;
            self.bytes[last] |= 0x7F >> (self.bits % 8);
        }
        out.extend_from_slice(&self.bytes);
        self.bytes.clear();
        self.bits = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::{Codec, Decoder, Encoder, SampleRate},
        testing::{Random, voice},
    };
    use proptest::prelude::*;
    use speex_codec::{Encoder as Speex, Mode};

    fn packet_of(mode: Mode, quality: u8, frames: usize) -> Vec<u8> {
        let rate = match mode {
            Mode::Narrowband => SampleRate::Hz8000,
            Mode::Wideband => SampleRate::Hz16000,
            Mode::UltraWideband => SampleRate::Hz32000,
        };
        let mut encoder = Speex::new(mode);
        encoder.set_quality(quality);
        let pcm = voice(rate, 20 * frames as u32, 7);
        let mut out = vec![0; 2000];
        let written = encoder.encode(&pcm, &mut out).unwrap();
        out.truncate(written);
        out
    }

    #[test]
    fn frames_of_every_quality_and_band_are_counted() {
        for mode in [Mode::Narrowband, Mode::Wideband, Mode::UltraWideband] {
            for quality in 0..=10 {
                for frames in [1, 2, 3, 10, 16] {
                    let packet = packet_of(mode, quality, frames);
                    let map = FrameMap::of(&packet).unwrap();
                    assert_eq!(map.count(), frames, "{mode:?} quality {quality}");
                    assert_eq!(map.is_narrowband(), mode == Mode::Narrowband, "{mode:?} quality {quality}");
                }
            }
        }
    }

    #[test]
    fn frames_split_off_decode_to_the_same_sound() {
        for (codec, mode) in [(Codec::SpeexWideband, Mode::Wideband), (Codec::SpeexNarrowband, Mode::Narrowband)] {
            let packet = packet_of(mode, 8, 5);
            let (mut whole, mut pieces, mut single) = (Vec::new(), Vec::new(), Vec::new());
            Decoder::new(codec).decode(&packet, &mut whole).unwrap();
            let (mut decoder, mut joiner) = (Decoder::new(codec), FrameJoiner::default());
            for frame in FrameMap::of(&packet).unwrap().frames() {
                joiner.push(&packet, frame);
                single.clear();
                joiner.finish(&mut single);
                assert_eq!(FrameMap::of(&single).unwrap().count(), 1);
                decoder.decode(&single, &mut pieces).unwrap();
            }
            assert_eq!(whole, pieces);
        }
    }

    #[test]
    fn without_the_layer_above_wideband_the_lower_bands_are_as_before() {
        let packet = packet_of(Mode::UltraWideband, 8, 3);
        let map = FrameMap::of(&packet).unwrap();
        assert!(map.is_ultra_wideband() && map.count() == 3);
        let (mut joiner, mut wide) = (FrameJoiner::default(), Vec::new());
        map.wideband_frames().for_each(|bits| joiner.push(&packet, bits));
        joiner.finish(&mut wide);
        assert!(!FrameMap::of(&wide).unwrap().is_ultra_wideband());
        let decode = |packet: &[u8]| {
            let mut pcm = Vec::new();
            Decoder::new(Codec::SpeexWideband).decode(packet, &mut pcm).unwrap();
            pcm
        };
        assert_eq!(decode(&wide), decode(&packet));
    }

    #[test]
    fn single_frames_joined_are_the_packet_that_the_encoder_makes() {
        let pcm = voice(SampleRate::Hz16000, 60, 3);
        let (mut one_packet, mut joined) = (Vec::new(), Vec::new());
        Encoder::new(Codec::SpeexWideband).encode(&pcm, &mut one_packet).unwrap();
        let (mut encoder, mut joiner) = (Encoder::new(Codec::SpeexWideband), FrameJoiner::default());
        for frame in pcm.chunks(320) {
            let mut packet = Vec::new();
            encoder.encode(frame, &mut packet).unwrap();
            for bits in FrameMap::of(&packet).unwrap().frames() {
                joiner.push(&packet, bits);
            }
        }
        joiner.finish(&mut joined);
        assert_eq!(joined, one_packet);
    }

    #[test]
    fn of_a_packet_of_255_frames_the_first_sixteen_count() {
        // Mode 0 frames are five zero bits.
        assert_eq!(FrameMap::of(&[0; 160]).unwrap().count(), MAX_SPEEX_FRAMES_PER_PACKET);
    }

    #[test]
    fn a_packet_without_a_frame_is_refused_and_a_fault_ends_the_count() {
        assert_eq!(FrameMap::of(&[]), Err(MalformedSpeex));
        assert_eq!(FrameMap::of(&[0x7F]), Err(MalformedSpeex)); // the terminator alone
        let mut packet = packet_of(Mode::Narrowband, 8, 1); // 300 bits, then four of padding
        let last = packet.len() - 1;
        packet[last] = packet[last] & 0xF0 | 0b0110;
        packet.push(0xFF);
        assert_eq!(FrameMap::of(&packet).unwrap().count(), 1); // what follows names a mode that does not exist
    }

    #[test]
    fn a_cut_packet_is_refused_or_shorter() {
        let packet = packet_of(Mode::Wideband, 8, 3);
        for length in 0..packet.len() {
            if let Ok(map) = FrameMap::of(&packet[..length]) {
                assert!(map.count() < 3);
            }
        }
    }

    #[test]
    fn a_hundred_thousand_random_packets_do_no_harm() {
        let mut random = Random::new(5);
        for _ in 0..100_000 {
            let packet: Vec<u8> = (0..random.below(120)).map(|_| random.next_u64() as u8).collect();
            if let Ok(map) = FrameMap::of(&packet) {
                assert!(map.frames().all(|bits| bits.end <= packet.len() * 8));
            }
        }
    }

    proptest! {
        #[test]
        fn joining_keeps_every_bit(lengths in proptest::collection::vec(1usize..60, 1..8)) {
            let source: Vec<u8> = (0..100).map(|n| (n * 37) as u8).collect();
            let (mut joiner, mut out, mut at) = (FrameJoiner::default(), Vec::new(), 0);
            for length in lengths {
                joiner.push(&source, at..at + length);
                at += length;
            }
            joiner.finish(&mut out);
            for position in 0..at {
                prop_assert_eq!(bit_at(&out, position), bit_at(&source, position));
            }
        }
    }
}

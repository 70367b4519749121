//! What the phone's room sounds like, learned from what is sent: how loud noise shall be where audio is missing, and which
//! units nobody would miss.

use crate::{
    codec::{Codec, SampleRate, g711},
    noise::Noise,
    speex_level,
};

use super::packets::Unit;

/// Of relayed G.711 one unit in so many is listened to.
const LISTEN_EVERY: u32 = 16;

/// Learner and maker of the phone's background noise.
#[derive(Default)]
pub(super) struct Background {
    noise: Noise,
    pcm: Vec<i16>,
    payload: Vec<u8>,
    /// Units relayed since the last that was listened to.
    unheard: u32,
    /// Samples of the last linear unit.
    linear: usize,
}

impl Background {
    /// Listens to a unit that is sent.
    pub(super) fn learn(&mut self, codec: Codec, unit: &Unit) {
        if unit.is_linear() {
            self.noise.observe(&unit.pcm);
            self.linear = unit.pcm.len();
        } else if codec.is_speex() {
            if let Some(level) = speex_level::noise_level(&unit.bytes) {
                self.noise.observe_level(1, level);
            }
        } else {
            self.unheard += 1;
            if self.unheard >= LISTEN_EVERY && self.decode(codec, &unit.bytes) {
                self.noise.observe_one_of(self.unheard, &self.pcm);
                self.unheard = 0;
            }
        }
    }

    /// Whether nobody misses the unit. Of codecs that would have to be decoded it is not known.
    pub(super) fn is_quiet(&mut self, codec: Codec, unit: &Unit) -> bool {
        if unit.is_linear() {
            !self.noise.is_speech(&unit.pcm)
        } else if codec.is_speex() {
            speex_level::noise_level(&unit.bytes).is_some_and(|level| !self.noise.is_speech_level(level))
        } else {
            self.decode(codec, &unit.bytes) && !self.noise.is_speech(&self.pcm)
        }
    }

    /// Makes a unit of it, at the rate of the audio that is encoded for the codec otherwise.
    pub(super) fn make_unit(&mut self, codec: Codec, unit_ms: u32, out: &mut Vec<i16>) {
        let rate = if codec == Codec::Opus { SampleRate::Hz16000 } else { codec.sample_rate() };
        let relayed = rate.samples_in_ms(unit_ms);
        let linear = SampleRate::ALL.iter().any(|rate| rate.samples_in_ms(unit_ms) == self.linear);
        self.noise.samples(if linear && codec == Codec::Opus { self.linear } else { relayed }, out);
    }

    /// Its description (RFC 3389).
    pub(super) fn payload(&mut self) -> &[u8] {
        self.payload.clear();
        self.noise.describe(&mut self.payload);
        &self.payload
    }

    fn decode(&mut self, codec: Codec, bytes: &[u8]) -> bool {
        let decode = match codec {
            Codec::Pcmu => g711::decode_ulaw,
            Codec::Pcma => g711::decode_alaw,
            _ => return false,
        };
        self.pcm.clear();
        self.pcm.extend(bytes.iter().map(|&byte| decode(byte)));
        true
    }
}

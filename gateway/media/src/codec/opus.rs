//! Opus (RFC 6716, RFC 7587): libopus 1.3.1 as Rust that was translated by machine, behind a safe face.
//!
//! `unsafe-libopus` needs no C compiler and no cmake, and keeps libopus's C interface: raw states and raw buffers. This is
//! the one module of the workspace that may call it, and every call says why it is sound. The state behind the pointer
//! holds no address of its own memory and shares nothing, so it may move between threads.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use super::{CodecError, SampleRate, ahead::Ahead};
use crate::{
    limits::{MAX_OPUS_PACKET_BYTES, OPUS_COMPLEXITY, OPUS_EXPECTED_LOSS, OPUS_LEAST_LOSS},
    plc::Concealer,
};

/// The longest packet, milliseconds (RFC 7587 section 4.2).
const LONGEST_MS: u32 = 120;

/// What the receiver of our Opus asked for in its `a=fmtp` (RFC 7587 section 6.1). The default is that of the RFC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpusWishes {
    /// `useinbandfec`: it makes use of the redundancy for a lost packet that the next one can carry.
    pub redundancy: bool,
    /// `usedtx`: it would rather have no packets in pauses.
    pub pauses: bool,
    /// `cbr`: it wants every packet of the same size.
    pub constant: bool,
    /// `maxplaybackrate`: what it can play at most, Hz.
    pub playback_hz: u32,
    /// `maxaveragebitrate`: bit/s at most.
    pub bits_a_second: Option<u32>,
}

impl Default for OpusWishes {
    fn default() -> Self {
        Self { redundancy: false, pauses: false, constant: false, playback_hz: 48_000, bits_a_second: None }
    }
}

impl OpusWishes {
    /// Reads the parameters of an `a=fmtp`; what is unknown or nonsense is as if absent.
    pub fn parse(parameters: &str) -> Self {
        let mut wishes = Self::default();
        for parameter in parameters.split(';') {
            let Some((name, value)) = parameter.split_once('=') else { continue };
            let Ok(value) = value.trim().parse::<u32>() else { continue };
            match name.trim().to_ascii_lowercase().as_str() {
                "useinbandfec" => wishes.redundancy = value == 1,
                "usedtx" => wishes.pauses = value == 1,
                "cbr" => wishes.constant = value == 1,
                "maxplaybackrate" => wishes.playback_hz = value.clamp(8000, 48_000),
                // libopus's own bounds.
                "maxaveragebitrate" => wishes.bits_a_second = Some(value.clamp(6000, 510_000)),
                _ => {}
            }
        }
        wishes
    }
}

/// Length of a packet in samples at 48 kHz, without decoding it: 120 to 5760 (RFC 6716 section 3.1 and 3.2).
pub fn packet_length(packet: &[u8]) -> Result<u32, CodecError> {
    let (&toc, rest) = packet.split_first().ok_or(CodecError::Malformed)?;
    // The four lengths of each coder of table 2, in samples at 48 kHz.
    let frame = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880][config as usize % 4],
        config @ 12..=15 => [480, 960][config as usize % 2],
        config => [120, 240, 480, 960][config as usize % 4],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(rest.first().ok_or(CodecError::Malformed)? & 0x3F),
    };
    let length = frame * frames;
    if length == 0 || length > 48 * LONGEST_MS { Err(CodecError::Malformed) } else { Ok(length) }
}

/// Whether a packet of one frame carries the frame before it once more: the flag behind the voice activity flags at the
/// start of the SILK part (RFC 6716 section 4.2.3), here of one frame of 10 or 20 ms.
pub(crate) fn has_redundancy(packet: &[u8]) -> bool {
    let &[toc, silk, _, ..] = packet else { return false };
    let (is_silk, short, stereo, one_frame) =
        (toc >> 3 < 16, toc >> 3 >= 12 || toc >> 3 & 3 < 2, toc & 4 != 0, toc & 3 == 0);
    let flags = if stereo { 0b0101_0000 } else { 0b0100_0000 };
    is_silk && short && one_frame && silk & flags == flags
}

/// Whether a packet says only that its time is a pause (discontinuous transmission): no frame of more than one byte.
fn is_pause(packet: &[u8]) -> bool {
    match packet {
        [] => true,
        [toc, frames @ ..] => match toc & 3 {
            0 => frames.len() <= 1,
            1 => frames.len() <= 2,
            _ => false,
        },
    }
}

/// A decoder of one channel. What is missing is concealed by [`Concealer`], not by libopus: the translation of libopus
/// 1.3.1's concealment (`silk_PLC_conceal` of unsafe-libopus 0.2.0) takes the lower bound of 16 bits for 32768, so that
/// every sample comes out as 32767, and leaves that in the decoder's memory.
///
/// ```text
/// heard     | k | invented | redundancy of k+3 | k+3 |       what is invented leads over to what is known behind it
/// memory    | k |    k     |        k+2        | k+3 |
/// ```
pub struct OpusDecoder {
    state: NonNull<unsafe_libopus::OpusDecoder>,
    rate: SampleRate,
    concealer: Concealer,
    /// The last packet that was heard.
    last: Vec<u8>,
    ahead: Ahead,
    /// What nobody is to hear.
    unheard: Vec<i16>,
}

// SAFETY: the state is plain memory that only this value points to; nothing in it is bound to a thread.
unsafe impl Send for OpusDecoder {}

impl OpusDecoder {
    /// A decoder in its first state.
    ///
    /// # Panics
    /// At 32 kHz, which Opus does not have: [`super::Codec::rate_beside`] never says so.
    pub fn new(rate: SampleRate) -> Self {
        let mut error = 0;
        // SAFETY: `error` outlives the call, which allocates the state and says null if it cannot be made.
        let state = unsafe { unsafe_libopus::opus_decoder_create(rate.hz() as i32, 1, &mut error) };
        let state = NonNull::new(state).expect("8, 16 and 48 kHz of one channel are always possible");
        let (last, unheard) = (Vec::new(), Vec::new());
        Self { state, rate, concealer: Concealer::new(rate), last, ahead: Ahead::default(), unheard }
    }

    /// Samples a second that come out.
    pub fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Appends the samples of `packet` to `out`, which is left as it was on an error.
    pub fn decode(&mut self, packet: &[u8], out: &mut Vec<i16>) -> Result<(), CodecError> {
        let samples = packet_length(packet)? / (48_000 / self.rate.hz());
        if packet.len() > MAX_OPUS_PACKET_BYTES {
            return Err(CodecError::Malformed);
        }
        if is_pause(packet) {
            self.concealer.conceal(samples as usize, out);
            return Ok(());
        }
        let start = out.len();
        match self.ahead.take(packet) {
            Some(pcm) => out.extend(pcm),
            None => self.run(packet, samples as usize, false, out)?,
        }
        self.concealer.heard(&mut out[start..]);
        self.last.clear();
        self.last.extend_from_slice(packet);
        Ok(())
    }

    /// Appends `samples` that hide what was lost; the last of them from the redundancy of the packet `next`, which is right
    /// behind, if it has some.
    pub fn conceal(&mut self, samples: usize, next: Option<&[u8]>, out: &mut Vec<i16>) {
        let samples = samples.min(self.rate.samples_in_ms(LONGEST_MS));
        self.ahead.clear();
        let next = next.filter(|packet| packet.len() <= MAX_OPUS_PACKET_BYTES && !is_pause(packet));
        let Some((next, length)) = next.and_then(|next| Some((next, self.samples_of(next)?))) else {
            self.concealer.conceal(samples, out);
            return self.age(samples);
        };
        let told = if has_redundancy(next) && length <= samples { length } else { 0 };
        self.age(samples - told);
        let mut pcm = Vec::new();
        // What cannot be decoded leaves nothing to lead over to.
        let _ = self.run(next, length, told > 0, &mut pcm);
        if told > 0 && pcm.len() == told {
            if samples > told {
                self.concealer.bridge(samples - told, &pcm, out);
            }
            self.concealer.heard(&mut pcm);
            out.append(&mut pcm);
        } else {
            self.concealer.bridge(samples, &pcm, out);
            if pcm.len() == length {
                self.ahead.keep(next, pcm);
            }
        }
    }

    fn samples_of(&self, packet: &[u8]) -> Option<usize> {
        packet_length(packet).ok().map(|length| (length / (48_000 / self.rate.hz())) as usize)
    }

    /// The decoder hears its last packet again, so that its memory is as old as the sound.
    fn age(&mut self, samples: usize) {
        let Some(length) = self.samples_of(&self.last) else { return };
        let (last, mut unheard) = (std::mem::take(&mut self.last), std::mem::take(&mut self.unheard));
        for _ in 0..samples / length {
            unheard.clear();
            // It was decoded before; if it were not now, the memory would stay as it is.
            let _ = self.run(&last, length, false, &mut unheard);
        }
        (self.last, self.unheard) = (last, unheard);
    }

    fn run(&mut self, packet: &[u8], samples: usize, redundancy: bool, out: &mut Vec<i16>) -> Result<(), CodecError> {
        let start = out.len();
        out.resize(start + samples, 0);
        let (data, length) = (packet.as_ptr(), packet.len() as i32);
        let room = out[start..].as_mut_ptr();
        // SAFETY: the state is alive and ours alone; `data` holds `length` bytes that are only read; `room` has space for
        // `samples` samples, and libopus writes at most as many as it is told.
        let written = unsafe {
            unsafe_libopus::opus_decode(self.state.as_ptr(), data, length, room, samples as i32, i32::from(redundancy))
        };
        out.truncate(start + usize::try_from(written).unwrap_or(0));
        if written <= 0 { Err(CodecError::Malformed) } else { Ok(()) }
    }

    /// Forgets the past: the next packet starts a stream.
    pub fn reset(&mut self) {
        self.concealer = Concealer::new(self.rate);
        self.last.clear();
        self.ahead.clear();
        // SAFETY: the state is alive and ours alone; this request takes no argument.
        unsafe {
            unsafe_libopus::opus_decoder_ctl_impl(
                self.state.as_ptr(),
                unsafe_libopus::OPUS_RESET_STATE,
                unsafe_libopus::varargs!(),
            )
        };
    }
}

impl Drop for OpusDecoder {
    fn drop(&mut self) {
        // SAFETY: the state came from `opus_decoder_create` and is not used again.
        unsafe { unsafe_libopus::opus_decoder_destroy(self.state.as_ptr()) };
    }
}

/// An encoder of one channel, tuned to speech.
pub struct OpusEncoder {
    state: NonNull<unsafe_libopus::OpusEncoder>,
    rate: SampleRate,
    /// It has fewer bits than usual.
    thin: bool,
}

// SAFETY: as for `OpusDecoder`.
unsafe impl Send for OpusEncoder {}

impl OpusEncoder {
    /// An encoder for somebody with these wishes.
    ///
    /// # Panics
    /// At 32 kHz, which Opus does not have.
    pub fn new(rate: SampleRate, wishes: &OpusWishes) -> Self {
        let mut error = 0;
        // SAFETY: `error` outlives the call, which allocates the state and says null if it cannot be made.
        let state = unsafe {
            unsafe_libopus::opus_encoder_create(rate.hz() as i32, 1, unsafe_libopus::OPUS_APPLICATION_VOIP, &mut error)
        };
        let state = NonNull::new(state).expect("8, 16 and 48 kHz of one channel are always possible");
        let bits = usual_bits(rate).min(wishes.bits_a_second.unwrap_or(u32::MAX));
        let mut encoder = Self { state, rate, thin: bits < usual_bits(rate) };
        encoder.set(unsafe_libopus::OPUS_SET_BITRATE_REQUEST, bits as i32);
        encoder.set(unsafe_libopus::OPUS_SET_MAX_BANDWIDTH_REQUEST, bandwidth(wishes.playback_hz));
        encoder.set(unsafe_libopus::OPUS_SET_COMPLEXITY_REQUEST, i32::from(OPUS_COMPLEXITY));
        encoder.set(unsafe_libopus::OPUS_SET_SIGNAL_REQUEST, unsafe_libopus::OPUS_SIGNAL_VOICE);
        encoder.set(unsafe_libopus::OPUS_SET_INBAND_FEC_REQUEST, i32::from(wishes.redundancy));
        encoder.set(unsafe_libopus::OPUS_SET_DTX_REQUEST, i32::from(wishes.pauses));
        // Without redundancy this would only make frames lean less on each other.
        encoder.set_expected_loss(if wishes.redundancy { OPUS_EXPECTED_LOSS } else { 0 });
        encoder.set(unsafe_libopus::OPUS_SET_VBR_REQUEST, i32::from(!wishes.constant));
        encoder
    }

    /// Samples a second that go in.
    pub fn rate(&self) -> SampleRate {
        self.rate
    }

    /// How much of what is sent gets lost: the more, the more bits are spent on redundancy, if that is wished for.
    ///
    /// At our bits and effort libopus sends no redundancy for 3 to 5 %, and for 6 to 8 % gives up bandwidth for it: what is
    /// more than nothing counts as [`OPUS_LEAST_LOSS`], unless there are fewer bits.
    pub fn set_expected_loss(&mut self, percent: u8) {
        let percent = if percent == 0 || self.thin { percent } else { percent.max(OPUS_LEAST_LOSS) };
        self.set(unsafe_libopus::OPUS_SET_PACKET_LOSS_PERC_REQUEST, i32::from(percent.min(100)));
    }

    /// Appends one packet with all of `pcm`, which is 10, 20, 40 or 60 ms, to `out`.
    pub fn encode(&mut self, pcm: &[i16], out: &mut Vec<u8>) -> Result<(), CodecError> {
        let milliseconds = [10, 20, 40, 60];
        if !milliseconds.into_iter().any(|ms| self.rate.samples_in_ms(ms) == pcm.len()) {
            return Err(CodecError::PartialFrame);
        }
        let start = out.len();
        out.resize(start + MAX_OPUS_PACKET_BYTES, 0);
        let room = &mut out[start..];
        // SAFETY: the state is alive and ours alone; `pcm` holds the samples that its length says, which are only read;
        // `room` has space for the bytes that its length says.
        let written = unsafe {
            let (samples, bytes) = (pcm.len() as i32, room.len() as i32);
            unsafe_libopus::opus_encode(self.state.as_ptr(), pcm.as_ptr(), samples, room.as_mut_ptr(), bytes)
        };
        out.truncate(start + usize::try_from(written).unwrap_or(0));
        if written <= 0 { Err(CodecError::PartialFrame) } else { Ok(()) }
    }

    /// Forgets the past.
    pub fn reset(&mut self) {
        // SAFETY: the state is alive and ours alone; this request takes no argument.
        unsafe {
            unsafe_libopus::opus_encoder_ctl_impl(
                self.state.as_ptr(),
                unsafe_libopus::OPUS_RESET_STATE,
                unsafe_libopus::varargs!(),
            )
        };
    }

    fn set(&mut self, request: i32, value: i32) {
        // SAFETY: the state is alive and ours alone; all requests of this module take one number.
        let answer = unsafe {
            unsafe_libopus::opus_encoder_ctl_impl(self.state.as_ptr(), request, unsafe_libopus::varargs!(value))
        };
        debug_assert_eq!(answer, unsafe_libopus::OPUS_OK, "request {request} with {value}");
    }
}

impl Drop for OpusEncoder {
    fn drop(&mut self) {
        // SAFETY: the state came from `opus_encoder_create` and is not used again.
        unsafe { unsafe_libopus::opus_encoder_destroy(self.state.as_ptr()) };
    }
}

/// Bits of speech a second: the upper end of what RFC 7587 section 3.1.1 recommends for the band, and above for
/// wideband, because bits cost less than the encoder's effort.
fn usual_bits(rate: SampleRate) -> u32 {
    match rate {
        SampleRate::Hz8000 => 20_000,
        SampleRate::Hz16000 => 32_000,
        SampleRate::Hz32000 | SampleRate::Hz48000 => 40_000,
    }
}

/// The widest band that fits into a sample rate (RFC 7587 section 6.1, maxplaybackrate).
fn bandwidth(playback_hz: u32) -> i32 {
    match playback_hz {
        ..12_000 => unsafe_libopus::OPUS_BANDWIDTH_NARROWBAND,
        12_000..16_000 => unsafe_libopus::OPUS_BANDWIDTH_MEDIUMBAND,
        16_000..24_000 => unsafe_libopus::OPUS_BANDWIDTH_WIDEBAND,
        24_000..48_000 => unsafe_libopus::OPUS_BANDWIDTH_SUPERWIDEBAND,
        48_000.. => unsafe_libopus::OPUS_BANDWIDTH_FULLBAND,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, band_distance_db, rms, voice};

    const RATES: [SampleRate; 3] = [SampleRate::Hz8000, SampleRate::Hz16000, SampleRate::Hz48000];

    fn packets(rate: SampleRate, wishes: &OpusWishes, pcm: &[i16], ms: u32) -> Vec<Vec<u8>> {
        let mut encoder = OpusEncoder::new(rate, wishes);
        encoder.set_expected_loss(20);
        let encode = |frame: &[i16]| {
            let mut packet = Vec::new();
            encoder.encode(frame, &mut packet).unwrap();
            packet
        };
        pcm.chunks_exact(rate.samples_in_ms(ms)).map(encode).collect()
    }

    #[test]
    fn packets_of_every_length_come_back_as_long_as_they_went_in() {
        for rate in RATES {
            for ms in [10, 20, 40, 60] {
                let speech = voice(rate, 1200, 1);
                let packets = packets(rate, &OpusWishes::default(), &speech, ms);
                let (mut decoder, mut out) = (OpusDecoder::new(rate), Vec::new());
                for packet in &packets {
                    assert_eq!(packet_length(packet).unwrap(), 48 * ms);
                    decoder.decode(packet, &mut out).unwrap();
                }
                assert_eq!(out.len(), speech.len(), "{rate:?} {ms} ms");
            }
        }
    }

    #[test]
    fn redundancy_brings_back_what_concealment_can_only_guess() {
        let rate = SampleRate::Hz16000;
        let speech = voice(rate, 6000, 5);
        let wishes = OpusWishes { redundancy: true, ..OpusWishes::default() };
        let packets = packets(rate, &wishes, &speech, 20);
        let heard = |redundancy: bool| {
            let (mut decoder, mut out) = (OpusDecoder::new(rate), Vec::new());
            for (n, packet) in packets.iter().enumerate() {
                match packets.get(n + 1) {
                    Some(next) if n % 5 == 3 => decoder.conceal(320, redundancy.then_some(&next[..]), &mut out),
                    _ => decoder.decode(packet, &mut out).unwrap(),
                }
            }
            assert_eq!(out.len(), speech.len());
            out
        };
        let delay = 104; // of encoder and decoder at 16 kHz
        let distance = |redundancy| band_distance_db(&speech, &heard(redundancy)[delay..], rate);
        let (with, without) = (distance(true), distance(false));
        assert!(with < without - 0.3, "{with:.2} dB with, {without:.2} dB without");
    }

    #[test]
    fn the_packet_behind_a_gap_is_led_over_to_and_decoded_once() {
        let rate = SampleRate::Hz16000;
        let packets = packets(rate, &OpusWishes::default(), &voice(rate, 2000, 4), 20);
        let heard = |lead: bool| {
            let (mut decoder, mut out) = (OpusDecoder::new(rate), Vec::new());
            for (n, packet) in packets.iter().enumerate() {
                match packets.get(n + 1) {
                    Some(next) if n == 50 => decoder.conceal(320, lead.then_some(&next[..]), &mut out),
                    _ => decoder.decode(packet, &mut out).unwrap(),
                }
            }
            assert_eq!(out.len(), 320 * packets.len());
            out
        };
        let (led, left) = (heard(true), heard(false));
        assert_ne!(led[50 * 320..51 * 320], left[50 * 320..51 * 320], "what is invented knows what follows");
        let blended = rate.samples_in_ms(20) / 8;
        assert_eq!(led[51 * 320 + blended..], left[51 * 320 + blended..], "the memory is that of one decoding");
    }

    #[test]
    fn what_is_invented_is_no_louder_than_what_was_said_nor_is_what_follows() {
        for rate in RATES {
            let speech = voice(rate, 4000, 5);
            let loudest = |pcm: &[i16]| pcm.chunks(rate.samples_in_ms(20)).map(rms).fold(0.0, f64::max);
            let packets = packets(rate, &OpusWishes::default(), &speech, 20);
            let (mut decoder, mut out) = (OpusDecoder::new(rate), Vec::new());
            for (n, packet) in packets.iter().enumerate() {
                match n % 10 {
                    5 | 6 => decoder.conceal(rate.samples_in_ms(20), None, &mut out),
                    _ => decoder.decode(packet, &mut out).unwrap(),
                }
            }
            assert_eq!(out.len(), speech.len());
            let (said, heard) = (loudest(&speech), loudest(&out));
            assert!(heard < 1.2 * said, "{rate:?}: {heard:.0} of {said:.0}");
        }
    }

    #[test]
    fn a_packet_that_only_says_pause_is_as_quiet_as_the_background() {
        let rate = SampleRate::Hz16000;
        let wishes = OpusWishes { pauses: true, ..OpusWishes::default() };
        let mut pcm = voice(rate, 2000, 5);
        pcm.extend(vec![0; rate.samples_in_ms(3000)]);
        let packets = packets(rate, &wishes, &pcm, 20);
        let (mut decoder, mut out) = (OpusDecoder::new(rate), Vec::new());
        for packet in &packets {
            decoder.decode(packet, &mut out).unwrap();
        }
        assert!(packets.iter().filter(|packet| is_pause(packet)).count() > 100);
        assert!(out[rate.samples_in_ms(3000)..].iter().all(|sample| sample.abs() < 300));
    }

    #[test]
    fn in_pauses_a_receiver_that_wishes_so_is_sent_next_to_nothing() {
        let rate = SampleRate::Hz16000;
        let silence = vec![0; rate.samples_in_ms(3000)];
        let pauses = OpusWishes { pauses: true, ..OpusWishes::default() };
        let small = |wishes| packets(rate, wishes, &silence, 20).iter().filter(|packet| packet.len() <= 2).count();
        assert!(small(&pauses) > 100);
        assert_eq!(small(&OpusWishes::default()), 0);
    }

    #[test]
    fn the_receiver_s_band_and_bit_rate_are_kept() {
        let rate = SampleRate::Hz48000;
        let speech = voice(rate, 2000, 5);
        let narrow = OpusWishes { playback_hz: 8000, ..OpusWishes::default() };
        for packet in packets(rate, &narrow, &speech, 20) {
            // Configurations of narrowband: SILK 0 to 3, CELT 16 to 19 (RFC 6716 table 2).
            assert!(matches!(packet[0] >> 3, 0..=3 | 16..=19), "{:#x}", packet[0]);
        }
        let thin = OpusWishes { bits_a_second: Some(8000), ..OpusWishes::default() };
        let bytes: usize = packets(rate, &thin, &speech, 20).iter().map(Vec::len).sum();
        assert!(bytes < 2600, "{bytes} bytes in 2 s");
    }

    #[test]
    fn the_wishes_of_a_receiver_are_read_leniently() {
        let wishes =
            OpusWishes::parse(" maxplaybackrate = 16000; UseInbandFec=1;usedtx=1; stereo=1; cbr=x;=;;minptime");
        let expected = OpusWishes { redundancy: true, pauses: true, playback_hz: 16_000, ..OpusWishes::default() };
        assert_eq!(wishes, expected);
        assert_eq!(OpusWishes::parse("maxaveragebitrate=1").bits_a_second, Some(6000));
        assert_eq!(OpusWishes::parse(""), OpusWishes::default());
    }

    #[test]
    fn an_empty_packet_or_one_beyond_120_ms_is_malformed() {
        for packet in [&[][..], &[0x03], &[0x1B, 3, 0, 0], &[0x03, 0], &[0x9B, 49]] {
            assert_eq!(packet_length(packet), Err(CodecError::Malformed), "{packet:x?}");
        }
        assert_eq!(packet_length(&[0x1B, 2, 0]), Ok(5760)); // twice 60 ms
    }

    #[test]
    fn fifty_thousand_hostile_packets_are_refused_or_played() {
        let mut random = Random::new(9);
        let wishes = OpusWishes { redundancy: true, ..OpusWishes::default() };
        let mut seeds = Vec::new();
        for rate in RATES {
            for ms in [10, 20, 60] {
                seeds.extend(packets(rate, &wishes, &voice(rate, 600, 2), ms));
            }
        }
        let mut decoders = RATES.map(OpusDecoder::new);
        let mut out = Vec::new();
        let mut played = 0;
        for _ in 0..50_000 {
            let mut packet = seeds[random.below(seeds.len() as u64) as usize].clone();
            match random.below(5) {
                0 => packet.truncate(random.below(packet.len() as u64 + 1) as usize),
                1 => packet.extend((0..random.below(40)).map(|_| random.next_u64() as u8)),
                2 => packet = (0..random.below(1400)).map(|_| random.next_u64() as u8).collect(),
                3 => packet[0] = random.next_u64() as u8,
                _ => (0..4).for_each(|_| {
                    let at = random.below(packet.len() as u64) as usize;
                    packet[at] = random.next_u64() as u8;
                }),
            }
            let decoder = &mut decoders[random.below(3) as usize];
            out.clear();
            if random.chance(0.2) {
                let samples = decoder.rate().samples_in_ms(20);
                decoder.conceal(samples, Some(packet.as_slice()), &mut out);
                assert_eq!(out.len(), samples);
            } else if decoder.decode(&packet, &mut out).is_ok() {
                played += 1;
            }
            assert!(out.len() <= decoder.rate().samples_in_ms(120));
        }
        assert!(played > 10_000, "{played}");
    }
}

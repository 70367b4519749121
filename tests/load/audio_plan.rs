//! What is sent: prepared once, so that the tool does no codec work while it measures.
//!
//! Relayed calls carry speech whose frames are all different: a frame that comes out names the moment at which it went in.
//! Transcoded calls carry a burst of tone every half second: where it begins is found again on the other side.

use crate::options::SipCodec;
use gateway_tests::speech::{self, Speaker};
use gateway_tests::voice::PhoneVoice;
use gateway_tests::{audio, g711, voice};
use speex_codec::Mode;
use std::collections::HashMap;
use std::time::Duration;

/// Length of the prepared audio; it is sent round and round.
const FRAMES: usize = 500;
/// A burst begins every so many 20 ms frames.
const BURST_EVERY: usize = 25;
const BURST_AMPLITUDE: f64 = 7000.0;
/// A sample above this after 200 ms without one is the beginning of a burst.
const ONSET: u16 = 2000;

/// One direction's frames, without tag bytes or RTP headers.
pub(crate) struct Plan {
    pub(crate) frames: Vec<Vec<u8>>,
    /// Frames that occur once only, by their bytes.
    pub(crate) unique: HashMap<Vec<u8>, usize>,
    /// Codec delay of a burst through the bare codecs, as onset times see it.
    pub(crate) bare_delay: Duration,
}

/// What phones send.
pub(crate) fn uplink(codec: SipCodec) -> Plan {
    match codec {
        SipCodec::Speex => spoken(Speaker::Anna),
        SipCodec::Pcmu => {
            let pcm = bursts(16_000);
            let frames = PhoneVoice::SpeexWideband.frames(&pcm, 8);
            let decoded = voice::decode_speex(Mode::Wideband, frames.iter().map(Vec::as_slice));
            let heard: Vec<i16> = audio::halve(&decoded);
            let bare_delay = onset_shift(&pcm, 16_000, &heard, 8000);
            Plan { frames, unique: HashMap::new(), bare_delay }
        }
    }
}

/// What agents send; `wideband` says how the gateway encodes it for the phone.
pub(crate) fn downlink(codec: SipCodec, wideband: bool) -> Plan {
    match codec {
        SipCodec::Speex => spoken(Speaker::Ben),
        SipCodec::Pcmu => {
            let pcm = bursts(8000);
            let frames = PhoneVoice::Pcmu.frames(&pcm, 8);
            let heard = if wideband {
                let encoded = PhoneVoice::SpeexWideband.frames(&audio::double(&pcm), 8);
                voice::decode_speex(Mode::Wideband, encoded.iter().map(Vec::as_slice))
            } else {
                let encoded = PhoneVoice::SpeexNarrowband.frames(&pcm, 8);
                voice::decode_speex(Mode::Wideband, encoded.iter().map(Vec::as_slice))
            };
            let bare_delay = onset_shift(&pcm, 8000, &heard, 16_000);
            Plan { frames, unique: HashMap::new(), bare_delay }
        }
    }
}

fn spoken(speaker: Speaker) -> Plan {
    let mut pcm = speech::pcm(speaker, 16_000);
    // A breath of noise keeps frames of silence apart.
    let mut chance = gateway_tests::network::Chance::new(1);
    for sample in &mut pcm {
        *sample = sample.saturating_add((chance.unit() * 60.0) as i16 - 30);
    }
    let mut frames = PhoneVoice::SpeexWideband.frames(&pcm, 8);
    frames.truncate(FRAMES);
    let mut unique: HashMap<Vec<u8>, usize> = HashMap::new();
    for (number, frame) in frames.iter().enumerate() {
        // A frame that occurs twice names no moment: it is taken out again.
        unique.entry(frame.clone()).and_modify(|at| *at = usize::MAX).or_insert(number);
    }
    unique.retain(|_, at| *at != usize::MAX);
    Plan { frames, unique, bare_delay: Duration::ZERO }
}

/// 60 ms of two tones at the middle of every 25th frame.
fn bursts(rate: u32) -> Vec<i16> {
    let frame = rate as usize / 50;
    let mut pcm = vec![0; FRAMES * frame];
    let sound: Vec<i16> = audio::tone(rate, 700.0, 0.06, BURST_AMPLITUDE)
        .iter()
        .zip(audio::tone(rate, 1130.0, 0.06, BURST_AMPLITUDE))
        .map(|(a, b)| a + b)
        .collect();
    for number in (BURST_EVERY / 2..FRAMES).step_by(BURST_EVERY) {
        let at = number * frame + frame / 2;
        pcm[at..at + sound.len()].copy_from_slice(&sound);
    }
    pcm
}

/// Where bursts begin, in samples.
pub(crate) fn onsets(pcm: &[i16], rate: u32) -> Vec<usize> {
    let quiet = rate as usize / 5;
    let mut found = Vec::new();
    let mut last_loud: Option<usize> = None;
    for (n, sample) in pcm.iter().enumerate() {
        if sample.unsigned_abs() > ONSET {
            if last_loud.is_none_or(|last| n - last > quiet) {
                found.push(n);
            }
            last_loud = Some(n);
        }
    }
    found
}

/// Moments within the prepared audio at which its bursts begin.
pub(crate) fn burst_times(rate: u32) -> Vec<Duration> {
    let times = onsets(&bursts(rate), rate);
    times.into_iter().map(|n| Duration::from_secs_f64(n as f64 / f64::from(rate))).collect()
}

fn onset_shift(sent: &[i16], sent_rate: u32, heard: &[i16], heard_rate: u32) -> Duration {
    let (a, b) = (onsets(sent, sent_rate), onsets(heard, heard_rate));
    assert_eq!(a.len(), b.len(), "every burst survives the bare codecs");
    let shift = |(a, b): (&usize, &usize)| *b as f64 / f64::from(heard_rate) - *a as f64 / f64::from(sent_rate);
    let sum: f64 = a.iter().zip(&b).map(shift).sum();
    Duration::from_secs_f64((sum / a.len() as f64).max(0.0))
}

/// mu-law payload to samples.
pub(crate) fn ulaw_samples(payload: &[u8]) -> impl Iterator<Item = i16> + '_ {
    payload.iter().map(|byte| g711::ulaw_decode(*byte))
}

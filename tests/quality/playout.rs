//! What the two phones play, and when: the models of their buffers.
//!
//! ```text
//! RTMP phone   plays by timestamps, 60 ms behind the first message; a message that comes after its turn stops the clock
//!              until then (silence), and all later ones play that much later: nothing that came is thrown away, but a
//!              message older than the one before it. What never comes is silence (but for a phone that has Opus: see below).
//! SIP phone    a jitter buffer of 60 ms that plays by RTP time; what comes after its turn is lost and concealed. Five
//!              such in a row, or audio that would wait for 160 ms or more, start the buffer anew at 60 ms.
//! ```
//! The RTMP phone is Flash Player with a `bufferTime` of 0 as far as its manual and its users tell (delay grows with every
//! stall and stays); its 60 ms stand for the buffer before its sound card.

use call_media::codec::Codec;

use crate::{
    ears::{Ear, rate_of},
    network::FRAME_MS,
};

/// The buffer of either phone when it starts.
pub(crate) const BUFFER_MS: f64 = 60.0;
/// SIP phone: packets in a row that come too late before it gives up its schedule.
const LATE_IN_A_ROW: u32 = 5;
/// SIP phone: audio that would wait for longer than this is played sooner.
const LONGEST_WAIT_MS: f64 = 160.0;

/// A frame on its way to a phone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Frame {
    /// When it comes.
    pub(crate) at_ms: f64,
    /// When what it holds was spoken, by its timestamp.
    pub(crate) spoken_ms: f64,
    /// When it was spoken indeed: the gateway's timestamps count noise that it made as well.
    pub(crate) said_ms: f64,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// One whose timestamp is true.
    pub(crate) fn new(at_ms: f64, spoken_ms: f64, payload: Vec<u8>) -> Self {
        Self { at_ms, spoken_ms, said_ms: spoken_ms, payload }
    }
}

/// A frame that was played.
struct Played {
    at_ms: f64,
    /// None for what was concealed.
    said_ms: Option<f64>,
    pcm: Vec<i16>,
}

/// What a listener heard.
pub(crate) struct Heard {
    /// As long as the speech, on its timeline: moved by the delay of most of it.
    pub(crate) pcm: Vec<i16>,
    /// Of each frame played, from spoken to heard, ms.
    pub(crate) delays_ms: Vec<f64>,
}

/// The RTMP phone.
pub(crate) fn rtmp_phone(codec: Codec, frames: &[Frame], length_ms: f64) -> Heard {
    let mut ear = Ear::new(codec);
    let mut clock: Option<(f64, f64)> = None; // play time of spoken time 0; newest spoken time
    let mut played = Vec::new();
    for frame in frames {
        let (mut offset, newest) = clock.unwrap_or((frame.at_ms + BUFFER_MS - frame.spoken_ms, f64::NEG_INFINITY));
        if frame.spoken_ms <= newest {
            continue;
        }
        offset = offset.max(frame.at_ms - frame.spoken_ms);
        clock = Some((offset, frame.spoken_ms));
        // A phone that has Opus is no Flash Player: it fills gaps with what the packet behind them knows of it.
        let lost = if codec == Codec::Opus { frames_between(newest, frame.spoken_ms) } else { 0 };
        for number in (1..=lost).rev() {
            let pcm = ear.conceal((number == 1).then_some(&frame.payload[..]));
            let at_ms = offset + frame.spoken_ms - f64::from(number) * FRAME_MS;
            played.push(Played { at_ms, said_ms: None, pcm });
        }
        let pcm = ear.hear(&frame.payload);
        played.push(Played { at_ms: offset + frame.spoken_ms, said_ms: Some(frame.said_ms), pcm });
    }
    lay_out(codec, played, 0.0, length_ms)
}

/// Frames that are missing between two, at most six.
fn frames_between(before_ms: f64, after_ms: f64) -> u32 {
    if before_ms.is_finite() {
        (((after_ms - before_ms) / FRAME_MS).round() as u32).saturating_sub(1).min(6)
    } else {
        0
    }
}

/// The SIP phone. What was spoken before `judged_from_ms` is left out of the judgement.
pub(crate) fn sip_phone(codec: Codec, frames: &[Frame], judged_from_ms: f64, length_ms: f64) -> Heard {
    let mut buffer = FixedBuffer::default();
    let mut ear = Ear::new(codec);
    let mut played = Vec::new();
    let mut coming = frames.iter().peekable();
    let Some(first) = coming.peek() else { return lay_out(codec, played, judged_from_ms, length_ms) };
    let mut tick = first.at_ms + BUFFER_MS;
    while coming.peek().is_some() || !buffer.held.is_empty() {
        while let Some(frame) = coming.next_if(|frame| frame.at_ms <= tick) {
            buffer.insert(frame);
        }
        let (said_ms, pcm) = match buffer.take(tick) {
            Some(frame) => (Some(frame.said_ms), ear.hear(&frame.payload)),
            None => (None, ear.conceal(None)),
        };
        played.push(Played { at_ms: tick, said_ms, pcm });
        tick += FRAME_MS;
    }
    lay_out(codec, played, judged_from_ms, length_ms)
}

/// The jitter buffer of the SIP phone.
#[derive(Default)]
struct FixedBuffer<'a> {
    /// Play time of spoken time 0.
    offset: Option<f64>,
    held: Vec<&'a Frame>,
    late_in_a_row: u32,
}

impl<'a> FixedBuffer<'a> {
    fn insert(&mut self, frame: &'a Frame) {
        let anew = frame.at_ms + BUFFER_MS - frame.spoken_ms;
        let offset = *self.offset.get_or_insert(anew);
        let wait = offset + frame.spoken_ms - frame.at_ms;
        if wait < 0.0 {
            self.late_in_a_row += 1;
            if self.late_in_a_row < LATE_IN_A_ROW {
                return;
            }
        }
        self.late_in_a_row = 0;
        if !(0.0..LONGEST_WAIT_MS).contains(&wait) {
            self.offset = Some(anew);
        }
        self.held.push(frame);
    }

    /// What is to be played at this tick of the sound card; what should have been played before is thrown away.
    fn take(&mut self, tick: f64) -> Option<&'a Frame> {
        let position = tick - self.offset?;
        self.held.retain(|frame| frame.spoken_ms > position - FRAME_MS / 2.0);
        let due = |frame: &&Frame| frame.spoken_ms <= position + FRAME_MS / 2.0;
        self.held.iter().position(due).map(|place| self.held.remove(place))
    }
}

/// Puts what was played on the timeline of what was spoken, moved by the delay of most of it.
fn lay_out(codec: Codec, played: Vec<Played>, from_ms: f64, length_ms: f64) -> Heard {
    let per_ms = f64::from(rate_of(codec).hz()) / 1000.0;
    let said = |frame: &Played| frame.said_ms.filter(|said| *said >= from_ms);
    let delays_ms: Vec<f64> = played.iter().filter_map(|frame| said(frame).map(|said| frame.at_ms - said)).collect();
    let usual = percentile(&delays_ms, 0.5);
    let mut pcm = vec![0; ((length_ms - from_ms) * per_ms) as usize];
    for frame in &played {
        let start = ((frame.at_ms - usual - from_ms) * per_ms).round();
        if start >= 0.0
            && let Some(place) = pcm.get_mut(start as usize..start as usize + frame.pcm.len())
        {
            place.copy_from_slice(&frame.pcm);
        }
    }
    Heard { pcm, delays_ms }
}

/// The value below which this share of the values lies; 0 of none.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(at_ms: f64, spoken_ms: f64) -> Frame {
        Frame::new(at_ms, spoken_ms, vec![0x80; 160])
    }

    fn stream(wait: impl Fn(usize) -> f64) -> Vec<Frame> {
        (0..100).map(|n| frame(20.0 * n as f64 + wait(n), 20.0 * n as f64)).collect()
    }

    #[test]
    fn an_rtmp_phone_keeps_the_delay_of_the_worst_message() {
        let heard = rtmp_phone(Codec::Pcmu, &stream(|n| if n == 50 { 100.0 } else { 0.0 }), 2000.0);
        assert_eq!((heard.delays_ms[49], heard.delays_ms[50], heard.delays_ms[99]), (60.0, 100.0, 100.0));
    }

    #[test]
    fn an_rtmp_phone_plays_silence_for_what_never_comes_and_skips_what_steps_back() {
        let mut frames = stream(|_| 0.0);
        frames.swap(20, 21);
        frames.remove(10);
        let heard = rtmp_phone(Codec::Pcmu, &frames, 2000.0);
        let silent = |n: usize| heard.pcm[n * 160..(n + 1) * 160].iter().all(|sample| *sample == 0);
        let holes: Vec<usize> = (0..100).filter(|n| silent(*n)).collect();
        assert_eq!(holes, [10, 20]);
    }

    #[test]
    fn a_sip_phone_loses_what_is_late_and_starts_anew_after_five() {
        let heard = sip_phone(Codec::Pcmu, &stream(|n| if n == 50 { 61.0 } else { 0.0 }), 0.0, 2000.0);
        assert_eq!(heard.delays_ms.len(), 99);
        let heard = sip_phone(Codec::Pcmu, &stream(|n| if n >= 50 { 100.0 } else { 0.0 }), 0.0, 2000.0);
        assert_eq!(heard.delays_ms.len(), 96);
        assert!((heard.delays_ms[95] - 160.0).abs() <= 10.0, "{}", heard.delays_ms[95]);
    }

    #[test]
    fn a_sip_phone_does_not_keep_a_backlog() {
        // 2 s stand still, then all of it comes at once.
        let frames: Vec<Frame> = (0..300)
            .map(|n| 20.0 * n as f64)
            .map(|at| frame(if at < 1000.0 { at } else { at.max(3000.0) }, at))
            .collect();
        let heard = sip_phone(Codec::Pcmu, &frames, 0.0, 6000.0);
        assert!(*heard.delays_ms.last().unwrap() < 171.0, "{:?}", heard.delays_ms.last());
    }
}

//! Real speech through a call, both ways at once, judged beside what the bare codecs make of the same speech.
//!
//! ```text
//!   Anna -> phone: Speex -> gateway -> RTP -> samples --.            .--> PESQ, STOI, correlation
//!   Anna -> Speex -> Speex -> G.711 -> G.711 -> samples --> the judge
//! ```
//! A gateway can be no better than the codecs that it has to use; it must not be noticeably worse.

use crate::stage::{PCMA, PCMU, SPEEX, Stage, UpCall};
use gateway_tests::phone::{Login, Phone, Spoken};
use gateway_tests::rtp::g711_timeline;
use gateway_tests::score::{self, Score};
use gateway_tests::speech::{self, Speaker};
use gateway_tests::voice::{self, PhoneVoice};
use gateway_tests::{audio, g711};
use speex_codec::Mode;
use std::time::Duration;

/// Speex of phones and peers.
const QUALITY: u8 = 8;
/// Speex that the gateway makes for a phone (docs/decisions/0004).
const QUALITY_TO_PHONE: u8 = 10;

/// How much worse than the bare codecs still counts as the same: about half of what PESQ moves when the speech is cut elsewhere.
const PESQ_SLACK: f64 = 0.12;
const STOI_SLACK: f64 = 0.015;
const CORRELATION_SLACK: f64 = 0.02;

fn judge(what: &str, rate: u32, sent: &[i16], through_gateway: &[i16], bare: &[i16]) {
    let scores = score::judge(rate, sent, &[through_gateway, bare]);
    let [came, bare]: [Score; 2] = scores.try_into().unwrap();
    println!("{what}: gateway {came:.3?}\n{what}: bare codecs {bare:.3?}");
    assert!(came.pesq >= bare.pesq - PESQ_SLACK, "{what}: PESQ {:.2}, bare codecs {:.2}", came.pesq, bare.pesq);
    assert!(came.stoi >= bare.stoi - STOI_SLACK, "{what}: STOI {:.3}, bare codecs {:.3}", came.stoi, bare.stoi);
    let least = bare.correlation - CORRELATION_SLACK;
    assert!(came.correlation >= least, "{what}: correlation {:.3}, at least {least:.3}", came.correlation);
}

/// Anna speaks into the phone and Ben into the peer, at the same time. When the machine was too busy for the phone to keep its pace, they
/// begin again: what the gateway does with late speech is another test's question.
async fn talk(stage: &mut Stage, call: &UpCall, anna: PhoneVoice, ben: &PeerVoice) -> Spoken {
    stage.phone.start_media().await;
    let bodies = anna.bodies(&speech::pcm(Speaker::Anna, anna.rate()), QUALITY);
    let frames = ben.frames(&speech::pcm(Speaker::Ben, ben.rate));
    for attempt in 1.. {
        stage.phone.forget();
        call.rtp.forget();
        let (spoken, ()) = tokio::join!(
            stage.phone.speak(&bodies),
            call.rtp.play(call.target(), ben.payload_type, ben.rate / 50, &frames)
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
        println!("attempt {attempt}: the phone was up to {:?} late", spoken.latest);
        if spoken.latest < ON_TIME || attempt == ATTEMPTS {
            return spoken;
        }
    }
    unreachable!("the last attempt is taken as it is")
}

const ATTEMPTS: u32 = 4;
/// A message that leaves later than this is late: the gateway fills a gap of 40 ms.
const ON_TIME: Duration = Duration::from_millis(25);

struct PeerVoice {
    payload_type: u8,
    rate: u32,
}

const PEER_PCMU: PeerVoice = PeerVoice { payload_type: 0, rate: 8000 };
const PEER_PCMA: PeerVoice = PeerVoice { payload_type: 8, rate: 8000 };
const PEER_SPEEX: PeerVoice = PeerVoice { payload_type: 97, rate: 16_000 };

impl PeerVoice {
    fn phone_voice(&self) -> PhoneVoice {
        match self.payload_type {
            0 => PhoneVoice::Pcmu,
            8 => PhoneVoice::Pcma,
            _ => PhoneVoice::SpeexWideband,
        }
    }

    fn frames(&self, pcm: &[i16]) -> Vec<Vec<u8>> {
        self.phone_voice().frames(pcm, QUALITY)
    }

    /// What G.711 alone leaves of samples.
    fn bare(&self, pcm: &[i16]) -> Vec<i16> {
        match self.payload_type {
            0 => pcm.iter().map(|s| g711::ulaw_decode(g711::ulaw_encode(*s))).collect(),
            8 => pcm.iter().map(|s| g711::alaw_decode(g711::alaw_encode(*s))).collect(),
            _ => panic!("not G.711"),
        }
    }
}

fn speex_and_back(mode: Mode, pcm: &[i16], quality: u8) -> Vec<i16> {
    let voice = if mode == Mode::Wideband { PhoneVoice::SpeexWideband } else { PhoneVoice::SpeexNarrowband };
    let frames = voice.frames(pcm, quality);
    voice::decode_speex(mode, frames.iter().map(Vec::as_slice))
}

/// What the gateway chose towards the phone.
fn phone_mode(stage: &Stage) -> Mode {
    let heard = stage.phone.heard();
    let longest =
        heard.iter().map(|message| &message.body).max_by_key(|body| body.len()).expect("the phone heard something");
    voice::speex_mode(&longest[1..])
}

/// The whole of a transcoded call: both directions are judged at 8 kHz, all that G.711 carries.
async fn transcoded_call(mut stage: Stage, words: &[&str], formats: &[(u8, &str)], anna: PhoneVoice, ben: PeerVoice) {
    let call = stage.call_out(words, formats).await;
    talk(&mut stage, &call, anna, &ben).await;

    let packets = call.rtp.seen();
    let heard = g711_timeline(&packets, ben.payload_type);
    let spoken = speech::pcm(Speaker::Anna, 8000);
    let wide = anna == PhoneVoice::SpeexWideband;
    let decoded = if wide {
        audio::halve(&speex_and_back(Mode::Wideband, &speech::pcm(Speaker::Anna, 16_000), QUALITY))
    } else {
        speex_and_back(Mode::Narrowband, &spoken, QUALITY)
    };
    judge("phone to peer", 8000, &spoken, &heard, &ben.bare(&decoded));

    let (rate, heard) = stage.phone.heard_pcm();
    assert_eq!(rate, 16_000, "Speex towards the phone");
    let spoken = speech::pcm(Speaker::Ben, 8000);
    let companded = ben.bare(&spoken);
    let bare = match phone_mode(&stage) {
        Mode::Wideband => audio::halve(&speex_and_back(Mode::Wideband, &audio::double(&companded), QUALITY_TO_PHONE)),
        _ => speex_and_back(Mode::Narrowband, &companded, QUALITY_TO_PHONE),
    };
    judge("peer to phone", 8000, &spoken, &audio::halve(&heard), &bare);
}

#[tokio::test]
async fn speech_between_speex_wideband_and_pcmu_is_as_good_as_the_bare_codecs() {
    let stage = Stage::registered().await;
    transcoded_call(stage, &["wideband", "ulaw"], PCMU, PhoneVoice::SpeexWideband, PEER_PCMU).await;
}

#[tokio::test]
async fn speech_between_speex_wideband_and_pcma_is_as_good_as_the_bare_codecs() {
    let stage = Stage::registered().await;
    transcoded_call(stage, &["wideband", "alaw"], PCMA, PhoneVoice::SpeexWideband, PEER_PCMA).await;
}

#[tokio::test]
async fn speech_between_speex_narrowband_and_pcmu_is_as_good_as_the_bare_codecs() {
    let mut stage = Stage::registered().await;
    let login = Login::anonymous(&format!("nina@{}", stage.peer.domain())).rate("narrowband");
    stage.phone = Phone::connected(stage.gateway.rtmp, login).await;
    transcoded_call(stage, &["narrowband", "ulaw"], PCMU, PhoneVoice::SpeexNarrowband, PEER_PCMU).await;
}

#[tokio::test]
async fn speex_is_relayed_frame_by_frame_untouched_and_in_order() {
    let mut stage = Stage::registered().await;
    let call = stage.call_out(&["wideband"], SPEEX).await;
    let ours = call.dialog.remote_sdp.as_ref().unwrap().payload_type("speex/16000").unwrap();
    let ben = PeerVoice { payload_type: ours, ..PEER_SPEEX };
    let spoken = talk(&mut stage, &call, PhoneVoice::SpeexWideband, &ben).await;
    let sent = PhoneVoice::SpeexWideband.frames(&speech::pcm(Speaker::Anna, 16_000), QUALITY);
    let packets = call.rtp.seen();
    // Before and after the speech there is comfort noise.
    let begin = packets.iter().position(|packet| sent.contains(&packet.payload)).expect("some of it came");
    let end = packets.iter().rposition(|packet| sent.contains(&packet.payload)).expect("some of it came");
    let packets = &packets[begin..=end];
    let came: Vec<&[u8]> = packets.iter().map(|packet| packet.payload.as_slice()).collect();
    assert_in_order("phone to peer", &sent, &came, spoken.latest);
    let (first, last) = (&packets[0], &packets[packets.len() - 1]);
    assert_eq!(first.payload_type, 97, "the payload type of the answer");
    assert_eq!(usize::from(last.sequence.wrapping_sub(first.sequence)), packets.len() - 1, "no number left out");
    // RTP time follows the audio: 320 units a frame, frames that were given up included.
    let whole = 320 * (sent.len() as u32 - 1);
    assert_eq!(last.timestamp.wrapping_sub(first.timestamp), whole);

    let sent = ben.frames(&speech::pcm(Speaker::Ben, 16_000));
    let heard = stage.phone.heard();
    assert!(heard.iter().all(|message| message.body[0] == 0xB2));
    let came: Vec<&[u8]> = heard.iter().map(|message| &message.body[1..]).collect();
    let begin = came.iter().position(|frame| sent.iter().any(|sent| sent == frame)).expect("some of it came");
    let came = &came[begin..];
    assert_in_order("peer to phone", &sent, came, spoken.latest);
    for pair in heard.windows(2) {
        assert_eq!(pair[1].timestamp_ms.wrapping_sub(pair[0].timestamp_ms) % 20, 0);
    }
}

/// Frames are the sender's own, in order, each once, and none is missing. Only where the machine was too busy for the test itself to keep
/// the pace, some may be: the gateway gives up what comes too late.
fn assert_in_order(what: &str, sent: &[Vec<u8>], came: &[&[u8]], latest: Duration) {
    // When the sender ends without a word, the gateway fills in for a packet or two that will never come, and goes on with noise.
    let end = came.iter().rposition(|frame| *frame == sent[sent.len() - 1]).map_or(came.len(), |last| last + 1);
    let filled = came[..end].iter().rev().take_while(|frame| **frame == sent[sent.len() - 1]).count() - 1;
    assert!(
        filled <= 3 && came.len() - end <= 60,
        "{what}: {filled} and {} frames behind the last one",
        came.len() - end
    );
    let came = &came[..end - filled];
    let mut rest = sent.iter();
    for (number, frame) in came.iter().enumerate() {
        let known = sent.iter().position(|sent| sent == frame);
        assert!(
            rest.any(|sent| sent == frame),
            "{what}: frame {number} comes out of order; sent as {known:?}: {frame:02x?}"
        );
    }
    let missing = sent.len() - came.len();
    let allowed = if latest < ON_TIME { 0 } else { sent.len() / 20 };
    assert!(
        missing <= allowed,
        "{what}: {missing} of {} frames are missing; the phone was {latest:?} late",
        sent.len()
    );
}

#[tokio::test]
async fn g711_is_relayed_untouched_when_the_phone_asks_for_it() {
    let mut stage = Stage::registered().await;
    let call = stage.call_in(&["pcma"], PCMA).await;
    talk(&mut stage, &call, PhoneVoice::Pcma, &PEER_PCMA).await;
    let spoken = speech::pcm(Speaker::Anna, 8000);
    let heard = g711_timeline(&call.rtp.seen(), 8);
    let bare = PEER_PCMA.bare(&spoken);
    let alignment = audio::align(&bare, &heard, 4000);
    assert!(alignment.correlation > 0.9999, "phone to peer: {alignment:?}");
    let (rate, heard) = stage.phone.heard_pcm();
    assert_eq!((rate, stage.phone.heard()[0].body[0]), (8000, 0x72));
    let alignment = audio::align(&PEER_PCMA.bare(&speech::pcm(Speaker::Ben, 8000)), &heard, 4000);
    assert!(alignment.correlation > 0.9999, "peer to phone: {alignment:?}");
}

#[tokio::test]
async fn two_speex_frames_in_one_message_are_forty_milliseconds_of_speech() {
    let mut stage = Stage::registered().await;
    let call = stage.call_out(&["wideband", "ulaw"], PCMU).await;
    stage.phone.start_media().await;
    let pcm = speech::pcm(Speaker::Anna, 16_000);
    let mut encoder = speex_codec::Encoder::new(Mode::Wideband);
    let mut out = [0; 1024];
    let stream = stage.phone.published().unwrap();
    let mut tick = tokio::time::interval(Duration::from_millis(40));
    for (number, pair) in pcm.chunks_exact(640).enumerate() {
        tick.tick().await;
        let length = encoder.encode(pair, &mut out).unwrap();
        let body: Vec<u8> = std::iter::once(0xB2).chain(out[..length].iter().copied()).collect();
        stage.phone.send_audio(stream, 100 + 40 * number as u32, body.into());
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let heard = g711_timeline(&call.rtp.seen(), 0);
    let spoken = speech::pcm(Speaker::Anna, 8000);
    let bare = PEER_PCMU.bare(&audio::halve(&speex_and_back(Mode::Wideband, &pcm, QUALITY)));
    judge("phone to peer", 8000, &spoken, &heard, &bare);
}

//! Where these tests happen, and what they share.

use gateway_tests::audio;
use gateway_tests::gateway::{Gateway, GatewayOptions};
use gateway_tests::phone::{Login, Phone};
use gateway_tests::score;
use gateway_tests::sip_peer::SipPeer;
use gateway_tests::speech::{self, Speaker};
use gateway_tests::voice::PhoneVoice;
use std::net::{IpAddr, Ipv4Addr};

/// The namespace's own address: baresip takes no loopback address.
pub const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1));

/// Narrowband PESQ of speech after Speex and G.711: 2.75 and more where nothing is lost, and less where the far end's clock and jitter
/// buffer are those of a busy machine (2.0 at a load of ten). `e2e` compares with the bare codecs; here the question is whether two
/// programs understand each other. Wrong byte order, law, rate or mode all end below 1.7.
const LEAST_PESQ: f64 = 1.9;

/// A gateway on [`HERE`].
pub async fn gateway() -> Gateway {
    assert!(
        std::net::UdpSocket::bind((HERE, 0)).is_ok(),
        "{HERE} is not an address of this machine: run these tests by tests/run or tests/in-netns"
    );
    Gateway::start_with(GatewayOptions { ip: HERE, ..GatewayOptions::default() }).await
}

/// A gateway on [`HERE`] whose `codecs` are these.
pub async fn gateway_preferring(codecs: &str) -> Gateway {
    let args = vec!["--codecs".into(), codecs.into()];
    Gateway::start_with(GatewayOptions { ip: HERE, args, ..GatewayOptions::default() }).await
}

/// A registrar, and `alice` registered with it.
pub async fn registered_phone(gateway: &Gateway) -> (SipPeer, Phone) {
    let registrar = SipPeer::bind(HERE).await;
    let login = Login::with_password(&format!("alice@{}", registrar.domain()), "alice", "secret");
    let phone = Phone::connected(gateway.rtmp, login).await;
    (registrar, phone)
}

/// The same of a phone that speaks and plays Opus.
pub async fn registered_opus_phone(gateway: &Gateway) -> (SipPeer, Phone) {
    let registrar = SipPeer::bind(HERE).await;
    let login = Login::with_password(&format!("alice@{}", registrar.domain()), "alice", "secret").enhanced();
    let phone = Phone::connected(gateway.rtmp, login).await;
    (registrar, phone)
}

/// Anna speaks into the phone, all that she has to say.
pub async fn anna_speaks(phone: &Phone) {
    phone.speak(&PhoneVoice::SpeexWideband.bodies(&speech::pcm(Speaker::Anna, 16_000), 8)).await;
}

/// The same in Opus.
pub async fn anna_speaks_opus(phone: &Phone) {
    phone.speak(&PhoneVoice::Opus.bodies(&speech::pcm(Speaker::Anna, 16_000), 0)).await;
}

/// The far end's digits are told in order, each once.
pub async fn assert_digits(phone: &mut Phone, digits: &str) {
    for digit in digits.chars() {
        assert_eq!(phone.expect("dtmf").await, [digit.to_string().into()]);
    }
}

/// Speech of which something is left above the telephone band, about as loud as it was.
fn assert_wide(what: &str, speaker: Speaker, rate: u32, recording: &[i16]) {
    assert_eq!(rate, 16_000, "{what}: a recording of the telephone band");
    let above = |pcm: &[i16]| {
        let below = audio::double(&audio::halve(pcm));
        let rest: Vec<i16> = pcm.iter().zip(&below).map(|(all, below)| all.saturating_sub(*below)).collect();
        audio::level(&rest)
    };
    let (spoken, heard) = (speech::pcm(speaker, 16_000), recording);
    // The recording is longer than the speech: the same energy, thinner spread.
    let longer = (heard.len() as f64 / spoken.len() as f64).sqrt();
    let left = above(heard) * longer / above(&spoken);
    println!("{what}: {left:.2} of the level above 3.8 kHz");
    assert!((0.35..1.6).contains(&left), "{what}: {left:.2} of the level above 3.8 kHz");
}

/// Speech that went through Speex and G.711 and perhaps a resampler of the far end: recognisable and whole.
/// `rate` is that of the recording: 8000 or 16000.
pub fn assert_speech(what: &str, speaker: Speaker, rate: u32, recording: &[i16]) {
    let heard = if rate == 16_000 { audio::halve(recording) } else { recording.to_vec() };
    assert_said(what, &speech::pcm(speaker, 8000), &heard);
}

/// The same of a call that has more than the telephone band if it is `wide`.
pub fn assert_speech_of(wide: bool, what: &str, speaker: Speaker, rate: u32, recording: &[i16]) {
    assert_speech(what, speaker, rate, recording);
    if wide {
        assert_wide(what, speaker, rate, recording);
    }
}

/// The same as [`assert_speech`] of any speech, both at 8000. Returns where it begins in what was heard.
pub fn assert_said(what: &str, spoken: &[i16], heard: &[i16]) -> isize {
    let lag = audio::align(spoken, heard, heard.len()).lag;
    // The far end's jitter buffer may move meanwhile, on a busy machine often: each second counts where it is. Narrowband Speex keeps
    // the waveform to 0.84 by itself, twice in a row to 0.71.
    let likeness = audio::piecewise_correlation(spoken, heard, lag, 8000);
    let pesq = score::pesq(&[(8000, spoken.to_vec(), audio::realigned(spoken, heard, lag, 8000))])[0];
    println!("{what}: PESQ {pesq:.2}, likeness {likeness:.3}, {lag} samples late");
    assert!(likeness > 0.6, "{what}: likeness {likeness:.3}, PESQ {pesq:.2}");
    assert!(pesq > LEAST_PESQ, "{what}: PESQ {pesq:.2}, likeness {likeness:.3}");
    let (_, part) = audio::overlap(spoken, heard, lag);
    let gaps = audio::gaps(part, 0, 8000);
    assert!(gaps.is_empty(), "{what}: a second or more of nothing at {gaps:?}");
    assert!(part.len() * 100 > spoken.len() * 95, "{what}: {} of {} samples are there", part.len(), spoken.len());
    lag
}

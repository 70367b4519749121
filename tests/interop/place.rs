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

/// Narrowband PESQ of speech after Speex and G.711: 2.75 and more where nothing is lost, and some less where the far end's clock and
/// jitter buffer are those of a busy machine. `e2e` compares with the bare codecs; here the question is whether two programs understand
/// each other. Wrong byte order, law, rate or mode all end below 1.7.
const LEAST_PESQ: f64 = 2.2;

/// A gateway on [`HERE`].
pub async fn gateway() -> Gateway {
    assert!(
        std::net::UdpSocket::bind((HERE, 0)).is_ok(),
        "{HERE} is not an address of this machine: run these tests by tests/run or tests/in-netns"
    );
    Gateway::start_with(GatewayOptions { ip: HERE, ..GatewayOptions::default() }).await
}

/// A registrar, and `alice` registered with it.
pub async fn registered_phone(gateway: &Gateway) -> (SipPeer, Phone) {
    let registrar = SipPeer::bind(HERE).await;
    let login = Login::with_password(&format!("alice@{}", registrar.domain()), "alice", "secret");
    let phone = Phone::connected(gateway.rtmp, login).await;
    (registrar, phone)
}

/// Anna speaks into the phone, all that she has to say.
pub async fn anna_speaks(phone: &Phone) {
    phone.speak(&PhoneVoice::SpeexWideband.bodies(&speech::pcm(Speaker::Anna, 16_000), 8)).await;
}

/// Speech that went through Speex and G.711 and perhaps a resampler of the far end: recognisable and whole.
/// `rate` is that of the recording: 8000 or 16000.
pub fn assert_speech(what: &str, speaker: Speaker, rate: u32, recording: &[i16]) {
    let heard = if rate == 16_000 { audio::halve(recording) } else { recording.to_vec() };
    let spoken = speech::pcm(speaker, 8000);
    let score = score::judge(8000, &spoken, &[&heard])[0];
    println!("{what}: {score:.3?}");
    // Narrowband Speex keeps the waveform to 0.84 by itself, twice in a row to 0.71. The far end's jitter buffer may move meanwhile:
    // each stretch counts by itself, and so does PESQ, but STOI does not.
    let likeness = audio::piecewise_correlation(&spoken, &heard, score.lag, 8000);
    assert!(likeness > 0.6, "{what}: {likeness:.3}, {score:?}");
    assert!(score.pesq > LEAST_PESQ, "{what}: {score:?}");
    let (_, part) = audio::overlap(&spoken, &heard, score.lag);
    let gaps = audio::gaps(part, 0, 8000);
    assert!(gaps.is_empty(), "{what}: a second or more of nothing at {gaps:?}");
    assert!(part.len() * 100 > spoken.len() * 95, "{what}: {} of {} samples are there", part.len(), spoken.len());
}

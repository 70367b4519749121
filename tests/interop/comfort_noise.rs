//! Comfort noise (RFC 3389) beside ffmpeg's codec of it: what it describes the phone hears, and what the gateway describes it makes.
//! The RFC leaves the sign of a reflection coefficient to the reader; a wrong one turns a rumble into a hiss.
//!
//! ```text
//!   room -> phone -> gateway -> packets of type 13 -> ffmpeg -> the same room?
//!   room -> ffmpeg -> packets of type 13 -> gateway -> phone -> the same room?
//! ```

use crate::place::{HERE, gateway};
use gateway_tests::audio;
use gateway_tests::gateway::Gateway;
use gateway_tests::network::Chance;
use gateway_tests::phone::{Login, Phone};
use gateway_tests::rtp::RtpPeer;
use gateway_tests::sdp::AudioSdp;
use gateway_tests::sip_peer::SipPeer;
use gateway_tests::tools::{Scratch, run};
use gateway_tests::voice::PhoneVoice;
use std::net::SocketAddr;
use std::time::Duration;

const FORMATS: &[(u8, &str)] = &[(0, "PCMU/8000"), (13, "CN/8000")];
const NOISE: u8 = 13;
/// How loud the rooms are: -55 dB.
const LEVEL: f64 = 60.0;

/// A room's noise at 8 kHz: through one pole, which makes a rumble of 0.8 and a hiss of -0.8.
fn room(pole: f64, seconds: usize) -> Vec<i16> {
    let (mut chance, mut last) = (Chance::new(7), 0.0);
    let scale = LEVEL * (12.0 * (1.0 - pole * pole)).sqrt();
    let mut next = || {
        last = pole * last + chance.unit() - 0.5;
        (last * scale) as i16
    };
    (0..8000 * seconds).map(|_| next()).collect()
}

/// How much a sample tells of the next one, -1 to 1: the pole of a room.
fn colour(pcm: &[i16]) -> f64 {
    audio::correlation(&pcm[1..], &pcm[..pcm.len() - 1], 0)
}

fn decibels(heard: &[i16]) -> f64 {
    20.0 * (audio::level(heard) / LEVEL).log10()
}

/// What ffmpeg makes of payloads. It reads them as G.729, whose frames have ten bytes as well: level and nine coefficients.
fn made_by_ffmpeg(payloads: &[Vec<u8>]) -> Vec<i16> {
    const NO_COLOUR: u8 = 127;
    let scratch = Scratch::new();
    let padded = payloads.iter().flat_map(|payload| {
        let rest = std::iter::repeat(NO_COLOUR);
        payload.iter().copied().chain(rest).take(10)
    });
    std::fs::write(scratch.path("payloads"), padded.collect::<Vec<u8>>()).unwrap();
    let (from, to) = (scratch.path("payloads"), scratch.path("made"));
    let input = ["-nostdin", "-f", "g729", "-c:a", "comfortnoise", "-i", &from.to_string_lossy()];
    run("ffmpeg", &[&input[..], &["-f", "s16le", &to.to_string_lossy()]].concat());
    audio::from_bytes(&std::fs::read(to).unwrap())
}

/// ffmpeg's description of a room, a payload for each 80 ms: level and ten coefficients.
fn described_by_ffmpeg(pcm: &[i16]) -> Vec<Vec<u8>> {
    let scratch = Scratch::new();
    let (from, to) = (scratch.path("room"), scratch.path("payloads"));
    std::fs::write(&from, audio::to_bytes(pcm)).unwrap();
    let input = ["-nostdin", "-f", "s16le", "-ar", "8000", "-ac", "1", "-i", &from.to_string_lossy()];
    let output = ["-map", "0:a", "-c:a", "comfortnoise", "-f", "data", &to.to_string_lossy()];
    run("ffmpeg", &[&input[..], &output[..]].concat());
    std::fs::read(to).unwrap().chunks_exact(11).map(<[u8]>::to_vec).collect()
}

/// A call of a phone with a peer of PCMU and comfort noise.
struct Talk {
    phone: Phone,
    rtp: RtpPeer,
    /// Where the gateway hears the peer.
    to: SocketAddr,
    _bob: SipPeer,
    _gateway: Gateway,
}

impl Talk {
    async fn begin() -> Self {
        let gateway = gateway().await;
        let mut bob = SipPeer::bind(HERE).await;
        let mut phone = Phone::connected(gateway.rtmp, Login::anonymous("alice@198.18.0.1")).await;
        phone.invite(&bob.uri("bob"), &[]).await;
        let dialog = bob.incoming().await;
        let rtp = RtpPeer::bind(HERE).await;
        bob.answer(&dialog, &AudioSdp::new(rtp.address(), FORMATS)).await;
        phone.expect("accepted").await;
        phone.start_media().await;
        Self { phone, rtp, to: dialog.rtp(), _bob: bob, _gateway: gateway }
    }
}

/// The phone speaks from a room, and pauses: what ffmpeg makes of the packets that describe the pause.
async fn pause_heard_by_ffmpeg(pole: f64) {
    let talk = Talk::begin().await;
    let noise = room(pole, 3);
    talk.phone.speak(&PhoneVoice::Pcmu.bodies(&noise, 0)).await;
    talk.rtp.wait_for(NOISE, Duration::from_secs(2)).await;
    tokio::time::sleep(Duration::from_millis(1000)).await;
    let all = talk.rtp.seen().into_iter().filter(|packet| packet.payload_type == NOISE);
    let payloads: Vec<Vec<u8>> = all.map(|packet| packet.payload).collect();
    assert!((2..=6).contains(&payloads.len()), "a description each 400 ms, not {}", payloads.len());
    let last = payloads.last().unwrap();
    let made = made_by_ffmpeg(&vec![last.clone(); 40]);
    println!("pole {pole}: {last:?} sounds {:.2}, {:.1} dB", colour(&made), decibels(&made));
    assert!((colour(&made) - colour(&noise)).abs() < 0.2, "{:.2} became {:.2}", colour(&noise), colour(&made));
    // ffmpeg makes all noise 6 dB lower than described.
    assert!((-9.0..-3.0).contains(&decibels(&made)), "{:.1} dB", decibels(&made));
}

#[tokio::test]
async fn ffmpeg_makes_of_the_gateways_comfort_noise_the_rumble_of_the_phones_room() {
    pause_heard_by_ffmpeg(0.8).await;
}

#[tokio::test]
async fn ffmpeg_makes_of_the_gateways_comfort_noise_the_hiss_of_the_phones_room() {
    pause_heard_by_ffmpeg(-0.8).await;
}

/// ffmpeg describes a room: the phone hears it.
async fn rooms_of_ffmpeg_are_heard(pole: f64) {
    let mut talk = Talk::begin().await;
    let noise = room(pole, 4);
    let described = described_by_ffmpeg(&noise);
    let spoken = PhoneVoice::Pcmu.frames(&audio::tone(8000, 440.0, 0.4, 8000.0), 0);
    talk.rtp.play(talk.to, 0, 160, &spoken).await;
    let mut tick = tokio::time::interval(Duration::from_millis(80));
    for payload in described {
        tick.tick().await;
        talk.rtp.send(talk.to, NOISE, false, 640, &payload).await;
    }
    let stats = talk.phone.stats().await;
    let count = |name| stats.get_number(name);
    assert_eq!((count("lost"), count("concealedMs")), (Some(0.0), Some(0.0)), "a pause is no loss");
    let (rate, heard) = talk.phone.heard_pcm();
    assert_eq!(rate, 16_000);
    let heard = audio::halve(&heard);
    assert!(heard.len() > 8000 * 4, "{} samples", heard.len());
    let heard = &heard[8000..heard.len() - 4000];
    println!("pole {pole}: {:.2}, {:.1} dB", colour(heard), decibels(heard));
    assert!((colour(heard) - colour(&noise)).abs() < 0.2, "{:.2} became {:.2}", colour(&noise), colour(heard));
    // Of the hiss much lies above what a phone hears.
    assert!((-6.0..3.0).contains(&decibels(heard)), "{:.1} dB", decibels(heard));
}

#[tokio::test]
async fn the_phone_hears_a_rumble_that_ffmpeg_describes() {
    rooms_of_ffmpeg_are_heard(0.8).await;
}

#[tokio::test]
async fn the_phone_hears_a_hiss_that_ffmpeg_describes() {
    rooms_of_ffmpeg_are_heard(-0.8).await;
}

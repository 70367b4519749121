//! Pauses: a peer that sends nothing while nobody speaks, and a phone that does.

use crate::baresip::Baresip;
use crate::pj_phone::{Habits, PjPhone};
use crate::place::{assert_said, gateway, gateway_preferring};
use gateway_tests::audio;
use gateway_tests::network::Chance;
use gateway_tests::phone::{Login, Phone};
use gateway_tests::speech::{self, Speaker};
use gateway_tests::tools::Scratch;
use gateway_tests::voice::PhoneVoice;
use std::time::Duration;

const PAUSE: Duration = Duration::from_secs(4);
/// Of the phone's room, root mean square: -60 dB.
const ROOM: f64 = 30.0;
/// Noise at the ends of a pause, where the speech rings out, is not judged.
const EDGE_MS: usize = 400;

/// The speech in two, cut where it is quietest around the middle.
fn halves(speaker: Speaker, rate: u32) -> (Vec<i16>, Vec<i16>) {
    let pcm = speech::pcm(speaker, rate);
    let window = rate as usize / 10;
    let around = pcm.len() / 2 - rate as usize..pcm.len() / 2 + rate as usize;
    let quiet = around.step_by(window / 4).min_by(|a, b| {
        let level = |at: &usize| audio::level(&pcm[*at..*at + window]);
        level(a).total_cmp(&level(b))
    });
    let at = quiet.unwrap() + window / 2;
    (pcm[..at].to_vec(), pcm[at..].to_vec())
}

fn halved(pcm: &[i16], rate: u32) -> Vec<i16> {
    if rate == 16_000 { audio::halve(pcm) } else { pcm.to_vec() }
}

/// Both parts, of 8 kHz, are there, and between them is what `check` is given: level of the pause, and of its loudest 50 ms.
fn judge(what: &str, parts: (Vec<i16>, Vec<i16>), rate: u32, recording: &[i16], check: impl Fn(f64, f64) -> bool) {
    let heard = halved(recording, rate);
    let (first, second) = parts;
    let first_at = assert_said(&format!("{what}, before the pause"), &first, &heard);
    let second_at = assert_said(&format!("{what}, after the pause"), &second, &heard);
    let edge = EDGE_MS as isize * 8;
    let (from, to) = (first_at + first.len() as isize + edge, second_at - edge);
    assert!(to - from > 8000 * 2, "{what}: a pause from {from} to {to}");
    let pause = &heard[from as usize..to as usize];
    let loudest = pause.chunks(400).map(audio::level).fold(0.0, f64::max);
    println!("{what}: the pause has a level of {:.1}, {loudest:.1} at most", audio::level(pause));
    assert!(check(audio::level(pause), loudest), "{what}: {:.1}, {loudest:.1} at most", audio::level(pause));
}

#[tokio::test]
async fn a_pause_in_which_pjsua2_sends_nothing_is_low_noise_and_no_loss() {
    let gateway = gateway().await;
    let folder = Scratch::new();
    let (first, second) = halves(Speaker::Ben, 8000);
    let pause = vec![0; 8 * PAUSE.as_millis() as usize];
    speech::write_wav(&folder.path("ben.wav"), 8000, &[first, pause, second, vec![0; 8000]].concat());
    let mut pj = PjPhone::with(Habits {
        speech: Some(&folder.path("ben.wav")),
        silence_suppression: true,
        ..Habits::codec("pcmu/8000")
    })
    .await;
    let mut phone = Phone::connected(gateway.rtmp, Login::anonymous("alice@198.18.0.1")).await;
    phone.invite(&pj.uri(), &["ulaw"]).await;
    phone.expect("accepted").await;
    phone.start_media().await;
    tokio::time::sleep(Duration::from_millis(16_000)).await;
    let (rate, heard) = phone.heard_pcm();
    let stats = phone.stats().await;
    println!("{stats:?}\n{:?}", pj.stats().await);
    phone.bye().await;
    // Not digital silence, and lower than any room.
    judge("pjsua2 to phone", halves(Speaker::Ben, 8000), rate, &heard, |level, loudest| level > 2.0 && loudest < 60.0);
    // A busy machine may bring a packet too late, which counts as lost. A pause taken for loss would be hundreds.
    assert!(stats.get_number("lost").unwrap() <= 5.0, "{stats:?}");
    // Ended without a word each pause looks like a loss for 120 ms; pjsua2 makes two or three, and many packets are not sent.
    assert!(stats.get_number("concealedMs").unwrap() <= 800.0, "{stats:?}");
    assert!(stats.get_number("packetsReceived").unwrap() < 16_000.0 / 20.0 * 0.9, "pjsua2 paused: {stats:?}");
}

/// The phone speaks from a room, says nothing for a while, and speaks again: both parts, as 8 kHz.
async fn anna_pauses(phone: &Phone) -> (Vec<i16>, Vec<i16>) {
    let mut chance = Chance::new(3);
    let mut noise = |sample: &mut i16| {
        *sample = sample.saturating_add(((chance.unit() - 0.5) * ROOM * 12f64.sqrt()) as i16);
    };
    let (mut first, mut second) = halves(Speaker::Anna, 16_000);
    first.iter_mut().chain(&mut second).for_each(&mut noise);
    phone.speak(&PhoneVoice::SpeexWideband.bodies(&first, 8)).await;
    tokio::time::sleep(PAUSE).await;
    phone.speak(&PhoneVoice::SpeexWideband.bodies(&second, 8)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    (audio::halve(&first), audio::halve(&second))
}

/// About as loud as the room, and not much louder anywhere.
fn like_the_room(level: f64, loudest: f64) -> bool {
    (ROOM / 4.0..ROOM * 2.5).contains(&level) && loudest < ROOM * 4.0
}

#[tokio::test]
async fn pjsua2_hears_the_room_and_no_bursts_while_the_phone_pauses_in_g722() {
    let gateway = gateway_preferring("g722").await;
    let pj = PjPhone::start("g722/16000", None).await;
    let mut phone = Phone::connected(gateway.rtmp, Login::anonymous("alice@198.18.0.1")).await;
    phone.invite(&pj.uri(), &[]).await;
    phone.expect("accepted").await;
    phone.start_media().await;
    let spoken = anna_pauses(&phone).await;
    phone.bye().await;
    let (rate, heard) = pj.heard().await;
    judge("phone to pjsua2", spoken, rate, &heard, like_the_room);
}

#[tokio::test]
async fn baresip_hears_the_room_and_no_bursts_while_the_phone_pauses_in_opus() {
    let gateway = gateway_preferring("opus").await;
    let bob = Baresip::start("opus/48000/2").await;
    let mut phone = Phone::connected(gateway.rtmp, Login::anonymous("alice@198.18.0.1")).await;
    phone.invite(&bob.uri(), &[]).await;
    phone.expect("accepted").await;
    phone.start_media().await;
    let spoken = anna_pauses(&phone).await;
    phone.bye().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (rate, heard) = bob.heard().await;
    judge("phone to baresip", spoken, rate, &heard, like_the_room);
}

//! Section 7: codec words, payload types, the arguments of `accepted`, and what the media is made of on both sides.

use crate::script::SPEEX_FRAME;
use crate::stage::{LOOPBACK, PCMA, PCMU, SPEEX, Stage, UpCall};
use crate::stock::{bytes, narrowband_layer};
use bytes::Bytes;
use gateway_tests::audio;
use gateway_tests::phone::{Login, Phone};
use gateway_tests::rtp::{RtpPeer, g711_timeline};
use gateway_tests::sdp::AudioSdp;
use rtmp_session::Value;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(3);
const NARROWBAND: &[(u8, &str)] = &[(98, "speex/8000"), (101, "telephone-event/8000")];
/// VideoPhone's list.
const STOCK: &[&str] = &["wideband", "narrowband", "pcmu", "pcma", "ulaw", "alaw", "dtmf", "h264", "flv"];
/// The same without G.711 on the phone's side: Flash before 11.
const OLD: &[&str] = &["wideband", "narrowband", "ulaw", "alaw", "dtmf", "flv"];

async fn offered(stage: &mut Stage, words: &[&str]) -> Vec<(u8, String)> {
    stage.phone.invite(&stage.peer.uri("bob"), words).await;
    let dialog = stage.peer.incoming().await;
    stage.peer.refuse(&dialog, 486, "Busy Here").await;
    stage.phone.expect("rejected").await;
    AudioSdp::parse(&dialog.invite.body).unwrap().formats
}

#[tokio::test]
async fn each_word_is_its_payload_type_in_the_offer_in_the_order_of_the_list() {
    let mut stage = Stage::anonymous().await;
    let cases: &[(&[&str], &[u8])] = &[
        (&["wideband"], &[96]),
        (&["narrowband"], &[98]),
        (&["pcmu"], &[0]),
        (&["pcma"], &[8]),
        (&["ulaw"], &[0]),
        (&["alaw"], &[8]),
        (&["pcma", "dtmf"], &[8, 101]),
        (&["narrowband", "wideband", "alaw"], &[98, 96, 8]),
        (&["pcmu", "ulaw", "pcmu", "what", "alaw", "pcma"], &[0, 8]),
        (&["h264", "flv", "pcmu"], &[0]),
    ];
    for (words, numbers) in cases {
        let formats = offered(&mut stage, words).await;
        // Events of a 16 kHz clock (RFC 4733 section 2.1) are offered beside wideband, under a number of their own.
        let siprtmps: Vec<u8> = formats.iter().map(|(number, _)| *number).filter(|number| *number != 100).collect();
        assert_eq!(siprtmps, *numbers, "{words:?}");
        for (number, name) in &formats {
            let expected = match number {
                96 => "speex/16000",
                98 => "speex/8000",
                0 => "pcmu/8000",
                8 => "pcma/8000",
                101 => "telephone-event/8000",
                _ => "telephone-event/16000",
            };
            assert!(name.eq_ignore_ascii_case(expected), "{number} {name}");
        }
    }
}

#[tokio::test]
async fn without_a_list_all_is_offered_and_the_rate_argument_swaps_the_two_speex_formats() {
    let mut stage = Stage::anonymous().await;
    let wide = offered(&mut stage, &[]).await;
    let first = |formats: &[(u8, String)]| -> Vec<(u8, String)> {
        let siprtmps = formats.iter().filter(|(number, _)| [96, 98, 0, 8, 101].contains(number));
        siprtmps.map(|(number, name)| (*number, name.to_ascii_lowercase())).collect()
    };
    let named = |formats: &[(u8, &str)]| -> Vec<(u8, String)> {
        formats.iter().map(|(number, name)| (*number, (*name).to_owned())).collect()
    };
    let rest = [(0, "pcmu/8000"), (8, "pcma/8000"), (101, "telephone-event/8000")];
    // What siprtmp does not know stands between, under numbers that it does not use; its peers pass over it.
    assert_eq!(first(&wide), named(&[&[(96, "speex/16000"), (98, "speex/8000")][..], &rest].concat()));

    let login = Login::anonymous(&format!("nina@{}", stage.peer.domain()));
    for (rate, swapped) in [("narrowband", true), ("wideband", false), ("8", false), ("", false)] {
        stage.phone = Phone::connected(stage.gateway.rtmp, login.clone().rate(rate)).await;
        let formats = offered(&mut stage, &[]).await;
        let speex =
            if swapped { [(96, "speex/8000"), (98, "speex/16000")] } else { [(96, "speex/16000"), (98, "speex/8000")] };
        assert_eq!(first(&formats), named(&[&speex[..], &rest].concat()), "{rate:?}");
        // A list says it all itself.
        let formats = offered(&mut stage, &["wideband"]).await;
        assert_eq!(formats[0], (96, "speex/16000".to_owned()), "{rate:?}");
    }
}

#[tokio::test]
async fn accepted_names_the_first_word_of_the_list_that_the_peer_has_or_nothing_without_a_list() {
    let mut stage = Stage::registered().await;
    type Case<'a> = (&'a [&'a str], &'a [(u8, &'a str)], Option<&'a str>);
    let cases: &[Case<'_>] = &[
        (STOCK, PCMU, Some("pcmu")),
        (STOCK, PCMA, Some("pcma")),
        (STOCK, SPEEX, Some("speex")),
        (OLD, PCMU, Some("speex")),
        (OLD, PCMA, Some("speex")),
        (OLD, NARROWBAND, Some("speex")),
        // In the order of the list, not of the peer.
        (&["pcma", "pcmu"], &[(0, "PCMU/8000"), (8, "PCMA/8000")], Some("pcma")),
        (&[], PCMU, None),
    ];
    for (words, formats, audio) in cases {
        let expected: Vec<Value> = audio.map_or_else(Vec::new, |word| vec![word.into(), Value::Null]);
        let mut call = stage.call_out(words, formats).await;
        assert_eq!(call.accepted, expected, "out: {words:?} to {formats:?}");
        stage.peer.bye(&mut call.dialog).await;
        stage.phone.expect("byed").await;
        let mut call = stage.call_in(words, formats).await;
        assert_eq!(call.accepted, expected, "in: {words:?} from {formats:?}");
        stage.peer.bye(&mut call.dialog).await;
        stage.phone.expect("byed").await;
    }
}

#[tokio::test]
async fn an_answer_keeps_the_offerer_s_order_numbers_and_spelling() {
    let mut stage = Stage::registered().await;
    let offer =
        [(18, "G729/8000"), (110, "SPEEX/16000"), (8, "PCMA/8000"), (0, "pcmu/8000"), (120, "telephone-event/8000")];
    let call = stage.call_in(STOCK, &offer).await;
    let answer = call.dialog.remote_sdp.unwrap();
    let numbers: Vec<u8> = answer.formats.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [110, 8, 0, 120]);
    assert_eq!(answer.formats[0].1, "SPEEX/16000");
}

/// BUG of siprtmp: the match was made only at `accept`.
#[tokio::test]
async fn an_offer_that_cannot_be_met_is_488_at_once() {
    let mut stage = Stage::registered().await;
    let rtp = RtpPeer::bind(LOOPBACK).await;
    let contact = stage.peer.binding("alice").unwrap();
    let offer = AudioSdp::new(rtp.address(), &[(18, "G729/8000"), (3, "GSM/8000")]);
    let begin = std::time::Instant::now();
    let (_, answer) = stage.peer.invite(&contact, stage.gateway.sip, Some(&offer), |_| {}).await;
    assert_eq!(answer.start, "SIP/2.0 488 Incompatible SDP");
    assert!(begin.elapsed() < Duration::from_secs(1));
    stage.phone.expect_silence(Duration::from_millis(200)).await;
}

// --- phone to peer ------------------------------------------------------------------------------------------------------------------

/// Messages every 20 ms (times `frames`), all alike.
async fn say(stage: &Stage, tag: u8, payload: &[u8], count: usize, frames: u32) {
    let stream = stage.phone.published().expect("published");
    let body: Bytes = [&[tag][..], payload].concat().into();
    let mut tick = tokio::time::interval(Duration::from_millis(u64::from(20 * frames)));
    for number in 0..count as u32 {
        tick.tick().await;
        stage.phone.send_audio(stream, 1000 + 20 * frames * number, body.clone());
    }
    tokio::time::sleep(Duration::from_millis(150)).await;
}

fn payloads(call: &UpCall, payload_type: u8) -> Vec<Vec<u8>> {
    call.rtp.seen().into_iter().filter(|p| p.payload_type == payload_type).map(|p| p.payload).collect()
}

/// Ten frames came, but for two that a busy machine may cost; before and after them the gateway sends comfort noise.
fn came_whole(heard: &[Vec<u8>], frame: &[u8]) -> bool {
    heard.iter().filter(|payload| *payload == frame).count() >= 8
}

#[tokio::test]
async fn wideband_from_flash_is_relayed_as_it_is_to_a_wideband_peer_whatever_the_low_bits_of_its_tag() {
    let mut stage = Stage::anonymous().await;
    let call = stage.call_out(STOCK, SPEEX).await;
    stage.phone.start_media().await;
    let frame = bytes(SPEEX_FRAME);
    for tag in [0xB2, 0xB6, 0xB0, 0xBF] {
        call.rtp.forget();
        say(&stage, tag, &frame, 10, 1).await;
        let heard = payloads(&call, 97);
        assert!(came_whole(&heard, &frame), "{tag:#x}: {heard:02x?}");
    }
}

/// Flash speaks wideband whatever was agreed; of that the peer gets the narrowband layer, bit for bit, and nothing is decoded.
#[tokio::test]
async fn a_narrowband_peer_gets_the_narrowband_layer_of_wideband_frames() {
    let mut stage = Stage::anonymous().await;
    let frame = bytes(SPEEX_FRAME);
    let layer = narrowband_layer(&frame);
    for words in [STOCK, &["narrowband"], &[]] {
        let mut call = stage.call_out(words, NARROWBAND).await;
        stage.phone.start_media().await;
        say(&stage, 0xB2, &frame, 10, 1).await;
        let heard = payloads(&call, 98);
        assert!(came_whole(&heard, &layer), "{words:?}: {heard:02x?}");
        stage.peer.bye(&mut call.dialog).await;
        stage.phone.expect("byed").await;
        stage.phone =
            Phone::connected(stage.gateway.rtmp, Login::anonymous(&format!("a@{}", stage.peer.domain()))).await;
    }
}

/// BUG of siprtmp: two frames were declared as 20 ms, and transcoding lost the second.
#[tokio::test]
async fn several_frames_in_a_message_are_as_many_frames_for_the_peer() {
    let mut stage = Stage::anonymous().await;
    let call = stage.call_out(OLD, PCMU).await;
    stage.phone.start_media().await;
    let pcm: Vec<i16> = (0..320 * 60).map(|n| ((f64::from(n) * 0.2).sin() * 8000.0) as i16).collect();
    let mut encoder = speex_codec::Encoder::new(speex_codec::Mode::Wideband);
    let mut out = [0; 1024];
    let length = encoder.encode(&pcm[..960], &mut out).unwrap();
    say(&stage, 0xB2, &out[..length], 12, 3).await;
    let packets: Vec<_> = call.rtp.seen().into_iter().filter(|p| p.payload_type == 0).collect();
    // 12 messages of three frames; then the phone is silent, and the gateway sends noise.
    for pair in packets[..36].windows(2) {
        assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), 160, "{packets:?}");
    }
}

/// BUG of siprtmp: decoded as Speex, which is noise.
#[tokio::test]
async fn g711_published_in_a_speex_call_is_what_its_tag_says() {
    let mut stage = Stage::anonymous().await;
    let call = stage.call_out(OLD, PCMU).await;
    assert_eq!(call.accepted, ["speex".into(), Value::Null]);
    stage.phone.start_media().await;
    let frame: Vec<u8> = (0..160).map(|n| 0xA0 | n as u8 & 0x1F).collect();
    for tag in [0x82, 0x80] {
        call.rtp.forget();
        say(&stage, tag, &frame, 10, 1).await;
        let heard = payloads(&call, 0);
        assert!(came_whole(&heard, &frame), "{tag:#x}: {heard:02x?}");
    }
}

#[tokio::test]
async fn g711_is_passed_through_with_its_own_tag_both_ways() {
    for (word, formats, tag, number) in [("pcmu", PCMU, 0x82, 0), ("pcma", PCMA, 0x72, 8)] {
        let mut stage = Stage::anonymous().await;
        let call = stage.call_out(&[word], formats).await;
        stage.phone.start_media().await;
        let frame: Vec<u8> = (0..160).map(|n| 0x40 + n as u8 % 32).collect();
        say(&stage, tag, &frame, 10, 1).await;
        let heard = payloads(&call, number);
        assert!(came_whole(&heard, &frame), "{word}: {heard:02x?}");
        call.rtp.play(call.target(), number, 160, &vec![frame.clone(); 10]).await;
        stage.phone.wait_heard(8, SOON).await;
        let expected: Vec<u8> = std::iter::once(tag).chain(frame).collect();
        assert!(stage.phone.heard()[..8].iter().all(|message| message.body == expected), "{word}");
    }
}

/// siprtmp passed it on unheard. Flash Player speaks it unless a page asks for Speex.
#[tokio::test]
async fn nellymoser_of_every_rate_is_heard_and_nothing_is_told_of_it() {
    // A second of 440 Hz, amplitude 8000, by ffmpeg's encoder.
    let streams: [(u8, f64, &[u8]); 4] = [
        (0x52, 32.0, include_bytes!("../../gateway/media/fixtures/nellymoser/tone-8000.blocks")),
        (0x42, 16.0, include_bytes!("../../gateway/media/fixtures/nellymoser/tone-16000.blocks")),
        (0x66, 256.0 / 11.025, include_bytes!("../../gateway/media/fixtures/nellymoser/tone-11025.blocks")),
        (0x6A, 256.0 / 22.05, include_bytes!("../../gateway/media/fixtures/nellymoser/tone-22050.blocks")),
    ];
    for (tag, block_ms, blocks) in streams {
        let mut stage = Stage::anonymous().await;
        let call = stage.call_out(STOCK, PCMU).await;
        stage.phone.start_media().await;
        let stream = stage.phone.published().expect("published");
        let begin = tokio::time::Instant::now();
        for (number, block) in blocks.chunks(64).enumerate() {
            let at = block_ms * number as f64;
            tokio::time::sleep_until(begin + Duration::from_secs_f64((at + block_ms) / 1000.0)).await;
            stage.phone.send_audio(stream, at as u32, [&[tag][..], block].concat().into());
        }
        let heard = g711_timeline(&call.rtp.seen(), 0);
        let steady = &heard[2400..6400];
        let (share, level) = (audio::tone_share(steady, 8000, 440.0), audio::level(steady));
        assert!(share > 0.9, "{tag:#x}: {share:.3} of it is 440 Hz");
        assert!((5000.0..6300.0).contains(&level), "{tag:#x}: level {level:.0}");
        // The first codec that is told is the first that cannot be heard.
        stage.phone.send_audio(stream, 1000, vec![0x2E; 40].into());
        let (_, info) = stage.phone.expect_status("NetStream.Failed").await;
        assert!(info.get_str("description").is_some_and(|text| text.contains("codec 2 ")), "{tag:#x}: {info:?}");
    }
}

/// BUG of siprtmp: RTP time took a fixed step for each message, so a pause did not exist for the peer.
#[tokio::test]
async fn rtp_time_follows_rtmp_time_over_a_pause() {
    let mut stage = Stage::anonymous().await;
    let call = stage.call_out(&["pcmu"], PCMU).await;
    stage.phone.start_media().await;
    let stream = stage.phone.published().unwrap();
    // Ten frames, a second of silence that the phone does not send (silence suppression), ten frames more.
    let begin = tokio::time::Instant::now();
    for number in 0..20u32 {
        let at = 20 * number + if number >= 10 { 1000 } else { 0 };
        tokio::time::sleep_until(begin + Duration::from_millis(at.into())).await;
        stage.phone.send_audio(stream, 5000 + at, [&[0x82][..], &[number as u8 + 1; 160]].concat().into());
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let time_of = |number: u8| {
        let seen = call.rtp.seen();
        let packet = seen.iter().find(|p| p.payload == [number; 160]);
        packet.unwrap_or_else(|| panic!("frame {number} did not come whole: {seen:02x?}")).timestamp
    };
    let step = time_of(16).wrapping_sub(time_of(6));
    // Ten frames and the second: 1200 ms of 8 units. A busy machine may shift the pause by some frames.
    assert!((9600 - 800..=9600 + 800).contains(&step), "{step} units");
    assert_eq!(time_of(6).wrapping_sub(time_of(2)), 4 * 160);
}

// --- peer to phone ------------------------------------------------------------------------------------------------------------------

/// BUG of siprtmp: of longer packets only the first 20 ms came through where it transcoded.
#[tokio::test]
async fn packets_of_any_length_become_one_message_for_each_20_ms() {
    for (words, tag) in [(&["pcmu"][..], 0x82), (OLD, 0xB2)] {
        let mut stage = Stage::anonymous().await;
        let call = stage.call_out(words, PCMU).await;
        stage.phone.start_media().await;
        for _ in 0..15 {
            call.rtp.send(call.target(), 0, false, 480, &[0x31; 480]).await;
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        stage.phone.wait_heard(40, SOON).await;
        let heard = stage.phone.heard();
        assert!(heard.iter().all(|message| message.body[0] == tag), "{heard:?}");
        let steps: Vec<u32> = heard.windows(2).map(|pair| pair[1].timestamp_ms - pair[0].timestamp_ms).collect();
        assert!(steps[..38].iter().all(|step| *step == 20), "{words:?}: {steps:?}");
    }
}

#[tokio::test]
async fn narrowband_speex_is_tagged_b2_too() {
    let mut stage = Stage::anonymous().await;
    let call = stage.call_out(&["narrowband"], NARROWBAND).await;
    stage.phone.start_media().await;
    let layer = narrowband_layer(&bytes(SPEEX_FRAME));
    call.rtp.play(call.target(), 98, 160, &vec![layer.clone(); 10]).await;
    stage.phone.wait_heard(8, SOON).await;
    let expected: Vec<u8> = std::iter::once(0xB2).chain(layer).collect();
    assert!(stage.phone.heard()[..8].iter().all(|message| message.body == expected));
}

#[tokio::test]
async fn a_codec_that_cannot_be_bridged_is_told_on_the_stream_and_not_passed_over_in_silence() {
    let mut stage = Stage::anonymous().await;
    let _call = stage.call_out(STOCK, PCMU).await;
    stage.phone.start_media().await;
    let stream = stage.phone.published().unwrap();
    // MP3, AAC.
    for (tag, number) in [(0x2E, "2"), (0xAF, "10")] {
        for ms in 0..3 {
            stage.phone.send_audio(stream, 20 * ms, vec![tag; 40].into());
        }
        let (on, info) = stage.phone.expect_status("NetStream.Failed").await;
        assert_eq!((on, info.get_str("level")), (stream, Some("error")));
        assert!(info.get_str("description").is_some_and(|text| text.contains(&format!("codec {number} "))), "{info:?}");
    }
}

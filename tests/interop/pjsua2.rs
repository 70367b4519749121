//! PJSIP (pjsua2 from PyPI): a strict phone that speaks Speex on RTP.

use crate::pj_phone::PjPhone;
use crate::place::{
    anna_speaks, assert_digits, assert_speech, assert_speech_of, gateway, gateway_preferring, registered_phone,
};
use gateway_tests::phone::{Login, Phone};
use gateway_tests::speech::Speaker;
use std::time::Duration;

/// Both speak, the phone dials, and the phone hangs up.
async fn phone_calls_pjsua2(codec: &str, words: &[&str]) {
    let gateway = gateway().await;
    let pj = PjPhone::start(codec, None).await;
    let mut phone = Phone::connected(gateway.rtmp, Login::anonymous("alice@198.18.0.1")).await;
    phone.invite(&pj.uri(), words).await;
    assert_eq!(phone.expect("accepted").await[0], "speex".into());
    phone.start_media().await;
    anna_speaks(&phone).await;
    let agreed = pj.event("codec").await;
    assert_eq!(agreed["name"].as_str().unwrap().to_ascii_lowercase(), codec);
    let (heard_rate, heard) = phone.heard_pcm();
    for digit in ["7", "*"] {
        phone.call("sendDTMF", &[digit.into()]).await.unwrap();
        pj.program.wait_for(&format!("\"dtmf\", \"digit\": \"{digit}\""), Duration::from_secs(3)).await;
    }
    phone.bye().await;
    let wide = codec == "g722/16000" || codec == "speex/32000";
    assert_speech_of(wide, &format!("pjsua2 {codec} to phone"), Speaker::Ben, heard_rate, &heard);
    let (rate, heard) = pj.heard().await;
    assert_speech_of(wide, &format!("phone to pjsua2 {codec}"), Speaker::Anna, rate, &heard);
}

#[tokio::test]
async fn the_phone_calls_pjsua2_with_speex_wideband() {
    phone_calls_pjsua2("speex/16000", &["wideband", "dtmf"]).await;
}

#[tokio::test]
async fn the_phone_calls_pjsua2_with_speex_narrowband() {
    phone_calls_pjsua2("speex/8000", &["narrowband", "dtmf"]).await;
}

#[tokio::test]
async fn the_phone_calls_pjsua2_with_speex_ultra_wideband() {
    phone_calls_pjsua2("speex/32000", &["ultrawideband", "dtmf"]).await;
}

#[tokio::test]
async fn the_phone_calls_pjsua2_with_pcmu() {
    phone_calls_pjsua2("pcmu/8000", &["ulaw", "dtmf"]).await;
}

#[tokio::test]
async fn the_phone_calls_pjsua2_with_g722() {
    phone_calls_pjsua2("g722/16000", &["g722", "dtmf"]).await;
}

/// Both speak; then pjsua2 holds, resumes, dials, and hangs up. `takes` is what the phone accepts with: nothing leaves the codec to
/// the gateway's preference.
async fn pjsua2_calls_the_phone(codec: &str, preferred: &str, takes: &[&str], wide: bool) {
    let gateway = gateway_preferring(preferred).await;
    let (registrar, mut phone) = registered_phone(&gateway).await;
    let contact = registrar.binding("alice").unwrap();
    phone.call("subscribe", &["dtmf".into()]).await.unwrap();
    let mut pj = PjPhone::start(codec, Some(&contact)).await;
    phone.expect("invited").await;
    phone.accept(takes).await;
    let accepted = phone.expect("accepted").await;
    assert_eq!(accepted.first(), takes.first().map(|_| "speex".into()).as_ref());
    phone.start_media().await;
    anna_speaks(&phone).await;
    assert_eq!(pj.event("codec").await["name"].as_str().unwrap().to_ascii_lowercase(), codec);
    let (heard_rate, heard) = phone.heard_pcm();
    pj.program.type_line("hold").await;
    assert_eq!(phone.expect("holded").await, [true.into()]);
    pj.program.type_line("resume").await;
    assert_eq!(phone.expect("holded").await, [false.into()]);
    // Its new stream begins with our answer: what it dials before is lost in it.
    pj.media_began(2).await;
    pj.program.type_line("dtmf 3#0").await;
    assert_digits(&mut phone, "3#0").await;
    phone.call("sendDTMF", &["5".into()]).await.unwrap();
    pj.program.wait_for("\"dtmf\", \"digit\": \"5\"", Duration::from_secs(3)).await;
    pj.program.type_line("hangup").await;
    phone.expect("byed").await;
    assert_speech(&format!("pjsua2 {codec} to phone"), Speaker::Ben, heard_rate, &heard);
    let (rate, heard) = pj.heard().await;
    let what = format!("phone to pjsua2 {codec}");
    assert_speech_of(wide, &what, Speaker::Anna, rate, &heard);
}

#[tokio::test]
async fn pjsua2_calls_the_phone_with_speex_wideband_holds_and_hangs_up() {
    let words = ["wideband", "narrowband", "ulaw", "alaw", "dtmf"];
    pjsua2_calls_the_phone("speex/16000", "pcma,wideband", &words, true).await;
}

#[tokio::test]
async fn pjsua2_calls_the_phone_with_speex_ultra_wideband_which_the_gateway_prefers() {
    pjsua2_calls_the_phone("speex/32000", "ultrawideband,pcmu", &[], true).await;
}

#[tokio::test]
async fn pjsua2_calls_the_phone_with_g722_which_the_gateway_prefers() {
    pjsua2_calls_the_phone("g722/16000", "g722,pcmu", &[], true).await;
}

#[tokio::test]
async fn pjsua2_follows_a_transfer_and_its_progress_is_told() {
    let gateway = gateway().await;
    let (mut pj, mut carol) = (PjPhone::start("pcmu/8000", None).await, PjPhone::start("pcmu/8000", None).await);
    let mut phone = Phone::connected(gateway.rtmp, Login::anonymous("alice@198.18.0.1")).await;
    phone.call("subscribe", &["transferred".into()]).await.unwrap();
    phone.invite(&pj.uri(), &["ulaw"]).await;
    phone.expect("accepted").await;
    pj.program.wait_for("\"codec\"", Duration::from_secs(2)).await;
    let destination = format!("sip:carol@{}", carol.address);
    phone.call("transfer", &[destination.as_str().into()]).await.unwrap();
    pj.program.wait_for(&destination, Duration::from_secs(3)).await;
    let mut told = Vec::new();
    while !told.last().is_some_and(|status: &String| status.starts_with("200 ")) {
        told.push(phone.expect("transferred").await[0].as_str().unwrap().to_owned());
    }
    println!("{told:?}");
    phone.expect("byed").await;
    carol.program.wait_for("\"CONFIRMED\"", Duration::from_secs(3)).await;
    carol.program.wait_for("\"codec\"", Duration::from_secs(3)).await;
    for program in [&mut pj.program, &mut carol.program] {
        program.wait_end(Duration::from_secs(8)).await;
    }
}

#[tokio::test]
async fn texts_go_both_ways_between_the_phone_and_pjsua2_in_the_call_and_outside_of_it() {
    let gateway = gateway().await;
    let (registrar, mut phone) = registered_phone(&gateway).await;
    let contact = registrar.binding("alice").unwrap();
    let mut pj = PjPhone::start("pcmu/8000", None).await;
    let topics = ["receivedMessage", "receivedPagingMessage", "messageSent", "messageFailed"];
    phone.call("subscribe", &topics.map(Into::into)).await.unwrap();
    phone.call("sendPagingMessage", &[pj.uri().into(), "are you there?".into()]).await.unwrap();
    let heard = pj.program.wait_for("\"are you there?\"", Duration::from_secs(3)).await;
    assert!(heard.contains("\"message\"") && heard.contains("sip:alice@"), "{heard}");
    assert_eq!(phone.expect("messageSent").await, [1.0.into()]);
    pj.program.type_line(&format!("page {contact} yes, I am")).await;
    let told = phone.expect("receivedPagingMessage").await;
    assert!(told[0].as_str().unwrap().contains("sip:pj@198.18.0.1"), "{told:?}");
    assert_eq!(told[1], "yes, I am".into());
    pj.program.wait_for("\"message answered\", \"code\": 200", Duration::from_secs(3)).await;

    phone.invite(&pj.uri(), &["ulaw"]).await;
    phone.expect("accepted").await;
    phone.call("sendMessage", &["in the call".into()]).await.unwrap();
    pj.program.wait_for("\"message in call\", \"text\": \"in the call\"", Duration::from_secs(3)).await;
    assert_eq!(phone.expect("messageSent").await, [2.0.into()]);
    pj.program.type_line("say I hear you").await;
    let told = phone.expect("receivedMessage").await;
    assert_eq!(told[1], "I hear you".into());
    phone.bye().await;
    pj.program.wait_end(Duration::from_secs(8)).await;
}

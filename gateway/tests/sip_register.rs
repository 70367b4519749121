//! REGISTER over a loopback socket against a registrar made of strings (RFC 3261 sections 10 and 22).
#![allow(missing_docs, clippy::unwrap_used)]

mod sip_common;

use std::str::FromStr;
use std::time::Duration;

use digest_auth::{AuthContext, AuthorizationHeader, HttpMethod};
use phone_agent::{SipAction, SipEvent, SipStatus};
use rtmp_sip_gateway::sip::{AttachError, SipConfig, SipStack};
use sip_common::{Got, Rig, T1, config, identity};
use tokio::sync::mpsc;

const REGISTER: SipAction = SipAction::Register { expires: Duration::from_secs(180) };

/// What a server would compute from the password, compared to what came.
fn is_right(request: &Got, header: &str, password: &str) -> bool {
    let came = AuthorizationHeader::from_str(request.get(header)).unwrap();
    let method = request.start().split(' ').next().unwrap().to_owned();
    let mut own = came.clone();
    let uri = request.start().split(' ').nth(1).unwrap().to_owned();
    assert_eq!(came.uri, uri, "digest uri is the Request-URI");
    own.digest(&AuthContext::new_with_method(
        "alice",
        password,
        uri,
        Some(request.body().as_bytes()),
        HttpMethod::from(method),
    ));
    own.response == came.response
}

async fn grant(rig: &Rig, register: &Got, seconds: u32) {
    let extra = format!("Contact: <{}>;expires={seconds}\r\nExpires: 999\r\n", register.contact());
    rig.peer.respond(register, "200 OK", "reg", &extra, "").await;
}

#[tokio::test]
async fn a_register_is_what_the_contract_says() {
    let mut rig = Rig::new().await;
    rig.agent.perform(REGISTER);
    let register = rig.peer.next().await;
    assert_eq!(register.start(), format!("REGISTER sip:{} SIP/2.0", rig.peer.address));
    let own = format!("\"Alice A\" <sip:alice@{}>", rig.peer.address);
    assert_eq!(register.get("To"), own);
    assert!(register.get("From").starts_with(&format!("{own};tag=")));
    assert_eq!(
        (register.get("Expires"), register.get("Max-Forwards"), register.get("CSeq")),
        ("180", "70", "1 REGISTER")
    );
    assert!(register.contact().ends_with(&format!("@{}", rig.gateway)) && register.get("Via").contains(";rport;"));
    assert!(register.get("Contact").len() > 30, "the contact cannot be guessed");
    grant(&rig, &register, 60).await;
    assert_eq!(rig.event().await, SipEvent::Registered { expires: Duration::from_secs(60) });
}

#[tokio::test]
async fn each_digest_algorithm_registers_with_one_retry() {
    let challenges: [&[&str]; 8] = [
        &[r#"Digest realm="home", nonce="n1""#],
        &[r#"Digest realm="home", nonce="n1", algorithm=MD5, qop="auth""#],
        &[r#"Digest realm="home", nonce="n1", algorithm=MD5-sess, qop="auth,auth-int""#],
        &[r#"Digest realm="home", nonce="n1", algorithm=SHA-256, qop="auth", opaque="xyz""#],
        &[r#"Digest realm="home", nonce="n1", algorithm=SHA-512-256, qop="auth""#],
        &[
            r#"Digest realm="home", nonce="md5", algorithm=MD5, qop="auth""#,
            r#"Digest realm="home", nonce="n1", algorithm=SHA-256, qop="auth""#,
        ],
        &[
            r#"Digest realm="home", nonce="n1", algorithm=SHA-256, qop="auth""#,
            r#"Digest realm="home", nonce="md5", qop="auth""#,
        ],
        &[r#"Digest realm="home", nonce="x", algorithm=ROT13"#, r#"Digest realm="home", nonce="n1""#],
    ];
    for challenge in challenges {
        for (status, asks, answers) in [
            ("401 Unauthorized", "WWW-Authenticate", "Authorization"),
            ("407 Proxy Authentication Required", "Proxy-Authenticate", "Proxy-Authorization"),
        ] {
            let mut rig = Rig::new().await;
            rig.agent.perform(REGISTER);
            let first = rig.peer.next().await;
            let lines: String = challenge.iter().map(|c| format!("{asks}: {c}\r\n")).collect();
            rig.peer.respond(&first, status, "reg", &lines, "").await;
            let second = rig.peer.expect("REGISTER").await;
            assert_eq!(second.get("CSeq"), "2 REGISTER");
            assert_eq!((second.get("Call-ID"), second.tag("From")), (first.get("Call-ID"), first.tag("From")));
            assert_ne!(second.branch(), first.branch());
            assert!(second.get(answers).contains("nonce=\"n1\""), "{challenge:?}: {}", second.get(answers));
            assert!(is_right(&second, answers, "secret"), "{challenge:?}");
            assert!(!is_right(&second, answers, "wrong"), "the check can fail");
            grant(&rig, &second, 180).await;
            assert!(matches!(rig.event().await, SipEvent::Registered { .. }));
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_two_requests() {
    let mut rig = Rig::new().await;
    rig.agent.perform(REGISTER);
    for nonce in ["n1", "n2"] {
        let register = rig.peer.expect("REGISTER").await;
        let line = format!("WWW-Authenticate: Digest realm=\"home\", nonce=\"{nonce}\", qop=\"auth\"\r\n");
        rig.peer.respond(&register, "401 Who Are You", "reg", &line, "").await;
    }
    let status = SipStatus { code: 401, phrase: "Who Are You".to_owned() };
    assert_eq!(rig.event().await, SipEvent::RegisterFailed(status));
    assert!(rig.peer.collect(10 * T1).await.is_empty(), "no third request");
}

#[tokio::test]
async fn a_stale_nonce_is_followed_and_then_no_more() {
    let mut rig = Rig::new().await;
    rig.agent.perform(REGISTER);
    let mut requests = 0;
    loop {
        let register = tokio::select! {
            register = rig.peer.expect("REGISTER") => register,
            event = rig.events.recv() => {
                assert!(matches!(event, Some(SipEvent::RegisterFailed(_))));
                break;
            }
        };
        requests += 1;
        let line =
            format!("WWW-Authenticate: Digest realm=\"home\", nonce=\"n{requests}\", stale=true, qop=\"auth\"\r\n");
        rig.peer.respond(&register, "401 Unauthorized", "reg", &line, "").await;
    }
    assert_eq!(requests, 4, "one without, one with, two for stale nonces");
}

#[tokio::test]
async fn a_refresh_reuses_the_nonce_and_counts_it_up() {
    let mut rig = Rig::new().await;
    rig.agent.perform(REGISTER);
    let first = rig.peer.next().await;
    rig.peer
        .respond(
            &first,
            "401 Unauthorized",
            "reg",
            "WWW-Authenticate: Digest realm=\"home\", nonce=\"n1\", qop=\"auth\"\r\n",
            "",
        )
        .await;
    let second = rig.peer.expect("REGISTER").await;
    assert!(second.get("Authorization").contains("nc=00000001"));
    grant(&rig, &second, 180).await;
    rig.event().await;
    rig.agent.perform(REGISTER);
    let refresh = rig.peer.expect("REGISTER").await;
    assert!(refresh.get("Authorization").contains("nc=00000002") && is_right(&refresh, "Authorization", "secret"));
    assert_eq!(
        (refresh.get("CSeq"), refresh.get("Call-ID"), refresh.contact()),
        ("3 REGISTER", first.get("Call-ID"), first.contact())
    );
    // The registrar has forgotten the nonce, and does not say stale: a new nonce is answered all the same.
    rig.peer
        .respond(
            &refresh,
            "401 Unauthorized",
            "reg",
            "WWW-Authenticate: Digest realm=\"home\", nonce=\"n2\", qop=\"auth\"\r\n",
            "",
        )
        .await;
    let again = rig.peer.expect("REGISTER").await;
    assert!(again.get("Authorization").contains("nonce=\"n2\"") && again.get("Authorization").contains("nc=00000001"));
    grant(&rig, &again, 180).await;
    assert!(matches!(rig.event().await, SipEvent::Registered { .. }));
    rig.agent.perform(SipAction::Unregister);
    let last = rig.peer.expect("REGISTER").await;
    assert_eq!(last.get("Expires"), "0");
    assert!(is_right(&last, "Authorization", "secret"));
    rig.peer.respond(&last, "200 OK", "reg", "", "").await;
    assert_eq!(rig.event().await, SipEvent::Unregistered);
}

#[tokio::test]
async fn a_registrar_that_wants_longer_intervals_gets_them() {
    let mut rig = Rig::new().await;
    rig.agent.perform(SipAction::Register { expires: Duration::from_secs(20) });
    let first = rig.peer.next().await;
    rig.peer.respond(&first, "423 Interval Too Brief", "reg", "Min-Expires: 90\r\n", "").await;
    let second = rig.peer.expect("REGISTER").await;
    assert_eq!(second.get("Expires"), "90");
    rig.peer.respond(&second, "200 OK", "reg", "", "").await;
    assert_eq!(rig.event().await, SipEvent::Registered { expires: Duration::from_secs(90) });
}

#[tokio::test]
async fn lost_datagrams_are_sent_again_and_silence_is_a_timeout() {
    // The eleventh is due T1 before the end: T1 is long enough here for a busy machine.
    let t1 = 3 * T1;
    let mut rig = Rig::with(SipConfig { t1, ..config() }).await;
    rig.agent.perform(REGISTER);
    let (sent, event) = tokio::join!(rig.peer.collect(66 * t1), async { rig.events.recv().await });
    // RFC 3261 timer E: T1, doubling to T2 = 8*T1, until timer F at 64*T1.
    assert_eq!(sent.len(), 11, "transmissions");
    assert!(sent.iter().all(|s| s.text == sent[0].text));
    let status = SipStatus { code: 408, phrase: "Request timeout".to_owned() };
    assert_eq!(event, Some(SipEvent::RegisterFailed(status)));

    rig.agent.perform(REGISTER);
    rig.peer.next().await;
    rig.peer.next().await;
    let third = rig.peer.next().await;
    grant(&rig, &third, 180).await;
    assert!(matches!(rig.event().await, SipEvent::Registered { .. }));
}

#[tokio::test]
async fn refusals_carry_the_registrars_words() {
    for (line, code, phrase) in [
        ("403 Forbidden", 403, "Forbidden"),
        ("404 Never heard of you", 404, "Never heard of you"),
        ("499 Odd", 499, "Odd"),
    ] {
        let mut rig = Rig::new().await;
        rig.agent.perform(REGISTER);
        let register = rig.peer.next().await;
        rig.peer.respond(&register, line, "reg", "", "").await;
        assert_eq!(rig.event().await, SipEvent::RegisterFailed(SipStatus { code, phrase: phrase.to_owned() }));
    }
}

#[tokio::test]
async fn a_domain_that_does_not_resolve_is_503() {
    let stack = SipStack::start(config()).await.unwrap();
    let (sender, mut events) = mpsc::channel(8);
    let agent = stack.attach(identity("alice@nowhere.invalid".to_owned()), sender).unwrap();
    agent.perform(REGISTER);
    let status = SipStatus { code: 503, phrase: "Service unavailable - cannot resolve DNS target".to_owned() };
    assert_eq!(events.recv().await, Some(SipEvent::RegisterFailed(status)));
}

#[tokio::test]
async fn an_unregister_ends_whatever_the_registrar_does() {
    let (mut rig, _) = Rig::registered().await;
    rig.agent.perform(SipAction::Unregister);
    let (_, event) = tokio::join!(rig.peer.collect(70 * T1), async { rig.events.recv().await });
    assert_eq!(event, Some(SipEvent::Unregistered));
    rig.agent.perform(SipAction::Unregister);
    assert_eq!(rig.event().await, SipEvent::Unregistered, "nothing is registered any more");
}

#[tokio::test]
async fn an_agent_dropped_while_it_unregisters_still_answers_the_challenge() {
    let (rig, _) = Rig::registered().await;
    rig.agent.perform(SipAction::Unregister);
    let Rig { agent, events, peer, stack, .. } = rig;
    drop((agent, events));
    let first = peer.expect("REGISTER").await;
    peer.respond(&first, "401 Unauthorized", "reg", "WWW-Authenticate: Digest realm=\"home\", nonce=\"n1\"\r\n", "")
        .await;
    let second = peer.expect("REGISTER").await;
    assert_eq!(second.get("Expires"), "0");
    assert!(is_right(&second, "Authorization", "secret"));
    peer.respond(&second, "200 OK", "reg", "", "").await;
    let started = std::time::Instant::now();
    stack.shutdown(Duration::from_secs(5)).await;
    assert!(started.elapsed() < Duration::from_secs(1), "the agent is gone");
}

#[tokio::test]
async fn an_outbound_proxy_gets_the_register_with_a_route() {
    let proxy = sip_common::Peer::new().await;
    let mut config = config();
    config.outbound_proxy = Some(format!("sip:{}", proxy.address));
    let stack = SipStack::start(config).await.unwrap();
    let (sender, _events) = mpsc::channel(8);
    let agent = stack.attach(identity("alice@home.invalid".to_owned()), sender).unwrap();
    agent.perform(REGISTER);
    let register = proxy.next().await;
    assert_eq!(register.start(), "REGISTER sip:home.invalid SIP/2.0");
    assert_eq!(register.get("Route"), format!("<sip:{};lr>", proxy.address));
}

#[tokio::test]
async fn an_identity_that_could_break_a_header_is_refused() {
    let stack = SipStack::start(config()).await.unwrap();
    for address in [
        "",
        "alice",
        "@h",
        "alice@h\r\nRoute: <sip:evil>",
        "alice@h\0",
        "alice@h;lr",
        "alice@x/123",
        "a b@h",
        "<sip:a@h>",
    ] {
        let (sender, _events) = mpsc::channel(1);
        let refused = stack.attach(identity(address.to_owned()), sender).err();
        assert!(matches!(refused, Some(AttachError::BadIdentity(_))), "{address:?}: {refused:?}");
    }
    let mut named = identity("alice@h".to_owned());
    named.display_name = Some("A\r\nVia: x".to_owned());
    let (sender, _events) = mpsc::channel(1);
    assert!(matches!(stack.attach(named, sender).err(), Some(AttachError::BadIdentity(_))));
}

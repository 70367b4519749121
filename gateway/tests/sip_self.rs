//! Two agents of the same process call each other through their own sockets, and a local domain sits on those sockets too.
#![allow(missing_docs, clippy::unwrap_used)]

mod sip_common;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use phone_agent::{CallHandle, SipAction, SipEvent};
use rtmp_sip_gateway::sip::{DatagramFilter, DatagramSender, SipAgent, SipConfig, SipStack, Verdict};
use sip_common::{ANSWER, OFFER, PATIENCE, Peer, config, identity};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// The least local domain that can be: it registers everybody and forwards statelessly by a Via of its own (RFC 3261 section 16.11).
#[derive(Default)]
struct Domain {
    sender: OnceLock<DatagramSender>,
    /// User and Contact.
    bindings: Mutex<Vec<(String, String)>>,
}

impl Domain {
    fn lookup(&self, user: &str) -> Option<String> {
        self.bindings.lock().unwrap().iter().rev().find(|(known, _)| known == user).map(|(_, contact)| contact.clone())
    }
}

fn header<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default()
}

fn address_of(uri: &str) -> SocketAddr {
    uri.rsplit('@').next().unwrap().parse().unwrap()
}

impl DatagramFilter for Domain {
    fn started(&self, sender: DatagramSender) {
        self.sender.set(sender).ok();
    }

    fn inspect(&self, datagram: &[u8], from: SocketAddr) -> Verdict {
        let text = String::from_utf8_lossy(datagram).into_owned();
        let sender = self.sender.get().unwrap();
        if text.starts_with("SIP/2.0") {
            let top = format!("Via: {}\r\n", header(&text, "Via"));
            if !top.contains("z9hG4bKlocal") {
                return Verdict::Pass;
            }
            let rest = text.replacen(&top, "", 1);
            sender.send(rest.as_bytes(), sender.local_addr());
            return Verdict::Consumed;
        }
        let uri = text.split(' ').nth(1).unwrap().to_owned();
        if text.starts_with("REGISTER sip:home.test ") {
            let contact = header(&text, "Contact").split(['<', '>']).nth(1).unwrap().to_owned();
            let user = header(&text, "To").split(['<', ':', '@']).nth(2).unwrap().to_owned();
            self.bindings.lock().unwrap().push((user, contact.clone()));
            let head: String = text
                .lines()
                .filter(|l| ["Via", "From", "To", "Call-ID", "CSeq"].iter().any(|n| l.starts_with(n)))
                .map(|l| format!("{l}\r\n"))
                .collect();
            let reply = format!("SIP/2.0 200 OK\r\n{head}Contact: <{contact}>;expires=60\r\nContent-Length: 0\r\n\r\n");
            sender.send(reply.as_bytes(), from);
            return Verdict::Consumed;
        }
        let Some(user) = uri.strip_prefix("sip:").and_then(|u| u.strip_suffix("@home.test")) else {
            return Verdict::Pass;
        };
        let Some(contact) = self.lookup(user) else { return Verdict::Pass };
        let branch = format!("z9hG4bKlocal{}", header(&text, "Via").split("branch=").nth(1).unwrap_or_default());
        let via = format!("Via: SIP/2.0/UDP {};branch={branch}\r\nVia: ", sender.local_addr());
        let forwarded = text.replacen(&uri, &contact, 1).replacen("Via: ", &via, 1);
        sender.send(forwarded.as_bytes(), address_of(&contact));
        Verdict::Consumed
    }
}

/// A network that loses every datagram the first time it is sent, in front of the domain.
#[derive(Default)]
struct LosesOnce {
    domain: Domain,
    seen: Mutex<HashSet<Vec<u8>>>,
}

impl DatagramFilter for LosesOnce {
    fn started(&self, sender: DatagramSender) {
        self.domain.started(sender);
    }

    fn inspect(&self, datagram: &[u8], from: SocketAddr) -> Verdict {
        match self.seen.lock().unwrap().insert(datagram.to_vec()) {
            true => Verdict::Consumed,
            false => self.domain.inspect(datagram, from),
        }
    }
}

async fn event(events: &mut mpsc::Receiver<SipEvent>) -> SipEvent {
    timeout(PATIENCE, events.recv()).await.expect("an event within 8 s").unwrap()
}

async fn phone(stack: &SipStack, name: &str) -> (SipAgent, mpsc::Receiver<SipEvent>) {
    let (sender, mut events) = mpsc::channel(64);
    let agent = stack.attach(identity(format!("{name}@home.test")), sender).unwrap();
    agent.perform(SipAction::Register { expires: Duration::from_secs(180) });
    assert_eq!(event(&mut events).await, SipEvent::Registered { expires: Duration::from_secs(60) });
    (agent, events)
}

async fn stack_with_domain() -> SipStack {
    stack_with(Arc::new(Domain::default())).await
}

async fn stack_with(filter: Arc<dyn DatagramFilter>) -> SipStack {
    let config = SipConfig { own_domains: vec!["home.test".to_owned()], filter: Some(filter), ..config() };
    SipStack::start(config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_agents_register_and_call_through_their_own_socket() {
    let stack = stack_with_domain().await;
    let (alice, mut alice_hears) = phone(&stack, "alice").await;
    let (bob, mut bob_hears) = phone(&stack, "bob").await;
    let (out, inc) = (CallHandle(1), CallHandle(2));
    for round in 0..20 {
        let (out, inc) = (CallHandle(out.0 + 2 * round), CallHandle(inc.0 + 2 * round));
        alice.perform(SipAction::Invite { call: out, target: "sip:bob@home.test".to_owned(), sdp: OFFER.to_owned() });
        let from = "\"Alice A\" <sip:alice@home.test>".to_owned();
        assert_eq!(event(&mut bob_hears).await, SipEvent::Incoming { call: inc, from, sdp: Some(OFFER.to_owned()) });
        bob.perform(SipAction::Ring { call: inc });
        assert!(matches!(event(&mut alice_hears).await, SipEvent::Progress { .. }));
        bob.perform(SipAction::Answer { call: inc, sdp: ANSWER.to_owned() });
        assert_eq!(event(&mut alice_hears).await, SipEvent::Answered { call: out, sdp: Some(ANSWER.to_owned()) });
        assert_eq!(event(&mut bob_hears).await, SipEvent::Acknowledged { call: inc, sdp: None });
        // In the dialog they talk directly, agent to agent, over the one socket.
        bob.perform(SipAction::Reinvite { call: inc, sdp: OFFER.to_owned() });
        assert_eq!(event(&mut alice_hears).await, SipEvent::Reinvited { call: out, sdp: Some(OFFER.to_owned()) });
        alice.perform(SipAction::AnswerReinvite { call: out, answer: Ok(ANSWER.to_owned()) });
        assert_eq!(event(&mut bob_hears).await, SipEvent::Reanswered { call: inc, sdp: Some(ANSWER.to_owned()) });
        match round % 2 {
            0 => {
                alice.perform(SipAction::Bye { call: out });
                assert_eq!(event(&mut bob_hears).await, SipEvent::Byed { call: inc });
                assert_eq!(event(&mut alice_hears).await, SipEvent::Ended { call: out });
            }
            _ => {
                bob.perform(SipAction::Bye { call: inc });
                assert_eq!(event(&mut alice_hears).await, SipEvent::Byed { call: out });
                assert_eq!(event(&mut bob_hears).await, SipEvent::Ended { call: inc });
            }
        }
    }
    sip_common::until("all transactions are forgotten", || stack.transactions() == 0).await;
}

#[tokio::test]
async fn an_agent_may_call_itself() {
    let stack = stack_with_domain().await;
    let (alice, mut hears) = phone(&stack, "alice").await;
    alice.perform(SipAction::Invite {
        call: CallHandle(1),
        target: "sip:alice@home.test".to_owned(),
        sdp: OFFER.to_owned(),
    });
    let SipEvent::Incoming { call, .. } = event(&mut hears).await else { panic!("a call") };
    alice.perform(SipAction::Answer { call, sdp: ANSWER.to_owned() });
    let both = [event(&mut hears).await, event(&mut hears).await];
    assert!(both.contains(&SipEvent::Answered { call: CallHandle(1), sdp: Some(ANSWER.to_owned()) }), "{both:?}");
    assert!(both.contains(&SipEvent::Acknowledged { call, sdp: None }), "{both:?}");
    alice.perform(SipAction::Bye { call: CallHandle(1) });
    let both = [event(&mut hears).await, event(&mut hears).await];
    assert!(
        both.contains(&SipEvent::Ended { call: CallHandle(1) }) && both.contains(&SipEvent::Byed { call }),
        "{both:?}"
    );
}

#[tokio::test]
async fn a_call_within_the_house_is_cancelled_and_refused() {
    let stack = stack_with_domain().await;
    let (alice, mut alice_hears) = phone(&stack, "alice").await;
    let (bob, mut bob_hears) = phone(&stack, "bob").await;
    alice.perform(SipAction::Invite {
        call: CallHandle(1),
        target: "sip:bob@home.test".to_owned(),
        sdp: OFFER.to_owned(),
    });
    let SipEvent::Incoming { call, .. } = event(&mut bob_hears).await else { panic!("a call") };
    alice.perform(SipAction::Cancel { call: CallHandle(1) });
    assert_eq!(event(&mut bob_hears).await, SipEvent::Cancelled { call });
    let SipEvent::Failed { status, .. } = event(&mut alice_hears).await else { panic!("an end") };
    assert_eq!((status.code, status.phrase.as_str()), (487, "Request Terminated"));
    alice.perform(SipAction::Invite {
        call: CallHandle(3),
        target: "sip:bob@home.test".to_owned(),
        sdp: OFFER.to_owned(),
    });
    let SipEvent::Incoming { call, .. } = event(&mut bob_hears).await else { panic!("a call") };
    bob.perform(SipAction::Refuse {
        call,
        status: phone_agent::SipStatus { code: 486, phrase: "Busy Here".to_owned() },
    });
    let SipEvent::Failed { status, .. } = event(&mut alice_hears).await else { panic!("an end") };
    assert_eq!((status.code, status.phrase.as_str()), (486, "Busy Here"));
}

#[tokio::test]
async fn the_filter_sees_clean_messages_only() {
    #[derive(Default)]
    struct Seen(Mutex<Vec<String>>);
    impl DatagramFilter for Seen {
        fn started(&self, _: DatagramSender) {}
        fn inspect(&self, datagram: &[u8], _: SocketAddr) -> Verdict {
            self.0.lock().unwrap().push(String::from_utf8(datagram.to_vec()).expect("UTF-8"));
            Verdict::Pass
        }
    }
    let seen = Arc::new(Seen::default());
    let stack = SipStack::start(SipConfig { filter: Some(seen.clone()), ..config() }).await.unwrap();
    let peer = Peer::new().await;
    let good = b"FOO sip:a@home.test SIP/2.0\nv: SIP/2.0/UDP h;rport\nf: \"\xe9\" <sip:b@c>;tag=1\nt: <sip:a@b>\ni: x\nCSeq: 1 FOO\n\nbody";
    for datagram in [&good[..], b"\r\n\r\n", b"nonsense", b"FOO sip:a SIP/2.0\r\nTo: x\r\n\r\n"] {
        peer.socket.send_to(datagram, stack.local_addr()).await.unwrap();
    }
    peer.expect("SIP/2.0 501").await;
    let seen = seen.0.lock().unwrap();
    let expected = "FOO sip:a@home.test SIP/2.0\r\nVia: SIP/2.0/UDP h;rport\r\nFrom: \"é\" <sip:b@c>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 FOO\r\nContent-Length: 4\r\n\r\nbody";
    assert_eq!(*seen, [expected]);
}

#[tokio::test]
async fn a_network_that_loses_every_datagram_once_costs_no_call() {
    let stack = stack_with(Arc::new(LosesOnce::default())).await;
    let (alice, mut alice_hears) = phone(&stack, "alice").await;
    let (bob, mut bob_hears) = phone(&stack, "bob").await;
    for round in 0..5 {
        let (out, inc) = (CallHandle(1 + 2 * round), CallHandle(2 + 2 * round));
        alice.perform(SipAction::Invite { call: out, target: "sip:bob@home.test".to_owned(), sdp: OFFER.to_owned() });
        assert!(matches!(event(&mut bob_hears).await, SipEvent::Incoming { .. }));
        bob.perform(SipAction::Answer { call: inc, sdp: ANSWER.to_owned() });
        assert!(matches!(event(&mut alice_hears).await, SipEvent::Answered { .. }));
        assert!(matches!(event(&mut bob_hears).await, SipEvent::Acknowledged { .. }));
        alice.perform(SipAction::Reinvite { call: out, sdp: OFFER.to_owned() });
        assert!(matches!(event(&mut bob_hears).await, SipEvent::Reinvited { .. }));
        bob.perform(SipAction::AnswerReinvite { call: inc, answer: Ok(ANSWER.to_owned()) });
        assert!(matches!(event(&mut alice_hears).await, SipEvent::Reanswered { .. }));
        bob.perform(SipAction::Bye { call: inc });
        assert_eq!(event(&mut alice_hears).await, SipEvent::Byed { call: out });
        assert_eq!(event(&mut bob_hears).await, SipEvent::Ended { call: inc });
        alice.perform(SipAction::Unregister);
        assert_eq!(event(&mut alice_hears).await, SipEvent::Unregistered);
        alice.perform(SipAction::Register { expires: Duration::from_secs(60) });
        assert!(matches!(event(&mut alice_hears).await, SipEvent::Registered { .. }));
    }
    sip_common::until("all transactions are forgotten", || stack.transactions() == 0).await;
}

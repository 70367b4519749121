//! Kamailio between two phones: digest for REGISTER and INVITE, record-routing, and its own idea of a correct message.

use crate::place::{HERE, anna_speaks, assert_speech, gateway};
use gateway_tests::gateway::free_udp_and_tcp;
use gateway_tests::phone::{Login, Phone};
use gateway_tests::speech::Speaker;
use gateway_tests::tools::{Peer, Scratch};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::process::Command;

struct Kamailio {
    program: Peer,
    address: SocketAddr,
    _folder: Scratch,
}

impl Kamailio {
    async fn start() -> Self {
        let (folder, address) = (Scratch::new(), free_udp_and_tcp(HERE));
        let config = include_str!("kamailio.cfg").replace("@LISTEN@", &address.to_string());
        std::fs::write(folder.path("kamailio.cfg"), config).unwrap();
        let mut command = Command::new("kamailio");
        command.arg("-f").arg(folder.path("kamailio.cfg")).args(["-DD", "-E", "-m", "32", "-M", "4"]);
        command.arg("-Y").arg(folder.path("")).arg("-P").arg(folder.path("pid"));
        let mut program = Peer::start("kamailio", &mut command);
        // It answers a request without a user by 404 or a challenge as soon as it is up.
        let probe = gateway_tests::sip_peer::SipPeer::bind(HERE).await;
        for _ in 0..50 {
            let options = probe.out_of_dialog("OPTIONS", &format!("sip:{address}"));
            probe.send_raw(options.to_string().as_bytes(), address).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(program.is_running(), "kamailio ended:\n{}", program.said());
            if !probe.log().is_empty() {
                return Self { program, address, _folder: folder };
            }
        }
        panic!("kamailio does not answer:\n{}", program.said());
    }

    fn login(&self, user: &str, password: &str) -> Login {
        Login::with_password(&format!("{user}@{}", self.address), user, password)
    }

    /// Ends its main process by SIGTERM, which ends its children.
    async fn stop(mut self) {
        self.program.signal("TERM");
        self.program.wait_end(Duration::from_secs(10)).await;
    }
}

#[tokio::test]
async fn two_phones_register_with_kamailio_and_call_each_other_through_it() {
    let gateway = gateway().await;
    let kamailio = Kamailio::start().await;
    let mut alice = Phone::connected(gateway.rtmp, kamailio.login("alice", "alicepw")).await;
    let mut bob = Phone::connected(gateway.rtmp, kamailio.login("bob", "bobpw")).await;
    alice.invite(&format!("sip:bob@{}", kamailio.address), &["wideband", "ulaw"]).await;
    bob.expect("invited").await;
    assert_eq!(alice.expect("ringing").await, ["180 Ringing".into()]);
    bob.accept(&["wideband", "ulaw"]).await;
    bob.expect("accepted").await;
    alice.expect("accepted").await;
    alice.start_media().await;
    bob.start_media().await;
    anna_speaks(&alice).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    let (rate, heard) = bob.heard_pcm();
    assert_speech("alice to bob by kamailio", Speaker::Anna, rate, &heard);
    // In-dialog requests take the recorded route, both ways.
    alice.call("hold", &[true.into()]).await.unwrap();
    assert_eq!(bob.expect("holded").await, [true.into()]);
    alice.call("hold", &[false.into()]).await.unwrap();
    assert_eq!(bob.expect("holded").await, [false.into()]);
    bob.bye().await;
    alice.expect("byed").await;
    kamailio.stop().await;
}

#[tokio::test]
async fn kamailio_refuses_a_wrong_password_and_an_unknown_callee() {
    let gateway = gateway().await;
    let kamailio = Kamailio::start().await;
    let mut mallory = Phone::open(gateway.rtmp).await;
    let reason = mallory.connect(kamailio.login("alice", "wrong")).await.unwrap_err();
    assert!(reason.starts_with("401 "), "{reason}");
    let mut alice = Phone::connected(gateway.rtmp, kamailio.login("alice", "alicepw")).await;
    alice.invite(&format!("sip:nobody@{}", kamailio.address), &["ulaw"]).await;
    assert_eq!(alice.expect("rejected").await, ["404 Not Found".into()]);
    kamailio.stop().await;
}

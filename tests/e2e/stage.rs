//! What most tests begin with: a gateway, a SIP peer that is registrar and callee, and a phone.

use gateway_tests::gateway::Gateway;
use gateway_tests::phone::{Login, Phone};
use gateway_tests::rtp::RtpPeer;
use gateway_tests::sdp::AudioSdp;
use gateway_tests::sip_peer::{Dialog, SipPeer};
use rtmp_session::Value;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub const PCMU: &[(u8, &str)] = &[(0, "PCMU/8000"), (101, "telephone-event/8000")];
pub const PCMA: &[(u8, &str)] = &[(8, "PCMA/8000"), (101, "telephone-event/8000")];
pub const SPEEX: &[(u8, &str)] = &[(97, "speex/16000"), (101, "telephone-event/8000")];

pub struct Stage {
    pub gateway: Gateway,
    pub peer: SipPeer,
    pub phone: Phone,
}

/// A call that is up: the peer's side of it.
pub struct UpCall {
    pub dialog: Dialog,
    pub rtp: RtpPeer,
    /// Arguments of `accepted`.
    pub accepted: Vec<Value>,
}

impl UpCall {
    /// Where the gateway wants RTP.
    pub fn target(&self) -> SocketAddr {
        self.dialog.rtp()
    }
}

impl Stage {
    /// The phone is `alice`, registered with the peer.
    pub async fn registered() -> Self {
        let (gateway, peer) = (Gateway::start().await, SipPeer::bind(LOOPBACK).await);
        let phone = Phone::connected(gateway.rtmp, alice(&peer)).await;
        Self { gateway, peer, phone }
    }

    /// The phone is `alice` without a password: it can call, but is not registered.
    pub async fn anonymous() -> Self {
        let (gateway, peer) = (Gateway::start().await, SipPeer::bind(LOOPBACK).await);
        let login = Login::anonymous(&format!("alice@{}", peer.domain()));
        let phone = Phone::connected(gateway.rtmp, login).await;
        Self { gateway, peer, phone }
    }

    /// The phone calls `bob`, who rings and answers with these formats.
    pub async fn call_out(&mut self, words: &[&str], formats: &[(u8, &str)]) -> UpCall {
        let rtp = RtpPeer::bind(LOOPBACK).await;
        self.phone.invite(&self.peer.uri("bob"), words).await;
        let dialog = self.peer.incoming().await;
        self.peer.ring(&dialog).await;
        assert_eq!(self.phone.expect("ringing").await, ["180 Ringing".into()]);
        self.peer.answer(&dialog, &AudioSdp::new(rtp.address(), formats)).await;
        let accepted = self.phone.expect("accepted").await;
        UpCall { dialog, rtp, accepted }
    }

    /// `bob` calls the phone with these formats, and the phone accepts.
    pub async fn call_in(&mut self, words: &[&str], formats: &[(u8, &str)]) -> UpCall {
        let rtp = RtpPeer::bind(LOOPBACK).await;
        let contact = self.peer.binding("alice").expect("alice is registered");
        let offer = AudioSdp::new(rtp.address(), formats);
        let invite = self.peer.invite(&contact, self.gateway.sip, Some(&offer), |_| {});
        let accept = async {
            self.phone.expect("invited").await;
            self.phone.accept(words).await;
            self.phone.expect("accepted").await
        };
        let ((dialog, response), accepted) = tokio::join!(invite, accept);
        assert_eq!(response.status(), Some(200), "{response}");
        UpCall { dialog, rtp, accepted }
    }
}

pub fn alice(peer: &SipPeer) -> Login {
    Login::with_password(&format!("alice@{}", peer.domain()), "alice", "secret")
}

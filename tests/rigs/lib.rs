//! What the tests are made of: a fake RTMP phone, a SIP peer under exact control, a seeded bad network, real speech, and tools that
//! listen to what came through.
//!
//! ```text
//!   Phone (RTMP, rtmp_session::ClientSession)          SipPeer (UDP, registrar, calls)
//!      |  TCP  [TcpRelay: stalls]     +---------+   UDP [UdpRelay: loss, jitter]  |
//!      +------------------------------| Gateway |--------------------------------- +
//!      |  speech as Speex or G.711    | (binary)|   RTP of PCMU, PCMA, Speex      |
//!      v                              +---------+                                 v
//!   decode -> PCM ------------------> audio::align, score::judge <--------- RtpPeer -> PCM
//! ```
//!
//! The rigs bring their own SIP text, RTP header, digest and G.711, so that a mistake of the gateway is not repeated in its judge.
//! A rig that cannot do its step panics: that fails the test at the place where it went wrong.
#![allow(clippy::unwrap_used)]

pub mod audio;
pub mod capture;
pub mod digest;
pub mod g711;
pub mod gateway;
pub mod injector;
#[allow(unsafe_code)]
pub mod libopus;
#[allow(unsafe_code)]
pub mod libspeex;
pub mod media;
pub mod nellymoser;
pub mod network;
pub mod ogg;
pub mod phone;
pub mod rtp;
pub mod score;
pub mod sdp;
pub mod sip_message;
pub mod sip_peer;
#[allow(unsafe_code)]
pub mod spandsp;
pub mod speech;
pub mod speex_corpus;
#[allow(unsafe_code)]
pub mod speexdsp;
pub mod tools;
pub mod voice;
pub mod wav;

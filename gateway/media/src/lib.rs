//! Call media without IO: what lies between the audio message of an RTMP phone and the RTP packet of a SIP peer.
//!
//! ```text
//! uplink    AudioTag -> decode -> PCM -> resample -> reframe + pace -> encode -> RTP
//! downlink  RTP -> reorder/jitter -> decode | conceal -> PCM -> resample -> encode -> AudioTag
//! relay     AudioTag body <-> RTP payload where codec and framing agree: no PCM at all
//! ```
//!
//! Nothing here opens a socket, reads a clock or spawns a task: bytes and the time come in, bytes and events go out.
#![deny(unsafe_code)] // but for `codec::opus`

pub mod codec;
pub mod downlink;
pub mod dtmf;
pub mod flv;
pub mod jitter;
pub mod latch;
pub mod limits;
pub mod media_time;
pub mod noise;
pub mod path;
#[cfg(test)]
mod path_tests;
pub mod plc;
pub mod reception;
pub mod resample;
pub mod rtcp;
pub mod rtmp_time;
pub mod rtp;
pub mod sdp;
pub mod speex_frames;
pub mod speex_gap;
pub mod speex_level;
pub mod stats;
#[cfg(test)]
mod testing;
pub mod uplink;

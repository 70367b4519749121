//! The handshake: 1 + 1536 + 1536 bytes each way before the first chunk.
//!
//! ```text
//!   client  C0 C1 ------------------> server       C0, S0   version, always 3
//!                 <--------- S0 S1 S2              C1, S1   time, version of the program, random bytes
//!           C2    ------------------>              C2, S2   an answer to the other's C1 or S1
//! ```
//!
//! Two kinds exist. In the *simple* one (RTMP 1.0, section 5.2) C1 has zero in bytes 4 to 7 and the answer is an echo.
//! In the *digest* one (Flash Player 9 and later, never published by Adobe) C1 and S1 each hide an HMAC-SHA256 of
//! themselves at a place that other bytes give away, and the answer is signed with it. Flash Player decodes H.264 only
//! after the digest kind. Version 6 (RTMPE) adds encryption and is not spoken here.
//!
//! Why not `rml_rtmp::handshake`: it draws from a random source of its own, so that no session could be replayed from
//! a seed; it answers a simple C1 with an S1 whose version is not zero; and it keeps whatever it is fed.

mod client;
mod digest;
mod server;

pub(crate) use client::ClientHandshake;
pub(crate) use server::ServerHandshake;

/// The only version that is spoken.
const VERSION: u8 = 3;
/// Bytes of C1, C2, S1 and S2.
const PACKET: usize = 1536;
/// C1 and S1: bytes 0 to 3 are the sender's clock, 4 to 7 zero or the version of its program, the rest is random.
const RANDOM_FROM: usize = 8;

/// What a handshake came to after some input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// All input is used up, and more is needed.
    More,
    /// Both ends are done; what is left of the input are chunks.
    Done,
    /// It was not RTMP but a Flash player that asks for the policy file.
    PolicyRequest,
}

/// Moves bytes from `input` to `buffer` until it holds a whole packet; true when it does.
fn gather(buffer: &mut Vec<u8>, input: &mut &[u8]) -> bool {
    let take = input.len().min(PACKET - buffer.len());
    let (now, later) = input.split_at(take);
    buffer.extend_from_slice(now);
    *input = later;
    buffer.len() == PACKET
}

/// Drops bytes of `input` until `left` of them are gone; true when they are.
fn skip(left: &mut usize, input: &mut &[u8]) -> bool {
    let take = input.len().min(*left);
    *input = &input[take..];
    *left -= take;
    *left == 0
}

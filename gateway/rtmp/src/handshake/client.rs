//! The client's side: C0 and C1 at once, C2 as soon as S1 is whole.

use super::digest::{self, PLAYER_WORDS, SERVER_WORDS, Scheme};
use super::{PACKET, Step, VERSION, gather, skip};
use crate::client::HandshakeKind;
use crate::error::Fault;
use bytes::{BufMut, BytesMut};

/// Program version in C1: that of Flash Player 9, the first with a digest.
const PLAYER_VERSION: [u8; 4] = [9, 0, 124, 2];

/// The client's side of a handshake.
#[derive(Debug)]
pub(crate) struct ClientHandshake {
    seed: [u8; 32],
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    S0,
    S1(Vec<u8>),
    /// C2 was sent. S2 is read and not checked.
    S2 {
        left: usize,
    },
}

impl ClientHandshake {
    /// Begins a handshake: appends C0 and C1 to `out`.
    pub(crate) fn new(seed: &[u8; 32], kind: HandshakeKind, out: &mut BytesMut) -> Self {
        let mut c1 = [0; PACKET];
        digest::fill(&mut c1, seed, 1);
        let scheme = match kind {
            HandshakeKind::Simple => None,
            HandshakeKind::Digest => Some(Scheme::Near),
            HandshakeKind::DigestScheme1 => Some(Scheme::Far),
        };
        if let Some(scheme) = scheme {
            c1[4..8].copy_from_slice(&PLAYER_VERSION);
            digest::embed(&mut c1, scheme, PLAYER_WORDS);
        }
        out.reserve(1 + PACKET);
        out.put_u8(VERSION);
        out.put_slice(&c1);
        Self { seed: *seed, stage: Stage::S0 }
    }

    /// Takes what belongs to the handshake off the front of `input` and appends the answer to `out`.
    pub(crate) fn receive(&mut self, input: &mut &[u8], out: &mut BytesMut) -> Result<Step, Fault> {
        while let Some(&next) = input.first() {
            match &mut self.stage {
                Stage::S0 if next == VERSION => {
                    *input = &input[1..];
                    self.stage = Stage::S1(Vec::new());
                }
                Stage::S0 => return Err(Fault::malformed(format!("not RTMP (first byte 0x{next:02x})"))),
                Stage::S1(buffer) => {
                    if gather(buffer, input) {
                        answer(buffer, &self.seed, out);
                        self.stage = Stage::S2 { left: PACKET };
                    }
                }
                Stage::S2 { left } => {
                    if skip(left, input) {
                        return Ok(Step::Done);
                    }
                }
            }
        }
        Ok(Step::More)
    }
}

/// Appends C2 for a whole S1.
fn answer(s1: &[u8], seed: &[u8; 32], out: &mut BytesMut) {
    let s1: &[u8; PACKET] = s1.try_into().expect("gather says when the packet is whole");
    let mut c2 = *s1;
    if let Some((_, s1_digest)) = digest::find(s1, SERVER_WORDS) {
        digest::fill(&mut c2, seed, 2);
        digest::sign(&mut c2, &s1_digest, PLAYER_WORDS);
    }
    out.put_slice(&c2);
}

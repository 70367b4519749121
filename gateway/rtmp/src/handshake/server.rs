//! The server's side: S0, S1 and S2 go out together as soon as C1 is whole.

use super::digest::{self, PLAYER_WORDS, SERVER_WORDS};
use super::{PACKET, Step, VERSION, gather, skip};
use crate::error::Fault;
use bytes::{BufMut, BytesMut};

/// What a Flash player sends instead of C0 when it wants the policy file.
const POLICY_REQUEST: &[u8] = b"<policy-file-request/>\0";

/// Program version in our S1 after a digest C1. Flash wants it not to be zero.
const SERVER_VERSION: [u8; 4] = [1, 2, 3, 4];

/// The server's side of a handshake. Holds at most one packet of the peer, and only while it is coming in.
#[derive(Debug)]
pub(crate) struct ServerHandshake {
    seed: [u8; 32],
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Nothing was received.
    First,
    /// This many bytes of a policy request were received.
    Policy(usize),
    /// C0 was received, and this much of C1.
    C1(Vec<u8>),
    /// S2 was sent. C2 is read and not checked: Flash Player's own does not always hold.
    C2 { left: usize },
}

impl ServerHandshake {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed, stage: Stage::First }
    }

    /// Takes what belongs to the handshake off the front of `input` and appends the answer to `out`.
    pub(crate) fn receive(&mut self, input: &mut &[u8], out: &mut BytesMut) -> Result<Step, Fault> {
        while let Some(&next) = input.first() {
            match &mut self.stage {
                Stage::First => self.stage = first_byte(next, input)?,
                Stage::Policy(seen) => {
                    if POLICY_REQUEST[*seen] != next {
                        return Err(Fault::malformed("not RTMP (begins like a policy file request)"));
                    }
                    *input = &input[1..];
                    *seen += 1;
                    if *seen == POLICY_REQUEST.len() {
                        return Ok(Step::PolicyRequest);
                    }
                }
                Stage::C1(buffer) => {
                    if gather(buffer, input) {
                        answer(buffer, &self.seed, out);
                        self.stage = Stage::C2 { left: PACKET };
                    }
                }
                Stage::C2 { left } => {
                    if skip(left, input) {
                        return Ok(Step::Done);
                    }
                }
            }
        }
        Ok(Step::More)
    }
}

fn first_byte(byte: u8, input: &mut &[u8]) -> Result<Stage, Fault> {
    match byte {
        VERSION => {
            *input = &input[1..];
            Ok(Stage::C1(Vec::new()))
        }
        b'<' => Ok(Stage::Policy(0)),
        6 | 8 => Err(Fault::protocol("RTMPE is not spoken here")),
        other => Err(Fault::malformed(format!("not RTMP (first byte 0x{other:02x})"))),
    }
}

/// Appends S0, S1 and S2 for a whole C1.
fn answer(c1: &[u8], seed: &[u8; 32], out: &mut BytesMut) {
    let c1: &[u8; PACKET] = c1.try_into().expect("gather says when the packet is whole");
    let mut s1 = [0; PACKET];
    let mut s2 = [0; PACKET];
    digest::fill(&mut s1, seed, 1);
    match digest::find(c1, PLAYER_WORDS) {
        Some((scheme, c1_digest)) => {
            s1[4..8].copy_from_slice(&SERVER_VERSION);
            digest::embed(&mut s1, scheme, SERVER_WORDS);
            digest::fill(&mut s2, seed, 2);
            digest::sign(&mut s2, &c1_digest, SERVER_WORDS);
        }
        // RTMP 1.0, section 5.2.4: the echo. Also for a C1 that names a version but carries no digest.
        None => s2.copy_from_slice(c1),
    }
    out.reserve(1 + 2 * PACKET);
    out.put_u8(VERSION);
    out.put_slice(&s1);
    out.put_slice(&s2);
}

#[cfg(test)]
mod tests {
    use super::super::client::ClientHandshake;
    use super::super::digest::Scheme;
    use super::*;
    use crate::HandshakeKind;
    use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};

    const SEED: [u8; 32] = [7; 32];

    fn run_server(bytes: &[u8]) -> (Step, BytesMut) {
        let mut out = BytesMut::new();
        let mut input = bytes;
        let step = ServerHandshake::new(SEED).receive(&mut input, &mut out).unwrap();
        (step, out)
    }

    fn packet(bytes: &[u8]) -> [u8; PACKET] {
        bytes.try_into().unwrap()
    }

    #[test]
    fn a_simple_c1_is_answered_with_a_zero_version_and_its_echo() {
        let mut c0c1 = vec![3];
        c0c1.extend([0; 8]);
        c0c1.extend((0..1528u32).map(|n| (n * 7 % 251) as u8));
        let (step, out) = run_server(&c0c1);
        assert_eq!(step, Step::More);
        assert_eq!(out.len(), 1 + 2 * PACKET);
        assert_eq!(out[0], 3);
        assert_eq!(out[5..9], [0; 4]);
        assert_eq!(out[1 + PACKET..], c0c1[1..]);
    }

    #[test]
    fn a_c1_with_a_version_but_no_digest_gets_the_echo_too() {
        let mut c0c1 = vec![3, 0, 0, 0, 0, 9, 0, 124, 2];
        c0c1.extend([0x55; 1528]);
        let (_, out) = run_server(&c0c1);
        assert_eq!(out[1 + PACKET..], c0c1[1..]);
    }

    #[test]
    fn a_digest_in_either_place_is_answered_with_a_digest_in_the_same_place_and_a_signature() {
        for (kind, scheme) in [(HandshakeKind::Digest, Scheme::Near), (HandshakeKind::DigestScheme1, Scheme::Far)] {
            let mut c0c1 = BytesMut::new();
            ClientHandshake::new(&[9; 32], kind, &mut c0c1);
            let (found, c1_digest) = digest::find(&packet(&c0c1[1..]), PLAYER_WORDS).unwrap();
            assert_eq!(found, scheme);
            let (_, out) = run_server(&c0c1);
            assert_eq!(out[1..9], [0, 0, 0, 0, 1, 2, 3, 4]);
            assert_eq!(digest::find(&packet(&out[1..=PACKET]), SERVER_WORDS).unwrap().0, scheme);
            assert!(digest::is_signed(&packet(&out[1 + PACKET..]), &c1_digest, SERVER_WORDS));
        }
    }

    #[test]
    fn the_handshake_passes_whatever_way_the_bytes_are_cut() {
        for kind in [HandshakeKind::Simple, HandshakeKind::Digest] {
            let mut whole = BytesMut::new();
            ClientHandshake::new(&[9; 32], kind, &mut whole);
            whole.extend_from_slice(&[0xcc; PACKET]);
            whole.extend_from_slice(b"chunks");
            let (_, expected) = run_server(&whole);
            for cut in 0..whole.len() {
                let (mut server, mut out) = (ServerHandshake::new(SEED), BytesMut::new());
                let mut first = &whole[..cut];
                let step = server.receive(&mut first, &mut out).unwrap();
                let mut rest = [first, &whole[cut..]].concat();
                let mut input = rest.as_slice();
                if step != Step::Done {
                    assert!(first.is_empty());
                    assert_eq!(server.receive(&mut input, &mut out).unwrap(), Step::Done);
                }
                rest = input.to_vec();
                assert_eq!(rest, b"chunks", "cut at {cut}");
                assert_eq!(out, expected, "cut at {cut}");
            }
        }
    }

    #[test]
    fn another_program_s_client_agrees_with_our_server() {
        let mut theirs = Handshake::new(PeerType::Client);
        let c0c1 = theirs.generate_outbound_p0_and_p1().unwrap();
        let (mut server, mut out) = (ServerHandshake::new(SEED), BytesMut::new());
        server.receive(&mut c0c1.as_slice(), &mut out).unwrap();
        // Theirs searches our S1 for the digest and answers an S1 without one by an echo: the answer tells.
        let HandshakeProcessResult::Completed { response_bytes: c2, .. } = theirs.process_bytes(&out).unwrap() else {
            panic!("their client is not satisfied");
        };
        let (_, s1_digest) = digest::find(&packet(&out[1..=PACKET]), SERVER_WORDS).unwrap();
        assert!(digest::is_signed(&packet(&c2), &s1_digest, PLAYER_WORDS));
        assert_eq!(server.receive(&mut c2.as_slice(), &mut out).unwrap(), Step::Done);
    }

    #[test]
    fn their_server_sends_a_versioned_s1_to_a_simple_client_so_we_do_not_use_it() {
        let mut theirs = Handshake::new(PeerType::Server);
        let mut c0c1 = vec![3; 1];
        c0c1.extend([0; PACKET]);
        let HandshakeProcessResult::InProgress { response_bytes } = theirs.process_bytes(&c0c1).unwrap() else {
            panic!("done without C2");
        };
        assert_ne!(response_bytes[5..9], [0; 4]);
    }

    #[test]
    fn a_policy_request_is_told_from_rtmp_byte_by_byte() {
        let (mut server, mut out) = (ServerHandshake::new(SEED), BytesMut::new());
        for (at, byte) in POLICY_REQUEST.iter().enumerate() {
            let step = server.receive(&mut [*byte].as_slice(), &mut out).unwrap();
            assert_eq!(step == Step::PolicyRequest, at + 1 == POLICY_REQUEST.len());
        }
        assert!(ServerHandshake::new(SEED).receive(&mut b"<html>".as_slice(), &mut out).is_err());
    }

    #[test]
    fn what_is_not_rtmp_is_named_at_its_first_byte() {
        let mut out = BytesMut::new();
        let fault = ServerHandshake::new(SEED).receive(&mut b"GET / HTTP/1.1".as_slice(), &mut out).unwrap_err();
        assert_eq!(fault, Fault::malformed("not RTMP (first byte 0x47)"));
        let fault = ServerHandshake::new(SEED).receive(&mut [6].as_slice(), &mut out).unwrap_err();
        assert_eq!(fault, Fault::protocol("RTMPE is not spoken here"));
        assert!(out.is_empty());
    }
}

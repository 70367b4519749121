//! The digest hidden in C1 and S1, and the signature at the end of C2 and S2.

use super::{PACKET, RANDOM_FROM};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};

pub(super) const DIGEST: usize = 32;

/// Where the signature of C2 and S2 begins.
const SIGNATURE_FROM: usize = PACKET - DIGEST;

/// The words with which each side keys its digest.
pub(super) const SERVER_WORDS: &[u8] = b"Genuine Adobe Flash Media Server 001";
pub(super) const PLAYER_WORDS: &[u8] = b"Genuine Adobe Flash Player 001";

/// What follows the words in the key of a signature.
const KEY_TAIL: [u8; 32] = [
    0xf0, 0xee, 0xc2, 0x4a, 0x80, 0x68, 0xbe, 0xe8, 0x2e, 0x00, 0xd0, 0xd1, 0x02, 0x9e, 0x7e, 0x57, 0x6e, 0xec, 0x5d,
    0x2d, 0x29, 0x80, 0x6f, 0xab, 0x93, 0xb8, 0xe6, 0x36, 0xcf, 0xeb, 0x31, 0xae,
];

/// Where the digest hides: four bytes, summed up, are its offset in a window of 728 places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Bytes 8 to 11, in the first half.
    Near,
    /// Bytes 772 to 775, in the second half.
    Far,
}

impl Scheme {
    fn position(self, packet: &[u8; PACKET]) -> usize {
        let (at, base) = match self {
            Self::Near => (8, 12),
            Self::Far => (772, 776),
        };
        // At most 776 + 727 + 32 = 1535: always inside the packet.
        let sum: usize = packet[at..at + 4].iter().map(|&byte| usize::from(byte)).sum();
        base + sum % 728
    }
}

/// HMAC-SHA256 over several pieces.
fn hmac(key: &[u8], pieces: &[&[u8]]) -> [u8; DIGEST] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for piece in pieces {
        mac.update(piece);
    }
    mac.finalize().into_bytes().into()
}

fn digest_without(packet: &[u8; PACKET], position: usize, words: &[u8]) -> [u8; DIGEST] {
    hmac(words, &[&packet[..position], &packet[position + DIGEST..]])
}

/// Writes the digest of a C1 or S1 into its place and returns it.
pub(super) fn embed(packet: &mut [u8; PACKET], scheme: Scheme, words: &[u8]) -> [u8; DIGEST] {
    let position = scheme.position(packet);
    let digest = digest_without(packet, position, words);
    packet[position..position + DIGEST].copy_from_slice(&digest);
    digest
}

/// The digest of a C1 or S1 from a peer, if there is a right one, and where it hides.
pub(super) fn find(packet: &[u8; PACKET], words: &[u8]) -> Option<(Scheme, [u8; DIGEST])> {
    [Scheme::Near, Scheme::Far].into_iter().find_map(|scheme| {
        let position = scheme.position(packet);
        let digest = digest_without(packet, position, words);
        (packet[position..position + DIGEST] == digest).then_some((scheme, digest))
    })
}

/// The signature of a C2 or S2 that answers a packet with this digest.
fn signature(packet: &[u8; PACKET], peer_digest: &[u8; DIGEST], words: &[u8]) -> [u8; DIGEST] {
    let key = hmac(&[words, &KEY_TAIL].concat(), &[peer_digest]);
    hmac(&key, &[&packet[..SIGNATURE_FROM]])
}

/// Signs a C2 or S2 that answers a packet with this digest.
pub(super) fn sign(packet: &mut [u8; PACKET], peer_digest: &[u8; DIGEST], words: &[u8]) {
    let signature = signature(packet, peer_digest, words);
    packet[SIGNATURE_FROM..].copy_from_slice(&signature);
}

/// Whether a C2 or S2 answers a packet with this digest.
#[cfg(test)]
pub(super) fn is_signed(packet: &[u8; PACKET], digest: &[u8; DIGEST], words: &[u8]) -> bool {
    packet[SIGNATURE_FROM..] == signature(packet, digest, words)
}

/// Fills the random part of a packet from a seed: SHA-256 in counter mode. Nothing secret hangs on these bytes.
pub(super) fn fill(packet: &mut [u8; PACKET], seed: &[u8; 32], purpose: u8) {
    for (block, counter) in packet[RANDOM_FROM..].chunks_mut(DIGEST).zip(0u16..) {
        let hash = Sha256::new().chain_update(seed).chain_update([purpose]).chain_update(counter.to_be_bytes());
        block.copy_from_slice(&hash.finalize()[..block.len()]);
    }
}

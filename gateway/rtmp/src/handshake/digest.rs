//! The digest hidden in C1 and S1, and the signature at the end of C2 and S2.

use super::{PACKET, RANDOM_FROM};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

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

/// Fills the random part of a packet from a seed, differently for each purpose: xoshiro256**, a plain generator, because
/// nothing secret hangs on these bytes.
pub(super) fn fill(packet: &mut [u8; PACKET], seed: &[u8; 32], purpose: u8) {
    let mut state = [u64::from(purpose), 0x9E37_79B9_7F4A_7C15, 0, 0];
    for (word, bytes) in state.iter_mut().zip(seed.chunks_exact(8)) {
        *word ^= u64::from_le_bytes(bytes.try_into().expect("chunks of eight"));
    }
    // The first numbers still show the seed.
    for _ in 0..16 {
        next(&mut state);
    }
    for bytes in packet[RANDOM_FROM..].chunks_exact_mut(8) {
        bytes.copy_from_slice(&next(&mut state).to_le_bytes());
    }
}

fn next(state: &mut [u64; 4]) -> u64 {
    let number = state[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
    let shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = state[3].rotate_left(45);
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_and_purposes_fill_packets_differently_and_each_the_same_way_again() {
        let filled = |seed: [u8; 32], purpose| {
            let mut packet = [0; PACKET];
            fill(&mut packet, &seed, purpose);
            packet
        };
        let all = [filled([0; 32], 1), filled([0; 32], 2), filled([1; 32], 1), filled([255; 32], 1)];
        for (index, packet) in all.iter().enumerate() {
            assert!(all[..index].iter().all(|other| other[RANDOM_FROM..] != packet[RANDOM_FROM..]));
            // Random enough: every value of a byte, and none of them too often.
            let count = |value: u8| packet.iter().filter(|&&byte| byte == value).count();
            assert!((0..=255).filter(|&value| count(value) > 0).count() > 240);
            assert!((0..=255).all(|value| count(value) < 40));
        }
        assert_eq!(filled([1; 32], 1), all[2]);
    }
}

//! Packets that no encoder made: random bits, well-formed frames of random fields, and mutations of both, into
//! decoders that keep their state over them.
//!
//! `SPEEX_HOSTILE_PACKETS=10000000 cargo test --release -p speex-codec hostile` runs ten million.

extern crate std;

use super::*;
use crate::bits::BitWriter;
use std::vec::Vec;

/// Packets of the normal run.
const PACKETS: u64 = 300_000;
/// Bytes of the longest packet.
const MAX_BYTES: usize = 400;
/// Samples of room behind the decoder's, which must stay as they were.
const GUARD: usize = 8;

/// A small generator of numbers (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound
    }

    fn one_in(&mut self, odds: usize) -> bool {
        self.below(odds) == 0
    }
}

/// Fills `packet` with random bytes.
fn noise(random: &mut Random, packet: &mut Vec<u8>) {
    let longest = if random.one_in(4) { MAX_BYTES } else { 80 };
    let length = random.below(longest);
    packet.extend((0..length).map(|_| random.next() as u8));
}

/// Fills `packet` with frames whose headers are right. The fields are random, or all at one of their extremes.
fn frames(random: &mut Random, packet: &mut Vec<u8>) {
    packet.resize(MAX_BYTES, 0);
    let style = random.below(4);
    let mut writer = BitWriter::new(packet);
    for _ in 0..=random.below(4) {
        if random.one_in(8) {
            writer.put([mode::CODE_REQUEST, mode::CODE_USER_DATA][random.below(2)], 5);
            writer.put(random.next() & 0x1f, 5);
        }
        let code = random.below(9);
        writer.put(code as u32, 5);
        fields_of(random, style, mode::narrow_bits(code).unwrap() - 5, &mut writer);
        for _ in 0..random.below(3) {
            let code = random.below(5);
            writer.put(8 + code as u32, 4);
            fields_of(random, style, mode::high_bits(code).unwrap() - 4, &mut writer);
        }
    }
    writer.terminate();
    let end = writer.finish().unwrap_or(MAX_BYTES);
    packet.truncate(end);
}

fn fields_of(random: &mut Random, style: usize, bits: usize, writer: &mut BitWriter) {
    for _ in 0..bits {
        let bit = match style {
            0 => 0,
            1 => 1,
            _ => random.next() & 1,
        };
        writer.put(bit, 1);
    }
}

/// Damages `packet` the way networks and attackers do.
fn mutate(random: &mut Random, packet: &mut Vec<u8>) {
    match random.below(6) {
        0 => packet.truncate(random.below(packet.len() + 1)),
        1 => packet.extend((0..random.below(20)).map(|_| random.next() as u8)),
        2 if !packet.is_empty() => packet.rotate_left(1),
        3 => {
            let copy = packet.clone();
            packet.extend(copy);
        }
        _ => {
            for _ in 0..=random.below(8) {
                let at = random.below(packet.len().max(1));
                if let Some(byte) = packet.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
}

/// True when all that a decoder remembers is finite and within its bounds.
fn is_sound(decoder: &Decoder) -> bool {
    let (narrow, high) = (decoder.narrow.peak(), decoder.wide.peak().max(decoder.ultra_wide.peak()));
    narrow <= 1e9 && high <= 1e9
}

fn try_packet(random: &mut Random, packet: &[u8], decoder: &mut Decoder, out: &mut [i16]) {
    let length = decoder.mode().frame_samples();
    let room = random.below(8) * length;
    out.fill(0x5a5a);
    let written = match decoder.decode(packet, &mut out[..room]) {
        Ok(written) => {
            assert!(written > 0 && written % length == 0 && written <= room);
            assert_eq!(frame_count(packet, decoder.mode()), Ok(written / length));
            written
        }
        Err(DecodeError::OutputTooSmall { needed }) => {
            assert!(needed > room);
            decoder.conceal(&mut out[..length])
        }
        Err(_) if room >= length => decoder.conceal(out),
        Err(_) => 0,
    };
    assert!(out[written..].iter().all(|&x| x == 0x5a5a), "nothing is written beyond what is reported");
}

#[test]
fn hostile_packets_do_no_harm() {
    let count = std::env::var("SPEEX_HOSTILE_PACKETS").map_or(PACKETS, |count| count.parse().unwrap());
    let mut random = Random(0x5eed_0f5b_ee75_cafe);
    let mut decoders = [Mode::Narrowband, Mode::Wideband, Mode::UltraWideband].map(Decoder::new);
    let mut out = std::vec![0; 8 * 640 + GUARD];
    let mut layer = [0; MAX_BYTES * 2 + 20];
    let mut decoded = 0u64;
    let mut packet = Vec::new();
    for number in 0..count {
        packet.clear();
        if random.one_in(3) {
            noise(&mut random, &mut packet);
        } else {
            frames(&mut random, &mut packet);
        }
        if random.one_in(2) {
            mutate(&mut random, &mut packet);
        }
        let decoder = &mut decoders[random.below(3)];
        try_packet(&mut random, &packet, decoder, &mut out);
        assert!(is_sound(decoder), "after packet {number}: {packet:02x?}");
        decoded += u64::from(frame_count(&packet, decoder.mode()).is_ok());
        if let Ok(length) = crate::narrowband_layer(&packet, &mut layer) {
            let frames = frame_count(&packet, Mode::Narrowband);
            assert_eq!(frame_count(&layer[..length], Mode::Narrowband), frames, "{packet:02x?}");
        }
        match random.below(2000) {
            0 => decoder.reset(),
            1 => decoder.set_enhancement(number % 2 == 0),
            _ => {}
        }
    }
    assert!(decoded > count / 4, "{decoded} of {count} packets had a frame");
    std::println!("{count} packets, {decoded} with frames");
}

//! Our decoder against libspeex's, on streams that libspeex's encoder makes of recorded speech.

use gateway_tests::{libspeex, speex_corpus as corpus};
use speex_codec::{Decoder, Mode, frame_count, narrowband_layer};

const MODES: [Mode; 3] = [Mode::Narrowband, Mode::Wideband, Mode::UltraWideband];
/// What issue 3 asks for: only the order of floating-point operations may differ.
const CLEAN_DB: f64 = 45.0;

/// Speech of several voices for `mode`: every `step`th sentence of the corpus, one after the other.
fn speech(mode: Mode, step: usize) -> Vec<i16> {
    corpus::sentences(mode).into_iter().step_by(step).flat_map(|sentence| sentence.samples).collect()
}

/// Energy of `reference` over that of the difference, in dB.
fn snr(reference: &[i16], ours: &[i16]) -> f64 {
    assert_eq!(reference.len(), ours.len());
    let square = |x: f64| x * x;
    let signal: f64 = reference.iter().map(|&x| square(f64::from(x))).sum();
    let noise: f64 = reference.iter().zip(ours).map(|(&a, &b)| square(f64::from(a) - f64::from(b))).sum();
    10.0 * ((signal + 1.0) / (noise + 1e-3)).log10()
}

/// Packets of `frames` frames each, by libspeex's encoder as `set` leaves it.
fn encode(mode: Mode, speech: &[i16], frames: usize, set: impl Fn(&mut libspeex::Encoder)) -> Vec<Vec<u8>> {
    let mut encoder = libspeex::Encoder::new(mode);
    set(&mut encoder);
    speech
        .chunks_exact(mode.frame_samples() * frames)
        .map(|pcm| {
            let mut packet = Vec::new();
            encoder.encode(pcm, &mut packet);
            packet
        })
        .collect()
}

/// Both decoders' output; `None` is a lost packet.
fn both<'a>(mode: Mode, packets: impl Iterator<Item = Option<&'a Vec<u8>>>) -> (Vec<i16>, Vec<i16>) {
    let (mut theirs, mut reference) = (libspeex::Decoder::new(mode), Vec::new());
    let (mut ours, mut samples) = (Decoder::new(mode), Vec::new());
    let mut out = vec![0; 16 * mode.frame_samples()];
    for packet in packets {
        let length = match packet {
            Some(packet) => {
                theirs.decode(packet, &mut reference);
                ours.decode(packet, &mut out).expect("libspeex makes good packets")
            }
            None => {
                theirs.conceal(&mut reference);
                ours.conceal(&mut out)
            }
        };
        samples.extend_from_slice(&out[..length]);
    }
    (reference, samples)
}

#[test]
fn clean_speech_decodes_as_in_libspeex_at_every_quality() {
    for mode in MODES {
        let speech = speech(mode, 5);
        for quality in 0..=10 {
            let packets = encode(mode, &speech, 1, |encoder| encoder.set_quality(quality));
            let (reference, ours) = both(mode, packets.iter().map(Some));
            let db = snr(&reference, &ours);
            println!("{mode:?} quality {quality}: {db:.1} dB");
            assert!(db >= CLEAN_DB, "{mode:?} quality {quality}: {db:.1} dB");
        }
    }
}

#[test]
fn variable_rate_and_silence_suppression_decode_as_in_libspeex() {
    for mode in MODES {
        // Pauses, so that DTX has something to leave out.
        let speech: Vec<i16> =
            speech(mode, 5).chunks(mode.sample_rate() as usize).flat_map(|s| [s, &vec![0; s.len()]].concat()).collect();
        let mut encoder = libspeex::Encoder::new(mode);
        encoder.set_vbr(6.0);
        encoder.set_dtx(true);
        let packets: Vec<_> = speech
            .chunks_exact(mode.frame_samples())
            .map(|pcm| {
                let mut packet = Vec::new();
                encoder.encode(pcm, &mut packet);
                encoder.transmit().then_some(packet)
            })
            .collect();
        let left_out = packets.iter().filter(|packet| packet.is_none()).count();
        assert!(left_out > packets.len() / 10, "{left_out} of {} frames left out", packets.len());
        let (reference, ours) = both(mode, packets.iter().map(Option::as_ref));
        let db = snr(&reference, &ours);
        println!("{mode:?} VBR with DTX, {left_out} of {} left out: {db:.1} dB", packets.len());
        assert!(db >= CLEAN_DB, "{mode:?}: {db:.1} dB");
    }
}

#[test]
fn lost_packets_are_concealed_as_in_libspeex() {
    for mode in MODES {
        let speech = speech(mode, 7);
        for quality in [2, 5, 8] {
            let packets = encode(mode, &speech, 1, |encoder| encoder.set_quality(quality));
            for percent in [5, 20, 40] {
                let mut seed = 1u32;
                let lossy = packets.iter().map(|packet| {
                    {
                        seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12345);
                        (seed >> 16) % 100 >= percent
                    }
                    .then_some(packet)
                });
                let (reference, ours) = both(mode, lossy);
                let db = snr(&reference, &ours);
                println!("{mode:?} quality {quality}, {percent} % lost: {db:.1} dB");
                assert!(db >= CLEAN_DB, "{mode:?} quality {quality}, {percent} % lost: {db:.1} dB");
            }
        }
    }
}

#[test]
fn a_decoder_takes_streams_of_every_other_width() {
    for from in MODES {
        let packets = encode(from, &speech(from, 6), 1, |encoder| encoder.set_quality(7));
        for to in MODES {
            let (reference, ours) = both(to, packets.iter().map(Some));
            let db = snr(&reference, &ours);
            println!("{from:?} stream, {to:?} decoder: {db:.1} dB");
            assert!(db >= CLEAN_DB, "{from:?} stream, {to:?} decoder: {db:.1} dB");
        }
    }
}

#[test]
fn several_frames_in_a_packet_decode_as_in_libspeex() {
    for mode in MODES {
        let speech = speech(mode, 8);
        for frames in [2, 3, 5, 10] {
            let packets = encode(mode, &speech, frames, |encoder| encoder.set_quality(4));
            assert!(packets.iter().all(|packet| frame_count(packet, mode) == Ok(frames)));
            let (reference, ours) = both(mode, packets.iter().map(Some));
            let db = snr(&reference, &ours);
            assert!(db >= CLEAN_DB, "{mode:?}, {frames} frames: {db:.1} dB");
        }
    }
}

#[test]
fn the_narrowband_layer_alone_sounds_to_libspeex_as_the_whole_packet_does_to_its_narrowband_decoder() {
    for mode in MODES {
        for frames in [1, 4] {
            let packets = encode(mode, &speech(mode, 8), frames, |encoder| encoder.set_quality(8));
            let (mut whole, mut layer) = (Vec::new(), Vec::new());
            let (mut of_whole, mut of_layer) =
                (libspeex::Decoder::new(Mode::Narrowband), libspeex::Decoder::new(Mode::Narrowband));
            for packet in &packets {
                let mut narrow = vec![0; packet.len()];
                let length = narrowband_layer(packet, &mut narrow).expect("a good packet");
                assert!(mode == Mode::Narrowband || length < packet.len());
                of_whole.decode(packet, &mut whole);
                of_layer.decode(&narrow[..length], &mut layer);
            }
            assert_eq!(whole, layer);
        }
    }
}

#[test]
fn without_enhancement_speech_decodes_as_in_libspeex_too() {
    for mode in MODES {
        let packets = encode(mode, &speech(mode, 6), 1, |encoder| encoder.set_quality(3));
        let (mut theirs, mut reference) = (libspeex::Decoder::new(mode), Vec::new());
        let (mut ours, mut samples) = (Decoder::new(mode), Vec::new());
        theirs.set_enhancement(false);
        ours.set_enhancement(false);
        let mut out = vec![0; mode.frame_samples()];
        for packet in &packets {
            theirs.decode(packet, &mut reference);
            ours.decode(packet, &mut out).expect("libspeex makes good packets");
            samples.extend_from_slice(&out);
        }
        let db = snr(&reference, &samples);
        assert!(db >= CLEAN_DB, "{mode:?}: {db:.1} dB");
    }
}

/// A packet, bit by bit.
#[derive(Default)]
struct BitString(Vec<bool>);

impl BitString {
    fn put(&mut self, value: u64, count: u32) {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
    }

    fn put_frame(&mut self, packet: &[u8], bits: usize) {
        self.0.extend((0..bits).map(|bit| packet[bit / 8] >> (7 - bit % 8) & 1 == 1));
    }

    fn into_packet(mut self) -> Vec<u8> {
        if !self.0.len().is_multiple_of(8) {
            self.put(0, 1);
        }
        self.0.resize(self.0.len().next_multiple_of(8), true);
        self.0.chunks(8).map(|byte| byte.iter().fold(0, |sum, &bit| sum << 1 | u8::from(bit))).collect()
    }
}

#[test]
fn requests_and_user_data_between_frames_are_skipped_as_in_libspeex() {
    /// Bits of a wideband frame at quality 5: sub-modes 5 and 1.
    const FRAME_BITS: usize = 300 + 36;
    let request_bits = [1, 1, 4, 4, 4, 4, 4, 4, 8, 8, 16, 16, 32, 32, 64, 64];
    let mode = Mode::Wideband;
    let frames = encode(mode, &speech(mode, 8), 1, |encoder| encoder.set_quality(5));
    let packets: Vec<_> = frames
        .chunks_exact(2)
        .zip((0..16).cycle())
        .map(|(pair, code)| {
            let mut bits = BitString::default();
            bits.put(0b0_1110, 5);
            bits.put(code, 4);
            bits.put(0xa5a5_5a5a_c3c3_3c3c >> (64 - request_bits[code as usize]), request_bits[code as usize]);
            bits.put_frame(&pair[0], FRAME_BITS);
            bits.put(0b0_1101, 5);
            bits.put(code, 4);
            bits.put(0x15, 5);
            (0..code).for_each(|byte| bits.put(0xf0 | byte, 8));
            bits.put_frame(&pair[1], FRAME_BITS);
            bits.into_packet()
        })
        .collect();
    for to in MODES {
        assert!(packets.iter().all(|packet| frame_count(packet, to) == Ok(2)));
        let (reference, ours) = both(to, packets.iter().map(Some));
        assert!(snr(&reference, &ours) >= CLEAN_DB);
    }
}

#[test]
fn speech_after_garbage_soon_sounds_as_if_there_had_been_none() {
    for mode in MODES {
        let packets = encode(mode, &speech(mode, 8), 1, |encoder| encoder.set_quality(6));
        let (mut fresh, mut spoiled) = (Decoder::new(mode), Decoder::new(mode));
        let mut out = vec![0; 16 * mode.frame_samples()];
        let (mut seed, mut decoded) = (5u32, 0);
        for _ in 0..2000 {
            let garbage: Vec<u8> = (0..70)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 24) as u8
                })
                .collect();
            decoded += usize::from(spoiled.decode(&garbage, &mut out).is_ok());
        }
        assert!(decoded > 200, "{decoded} packets of garbage made sound");
        let mut tail = (Vec::new(), Vec::new());
        for (number, packet) in packets.iter().enumerate() {
            let length = fresh.decode(packet, &mut out).expect("libspeex makes good packets");
            let reference = out[..length].to_vec();
            spoiled.decode(packet, &mut out).expect("libspeex makes good packets");
            if number >= 50 {
                tail.0.extend(reference);
                tail.1.extend_from_slice(&out[..length]);
            }
        }
        let db = snr(&tail.0, &tail.1);
        println!("{mode:?}, a second after garbage: {db:.1} dB");
        assert!(db >= 30.0, "{mode:?}: {db:.1} dB");
    }
}

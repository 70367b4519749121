//! Our encoder, judged by decoders that are not ours: libspeex, speexdec and ffmpeg.

use std::path::PathBuf;
use std::process::Command;

use gateway_tests::{libspeex, ogg, speex_corpus as corpus, wav};
use speex_codec::{Decoder, EncodeError, Encoder, MAX_FRAME_BYTES, Mode, RateControl, frame_count, narrowband_layer};

const MODES: [Mode; 3] = [Mode::Narrowband, Mode::Wideband, Mode::UltraWideband];
/// Bits of a frame by quality 0 to 10 (The Speex Codec Manual, tables 9.2 and 10.2).
const NARROWBAND_BITS: [usize; 11] = [43, 79, 119, 160, 160, 220, 220, 300, 300, 364, 492];
const WIDEBAND_BITS: [usize; 11] = [79, 115, 155, 196, 256, 336, 412, 476, 556, 684, 844];

/// Speech of several voices: every `step`th sentence of the corpus, one after the other.
fn speech(mode: Mode, step: usize) -> Vec<i16> {
    corpus::sentences(mode).into_iter().step_by(step).flat_map(|sentence| sentence.samples).collect()
}

/// Packets of `frames` frames each.
fn packets(encoder: &mut Encoder, speech: &[i16], frames: usize) -> Vec<Vec<u8>> {
    let mut out = vec![0; MAX_FRAME_BYTES * frames];
    speech
        .chunks_exact(encoder.mode().frame_samples() * frames)
        .map(|pcm| {
            let length = encoder.encode(pcm, &mut out).expect("whole frames and room for them");
            out[..length].to_vec()
        })
        .collect()
}

/// What libspeex's decoder makes of the packets.
fn heard(mode: Mode, packets: &[Vec<u8>]) -> Vec<i16> {
    let (mut decoder, mut samples) = (libspeex::Decoder::new(mode), Vec::new());
    for packet in packets {
        assert_eq!(decoder.decode(packet, &mut samples), 0, "libspeex decodes the packet");
    }
    samples
}

/// The same without what a decoder does to please the ear, which is not in the stream: for SNRs.
fn plain(mode: Mode, packets: &[Vec<u8>]) -> Vec<i16> {
    let (mut decoder, mut samples) = (libspeex::Decoder::new(mode), Vec::new());
    decoder.set_enhancement(false);
    decoder.set_highpass(false);
    packets.iter().for_each(|packet| assert_eq!(decoder.decode(packet, &mut samples), 0));
    samples
}

/// Samples by which libspeex's encoder and decoder, and so ours, delay the signal.
fn delay(mode: Mode) -> usize {
    libspeex::Encoder::new(mode).lookahead() + libspeex::Decoder::new(mode).lookahead()
}

/// Segmental SNR in dB: the mean over stretches of 20 ms that are not silent, each within -10 to 35 dB.
fn segmental_snr(mode: Mode, speech: &[i16], decoded: &[i16]) -> f64 {
    let square = |x: f64| x * x;
    let length = mode.frame_samples();
    let segments: Vec<f64> = speech
        .chunks_exact(length)
        .zip(decoded[delay(mode)..].chunks_exact(length))
        .map(|(a, b)| {
            let signal: f64 = a.iter().map(|&x| square(f64::from(x))).sum();
            let noise: f64 = a.iter().zip(b).map(|(&x, &y)| square(f64::from(x) - f64::from(y))).sum();
            (signal / length as f64, 10.0 * ((signal + 1.0) / (noise + 1.0)).log10())
        })
        .filter(|&(power, _)| power > square(100.0))
        .map(|(_, ratio)| ratio.clamp(-10.0, 35.0))
        .collect();
    segments.iter().sum::<f64>() / segments.len() as f64
}

/// Bits per second.
fn rate(packets: &[Vec<u8>], frames: usize) -> f64 {
    packets.iter().map(Vec::len).sum::<usize>() as f64 * 8.0 * 50.0 / (packets.len() * frames) as f64
}

#[test]
fn every_quality_has_its_bit_rate_in_every_mode() {
    for mode in MODES {
        let speech = speech(mode, 9);
        for quality in 0..=10usize {
            let bits = match mode {
                Mode::Narrowband => NARROWBAND_BITS[quality],
                Mode::Wideband => WIDEBAND_BITS[quality],
                Mode::UltraWideband => WIDEBAND_BITS[quality] + if quality == 0 { 4 } else { 36 },
            };
            let mut encoder = Encoder::new(mode);
            encoder.set_quality(quality as u8);
            for packet in packets(&mut encoder, &speech[..mode.frame_samples() * 100], 5) {
                assert_eq!(packet.len(), (5 * bits).div_ceil(8), "{mode:?} quality {quality}");
                assert_eq!(frame_count(&packet, mode), Ok(5));
            }
        }
    }
}

#[test]
fn libspeex_hears_from_our_streams_as_much_as_from_its_own() {
    for mode in [Mode::Narrowband, Mode::Wideband] {
        let speech = speech(mode, 5);
        for (quality, complexity) in [(1, 2), (2, 2), (4, 3), (6, 1), (8, 2), (9, 5), (10, 10)] {
            let mut ours = Encoder::new(mode);
            ours.set_quality(quality);
            ours.set_complexity(complexity);
            let ours = segmental_snr(mode, &speech, &plain(mode, &packets(&mut ours, &speech, 1)));
            let mut encoder = libspeex::Encoder::new(mode);
            encoder.set_quality(quality.into());
            encoder.set_complexity(complexity.into());
            let theirs: Vec<_> = speech
                .chunks_exact(mode.frame_samples())
                .map(|pcm| {
                    let mut packet = Vec::new();
                    encoder.encode(pcm, &mut packet);
                    packet
                })
                .collect();
            let theirs = segmental_snr(mode, &speech, &plain(mode, &theirs));
            // Both weigh errors by ear, so neither SNR is what it could be; but they should be about equal.
            assert!(ours > theirs - 0.3, "{mode:?} q{quality} c{complexity}: {ours:.2} dB, libspeex {theirs:.2} dB");
        }
    }
}

#[test]
fn more_complexity_gives_a_better_signal_at_the_same_rate() {
    for mode in [Mode::Narrowband, Mode::Wideband] {
        let speech = speech(mode, 5);
        let snr = |complexity| {
            let mut encoder = Encoder::new(mode);
            encoder.set_complexity(complexity);
            segmental_snr(mode, &speech, &plain(mode, &packets(&mut encoder, &speech, 1)))
        };
        let (least, middle, most) = (snr(1), snr(4), snr(10));
        // The high-pass at the input limits this SNR to about 8 dB, so hundredths count.
        assert!(least + 0.02 < middle && middle + 0.01 < most, "{mode:?}: {least:.2} {middle:.2} {most:.2}");
    }
}

#[test]
fn speexdec_and_ffmpeg_decode_our_streams() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    for (mode, quality, frames) in [
        (Mode::Narrowband, 3, 1),
        (Mode::Narrowband, 8, 3),
        (Mode::Wideband, 5, 1),
        (Mode::Wideband, 8, 2),
        (Mode::Wideband, 10, 1),
    ] {
        let speech = &speech(mode, 7)[..mode.frame_samples() * 600];
        let mut encoder = Encoder::new(mode);
        encoder.set_quality(quality);
        let packets = packets(&mut encoder, speech, frames);
        let reference = heard(mode, &packets);
        let (input, output) = (folder.join("ours.spx"), folder.join("decoded.wav"));
        std::fs::write(&input, ogg::file(mode, &packets, frames)).expect("a writable folder");
        for program in ["speexdec", "ffmpeg"] {
            let mut command = Command::new(program);
            match program {
                "speexdec" => command.arg(&input).arg(&output),
                _ => command.args(["-y", "-c:a", "speex", "-i"]).arg(&input).arg("-bitexact").arg(&output),
            };
            let done = command.output().unwrap_or_else(|error| panic!("{program} is needed: {error}"));
            assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
            let decoded = wav::read(&output).expect("a WAV file");
            // Both cut the delay off the start, each its own idea of it: the best match near there counts.
            let middle = mode.frame_samples() * 100..mode.frame_samples() * 500;
            let best = (0..400)
                .filter_map(|shift| decoded.get(middle.start - shift..middle.end - shift))
                .map(|part| snr(&reference[middle.clone()], part))
                .fold(f64::MIN, f64::max);
            // ffmpeg's enhancement is switched off, so it is further from libspeex than speexdec.
            let wanted = if program == "speexdec" { 60.0 } else { 8.0 };
            assert!(best > wanted, "{program} {mode:?} q{quality}: {best:.1} dB");
        }
    }
}

fn snr(reference: &[i16], ours: &[i16]) -> f64 {
    let square = |x: f64| x * x;
    let signal: f64 = reference.iter().map(|&x| square(f64::from(x))).sum();
    let noise: f64 = reference.iter().zip(ours).map(|(&a, &b)| square(f64::from(a) - f64::from(b))).sum();
    10.0 * ((signal + 1.0) / (noise + 1e-3)).log10()
}

#[test]
fn several_frames_in_a_packet_are_the_frames_of_several_packets() {
    for mode in MODES {
        let speech = &speech(mode, 11)[..mode.frame_samples() * 60];
        let single = packets(&mut Encoder::new(mode), speech, 1);
        let triple = packets(&mut Encoder::new(mode), speech, 3);
        assert_eq!(heard(mode, &single), heard(mode, &triple));
    }
}

#[test]
fn wide_registers_do_not_change_a_bit() {
    for mode in MODES {
        let speech = &speech(mode, 6)[..mode.frame_samples() * 500];
        for (quality, complexity) in [(2, 2), (5, 3), (8, 2), (10, 5)] {
            let set = |mut encoder: Encoder| {
                encoder.set_quality(quality);
                encoder.set_complexity(complexity);
                packets(&mut encoder, speech, 1)
            };
            assert!(set(Encoder::new(mode)) == set(Encoder::without_wide_registers(mode)), "{mode:?} q{quality}");
        }
    }
}

#[test]
fn the_narrowband_layer_of_our_wideband_stream_is_a_narrowband_stream() {
    let speech = speech(Mode::Wideband, 9);
    let wide = packets(&mut Encoder::new(Mode::Wideband), &speech, 1);
    let layers: Vec<_> = wide
        .iter()
        .map(|packet| {
            let mut layer = vec![0; packet.len()];
            let length = narrowband_layer(packet, &mut layer).expect("a good packet");
            assert_eq!(length, 364usize.div_ceil(8));
            layer.truncate(length);
            layer
        })
        .collect();
    let (mut decoder, mut direct) = (libspeex::Decoder::new(Mode::Narrowband), Vec::new());
    wide.iter().for_each(|packet| assert_eq!(decoder.decode(packet, &mut direct), 0));
    assert_eq!(heard(Mode::Narrowband, &layers), direct);
}

/// Speech with a second of almost-silence after each second, as a telephone hears it.
fn conversation(mode: Mode) -> Vec<i16> {
    let mut seed = 1u32;
    let mut conversation = Vec::new();
    for second in speech(mode, 6).chunks_exact(mode.sample_rate() as usize) {
        conversation.extend_from_slice(second);
        conversation.extend((0..mode.sample_rate()).map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as i16 % 16 - 8
        }));
    }
    conversation
}

#[test]
fn a_variable_rate_grows_with_quality_and_is_about_that_of_libspeex() {
    for mode in MODES {
        let speech = speech(mode, 4);
        let mut last = 0.0;
        for quality in [1.0, 3.0, 5.5, 8.0, 10.0] {
            let mut encoder = Encoder::new(mode);
            encoder.set_rate_control(RateControl::Variable { quality });
            let ours = packets(&mut encoder, &speech, 1);
            let mut theirs = libspeex::Encoder::new(mode);
            theirs.set_vbr(quality);
            let mut packet = Vec::new();
            let mut bytes = 0;
            for pcm in speech.chunks_exact(mode.frame_samples()) {
                theirs.encode(pcm, &mut packet);
                bytes += packet.len();
            }
            let (ours_rate, theirs_rate) = (rate(&ours, 1), bytes as f64 * 400.0 / ours.len() as f64);
            assert!(ours_rate > last, "{mode:?} {quality}: {ours_rate} is not above {last}");
            assert!(
                (ours_rate / theirs_rate - 1.0).abs() < 0.12,
                "{mode:?} {quality}: {ours_rate:.0} {theirs_rate:.0}"
            );
            assert!(segmental_snr(mode, &speech, &plain(mode, &ours)) > -1.0);
            last = ours_rate;
        }
    }
}

#[test]
fn an_average_rate_is_kept_within_a_twentieth() {
    for (mode, wanted) in [
        (Mode::Narrowband, 6000),
        (Mode::Narrowband, 8000),
        (Mode::Narrowband, 12000),
        (Mode::Wideband, 10000),
        (Mode::Wideband, 16000),
        (Mode::Wideband, 24000),
    ] {
        let mut encoder = Encoder::new(mode);
        encoder.set_rate_control(RateControl::Average { bits_per_second: wanted });
        // Twelve frames in a packet, so that bits and not bytes are counted.
        let rate = rate(&packets(&mut encoder, &speech(mode, 1), 12), 12);
        assert!((rate / f64::from(wanted) - 1.0).abs() < 0.05, "{mode:?}: {rate:.0} for {wanted}");
    }
}

#[test]
fn silence_costs_little_with_vad_and_nothing_with_dtx() {
    for mode in MODES {
        let conversation = conversation(mode);
        let run = |vad, dtx| {
            let mut encoder = Encoder::new(mode);
            encoder.set_vad(vad);
            encoder.set_dtx(dtx);
            let mut out = [0; MAX_FRAME_BYTES];
            let (mut packets, mut sent) = (Vec::new(), 0);
            for pcm in conversation.chunks_exact(mode.frame_samples()) {
                let length = encoder.encode(pcm, &mut out).expect("a frame");
                packets.push(out[..length].to_vec());
                sent += usize::from(encoder.transmit());
                assert_eq!(encoder.transmit(), out[0] >> 3 != 0, "sub-mode 0 is what need not be sent");
            }
            (rate(&packets, 1), sent as f64 / packets.len() as f64, plain(mode, &packets))
        };
        let (constant, all, _) = run(false, false);
        let (with_vad, still_all, _) = run(true, false);
        let (with_dtx, some, heard) = run(true, true);
        assert_eq!((all, still_all), (1.0, 1.0));
        assert!(with_vad < 0.75 * constant, "{mode:?}: {with_vad:.0} of {constant:.0} bit/s");
        assert!(with_dtx < 0.95 * with_vad && some < 0.75, "{mode:?}: {with_dtx:.0} bit/s, {some} sent");
        assert!(some > 0.4, "{mode:?}: speech was left out, {some} sent");
        let quality = segmental_snr(mode, &conversation, &heard);
        assert!(quality > if mode == Mode::UltraWideband { 0.0 } else { 5.0 }, "{mode:?}: {quality:.1} dB");
    }
}

#[test]
fn digital_silence_is_left_out_after_a_moment() {
    for mode in MODES {
        let mut encoder = Encoder::new(mode);
        encoder.set_rate_control(RateControl::Variable { quality: 4.0 });
        encoder.set_dtx(true);
        let (silence, mut out) = (vec![0; mode.frame_samples()], [0; MAX_FRAME_BYTES]);
        let sent = (0..500).filter(|_| encoder.encode(&silence, &mut out).is_ok() && encoder.transmit()).count();
        assert!(sent < 60, "{mode:?}: {sent} of 500 frames sent");
    }
}

/// Signals that no microphone makes, one second of each.
fn hostile_signals(mode: Mode) -> Vec<(&'static str, Vec<i16>)> {
    let count = mode.frame_samples() * 50;
    let make = |f: &dyn Fn(usize) -> i16| (0..count).map(f).collect::<Vec<_>>();
    let noise =
        |n: usize| ((n as u32).wrapping_mul(2_654_435_761).rotate_left(13).wrapping_mul(2_246_822_519) >> 16) as i16;
    vec![
        ("silence", make(&|_| 0)),
        ("full-scale square wave", make(&|n| if n / 40 % 2 == 0 { i16::MAX } else { i16::MIN })),
        ("highest frequency", make(&|n| if n % 2 == 0 { i16::MAX } else { i16::MIN })),
        ("direct current", make(&|_| i16::MIN)),
        ("impulses", make(&|n| if n % 163 == 0 { i16::MAX } else { 0 })),
        ("one impulse", make(&|n| if n == 777 { i16::MIN } else { 0 })),
        ("white noise", make(&noise)),
        ("bursts", make(&|n| if n / 500 % 2 == 0 { noise(n) } else { 0 })),
        ("sine", make(&|n| ((n as f64 * 0.7).sin() * 32767.0) as i16)),
        ("one bit", make(&|n| (n / 17 % 2) as i16)),
    ]
}

#[test]
fn hostile_signals_become_good_packets() {
    for mode in MODES {
        let signals = hostile_signals(mode);
        let all: Vec<i16> = signals.iter().flat_map(|(_, signal)| signal.clone()).collect();
        for quality in 0..=10 {
            for control in [RateControl::Constant, RateControl::Variable { quality: quality.into() }] {
                let mut encoder = Encoder::new(mode);
                encoder.set_quality(quality);
                encoder.set_complexity(1 + quality % 4);
                encoder.set_rate_control(control);
                encoder.set_vad(quality % 2 == 0);
                encoder.set_dtx(quality % 3 == 0);
                let packets = packets(&mut encoder, &all, 1);
                assert_eq!(heard(mode, &packets).len(), all.len());
                // What comes after them sounds as it should.
                let after = &speech(mode, 12)[..mode.frame_samples() * 100];
                if quality == 8 && control == RateControl::Constant && mode != Mode::UltraWideband {
                    encoder.set_vad(false);
                    let both: Vec<_> = packets.into_iter().chain(self::packets(&mut encoder, after, 1)).collect();
                    let snr = segmental_snr(mode, after, &plain(mode, &both)[all.len()..]);
                    let fresh = plain(mode, &self::packets(&mut Encoder::new(mode), after, 1));
                    let undisturbed = segmental_snr(mode, after, &fresh);
                    assert!(
                        snr > undisturbed - 0.5,
                        "{mode:?}: {snr:.1} dB after hostile signals, else {undisturbed:.1}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_rate_control_without_sense_is_clamped() {
    let speech = &speech(Mode::Wideband, 9)[..32000];
    for control in [
        RateControl::Variable { quality: f32::NAN },
        RateControl::Variable { quality: f32::INFINITY },
        RateControl::Variable { quality: -3.0 },
        RateControl::Average { bits_per_second: 0 },
        RateControl::Average { bits_per_second: u32::MAX },
    ] {
        let mut encoder = Encoder::new(Mode::Wideband);
        encoder.set_quality(200);
        encoder.set_complexity(0);
        encoder.set_rate_control(control);
        assert_eq!(heard(Mode::Wideband, &packets(&mut encoder, speech, 1)).len(), speech.len());
    }
}

#[test]
fn wrong_lengths_are_refused_with_what_is_needed() {
    let mut encoder = Encoder::new(Mode::Wideband);
    let mut out = [0; 200];
    let partial = EncodeError::PartialFrame { frame_samples: 320 };
    assert_eq!(encoder.encode(&[], &mut out), Err(partial));
    assert_eq!(encoder.encode(&[0; 319], &mut out), Err(partial));
    assert_eq!(
        encoder.encode(&[0; 640], &mut out[..139]),
        Err(EncodeError::OutputTooSmall { needed: 139 }).or(Ok(139))
    );
    assert_eq!(encoder.encode(&[0; 640], &mut out[..138]), Err(EncodeError::OutputTooSmall { needed: 139 }));
}

#[test]
fn after_a_reset_an_encoder_is_as_new() {
    for mode in MODES {
        let speech = &speech(mode, 13)[..mode.frame_samples() * 50];
        let mut encoder = Encoder::new(mode);
        encoder.set_quality(5);
        encoder.set_rate_control(RateControl::Average { bits_per_second: 14000 });
        let first = packets(&mut encoder, speech, 1);
        encoder.reset();
        assert!(packets(&mut encoder, speech, 1) == first);
    }
}

#[test]
fn our_decoder_hears_what_libspeex_hears() {
    for mode in MODES {
        let speech = speech(mode, 9);
        let packets = packets(&mut Encoder::new(mode), &speech, 1);
        let (mut decoder, mut samples) = (Decoder::new(mode), vec![0; speech.len()]);
        for (packet, out) in packets.iter().zip(samples.chunks_exact_mut(mode.frame_samples())) {
            assert_eq!(decoder.decode(packet, out), Ok(mode.frame_samples()));
        }
        let same = snr(&heard(mode, &packets), &samples);
        assert!(same > 45.0, "{mode:?}: {same:.1} dB");
    }
}

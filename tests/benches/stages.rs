//! Every stage of a call's media beside the bare library call for the same work: time of 100 frames of 20 ms.
//!
//! `cargo bench -p gateway-tests --bench stages`; docs/performance.md has the table.

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::{Duration, Instant};

use call_media::codec::nellymoser::{BLOCK_BYTES, NellymoserDecoder};
use call_media::codec::{Codec, Decoder, Encoder, NellymoserRate, SampleRate, g711};
use call_media::flv::AudioTagWriter;
use call_media::jitter::JitterBuffer;
use call_media::media_time::MediaTime;
use call_media::path::{Input, MediaPath};
use call_media::resample::Resampler;
use call_media::rtp::{RtpTimestamp, RtpWriter, SequenceNumber};
use call_media::sdp::PayloadFormat;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gateway_tests::{libopus, libspeex, media, speex_corpus, speexdsp};
use rml_rtmp::chunk_io::{ChunkDeserializer, ChunkSerializer};
use rml_rtmp::messages::MessagePayload;
use rtmp_session::{
    ClientEvent, ClientSession, ConnectAccepted, ConnectRequest, Event, HandshakeKind, Limits, Output, ServerSession,
    StreamId,
};
use speex_codec::Mode;

/// Frames in one pass: 2 s of speech.
const FRAMES: usize = 100;

fn speech(mode: Mode) -> Vec<i16> {
    let samples = speex_corpus::sentences(mode).swap_remove(3).samples;
    samples[mode.sample_rate() as usize..][..FRAMES * mode.frame_samples()].to_vec()
}

fn packets(codec: Codec, pcm: &[i16]) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(codec);
    let packet = |frame| {
        let mut packet = Vec::new();
        encoder.encode(frame, &mut packet).expect("a whole frame");
        packet
    };
    pcm.chunks_exact(codec.frame_samples()).map(packet).collect()
}

/// One stage's group: names of its functions are what does it.
fn group(criterion: &mut Criterion, name: &str, work: &mut [(&str, &mut dyn FnMut())]) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(FRAMES as u64));
    for (who, run) in work {
        group.bench_function(*who, |bencher| bencher.iter(&mut *run));
    }
    group.finish();
}

fn g711(criterion: &mut Criterion) {
    let pcm = speech(Mode::Narrowband);
    let bytes = packets(Codec::Pcmu, &pcm).concat();
    let (mut out, mut coded) = (vec![0i16; pcm.len()], vec![0u8; pcm.len()]);
    let mut theirs_out = out.clone();
    let mut theirs_coded = coded.clone();
    group(
        criterion,
        "g711-decode",
        &mut [
            ("ours", &mut || {
                out.iter_mut().zip(black_box(&bytes)).for_each(|(to, from)| *to = g711::decode_ulaw(*from));
                black_box(&out);
            }),
            ("audio-codec-algorithms", &mut || {
                let decode = audio_codec_algorithms::decode_ulaw;
                theirs_out.iter_mut().zip(black_box(&bytes)).for_each(|(to, from)| *to = decode(*from));
                black_box(&theirs_out);
            }),
        ],
    );
    group(
        criterion,
        "g711-encode",
        &mut [
            ("ours", &mut || {
                coded.iter_mut().zip(black_box(&pcm)).for_each(|(to, from)| *to = g711::encode_ulaw(*from));
                black_box(&coded);
            }),
            ("audio-codec-algorithms", &mut || {
                let encode = audio_codec_algorithms::encode_ulaw;
                theirs_coded.iter_mut().zip(black_box(&pcm)).for_each(|(to, from)| *to = encode(*from));
                black_box(&theirs_coded);
            }),
        ],
    );
}

fn resample(criterion: &mut Criterion) {
    for (name, from, to, mode) in [
        ("resample-8-to-16", SampleRate::Hz8000, SampleRate::Hz16000, Mode::Narrowband),
        ("resample-16-to-8", SampleRate::Hz16000, SampleRate::Hz8000, Mode::Wideband),
    ] {
        let pcm = speech(mode);
        let (mut ours, mut out) = (Resampler::new(from, to), Vec::new());
        let (mut theirs, mut theirs_out) = (speexdsp::Resampler::new(from.hz(), to.hz(), 3), vec![0; 1000]);
        group(
            criterion,
            name,
            &mut [
                ("ours", &mut || {
                    for frame in pcm.chunks_exact(mode.frame_samples()) {
                        out.clear();
                        ours.process(black_box(frame), &mut out);
                    }
                }),
                ("speexdsp-q3", &mut || {
                    for frame in pcm.chunks_exact(mode.frame_samples()) {
                        black_box(theirs.process(black_box(frame), &mut theirs_out));
                    }
                }),
            ],
        );
    }
}

fn codecs(criterion: &mut Criterion) {
    let pcm = speech(Mode::Wideband);
    let speex = packets(Codec::SpeexWideband, &pcm);
    let (mut ours, mut out) = (Decoder::new(Codec::SpeexWideband), Vec::new());
    let (mut theirs, mut theirs_out) = (libspeex::Decoder::new(Mode::Wideband), Vec::new());
    let mut decode_ours = || {
        for packet in &speex {
            out.clear();
            ours.decode(black_box(packet), &mut out).expect("a good packet");
        }
    };
    let mut decode_theirs = || {
        for packet in &speex {
            theirs_out.clear();
            theirs.decode(black_box(packet), &mut theirs_out);
        }
    };
    group(criterion, "decode-speex-wb", &mut [("ours", &mut decode_ours), ("libspeex", &mut decode_theirs)]);

    let narrow = speech(Mode::Narrowband);
    let (mut ours, mut packet) = (Encoder::new(Codec::SpeexNarrowband), Vec::new());
    let (mut theirs, mut theirs_packet) = (libspeex::Encoder::new(Mode::Narrowband), Vec::new());
    let mut encode_ours = || {
        for frame in narrow.chunks_exact(160) {
            packet.clear();
            ours.encode(black_box(frame), &mut packet).expect("a whole frame");
        }
    };
    let mut encode_theirs = || narrow.chunks_exact(160).for_each(|frame| theirs.encode(frame, &mut theirs_packet));
    group(criterion, "encode-speex-nb-q8", &mut [("ours", &mut encode_ours), ("libspeex", &mut encode_theirs)]);

    let mut encoder = libopus::Encoder::new(16_000, 24_000, 10);
    let opus: Vec<Vec<u8>> = pcm.chunks_exact(320).map(|frame| encoder.encode(frame)).collect();
    let (mut ours, mut out) = (Decoder::beside(Codec::Opus, Codec::SpeexWideband), Vec::new());
    let (mut theirs, mut theirs_out) = (libopus::Decoder::new(16_000), Vec::new());
    let mut decode_ours = || {
        for packet in &opus {
            out.clear();
            ours.decode(black_box(packet), &mut out).expect("a good packet");
        }
    };
    let mut decode_theirs = || {
        for packet in &opus {
            theirs_out.clear();
            theirs.decode(black_box(packet), &mut theirs_out);
        }
    };
    group(criterion, "decode-opus-16k", &mut [("ours", &mut decode_ours), ("libopus", &mut decode_theirs)]);
}

/// Blocks of 256 samples, 32 ms at 8 kHz. There is no library to call beside it: a copy of the samples stands there.
fn nellymoser(criterion: &mut Criterion) {
    let stream = include_bytes!("../../gateway/media/fixtures/nellymoser/speech-22050.blocks");
    let blocks = &stream[..FRAMES * BLOCK_BYTES];
    let (mut decoder, mut out, mut copy) = (NellymoserDecoder::default(), Vec::new(), Vec::new());
    let mut ours = || {
        for block in blocks.chunks_exact(BLOCK_BYTES) {
            out.clear();
            decoder.decode(black_box(block), &mut out).expect("a block");
        }
    };
    let samples = [0i16; 256];
    let mut memcpy = || {
        for _ in 0..FRAMES {
            copy.clear();
            copy.extend_from_slice(black_box(&samples));
            black_box(&copy);
        }
    };
    group(criterion, "decode-nellymoser-block", &mut [("ours", &mut ours), ("memcpy", &mut memcpy)]);

    let mut resampler = Resampler::from_nellymoser(NellymoserRate::Hz11025, SampleRate::Hz8000);
    let (mut theirs, mut theirs_out) = (speexdsp::Resampler::new(11_025, 8000, 3), vec![0; 1000]);
    let mut out = Vec::new();
    let mut ours = || {
        for _ in 0..FRAMES {
            out.clear();
            resampler.process(black_box(&samples), &mut out);
        }
    };
    let mut speexdsp = || {
        for _ in 0..FRAMES {
            black_box(theirs.process(black_box(&samples), &mut theirs_out));
        }
    };
    group(criterion, "resample-block-11-to-8", &mut [("ours", &mut ours), ("speexdsp-q3", &mut speexdsp)]);
}

fn packetise(criterion: &mut Criterion) {
    let payload = [0x55u8; 160];
    let (mut ours, mut theirs, mut tag, mut copy) =
        (RtpWriter::new(1, 0), vec![0; 172], AudioTagWriter::default(), Vec::new());
    let mut timestamp = RtpTimestamp(0);
    let mut rtp_ours = || {
        for _ in 0..FRAMES {
            timestamp = timestamp.plus(160);
            black_box(ours.packet(false, 0, timestamp, black_box(&payload)));
        }
    };
    let mut sequence = 0u16;
    let mut rtp_theirs = || {
        for _ in 0..FRAMES {
            sequence = sequence.wrapping_add(1);
            let builder = rtp_rs::RtpPacketBuilder::new().payload_type(0).ssrc(1).sequence(sequence.into());
            let written = builder.timestamp(u32::from(sequence)).payload(black_box(&payload)).build_into(&mut theirs);
            black_box(&theirs[..written.expect("room for a packet")]);
        }
    };
    group(criterion, "write-rtp", &mut [("ours", &mut rtp_ours), ("rtp-rs", &mut rtp_theirs)]);
    let mut tag_ours = || (0..FRAMES).for_each(|_| drop(black_box(tag.message(Codec::Pcmu, black_box(&payload)))));
    let mut tag_copy = || {
        for _ in 0..FRAMES {
            copy.clear();
            copy.push(0x82);
            copy.extend_from_slice(black_box(&payload));
            black_box(&copy);
        }
    };
    group(criterion, "write-flv-tag", &mut [("ours", &mut tag_ours), ("memcpy", &mut tag_copy)]);
}

fn jitter_buffer(criterion: &mut Criterion) {
    let start = Instant::now();
    let (payload, mut buffer, mut number) = ([0x55u8; 160], JitterBuffer::default(), 0i64);
    let mut ours = || {
        for _ in 0..FRAMES {
            let (at, now) = (MediaTime::from_ms(20 * number), start + Duration::from_millis(20 * number as u64));
            black_box(buffer.insert(now, SequenceNumber(number as u16), Some(at), 0, &payload));
            buffer.played(at, MediaTime::from_ms(20));
            black_box(buffer.release(now));
            black_box(buffer.deadline());
            number += 1;
        }
    };
    let mut queue: VecDeque<Vec<u8>> = VecDeque::new();
    let mut bare = || {
        for _ in 0..FRAMES {
            queue.push_back(black_box(&payload).to_vec());
            black_box(queue.pop_front());
        }
    };
    group(criterion, "jitter-buffer", &mut [("ours", &mut ours), ("queue-of-copies", &mut bare)]);
}

/// A phone and a gateway that are through with connect, publish and play.
fn rtmp_pair() -> (Instant, ClientSession, ServerSession, StreamId) {
    let now = Instant::now();
    let mut client = ClientSession::new(now, Limits::default(), [1; 32], HandshakeKind::Digest);
    let mut server = ServerSession::new(now, Limits::default(), [2; 32]);
    client.connect(now, ConnectRequest { app: "sip/a@b".into(), ..ConnectRequest::default() });
    let mut stream = None;
    for _ in 0..20 {
        while let Some(output) = client.poll_output() {
            match output {
                Output::Bytes(bytes) => {
                    server.handle_input(now, rtmp_session::Input::Bytes(&bytes)).expect("our own client");
                }
                Output::Event(ClientEvent::Connected { .. }) => drop(client.create_stream(now)),
                Output::Event(ClientEvent::StreamCreated { stream: created, .. }) => {
                    client.publish(now, created, "local");
                    client.play(now, created, "remote");
                    stream = Some(created);
                }
                _ => {}
            }
        }
        while let Some(output) = server.poll_output() {
            match output {
                Output::Bytes(bytes) => {
                    client.handle_input(now, rtmp_session::Input::Bytes(&bytes)).expect("our own server");
                }
                Output::Event(Event::Connect(_)) => server.accept_connect(now, ConnectAccepted::default()),
                _ => {}
            }
        }
    }
    (now, client, server, stream.expect("the server makes streams"))
}

fn rtmp(criterion: &mut Criterion) {
    let body = [0xB2u8; 71];
    let (now, mut client, mut server, stream) = rtmp_pair();
    let message = |ms: u32| MessagePayload {
        timestamp: rml_rtmp::time::RtmpTimestamp::new(ms),
        type_id: 8,
        message_stream_id: 1,
        data: bytes::Bytes::copy_from_slice(&body),
    };
    let (mut theirs, mut ms) = (ChunkSerializer::new(), 1);
    let mut write_ours = || {
        for _ in 0..FRAMES {
            ms += 20;
            server.send_audio(now, stream, rtmp_session::RtmpTimestamp::from_ms(ms), black_box(&body));
            while let Some(output) = server.poll_output() {
                black_box(output);
            }
        }
    };
    let mut their_ms = 1;
    let mut write_theirs = || {
        for _ in 0..FRAMES {
            their_ms += 20;
            black_box(theirs.serialize(&message(their_ms), false, false).expect("a message"));
        }
    };
    group(criterion, "write-rtmp", &mut [("ours", &mut write_ours), ("rml_rtmp", &mut write_theirs)]);

    // What a phone sends, each message as its own read of the socket; the last chunk header before is the same each pass.
    let mut said = |first: u32| -> Vec<Vec<u8>> {
        (0..FRAMES as u32)
            .map(|n| {
                client.send_audio(now, stream, rtmp_session::RtmpTimestamp::from_ms(first + 20 * n), &body);
                let mut bytes = Vec::new();
                while let Some(output) = client.poll_output() {
                    if let Output::Bytes(more) = output {
                        bytes.extend_from_slice(&more);
                    }
                }
                bytes
            })
            .collect()
    };
    let start = said(20);
    let reads = said(20 + 20 * FRAMES as u32);
    let mut their_reader = ChunkDeserializer::new();
    for bytes in &start {
        server.handle_input(now, rtmp_session::Input::Bytes(bytes)).expect("our own client");
        their_reader.get_next_message(bytes).expect("a message");
    }
    let mut read_ours = || {
        for bytes in &reads {
            server.handle_input(now, rtmp_session::Input::Bytes(black_box(bytes))).expect("our own client");
            while let Some(output) = server.poll_output() {
                black_box(output);
            }
        }
    };
    let mut read_theirs = || {
        for bytes in &reads {
            black_box(their_reader.get_next_message(black_box(bytes)).expect("a message").expect("a whole one"));
        }
    };
    group(criterion, "read-rtmp", &mut [("ours", &mut read_ours), ("rml_rtmp", &mut read_theirs)]);
}

fn path(peer: Codec, phone: Codec) -> (Instant, MediaPath) {
    let now = Instant::now();
    (now, MediaPath::new(now, media::config(peer, phone)))
}

/// Whole ways: a message in, a packet out, and back. The bare work beside a transcoded one is that of the codecs, of a
/// relayed one a packet written.
fn ways(criterion: &mut Criterion) {
    let wide = packets(Codec::SpeexWideband, &speech(Mode::Wideband));
    let narrow = packets(Codec::Pcmu, &speech(Mode::Narrowband));
    let mut bare_packet = vec![0; 200];
    let mut write_packet = |payload: &[u8]| {
        let written = rtp_rs::RtpPacketBuilder::new().payload_type(0).payload(payload).build_into(&mut bare_packet);
        black_box(&bare_packet[..written.expect("room for a packet")]);
    };
    let mut relay = || wide.iter().for_each(|payload| write_packet(payload));
    let mut way = up(Codec::SpeexWideband, Codec::SpeexWideband, &wide);
    group(criterion, "uplink-relay-speex-wb", &mut [("ours", &mut way), ("rtp-rs", &mut relay)]);

    let mut bare = bare_wide_to_pcmu(&wide);
    let mut way = up(Codec::SpeexWideband, Codec::Pcmu, &wide);
    group(criterion, "uplink-speex-wb-to-pcmu", &mut [("ours", &mut way), ("libraries", &mut bare)]);

    let mut copy = Vec::new();
    let mut relay = || {
        for payload in &narrow {
            copy.clear();
            copy.extend_from_slice(black_box(payload));
            black_box(&copy);
        }
    };
    let mut way = down(Codec::Pcmu, Codec::Pcmu, &narrow);
    group(criterion, "downlink-relay-pcmu", &mut [("ours", &mut way), ("memcpy", &mut relay)]);

    let mut bare = bare_pcmu_to_narrow(&narrow);
    let mut way = down(Codec::Pcmu, Codec::SpeexNarrowband, &narrow);
    group(criterion, "downlink-pcmu-to-speex-nb", &mut [("ours", &mut way), ("libraries", &mut bare)]);
}

fn up(phone: Codec, peer: Codec, payloads: &[Vec<u8>]) -> impl FnMut() {
    let bodies: Vec<_> = payloads.iter().map(|payload| [phone.info().flv_header, payload].concat()).collect();
    let ((start, mut path), mut n) = (path(peer, phone), 0u32);
    move || {
        for body in &bodies {
            let timestamp_ms = 20 * n;
            let now = start + Duration::from_millis(u64::from(timestamp_ms));
            path.handle_input(now, Input::PhoneAudio { timestamp_ms, body: black_box(body) });
            while let Some(output) = path.poll_output() {
                black_box(output);
            }
            n += 1;
        }
    }
}

fn down(peer: Codec, phone: Codec, payloads: &[Vec<u8>]) -> impl FnMut() {
    let (mut writer, payloads) = (RtpWriter::new(7, 0), payloads.to_vec());
    let ((start, mut path), mut n) = (path(peer, phone), 0u32);
    let (number, step) = (PayloadFormat::offered(peer).payload_type, i64::from(peer.clock_rate() / 50));
    move || {
        for payload in &payloads {
            let packet = writer.packet(false, number, RtpTimestamp(0).plus(step * i64::from(n)), payload);
            let now = start + Duration::from_millis(20 * u64::from(n));
            path.handle_input(now, Input::Rtp(black_box(&packet)));
            while let Some(output) = path.poll_output() {
                black_box(output);
            }
            n += 1;
        }
    }
}

/// libspeex, speexdsp and a library's G.711.
fn bare_wide_to_pcmu(payloads: &[Vec<u8>]) -> impl FnMut() {
    let (mut decoder, mut resampler) =
        (libspeex::Decoder::new(Mode::Wideband), speexdsp::Resampler::new(16_000, 8000, 3));
    let (mut wide, mut narrow, mut bytes) = (Vec::new(), vec![0; 160], vec![0; 160]);
    move || {
        for payload in payloads {
            wide.clear();
            decoder.decode(black_box(payload), &mut wide);
            resampler.process(&wide, &mut narrow);
            bytes.iter_mut().zip(&narrow).for_each(|(to, from)| *to = audio_codec_algorithms::encode_ulaw(*from));
            black_box(&bytes);
        }
    }
}

fn bare_pcmu_to_narrow(payloads: &[Vec<u8>]) -> impl FnMut() {
    let (mut encoder, mut pcm, mut packet) = (libspeex::Encoder::new(Mode::Narrowband), vec![0; 160], Vec::new());
    encoder.set_quality(call_media::limits::SPEEX_QUALITY_TO_PHONE.into());
    move || {
        for payload in payloads {
            pcm.iter_mut().zip(payload).for_each(|(to, from)| *to = audio_codec_algorithms::decode_ulaw(*from));
            encoder.encode(black_box(&pcm), &mut packet);
            black_box(&packet);
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(20);
    targets = g711, resample, codecs, nellymoser, packetise, jitter_buffer, rtmp, ways
}
criterion_main!(benches);

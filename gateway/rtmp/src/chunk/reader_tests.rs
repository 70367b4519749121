use super::*;
use crate::chunk::ChunkWriter;
use proptest::prelude::*;

fn reader() -> ChunkReader {
    ChunkReader::new(&Limits::default())
}

fn read_all(reader: &mut ChunkReader, mut bytes: &[u8]) -> Result<Vec<Message>, Fault> {
    let mut messages = Vec::new();
    while let Some(message) = reader.read(&mut bytes)? {
        messages.push(message);
    }
    Ok(messages)
}

/// Type, stream, milliseconds, body.
type Plain = (u8, u32, u32, Vec<u8>);

fn plain(messages: &[Message]) -> Vec<Plain> {
    messages.iter().map(|m| (m.kind, m.stream.0, m.timestamp.ms(), m.body.to_vec())).collect()
}

fn fault(bytes: &[u8]) -> String {
    match read_all(&mut reader(), bytes).unwrap_err() {
        Fault::Malformed(what) | Fault::Protocol(what) | Fault::Limit(what) => what,
    }
}

#[test]
fn every_header_form_is_read() {
    let cases: [(&[u8], Vec<Plain>); 9] = [
        // Basic header of 1, 2 and 3 bytes; chunk streams 3, 64, 319, 320, 65599.
        (b"\x03\0\0\x09\0\0\x01\x08\x01\0\0\0a", vec![(8, 1, 9, b"a".into())]),
        (b"\x00\x00\0\0\x09\0\0\x01\x08\x01\0\0\0a", vec![(8, 1, 9, b"a".into())]),
        (b"\x00\xff\0\0\x09\0\0\x01\x08\x01\0\0\0a\xc0\xffb", vec![(8, 1, 9, b"a".into()), (8, 1, 18, b"b".into())]),
        (b"\x01\x00\x01\0\0\x09\0\0\x01\x08\x01\0\0\0a", vec![(8, 1, 9, b"a".into())]),
        (b"\x01\xff\xff\0\0\x09\0\0\x01\x08\x01\0\0\0a", vec![(8, 1, 9, b"a".into())]),
        // Format 1, 2, 3: stream kept; length and type kept; everything kept.
        (
            b"\x03\0\0\x09\0\0\x01\x08\x01\0\0\0a\x43\0\0\x14\0\0\x02\x09bc\x83\0\0\x0ade\xc3fg",
            vec![(8, 1, 9, b"a".into()), (9, 1, 29, b"bc".into()), (9, 1, 39, b"de".into()), (9, 1, 49, b"fg".into())],
        ),
        // A message stream id is little-endian.
        (b"\x03\0\0\0\0\0\0\x08\x04\x03\x02\x01", vec![(8, 0x0102_0304, 0, vec![])]),
        // librtmp opens chunk stream 2 with format 1.
        (b"\x42\0\0\0\0\0\x01\x04x", vec![(4, 0, 0, b"x".into())]),
        // A 2-byte form may name a chunk stream that the 1-byte form could: it is the same one.
        (
            b"\x01\x00\x00\0\0\x09\0\0\x01\x08\x01\0\0\0a\xc0\x00b",
            vec![(8, 1, 9, b"a".into()), (8, 1, 18, b"b".into())],
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(plain(&read_all(&mut reader(), bytes).unwrap()), expected, "{bytes:02x?}");
        let mut reader = reader();
        let by_byte = bytes.iter().flat_map(|byte| read_all(&mut reader, &[*byte]).unwrap()).collect::<Vec<_>>();
        assert_eq!(plain(&by_byte), expected, "a byte at a time: {bytes:02x?}");
    }
}

#[test]
fn a_compressed_header_without_a_previous_one_is_refused_by_name() {
    assert_eq!(fault(b"\xc9"), "fmt 3 without a previous header on chunk stream 9");
    assert_eq!(fault(b"\x89\0\0\0"), "fmt 2 without a previous header on chunk stream 9");
}

#[test]
fn a_new_header_in_the_middle_of_a_message_is_refused() {
    // 200 bytes announced, 128 sent, then format 1 with a smaller length: the case of CVE-2016-10191.
    let mut bytes = b"\x05\0\0\0\0\0\xc8\x08\x01\0\0\0".to_vec();
    bytes.extend([0; 128]);
    for header in [&b"\x45\0\0\0\0\0\x01\x08"[..], b"\x85\0\0\0", b"\x05\0\0\0\0\0\xc8\x08\x01\0\0\0"] {
        let what = fault(&[&bytes, header].concat());
        assert!(what.ends_with("on chunk stream 5 in the middle of a message (128 of 200 bytes)"), "{what}");
    }
}

#[test]
fn chunk_size_0_and_sizes_above_31_bits_are_refused() {
    for size in [1, 2, 127, 128, 4096, 65_536, 0x7FFF_FFFF] {
        reader().set_chunk_size(size).unwrap();
    }
    assert_eq!(reader().set_chunk_size(0), Err(Fault::protocol("chunk size 0")));
    assert!(reader().set_chunk_size(0x8000_0000).is_err());
}

#[test]
fn a_huge_declared_message_costs_nothing() {
    assert_eq!(fault(b"\x03\0\0\0\xff\xff\xff\x08\x01\0\0\0a"), "message 16777215 B exceeds limit 65536");
    let mut reader = reader();
    reader.set_chunk_size(0x7FFF_FFFF).unwrap();
    read_all(&mut reader, b"\x03\0\0\0\0\xff\xff\x08\x01\0\0\0a").unwrap();
    let held: usize = reader.streams.iter().filter_map(|stream| stream.partial.as_ref()).map(BytesMut::capacity).sum();
    assert!(held <= 64, "{held} bytes held for 1 byte received");
}

#[test]
fn chunk_streams_beyond_the_limit_are_refused() {
    let mut reader = reader();
    for id in 3..19u8 {
        read_all(&mut reader, &[id, 0, 0, 0, 0, 0, 0, 8, 1, 0, 0, 0]).unwrap();
    }
    let fault = read_all(&mut reader, &[19, 0, 0, 0, 0, 0, 0, 8, 1, 0, 0, 0]).unwrap_err();
    assert_eq!(fault, Fault::limit("chunk stream 19 is one more than 16"));
    assert_eq!(reader.streams.len(), 16);
}

#[test]
fn a_stream_that_is_gone_frees_its_chunk_streams() {
    let mut reader = reader();
    for id in 3..200u8 {
        read_all(&mut reader, &[0, id, 0, 0, 0, 0, 0, 0, 8, id, 0, 0, 0]).unwrap();
        reader.forget(StreamId(id.into()));
    }
    assert!(reader.streams.is_empty());
}

#[test]
fn unfinished_messages_are_bounded_together() {
    let limits = Limits { partial_bytes: 1000, ..Limits::default() };
    let mut reader = ChunkReader::new(&limits);
    reader.set_chunk_size(65_536).unwrap();
    let half = |id: u8, bytes: usize| {
        let mut chunk = vec![id, 0, 0, 0, 0, 4, 0, 8, 1, 0, 0, 0];
        chunk.resize(12 + bytes, 7);
        chunk
    };
    reader.set_chunk_size(600).unwrap();
    read_all(&mut reader, &half(4, 600)).unwrap();
    let fault = read_all(&mut reader, &half(5, 600)).unwrap_err();
    assert_eq!(fault, Fault::limit("unfinished messages exceed 1000 B"));
}

#[test]
fn an_abort_drops_the_unfinished_message_only() {
    let mut reader = reader();
    let mut bytes = b"\x05\0\0\x07\0\0\xc8\x08\x01\0\0\0".to_vec();
    bytes.extend([1; 128]);
    assert_eq!(read_all(&mut reader, &bytes).unwrap(), []);
    reader.abort(5);
    reader.abort(77);
    assert_eq!(reader.partial_bytes, 0);
    // A whole message of the same shape: format 3 takes everything from the dropped one.
    let messages = read_all(&mut reader, &[&[0xc5][..], &[2; 128], &[0xc5], &[2; 72]].concat()).unwrap();
    assert_eq!(plain(&messages), [(8, 1, 14, vec![2; 200])]);
}

#[test]
fn chunks_of_two_streams_may_alternate() {
    let mut reader = reader();
    let video = [&b"\x04\0\0\x01\0\x01\0\x09\x01\0\0\0"[..], &[9; 128]].concat();
    let audio = [&b"\x05\0\0\x02\0\0\x03\x08\x01\0\0\0"[..], &[8; 3]].concat();
    let rest = [&[0xc4][..], &[9; 128]].concat();
    let messages = read_all(&mut reader, &[video, audio, rest].concat()).unwrap();
    assert_eq!(plain(&messages), [(8, 1, 2, vec![8; 3]), (9, 1, 1, vec![9; 256])]);
}

/// A message of 5 bytes in chunks of 2, with an extended timestamp: the continuations repeat it or not.
fn extended(ms: u32, repeat: bool) -> Vec<u8> {
    let mut bytes = b"\x04\xff\xff\xff\0\0\x05\x08\x01\0\0\0".to_vec();
    bytes.extend(ms.to_be_bytes());
    for (at, pair) in [&b"ab"[..], b"cd", b"e"].into_iter().enumerate() {
        if at > 0 {
            bytes.push(0xc4);
            bytes.extend(ms.to_be_bytes().iter().filter(|_| repeat));
        }
        bytes.extend(pair);
    }
    bytes
}

#[test]
fn extended_timestamps_are_read_whether_or_not_continuations_repeat_them() {
    for ms in [0xFF_FFFF, 0x0100_0000, u32::MAX] {
        for repeat in [false, true] {
            let bytes = extended(ms, repeat);
            let mut whole = reader();
            whole.set_chunk_size(2).unwrap();
            assert_eq!(plain(&read_all(&mut whole, &bytes).unwrap()), [(8, 1, ms, b"abcde".into())]);
            let mut split = reader();
            split.set_chunk_size(2).unwrap();
            let messages: Vec<_> = bytes.iter().flat_map(|byte| read_all(&mut split, &[*byte]).unwrap()).collect();
            assert_eq!(plain(&messages), [(8, 1, ms, b"abcde".into())], "{ms:x} {repeat}");
        }
    }
    let below = read_all(&mut reader(), b"\x04\xff\xff\xfe\0\0\x01\x08\x01\0\0\0a").unwrap();
    assert_eq!(plain(&below), [(8, 1, 0xFF_FFFE, b"a".into())]);
}

#[test]
fn a_body_that_begins_like_the_timestamp_it_does_not_repeat_waits_for_its_difference() {
    // Timestamp 01 00 00 00, no repetition, and the second chunk begins with 01 00: told apart at its third byte.
    let bytes = b"\x04\xff\xff\xff\0\0\x06\x08\x01\0\0\0\x01\0\0\0ab\xc4\x01\0\xc4zz";
    let mut split = reader();
    split.set_chunk_size(2).unwrap();
    let messages: Vec<_> = bytes.iter().flat_map(|byte| read_all(&mut split, &[*byte]).unwrap()).collect();
    assert_eq!(plain(&messages), [(8, 1, 0x0100_0000, b"ab\x01\0zz".into())]);
}

#[test]
fn a_timestamp_may_wrap() {
    let bytes = b"\x04\xff\xff\xff\0\0\x01\x08\x01\0\0\0\xff\xff\xff\xf6a\x84\0\0\x14b";
    let messages = read_all(&mut reader(), bytes).unwrap();
    assert_eq!(plain(&messages), [(8, 1, u32::MAX - 9, b"a".into()), (8, 1, 10, b"b".into())]);
}

#[test]
fn small_messages_share_memory_that_is_used_again() {
    let mut reader = reader();
    let bytes = b"\x04\0\0\x01\0\0\x05\x08\x01\0\0\0abcde";
    drop(read_all(&mut reader, bytes).unwrap());
    let mut addresses: Vec<*const u8> = Vec::new();
    for _ in 0..10_000 {
        let messages = read_all(&mut reader, b"\x84\0\0\x14abcde").unwrap();
        addresses.push(messages[0].body.as_ptr());
    }
    addresses.sort();
    addresses.dedup();
    assert!(addresses.len() <= 2 * ARENA / 5, "{} places", addresses.len());
}

prop_compose! {
    fn message()(kind in 7u8..30, stream in 0u32..4, ms in any::<u32>(), step in 0u32..100, jump in prop::bool::weighted(0.1),
                 body in prop::collection::vec(any::<u8>(), 0..600)) -> (u8, u32, u32, bool, Vec<u8>) {
        (kind, stream, if jump { ms } else { step }, jump, body)
    }
}

proptest! {
    #[test]
    fn what_the_writer_writes_the_reader_reads(
        steps in prop::collection::vec(message(), 0..30),
        size in prop_oneof![Just(1u32), Just(2), Just(127), Just(128), Just(4096)],
        cuts in prop::collection::vec(1usize..300, 1..50),
    ) {
        let (mut writer, mut reader, mut out) = (ChunkWriter::new(), reader(), BytesMut::new());
        writer.set_chunk_size(size);
        reader.set_chunk_size(size).unwrap();
        let mut clock = 0u32;
        let mut expected = Vec::new();
        for (kind, stream, time, jump, body) in steps {
            clock = if jump { time } else { clock.wrapping_add(time) };
            writer.write(&mut out, kind, StreamId(stream), RtmpTimestamp::from_ms(clock), &body);
            expected.push((kind, stream, clock, body));
        }
        let (mut bytes, mut read, mut cut) = (&out[..], Vec::new(), cuts.iter().cycle());
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at((*cut.next().unwrap()).min(bytes.len()));
            read.extend(plain(&read_all(&mut reader, piece).unwrap()));
            bytes = rest;
        }
        prop_assert_eq!(read, expected);
        prop_assert_eq!(reader.partial_bytes, 0);
    }

    #[test]
    fn no_bytes_upset_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..2000), cut in 0usize..2000) {
        let (mut whole, mut split) = (reader(), reader());
        let expected = read_all(&mut whole, &bytes);
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        let got = read_all(&mut split, first).and_then(|mut messages| {
            messages.extend(read_all(&mut split, second)?);
            Ok(messages)
        });
        prop_assert_eq!(got, expected);
    }
}

//! RTP packets (RFC 3550 section 5.1): read by `rtp-rs`, written into one shared arena, and the numbers that wrap.

use bytes::{Bytes, BytesMut};
use rtp_rs::{RtpPacketBuilder, RtpReader, Seq};

use crate::limits::MAX_RTP_BYTES;

/// Bytes of a header without CSRCs and extensions.
pub const HEADER_BYTES: usize = 12;

/// RTP sequence number: 16 bits that wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SequenceNumber(pub u16);

impl SequenceNumber {
    /// The number after this one.
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// How far `self` lies ahead of `other`, the short way round: -32768..=32767.
    pub const fn distance_from(self, other: Self) -> i16 {
        self.0.wrapping_sub(other.0) as i16
    }
}

/// RTP timestamp in clock units: 32 bits that wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RtpTimestamp(pub u32);

impl RtpTimestamp {
    /// `ticks` later (or earlier, if negative).
    pub const fn plus(self, ticks: i64) -> Self {
        Self(self.0.wrapping_add(ticks as u32))
    }

    /// How far `self` lies ahead of `other`, the short way round.
    pub const fn distance_from(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0) as i32
    }
}

/// Counts a sequence number's turns, so that order and loss can be read off plain integers.
#[derive(Debug, Clone, Copy)]
pub struct ExtendedSequence(i64);

impl ExtendedSequence {
    /// Starts counting at `first`.
    pub const fn starting_at(first: SequenceNumber) -> Self {
        Self(first.0 as i64)
    }

    /// The extended number nearest to the highest one known; the highest is not moved.
    pub const fn extend(self, sequence: SequenceNumber) -> i64 {
        self.0 + sequence.distance_from(SequenceNumber(self.0 as u16)) as i64
    }

    /// Extends and remembers the highest.
    pub fn advance(&mut self, sequence: SequenceNumber) -> i64 {
        let extended = self.extend(sequence);
        self.0 = self.0.max(extended);
        extended
    }
}

/// Why a datagram is no RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RtpError {
    /// Longer than [`MAX_RTP_BYTES`].
    #[error("RTP packet of {0} bytes is too long")]
    TooLong(usize),
    /// Not version 2, or shorter than its header, extension or padding says (RFC 3550 appendix A.1).
    #[error("malformed RTP header")]
    Malformed,
}

/// A packet that was read: header fields and a view of the payload without padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpPacket<'a> {
    /// Start of a talk spurt or an event.
    pub marker: bool,
    /// 0..=127.
    pub payload_type: u8,
    /// Place in the stream.
    pub sequence: SequenceNumber,
    /// Sampling instant of the first sample.
    pub timestamp: RtpTimestamp,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Payload, padding taken off.
    pub payload: &'a [u8],
}

impl<'a> RtpPacket<'a> {
    /// Reads a datagram.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, RtpError> {
        if datagram.len() > MAX_RTP_BYTES {
            return Err(RtpError::TooLong(datagram.len()));
        }
        let reader = RtpReader::new(datagram).map_err(|_| RtpError::Malformed)?;
        Ok(Self {
            marker: reader.mark(),
            payload_type: reader.payload_type(),
            sequence: SequenceNumber(u16::from(reader.sequence_number())),
            timestamp: RtpTimestamp(reader.timestamp()),
            ssrc: reader.ssrc(),
            payload: reader.payload(),
        })
    }
}

/// What a stream of ours has in common for all its packets: source, sequence, and memory to write in.
#[derive(Debug)]
pub struct RtpWriter {
    ssrc: u32,
    next_sequence: SequenceNumber,
    arena: BytesMut,
}

/// One allocation serves this many bytes of packets; it is reused when the driver has let go of them.
const ARENA_BYTES: usize = 4096;

impl RtpWriter {
    /// A stream that starts with `first` as its sequence number.
    pub fn new(ssrc: u32, first: u16) -> Self {
        Self { ssrc, next_sequence: SequenceNumber(first), arena: BytesMut::new() }
    }

    /// Our synchronisation source.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Writes the next packet of the stream.
    pub fn packet(&mut self, marker: bool, payload_type: u8, timestamp: RtpTimestamp, payload: &[u8]) -> Bytes {
        let builder = RtpPacketBuilder::new()
            .marked(marker)
            .payload_type(payload_type & 0x7F)
            .sequence(Seq::from(self.next_sequence.0))
            .timestamp(timestamp.0)
            .ssrc(self.ssrc)
            .payload(payload);
        self.next_sequence = self.next_sequence.next();
        let length = builder.target_length();
        if self.arena.capacity() < length {
            self.arena.reserve(ARENA_BYTES.max(length));
        }
        self.arena.resize(length, 0);
        let written = builder.build_into(&mut self.arena).expect("seven-bit payload type, room for the packet");
        self.arena.split_to(written).freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sequence_numbers_wrap_and_keep_their_order() {
        assert_eq!(SequenceNumber(65535).next(), SequenceNumber(0));
        assert_eq!(SequenceNumber(2).distance_from(SequenceNumber(65534)), 4);
        assert_eq!(SequenceNumber(65534).distance_from(SequenceNumber(2)), -4);
    }

    #[test]
    fn timestamps_wrap_and_keep_their_order() {
        assert_eq!(RtpTimestamp(u32::MAX).plus(160), RtpTimestamp(159));
        assert_eq!(RtpTimestamp(10).plus(-20), RtpTimestamp(u32::MAX - 9));
        assert_eq!(RtpTimestamp(100).distance_from(RtpTimestamp(u32::MAX - 99)), 200);
    }

    #[test]
    fn an_extended_sequence_counts_turns_and_places_stragglers_before_the_wrap() {
        let mut extended = ExtendedSequence::starting_at(SequenceNumber(65530));
        for step in 0..200_000i64 {
            let sequence = SequenceNumber((65530 + step) as u16);
            assert_eq!(extended.advance(sequence), 65530 + step);
        }
        let highest = 65530 + 199_999;
        assert_eq!(extended.advance(SequenceNumber((highest - 50) as u16)), highest - 50);
        assert_eq!(extended.extend(SequenceNumber((highest + 1) as u16)), highest + 1);
    }

    #[test]
    fn padding_csrcs_and_extensions_are_taken_off_the_payload() {
        let mut datagram = vec![0x80 | 0x20 | 0x10 | 1, 0x80 | 96, 0, 7, 0, 0, 0, 9, 1, 2, 3, 4];
        datagram.extend([9, 9, 9, 9]); // one CSRC
        datagram.extend([0xBE, 0xDE, 0, 1, 5, 5, 5, 5]); // an extension of one word
        datagram.extend([1, 2, 3, 0, 0, 3]); // payload and three bytes of padding
        let packet = RtpPacket::parse(&datagram).unwrap();
        assert_eq!(packet.payload, [1, 2, 3]);
        assert!(packet.marker);
        assert_eq!((packet.payload_type, packet.sequence.0, packet.timestamp.0, packet.ssrc), (96, 7, 9, 0x0102_0304));
        for length in 0..datagram.len() {
            let _ = RtpPacket::parse(&datagram[..length]);
        }
        assert_eq!(RtpPacket::parse(&datagram[..11]), Err(RtpError::Malformed));
        assert_eq!(RtpPacket::parse(&[0x80; 3000]), Err(RtpError::TooLong(3000)));
    }

    #[test]
    fn a_stream_reuses_its_memory_once_the_packets_are_gone() {
        let mut writer = RtpWriter::new(1, 0);
        drop(writer.packet(false, 0, RtpTimestamp(0), &[0; 160]));
        let start = writer.arena.capacity();
        for _ in 0..10_000 {
            drop(writer.packet(false, 0, RtpTimestamp(0), &[0; 160]));
            assert!(writer.arena.capacity() <= start.max(ARENA_BYTES));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(marker: bool, payload_type in 0u8..128, timestamp: u32, first: u16, ssrc: u32,
                                         payload in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut writer = RtpWriter::new(ssrc, first);
            for step in 0..3u16 {
                let bytes = writer.packet(marker, payload_type, RtpTimestamp(timestamp), &payload);
                let packet = RtpPacket::parse(&bytes).unwrap();
                let sequence = SequenceNumber(first.wrapping_add(step));
                let timestamp = RtpTimestamp(timestamp);
                prop_assert_eq!(packet, RtpPacket { marker, payload_type, sequence, timestamp, ssrc, payload: &payload });
            }
        }
    }
}

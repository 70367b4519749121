//! The bit stream: fields of 1 to 32 bits, most significant bit first, packed without gaps.

/// Reads fields from a packet. Past the end it reads zeros and goes on counting, so a reader never fails half-way:
/// compare [`BitReader::remaining`] before, or see [`BitReader::overrun`] after.
#[derive(Clone)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> BitReader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bits left, 0 at and past the end.
    pub fn remaining(&self) -> usize {
        (self.bytes.len() * 8).saturating_sub(self.position)
    }

    /// True when more was read than there was.
    pub fn overrun(&self) -> bool {
        self.position > self.bytes.len() * 8
    }

    /// Bits read so far.
    pub fn position(&self) -> usize {
        self.position
    }

    pub fn skip(&mut self, count: usize) {
        self.position = self.position.saturating_add(count);
    }

    /// The next `count` bits (at most 32) without moving on.
    pub fn peek(&self, count: u32) -> u32 {
        debug_assert!(count <= 32);
        let first = self.position / 8;
        let window = (first..first + 5).fold(0u64, |sum, at| sum << 8 | u64::from(*self.bytes.get(at).unwrap_or(&0)));
        let below = 40 - (self.position % 8) as u32 - count;
        (window >> below) as u32 & ((1u64 << count) - 1) as u32
    }

    /// The next `count` bits (at most 32).
    pub fn take(&mut self, count: u32) -> u32 {
        let value = self.peek(count);
        self.skip(count as usize);
        value
    }

    /// The next `count` bits as an index: below `1 << count`.
    pub fn index(&mut self, count: u32) -> usize {
        self.take(count) as usize
    }
}

/// Writes fields into a buffer. What does not fit is dropped and counted: see [`BitWriter::finish`].
pub(crate) struct BitWriter<'a> {
    bytes: &'a mut [u8],
    position: usize,
}

impl<'a> BitWriter<'a> {
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bits written so far, also those that did not fit.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Appends the low `count` bits (at most 32) of `value`.
    pub fn put(&mut self, value: u32, count: u32) {
        debug_assert!(count == 32 || value >> count == 0, "{value} has more than {count} bits");
        let mut left = count;
        while left > 0 {
            let used = (self.position % 8) as u32;
            let now = left.min(8 - used);
            let field = (value >> (left - now)) as u8 & (0xff >> (8 - now));
            if let Some(byte) = self.bytes.get_mut(self.position / 8) {
                let kept = if used == 0 { 0 } else { *byte & !(0xff >> used) };
                *byte = kept | field << (8 - used - now);
            }
            self.position += now as usize;
            left -= now;
        }
    }

    /// Appends the bits `start..end` of `from`.
    pub fn copy(&mut self, from: &[u8], start: usize, end: usize) {
        let mut reader = BitReader::new(from);
        reader.skip(start);
        let mut left = end - start;
        while left > 0 {
            let now = left.min(32);
            self.put(reader.take(now as u32), now as u32);
            left -= now;
        }
    }

    /// Overwrites `count` bits (at most 32) at bit `at`, which must have been written before.
    pub fn patch(&mut self, at: usize, value: u32, count: u32) {
        for bit in 0..count as usize {
            let (byte, mask) = ((at + bit) / 8, 0x80 >> ((at + bit) % 8));
            if let Some(byte) = self.bytes.get_mut(byte) {
                *byte = if value >> (count as usize - 1 - bit) & 1 == 1 { *byte | mask } else { *byte & !mask };
            }
        }
    }

    /// Appends the padding that decoders take as the end of the packet: a zero, then ones to the byte's edge
    /// (RFC 5574 section 3.3). Nothing when the packet ends on an edge already.
    pub fn terminate(&mut self) {
        if self.position % 8 != 0 {
            let left = 8 - (self.position % 8) as u32;
            self.put((1 << (left - 1)) - 1, left);
        }
    }

    /// Bytes written, the last one perhaps in part, or `None` when the buffer was too small.
    pub fn finish(self) -> Option<usize> {
        let bytes = (self.position + 7) / 8;
        if bytes <= self.bytes.len() {
            Some(bytes)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_were_written() {
        let mut buffer = [0xff; 48];
        let mut writer = BitWriter::new(&mut buffer);
        for width in 1..=24 {
            writer.put(0x00a5_c3f1 & ((1 << width) - 1), width);
        }
        writer.put(0xdead_beef, 32);
        let end = writer.finish().unwrap();
        let mut reader = BitReader::new(&buffer[..end]);
        for width in 1..=24 {
            assert_eq!(reader.take(width), 0x00a5_c3f1 & ((1 << width) - 1), "{width} bits");
        }
        assert_eq!(reader.take(32), 0xdead_beef);
        assert!(!reader.overrun());
    }

    #[test]
    fn the_terminator_is_a_zero_and_ones_up_to_the_edge() {
        for (written, expected) in [(1, 0b1011_1111), (5, 0b1111_1011), (7, 0b1111_1110), (8, 0xff)] {
            let mut buffer = [0; 1];
            let mut writer = BitWriter::new(&mut buffer);
            writer.put((1 << written) - 1, written);
            writer.terminate();
            assert_eq!(writer.finish(), Some(1));
            assert_eq!(buffer[0], expected);
        }
    }

    #[test]
    fn past_the_end_are_zeros_and_writing_there_is_reported() {
        let mut reader = BitReader::new(&[0xff]);
        assert_eq!(reader.take(12), 0xff0);
        assert!(reader.overrun() && reader.remaining() == 0);
        assert_eq!(reader.take(32), 0);
        let mut buffer = [0; 1];
        let mut writer = BitWriter::new(&mut buffer);
        writer.put(0x1ff, 9);
        assert_eq!(writer.finish(), None);
    }

    #[test]
    fn a_field_can_be_patched_later() {
        let mut buffer = [0; 2];
        let mut writer = BitWriter::new(&mut buffer);
        writer.put(0x3ff, 10);
        writer.patch(3, 0b0101, 4);
        assert_eq!(writer.position(), 10);
        assert_eq!(writer.finish(), Some(2));
        assert_eq!(buffer, [0b1110_1011, 0b1100_0000]);
    }
}

//! What is where in a packet, without decoding it.
//!
//! ```text
//! packet: { [request | user data]... frame }... [terminator]
//! frame:  narrowband [wideband layer [ultra-wideband layer]]
//! ```
//!
//! A decoder of fewer layers than the packet has meets the superfluous ones in front of the next frame and skips
//! them; that works because a layer starts with a 1 and all else with a 0.

use crate::bits::{BitReader, BitWriter};
use crate::error::DecodeError;
use crate::mode::{self, Mode};

/// Layers that a frame can have on top of narrowband.
pub(crate) const MAX_LAYERS: usize = 2;

/// A sub-mode's code and its bits after the header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub code: usize,
    /// First bit of the header.
    pub start: usize,
    /// First bit after the header.
    pub fields: usize,
    /// First bit behind it.
    pub end: usize,
}

/// Where the parts of one frame are.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub narrow: Part,
    pub layers: [Option<Part>; MAX_LAYERS],
}

/// The frames of a packet. After an error there are no more.
pub(crate) struct Frames<'a> {
    bits: BitReader<'a>,
    mode: Mode,
    ended: bool,
}

impl<'a> Frames<'a> {
    /// Reads `packet` as a decoder of `mode` does.
    pub fn new(packet: &'a [u8], mode: Mode) -> Self {
        Self { bits: BitReader::new(packet), mode, ended: false }
    }

    fn read(&mut self) -> Result<Option<Frame>, DecodeError> {
        let narrow = loop {
            self.skip_layers()?;
            if self.bits.remaining() < 5 {
                return Ok(None);
            }
            let start = self.bits.position();
            let code = self.bits.take(5);
            match code {
                mode::CODE_END => return Ok(None),
                mode::CODE_REQUEST => self.skip_request()?,
                mode::CODE_USER_DATA => self.skip_user_data()?,
                _ => break self.part(start, code as usize, mode::narrow_bits(code as usize))?,
            }
        };
        let mut layers = [None; MAX_LAYERS];
        for (number, layer) in layers[..self.mode.layers()].iter_mut().enumerate() {
            // Fewer than four bits are padding, whatever they are.
            if self.bits.remaining() >= 4 && self.bits.peek(1) == 1 {
                let start = self.bits.position();
                let code = self.bits.index(4) - 8;
                let known = [&mode::WIDE_BAND, &mode::ULTRA_WIDE_BAND][number].submodes;
                *layer = Some(self.part(start, code, mode::high_bits(code).filter(|_| code <= known))?);
            }
        }
        Ok(Some(Frame { narrow, layers }))
    }

    /// The part whose header ends here, `bits` long if its code is one; moves past it.
    fn part(&mut self, start: usize, code: usize, bits: Option<usize>) -> Result<Part, DecodeError> {
        let fields = self.bits.position();
        let end = start + bits.ok_or(DecodeError::Reserved)?;
        self.skip(end - fields)?;
        Ok(Part { code, start, fields, end })
    }

    /// Skips layers that the frame before has on top of those that this mode decodes.
    fn skip_layers(&mut self) -> Result<(), DecodeError> {
        let mut layers = 0;
        while self.bits.remaining() >= 5 && self.bits.peek(1) == 1 {
            let start = self.bits.position();
            let code = self.bits.index(4) - 8;
            layers += 1;
            if layers > MAX_LAYERS {
                return Err(DecodeError::Reserved);
            }
            self.part(start, code, mode::high_bits(code))?;
        }
        Ok(())
    }

    /// A request to the peer (*The Speex Codec Manual*, table 5.1): the code tells how long its value is.
    fn skip_request(&mut self) -> Result<(), DecodeError> {
        let value = match self.bits.take(4) {
            0..=1 => 1,
            2..=7 => 4,
            8..=9 => 8,
            10..=11 => 16,
            12..=13 => 32,
            _ => 64,
        };
        self.skip(value)
    }

    /// User data: a count of bytes, a type of 5 bits, the bytes.
    fn skip_user_data(&mut self) -> Result<(), DecodeError> {
        let bytes = self.bits.index(4);
        self.skip(5 + 8 * bytes)
    }

    fn skip(&mut self, bits: usize) -> Result<(), DecodeError> {
        self.bits.skip(bits);
        if self.bits.overrun() {
            Err(DecodeError::Truncated)
        } else {
            Ok(())
        }
    }
}

impl Iterator for Frames<'_> {
    type Item = Result<Frame, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let frame = self.read().transpose();
        self.ended = !matches!(frame, Some(Ok(_)));
        frame
    }
}

/// Frames of 20 ms in `packet` for a decoder of `mode`, without decoding it.
///
/// Frames in front of a fault count; a packet whose first frame is faulty is an error, as it is to
/// [`Decoder::decode`](crate::Decoder::decode).
///
/// # Errors
/// [`DecodeError::NoFrame`], [`Truncated`](DecodeError::Truncated) and [`Reserved`](DecodeError::Reserved).
pub fn frame_count(packet: &[u8], mode: Mode) -> Result<usize, DecodeError> {
    let mut count = 0;
    for frame in Frames::new(packet, mode) {
        match frame {
            Ok(_) => count += 1,
            Err(error) if count == 0 => return Err(error),
            Err(_) => break,
        }
    }
    if count > 0 {
        Ok(count)
    } else {
        Err(DecodeError::NoFrame)
    }
}

/// Copies the narrowband layer of every frame of `packet` into `out`, for a peer that has no more band, and returns
/// the bytes written. Requests and user data are left out; `out` is enough when it is as long as `packet`.
///
/// # Errors
/// Those of [`frame_count`], and [`DecodeError::OutputTooSmall`] (in bytes).
pub fn narrowband_layer(packet: &[u8], out: &mut [u8]) -> Result<usize, DecodeError> {
    frame_count(packet, Mode::Narrowband)?;
    let mut writer = BitWriter::new(out);
    for Frame { narrow, .. } in Frames::new(packet, Mode::Narrowband).map_while(Result::ok) {
        writer.copy(packet, narrow.start, narrow.end);
    }
    writer.terminate();
    let needed = (writer.position() + 7) / 8;
    writer.finish().ok_or(DecodeError::OutputTooSmall { needed })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// A packet of fields (value, bits).
    fn packet(fields: &[(u32, u32)]) -> Vec<u8> {
        let mut bytes = std::vec![0; 400];
        let mut writer = BitWriter::new(&mut bytes);
        for &(value, bits) in fields {
            writer.put(value, bits);
        }
        writer.terminate();
        let length = writer.finish().unwrap();
        bytes.truncate(length);
        bytes
    }

    /// A frame in sub-mode 8 (79 bits).
    const FRAME: [(u32, u32); 4] = [(8, 5), (0x1234_5678, 32), (0x0bcd_ef01, 32), (0x155, 10)];
    /// A wideband layer in sub-mode 1 (36 bits).
    const LAYER: [(u32, u32); 2] = [(0b1001, 4), (0xface_b00c, 32)];

    #[test]
    fn a_frame_is_counted_once_with_whatever_layers() {
        for extra in 0..=2 {
            let mut fields = FRAME.to_vec();
            for _ in 0..extra {
                fields.extend(LAYER);
            }
            let two: Vec<_> = fields.iter().chain(&fields).copied().collect();
            for mode in [Mode::Narrowband, Mode::Wideband, Mode::UltraWideband] {
                assert_eq!(frame_count(&packet(&fields), mode), Ok(1), "{extra} layers, {mode:?}");
                assert_eq!(frame_count(&packet(&two), mode), Ok(2), "{extra} layers, {mode:?}");
            }
        }
    }

    #[test]
    fn requests_and_user_data_are_stepped_over() {
        for (code, bits) in [(0, 1), (1, 1), (2, 4), (7, 4), (8, 8), (11, 16), (13, 32), (15, 64)] {
            let mut fields = std::vec![(14, 5), (code, 4)];
            fields.extend(core::iter::repeat((0, 1)).take(bits));
            fields.extend(FRAME);
            fields.extend([(13, 5), (3, 4), (9, 5), (0x00ff_ffff, 24)]);
            fields.extend(FRAME);
            assert_eq!(frame_count(&packet(&fields), Mode::Narrowband), Ok(2), "request {code}");
        }
    }

    #[test]
    fn a_silent_layer_is_four_bits_long_for_every_decoder() {
        let mut fields = FRAME.to_vec();
        fields.push((0b1000, 4));
        fields.extend(FRAME);
        assert_eq!(frame_count(&packet(&fields), Mode::Narrowband), Ok(2));
        assert_eq!(frame_count(&packet(&fields), Mode::Wideband), Ok(2));
    }

    #[test]
    fn what_is_cut_short_reserved_or_missing_is_told_apart() {
        let whole = packet(&FRAME);
        assert_eq!(frame_count(&whole[..9], Mode::Narrowband), Err(DecodeError::Truncated));
        assert_eq!(frame_count(&[], Mode::Wideband), Err(DecodeError::NoFrame));
        assert_eq!(frame_count(&[0b0111_1111], Mode::Wideband), Err(DecodeError::NoFrame));
        assert_eq!(frame_count(&[0b0100_1000], Mode::Wideband), Err(DecodeError::Reserved));
        let mut fields = FRAME.to_vec();
        fields.push((0b1101, 4));
        fields.push((0, 4));
        assert_eq!(frame_count(&packet(&fields), Mode::Wideband), Err(DecodeError::Reserved));
        let second_cut = [&packet(&[FRAME, FRAME].concat())[..19], &[]].concat();
        assert_eq!(frame_count(&second_cut, Mode::Narrowband), Ok(1));
    }

    #[test]
    fn the_narrowband_layer_of_a_wideband_packet_is_the_packet_without_layers() {
        let wide: Vec<_> = FRAME.iter().chain(&LAYER).chain(&FRAME).chain(&LAYER).copied().collect();
        let narrow: Vec<_> = FRAME.iter().chain(&FRAME).copied().collect();
        let mut out = [0; 64];
        let length = narrowband_layer(&packet(&wide), &mut out).unwrap();
        assert_eq!(out[..length], packet(&narrow));
        assert_eq!(narrowband_layer(&packet(&wide), &mut out[..3]), Err(DecodeError::OutputTooSmall { needed: 20 }));
    }
}

//! Reads an innovation: what each sub-frame gets beyond its pitch.

use crate::bits::BitReader;
use crate::mode::ShapeCodebook;

/// Adds one entry of `book`, read from `bits`, to `out` (a sub-frame), `gain` times.
pub(super) fn add_shapes(book: &'static ShapeCodebook, bits: &mut BitReader, gain: f32, out: &mut [f32]) {
    for out in out.chunks_exact_mut(book.length).take(book.vectors) {
        let turned = book.signed && bits.take(1) == 1;
        let gain = if turned { -gain } else { gain };
        for (x, &code) in out.iter_mut().zip(book.shape(bits.index(book.bits))) {
            *x += gain * (ShapeCodebook::UNIT * f32::from(code));
        }
    }
}

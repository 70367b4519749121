//! The encoder: samples in, packets out.
//!
//! ```text
//!   640 ─QMF─▶ 320 ─QMF─▶ 160 samples ─▶ narrowband layer ─┐
//!     │          │                            │ levels     ├─▶ frame, frame, ... terminator ─▶ packet
//!     │          └──────▶ 160 high ─▶ wideband layer ──────┤
//!     └─────────────────▶ 320 high ─▶ ultra-wideband layer ┘      (each layer leans on the one below it)
//! ```

mod highband;
mod narrowband;
mod pitch;

use crate::bits::BitWriter;
use crate::error::EncodeError;
use crate::filters::QmfAnalysis;
use crate::mode::{quality, Mode, NARROW_FRAME, ULTRA_WIDE_BAND, WIDE_BAND};
use crate::search::ShapeSearch;
use crate::simd::Simd;
use crate::vbr::{Decision, Features, Rate, RateControl};
use highband::{HighShapes, Highband};
use narrowband::Narrowband;

/// Bytes of the longest frame: ultra-wideband at quality 10, 492 + 352 + 36 bits.
pub const MAX_FRAME_BYTES: usize = 110;

/// Samples of the longest frame.
const MAX_FRAME: usize = 640;

/// Turns speech into Speex packets.
///
/// ```
/// use speex_codec::{Encoder, Mode, MAX_FRAME_BYTES};
///
/// let mut encoder = Encoder::new(Mode::Wideband);
/// encoder.set_quality(6);
/// let speech = [0i16; 320];
/// let mut packet = [0u8; MAX_FRAME_BYTES];
/// let bytes = encoder.encode(&speech, &mut packet)?;
/// assert_eq!(bytes, 52); // 20.6 kbit/s
/// # Ok::<(), speex_codec::EncodeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Encoder {
    mode: Mode,
    quality: u8,
    complexity: u8,
    simd: Simd,
    rate: Rate,
    transmit: bool,
    split: [QmfAnalysis; 2],
    narrowband: Narrowband,
    layers: [Highband; 2],
    shapes: HighShapes,
}

impl Encoder {
    /// An encoder at quality 8, complexity 2 and a constant rate. It uses the widest registers of the processor.
    pub fn new(mode: Mode) -> Self {
        Self::with(mode, Simd::detect())
    }

    /// An encoder that uses only instructions which every processor of the target has. Its packets are the same.
    pub fn without_wide_registers(mode: Mode) -> Self {
        Self::with(mode, Simd::BASELINE)
    }

    fn with(mode: Mode, simd: Simd) -> Self {
        Self {
            mode,
            quality: 8,
            complexity: 2,
            simd,
            rate: Rate::new(mode),
            transmit: true,
            split: [QmfAnalysis::NEW; 2],
            narrowband: Narrowband::new(mode.layers() > 0),
            layers: [Highband::new(&WIDE_BAND), Highband::new(&ULTRA_WIDE_BAND)],
            shapes: ShapeSearch::NEW,
        }
    }

    /// The band that goes in.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Sets the quality, 0 to 10 (more counts as 10), from which a constant rate follows:
    ///
    /// | quality    | 0    | 1    | 2    | 3    | 4     | 5     | 6     | 7     | 8     | 9     | 10    |
    /// |------------|------|------|------|------|-------|-------|-------|-------|-------|-------|-------|
    /// | narrowband | 2150 | 3950 | 5950 | 8000 | 8000  | 11000 | 11000 | 15000 | 15000 | 18200 | 24600 |
    /// | wideband   | 3950 | 5750 | 7750 | 9800 | 12800 | 16800 | 20600 | 23800 | 27800 | 34200 | 42200 |
    ///
    /// in bits per second; ultra-wideband is 1800 above wideband (200 at quality 0).
    pub fn set_quality(&mut self, quality: u8) {
        self.quality = quality.min(10);
    }

    /// Sets how hard the encoder tries, 1 to 10 (clamped): how many pitch lags and combinations of shapes it compares.
    pub fn set_complexity(&mut self, complexity: u8) {
        self.complexity = complexity.clamp(1, 10);
    }

    /// Sets what the rate follows. A variable rate overrides the quality of [`Encoder::set_quality`].
    pub fn set_rate_control(&mut self, control: RateControl) {
        self.rate.set_control(control, self.mode);
    }

    /// Turns voice activity detection on or off: at a constant rate, frames without speech become comfort noise of
    /// 2150 bit/s. A variable rate has it always.
    pub fn set_vad(&mut self, on: bool) {
        self.rate.vad = on;
    }

    /// Turns discontinuous transmission on or off: frames without speech need not be sent (see
    /// [`Encoder::transmit`]). It works with voice activity detection or a variable rate.
    pub fn set_dtx(&mut self, on: bool) {
        self.rate.dtx = on;
    }

    /// Encodes whole frames, one or more, into one packet; returns its length in bytes. Frames follow each other
    /// without gaps, and the rest of the last byte says that they are over.
    ///
    /// # Errors
    /// When `pcm` is no whole number of frames (at least one), or `out` is too short for what they became. In the
    /// latter case the encoder has heard the frames all the same.
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<usize, EncodeError> {
        let frame = self.mode.frame_samples();
        if pcm.is_empty() || pcm.len() % frame != 0 {
            return Err(EncodeError::PartialFrame { frame_samples: frame });
        }
        let mut bits = BitWriter::new(out);
        self.transmit = false;
        for samples in pcm.chunks_exact(frame) {
            self.transmit |= self.frame(samples, &mut bits);
        }
        bits.terminate();
        let needed = (bits.position() + 7) / 8;
        bits.finish().ok_or(EncodeError::OutputTooSmall { needed })
    }

    /// False when every frame of the last packet was left out by discontinuous transmission: the packet may be sent,
    /// but need not be.
    pub fn transmit(&self) -> bool {
        self.transmit
    }

    /// Forgets the signal; the settings stay.
    pub fn reset(&mut self) {
        let mut fresh = Self::with(self.mode, self.simd);
        fresh.set_quality(self.quality);
        fresh.set_complexity(self.complexity);
        fresh.rate = self.rate.restarted(self.mode);
        *self = fresh;
    }

    /// Writes one frame; false when it need not be sent.
    fn frame(&mut self, samples: &[i16], bits: &mut BitWriter) -> bool {
        let mut signal = [0.0; MAX_FRAME];
        for (s, &sample) in signal.iter_mut().zip(samples) {
            *s = sample.into();
        }
        let (mut wide, mut ultra) = ([0.0; MAX_FRAME / 4], [0.0; MAX_FRAME / 2]);
        if self.mode.layers() == 2 {
            let mut low = [0.0; MAX_FRAME / 2];
            self.split[1].split(self.simd, &signal, &mut low, &mut ultra);
            signal[..MAX_FRAME / 2].copy_from_slice(&low);
        }
        let mut narrow = [0.0; NARROW_FRAME];
        if self.mode.layers() >= 1 {
            self.split[0].split(self.simd, &signal[..2 * NARROW_FRAME], &mut narrow, &mut wide);
        } else {
            narrow.copy_from_slice(&signal[..NARROW_FRAME]);
        }
        self.layers(&mut narrow, &wide, &ultra, bits)
    }

    fn layers(&mut self, narrow: &mut [f32; NARROW_FRAME], wide: &[f32], ultra: &[f32], bits: &mut BitWriter) -> bool {
        let fixed = self.fixed();
        self.rate.listen(narrow, wide, ultra, self.mode);
        let with_pitch = self.rate.is_variable() || narrowband::wants_pitch(fixed.low, self.complexity);
        let analysis = self.narrowband.analyse(self.simd, narrow, with_pitch);
        let features = Features { signal: narrow, pitch: analysis.pitch.strength, change: analysis.change };
        let submodes = self.rate.decide(&features, fixed, self.mode);
        let complexity = self.complexity;
        let left_out = submodes.comfort;
        let mut below = self.narrowband.encode(self.simd, &analysis, submodes.low, complexity, left_out, bits);
        for (number, input) in [wide, ultra].iter().enumerate().take(self.mode.layers()) {
            let layer = &mut self.layers[number];
            let analysis = layer.analyse(self.simd, input);
            let code = submodes.high[number];
            below = layer.encode(self.simd, &analysis, code, complexity, &below, &mut self.shapes, bits);
        }
        submodes.low != 0
    }

    /// The sub-modes that the quality stands for.
    fn fixed(&self) -> Decision {
        let quality = usize::from(self.quality);
        let low = if self.mode.layers() == 0 { &quality::NARROWBAND } else { &quality::WIDEBAND_LOW };
        Decision {
            low: low[quality],
            high: [quality::WIDEBAND_HIGH[quality], quality::ULTRA_WIDEBAND_HIGH[quality]],
            comfort: false,
        }
    }
}

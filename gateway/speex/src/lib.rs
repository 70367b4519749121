//! The Speex speech codec: narrowband, wideband and ultra-wideband, in safe Rust without `std`.
//!
//! Speex codes 20 ms frames with CELP: an all-pole filter (the speech tract) driven by an excitation, which is a
//! sum of its own past (pitch) and a codebook entry (innovation). Wider bands are layers on top of narrowband:
//!
//! ```text
//!              4-8 kHz ┌───────────┐ 36..352 bits
//!   16 kHz ──▶ QMF ───▶│ high band │─────────────┐
//!               │      └───────────┘             ▼
//!               │      ┌────────────┐ 5..492   ┌────────┐
//!               └─────▶│ narrowband │─────────▶│ packet │
//!              0-4 kHz └────────────┘ bits     └────────┘
//! ```
//!
//! A decoder of any width takes packets of any other width: what it cannot use it skips, what is missing it leaves
//! silent. The bit layout of every sub-mode is in the `mode` module; the quantiser tables are the standard's
//! numbers (Jean-Marc Valin, Xiph.Org: *The Speex Codec Manual*, and the reference library).
#![no_std]
#![deny(unsafe_code, missing_docs)]
// max and min take NaN to a bound, where clamp would hand it on.
#![allow(clippy::manual_clamp)]

mod bits;
mod decoder;
mod encoder;
mod error;
mod filters;
mod gap;
mod lpc;
mod lsp;
mod math;
mod mode;
mod packet;
mod search;
mod simd;
mod tables;
mod vbr;

pub use decoder::Decoder;
pub use encoder::{Encoder, MAX_FRAME_BYTES};
pub use error::{DecodeError, EncodeError};
pub use gap::{frame_after, frame_before};
pub use mode::Mode;
pub use packet::{frame_count, narrowband_layer};
pub use vbr::RateControl;

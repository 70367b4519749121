//! What can be wrong with a packet or a buffer.

use core::fmt;

/// Why a packet was not decoded. The decoder's state is then as before: [`conceal`](crate::Decoder::conceal) goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The packet ends before its first frame.
    NoFrame,
    /// The first frame, or what stands before it, goes on past the packet's end.
    Truncated,
    /// A code that the standard reserves stands where the first frame's sub-mode should be.
    Reserved,
    /// The buffer is too short.
    OutputTooSmall {
        /// What it must hold: samples, or bytes of a packet.
        needed: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFrame => f.write_str("no Speex frame in the packet"),
            Self::Truncated => f.write_str("Speex packet cut short"),
            Self::Reserved => f.write_str("reserved Speex sub-mode"),
            Self::OutputTooSmall { needed } => write!(f, "buffer too small: {needed} needed"),
        }
    }
}

/// Why samples were not encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// No whole number of frames, or none at all.
    PartialFrame {
        /// Samples of a frame.
        frame_samples: usize,
    },
    /// The buffer is too short for the packet.
    OutputTooSmall {
        /// Bytes it must hold.
        needed: usize,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PartialFrame { frame_samples } => write!(f, "frames of {frame_samples} samples wanted"),
            Self::OutputTooSmall { needed } => write!(f, "buffer too small: {needed} bytes needed"),
        }
    }
}

//! The Speex codec judged by other programs: libspeex, speexdec and ffmpeg, on recorded speech.
#![allow(clippy::unwrap_used)]

mod decoder;
mod encoder;
mod wasm;

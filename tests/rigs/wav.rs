//! Mono 16-bit WAV files, as the corpus holds them.

use crate::audio;
use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// Reads the samples of a mono 16-bit WAV file.
///
/// # Errors
/// When the file cannot be read or holds another format.
pub fn read(path: &Path) -> Result<Vec<i16>> {
    let bytes = fs::read(path)?;
    let bad = |what| Error::new(ErrorKind::InvalidData, format!("{}: {what}", path.display()));
    if bytes.get(..4) != Some(b"RIFF") || bytes.get(8..12) != Some(b"WAVE") {
        return Err(bad("not a WAV file"));
    }
    let mut at = 12;
    while let Some(header) = bytes.get(at..at + 8) {
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let body = bytes.get(at + 8..).unwrap_or_default();
        let body = &body[..length.min(body.len())];
        match &header[..4] {
            b"fmt " if body.get(..4) != Some(&[1, 0, 1, 0]) || body.get(14..16) != Some(&[16, 0]) => {
                return Err(bad("not mono 16-bit PCM"));
            }
            b"data" => return Ok(audio::from_bytes(body)),
            _ => at += 8 + length + (length & 1),
        }
    }
    Err(bad("no data chunk"))
}

/// Writes a mono 16-bit WAV file.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, sample_rate: u32, samples: &[i16]) -> Result<()> {
    let data = samples.len() as u32 * 2;
    let mut bytes = Vec::with_capacity(44 + data as usize);
    bytes.extend_from_slice(b"RIFF");
    bytes.extend_from_slice(&(36 + data).to_le_bytes());
    bytes.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend_from_slice(&sample_rate.to_le_bytes());
    bytes.extend_from_slice(&(sample_rate * 2).to_le_bytes());
    bytes.extend_from_slice(b"\x02\0\x10\0data");
    bytes.extend_from_slice(&data.to_le_bytes());
    bytes.extend(audio::to_bytes(samples));
    fs::write(path, bytes)
}

//! Nellymoser by ffmpeg, which has an encoder and a decoder of its own: a phone's voice, and the judge of what the gateway hears.

use crate::audio;
use crate::tools::{Scratch, run};

/// Length of an FLV file's header with the first back pointer, of a tag's header and of a back pointer.
const FILE_HEADER: usize = 13;
const TAG_HEADER: usize = 11;
const BACK_POINTER: usize = 4;

/// Audio message bodies, tag byte and one block of 256 samples each. `rate` is 8000, 11025, 16000, 22050 or 44100.
///
/// # Panics
/// When ffmpeg is missing or has another opinion.
pub fn bodies(pcm: &[i16], rate: u32) -> Vec<Vec<u8>> {
    let scratch = Scratch::new();
    let (raw, flv) = (scratch.path("said.raw"), scratch.path("said.flv"));
    std::fs::write(&raw, audio::to_bytes(pcm)).unwrap();
    let (raw, flv) = (raw.to_string_lossy(), flv.to_string_lossy());
    let rate = rate.to_string();
    let input = ["-nostdin", "-v", "error", "-f", "s16le", "-ar", &rate, "-ac", "1", "-i", &raw];
    run("ffmpeg", &[&input[..], &["-c:a", "nellymoser", "-f", "flv", &flv]].concat());
    let bytes = std::fs::read(&*flv).unwrap();
    let (mut bodies, mut at) = (Vec::new(), FILE_HEADER);
    while let Some(header) = bytes.get(at..at + TAG_HEADER) {
        let length = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
        let body = &bytes[at + TAG_HEADER..][..length];
        if header[0] == 8 {
            bodies.push(body.to_vec());
        }
        at += TAG_HEADER + length + BACK_POINTER;
    }
    bodies
}

/// The samples of such bodies, at `rate`.
///
/// # Panics
/// When ffmpeg is missing or cannot read them.
pub fn decode(bodies: &[Vec<u8>], rate: u32) -> Vec<i16> {
    let scratch = Scratch::new();
    let (flv, raw) = (scratch.path("sent.flv"), scratch.path("heard.raw"));
    let mut bytes = b"FLV\x01\x04\0\0\0\x09\0\0\0\0".to_vec();
    for (number, body) in bodies.iter().enumerate() {
        let ms = (256_000 * number / rate as usize) as u32;
        bytes.push(8);
        bytes.extend(&(body.len() as u32).to_be_bytes()[1..]);
        bytes.extend(&ms.to_be_bytes()[1..]);
        bytes.extend([(ms >> 24) as u8, 0, 0, 0]);
        bytes.extend(body);
        bytes.extend((body.len() as u32 + TAG_HEADER as u32).to_be_bytes());
    }
    std::fs::write(&flv, bytes).unwrap();
    let (flv, raw) = (flv.to_string_lossy(), raw.to_string_lossy());
    let rate = rate.to_string();
    run("ffmpeg", &["-nostdin", "-v", "error", "-i", &flv, "-f", "s16le", "-ar", &rate, "-ac", "1", &raw]);
    let pcm = audio::from_bytes(&std::fs::read(&*raw).unwrap());
    assert_eq!(pcm.len(), 256 * bodies.len(), "ffmpeg decodes every block, and nothing else");
    pcm
}

//! Speex in Ogg, so that `speexdec` and ffmpeg can judge our streams: one packet a page, as plain as can be.

use speex_codec::Mode;

/// An Ogg file of `packets`, each holding `frames` frames.
pub fn file(mode: Mode, packets: &[Vec<u8>], frames: usize) -> Vec<u8> {
    let mut writer = Writer { bytes: Vec::new(), sequence: 0 };
    writer.page(&header(mode, frames), 0, FIRST);
    // An empty comment: vendor string and no entries.
    writer.page(b"\x04\0\0\0test\0\0\0\0", 0, 0);
    for (number, packet) in packets.iter().enumerate() {
        let played = ((number + 1) * frames * mode.frame_samples()) as u64;
        writer.page(packet, played, if number + 1 == packets.len() { LAST } else { 0 });
    }
    writer.bytes
}

const FIRST: u8 = 2;
const LAST: u8 = 4;

/// The 80 bytes that start a stream (The Speex Codec Manual, table 7.1).
fn header(mode: Mode, frames: usize) -> Vec<u8> {
    let mut header = b"Speex   1.2.1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    let number = match mode {
        Mode::Narrowband => 0,
        Mode::Wideband => 1,
        Mode::UltraWideband => 2,
    };
    let (version, size, bit_stream, channels, bit_rate, vbr) = (1, 80, 4, 1, u32::MAX, 0);
    let frame = mode.frame_samples() as u32;
    let fields =
        [version, size, mode.sample_rate(), number, bit_stream, channels, bit_rate, frame, vbr, frames as u32, 0, 0, 0];
    header.extend(fields.iter().flat_map(|field| field.to_le_bytes()));
    header
}

struct Writer {
    bytes: Vec<u8>,
    sequence: u32,
}

impl Writer {
    fn page(&mut self, packet: &[u8], position: u64, flags: u8) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(b"OggS\0");
        self.bytes.push(flags);
        self.bytes.extend_from_slice(&position.to_le_bytes());
        self.bytes.extend_from_slice(&1u32.to_le_bytes());
        self.bytes.extend_from_slice(&self.sequence.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        // Lengths of 255 go on; a packet ends with a shorter one.
        let segments = packet.len() / 255 + 1;
        self.bytes.push(segments as u8);
        self.bytes.extend(std::iter::repeat_n(255, segments - 1));
        self.bytes.push((packet.len() % 255) as u8);
        self.bytes.extend_from_slice(packet);
        let checksum = checksum(&self.bytes[start..]).to_le_bytes();
        self.bytes[start + 22..start + 26].copy_from_slice(&checksum);
        self.sequence += 1;
    }
}

/// RFC 3533 section 6: polynomial 0x04c11db7, nothing inverted.
fn checksum(page: &[u8]) -> u32 {
    page.iter().fold(0u32, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte) << 24, |sum, _| sum << 1 ^ if sum >> 31 == 1 { 0x04c1_1db7 } else { 0 })
    })
}

//! The decoders of the two phones: Debian's libraries, not ours, as a phone would have them.

use call_media::codec::Codec;
use gateway_tests::{g711, libspeex, spandsp};
use speex_codec::Mode;

/// Decodes one stream, frame by frame.
pub(crate) struct Ear {
    kind: Kind,
    codec: Codec,
}

enum Kind {
    G711 { decode: fn(u8) -> i16, plc: Box<spandsp::Plc> },
    Speex(libspeex::Decoder),
}

impl Ear {
    pub(crate) fn new(codec: Codec) -> Self {
        let kind = match codec {
            Codec::Pcmu => Kind::G711 { decode: g711::ulaw_decode, plc: Box::new(spandsp::Plc::new()) },
            Codec::Pcma => Kind::G711 { decode: g711::alaw_decode, plc: Box::new(spandsp::Plc::new()) },
            Codec::SpeexNarrowband => Kind::Speex(libspeex::Decoder::new(Mode::Narrowband)),
            Codec::SpeexWideband => Kind::Speex(libspeex::Decoder::new(Mode::Wideband)),
        };
        Self { kind, codec }
    }

    /// One frame that came.
    pub(crate) fn hear(&mut self, payload: &[u8]) -> Vec<i16> {
        let mut pcm = Vec::with_capacity(self.codec.info().frame_samples);
        match &mut self.kind {
            Kind::G711 { decode, plc } => {
                pcm.extend(payload.iter().map(|&byte| decode(byte)));
                plc.heard(&mut pcm);
            }
            Kind::Speex(decoder) => assert_eq!(decoder.decode(payload, &mut pcm), 0, "a good Speex packet"),
        }
        pcm
    }

    /// One frame that did not come: what the library makes of it.
    pub(crate) fn conceal(&mut self) -> Vec<i16> {
        let frame = self.codec.info().frame_samples;
        let mut pcm = Vec::with_capacity(frame);
        match &mut self.kind {
            Kind::G711 { plc, .. } => {
                pcm.resize(frame, 0);
                plc.conceal(&mut pcm);
            }
            Kind::Speex(decoder) => decoder.conceal(&mut pcm),
        }
        pcm
    }
}

//! The decoders of the two phones: Debian's libraries, not ours, as a phone would have them.

use call_media::codec::{Codec, SampleRate};
use gateway_tests::{g711, libopus, libspeex, spandsp};
use speex_codec::Mode;

/// The rate at which a codec's speech is said and heard here: its own, and 16 kHz for Opus.
pub(crate) fn rate_of(codec: Codec) -> SampleRate {
    match codec {
        Codec::Opus => SampleRate::Hz16000,
        other => other.sample_rate(),
    }
}

/// Decodes one stream, frame by frame.
pub(crate) struct Ear {
    kind: Kind,
    frame_samples: usize,
}

enum Kind {
    G711 { decode: fn(u8) -> i16, plc: Box<spandsp::Plc> },
    Speex(libspeex::Decoder),
    G722(spandsp::G722Decoder),
    Opus(libopus::Decoder),
}

impl Ear {
    pub(crate) fn new(codec: Codec) -> Self {
        let kind = match codec {
            Codec::Pcmu => Kind::G711 { decode: g711::ulaw_decode, plc: Box::new(spandsp::Plc::new()) },
            Codec::SpeexNarrowband => Kind::Speex(libspeex::Decoder::new(Mode::Narrowband)),
            Codec::SpeexWideband => Kind::Speex(libspeex::Decoder::new(Mode::Wideband)),
            Codec::G722 => Kind::G722(spandsp::G722Decoder::new()),
            Codec::Opus => Kind::Opus(libopus::Decoder::new(rate_of(codec).hz())),
            other => panic!("no way of speech here ends with {other:?}"),
        };
        Self { kind, frame_samples: rate_of(codec).samples_in_ms(20) }
    }

    /// One frame that came.
    pub(crate) fn hear(&mut self, payload: &[u8]) -> Vec<i16> {
        let mut pcm = Vec::with_capacity(self.frame_samples);
        match &mut self.kind {
            Kind::G711 { decode, plc } => {
                pcm.extend(payload.iter().map(|&byte| decode(byte)));
                plc.heard(&mut pcm);
            }
            Kind::Speex(decoder) => assert_eq!(decoder.decode(payload, &mut pcm), 0, "a good Speex packet"),
            Kind::G722(decoder) => decoder.decode(payload, &mut pcm),
            Kind::Opus(decoder) => decoder.decode(payload, &mut pcm),
        }
        pcm
    }

    /// One frame that did not come: what the library makes of it, and of the packet behind it. G.722 has no concealment:
    /// silence.
    pub(crate) fn conceal(&mut self, next: Option<&[u8]>) -> Vec<i16> {
        let mut pcm = Vec::with_capacity(self.frame_samples);
        match &mut self.kind {
            Kind::G711 { plc, .. } => {
                pcm.resize(self.frame_samples, 0);
                plc.conceal(&mut pcm);
            }
            Kind::Speex(decoder) => decoder.conceal(&mut pcm),
            Kind::G722(_) => pcm.resize(self.frame_samples, 0),
            Kind::Opus(decoder) => decoder.conceal(self.frame_samples, next, &mut pcm),
        }
        pcm
    }
}

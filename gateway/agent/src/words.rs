//! Codec words of the phone (contract section 7): what they let us offer, and what the phone is told that came of them.

use call_media::{
    codec::Codec,
    sdp::{Capabilities, Negotiated, PayloadFormat},
};

use crate::{CodecWord, SpeexRate, command::AcceptedCodecs};

/// What may be negotiated for a phone. Without a list: all codecs, Speex of the preferred rate first and as 96.
/// `None` when the list names no audio codec that is bridged (video words, or `dtmf` alone).
pub(crate) fn capabilities(list: Option<&[CodecWord]>, rate: SpeexRate) -> Option<Capabilities> {
    match list {
        Some(words) => Capabilities::new(words.iter().copied().filter_map(format), words.contains(&CodecWord::Dtmf)),
        None => Some(everything(rate)),
    }
}

/// The whole table.
pub(crate) fn everything(rate: SpeexRate) -> Capabilities {
    let (first, second) = match rate {
        SpeexRate::Wideband => (Codec::SpeexWideband, Codec::SpeexNarrowband),
        SpeexRate::Narrowband => (Codec::SpeexNarrowband, Codec::SpeexWideband),
    };
    let formats = [(96, first), (98, second), (0, Codec::Pcmu), (8, Codec::Pcma)];
    Capabilities::new(formats.map(|(payload_type, codec)| PayloadFormat { payload_type, codec }), true)
        .expect("the table names four audio codecs")
        .offering_comfort_noise()
}

/// The arguments of `accepted`: the first word of the list, in list order, that the peer has.
pub(crate) fn accepted(list: Option<&[CodecWord]>, negotiated: &Negotiated) -> Option<AcceptedCodecs> {
    let peer_has = |codec| negotiated.receive.iter().any(|format| format.codec == codec);
    let chosen = list?.iter().copied().find(|word| format(*word).is_some_and(|format| peer_has(format.codec)));
    Some(AcceptedCodecs { audio: chosen.map(phone_word), video: None })
}

/// What the phone is sent: G.711 if it was told so, else Speex. From wideband Speex that is wideband, relayed; all else is
/// narrowband, because an 8 kHz source gains nothing from wideband, costs half to encode, and Flash plays both (contract 7.2).
pub(crate) fn phone_codec(accepted: Option<&AcceptedCodecs>, negotiated: &Negotiated) -> Codec {
    match accepted.and_then(|accepted| accepted.audio) {
        Some("pcmu") => Codec::Pcmu,
        Some("pcma") => Codec::Pcma,
        _ if negotiated.send.codec == Codec::SpeexWideband => Codec::SpeexWideband,
        _ => Codec::SpeexNarrowband,
    }
}

/// What a word stands for at the SIP side.
fn format(word: CodecWord) -> Option<PayloadFormat> {
    let (payload_type, codec) = match word {
        CodecWord::Wideband => (96, Codec::SpeexWideband),
        CodecWord::Narrowband => (98, Codec::SpeexNarrowband),
        CodecWord::Pcmu | CodecWord::Ulaw => (0, Codec::Pcmu),
        CodecWord::Pcma | CodecWord::Alaw => (8, Codec::Pcma),
        CodecWord::Dtmf | CodecWord::H264 | CodecWord::Flv => return None,
    };
    Some(PayloadFormat { payload_type, codec })
}

/// What the phone shall speak.
fn phone_word(word: CodecWord) -> &'static str {
    match word {
        CodecWord::Pcmu => "pcmu",
        CodecWord::Pcma => "pcma",
        _ => "speex",
    }
}

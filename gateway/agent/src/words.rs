//! Codec words of the phone (contract section 7): what they let us offer, and what the phone is told that came of them.

use call_media::{
    codec::{Codec, SampleRate},
    sdp::{Capabilities, Negotiated, PayloadFormat},
};

use crate::{CodecWord, SpeexRate, command::AcceptedCodecs};

/// What a phone would rather have in calls for which it gives no list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Preferences {
    pub(crate) rate: SpeexRate,
    /// Nothing else is negotiated then.
    pub(crate) codecs: Option<Vec<CodecWord>>,
    pub(crate) plays_opus: bool,
}

/// The order of the house: what needs no transcoding of a phone's wideband voice, what keeps its band, then the telephone
/// band; Opus behind, because it costs most, unless the far end asks for it (decisions/0008). What siprtmp knew keeps siprtmp's
/// order.
const OFFERED: [Codec; 6] =
    [Codec::SpeexWideband, Codec::G722, Codec::SpeexNarrowband, Codec::Pcmu, Codec::Pcma, Codec::Opus];
/// Taken from who offers it: a phone gains nothing by it.
const TAKEN: [Codec; 3] = [Codec::SpeexUltraWideband, Codec::L16Wideband, Codec::L16Narrowband];

/// What may be negotiated for a phone. `None` when its list names no audio codec that is bridged (video words, or `dtmf`
/// alone).
pub(crate) fn capabilities(list: Option<&[CodecWord]>, preferences: &Preferences) -> Option<Capabilities> {
    match list {
        Some(words) => {
            Capabilities::new(words.iter().flat_map(|word| formats(*word)), words.contains(&CodecWord::Dtmf))
        }
        None => everything(preferences),
    }
}

/// Without a list: what the phone prefers, else all there is; Speex of the preferred rate first and as 96.
pub(crate) fn everything(preferences: &Preferences) -> Option<Capabilities> {
    let mut codecs = match &preferences.codecs {
        Some(words) => words.iter().flat_map(|word| formats(*word)).map(|format| format.codec).collect(),
        None => OFFERED.to_vec(),
    };
    if preferences.plays_opus && preferences.codecs.is_none() {
        codecs.sort_by_key(|codec| *codec != Codec::Opus); // keeps the order of the rest
    }
    let swapped = |codec| match (codec, preferences.rate) {
        (Codec::SpeexWideband, SpeexRate::Narrowband) => Codec::SpeexNarrowband,
        (Codec::SpeexNarrowband, SpeexRate::Narrowband) => Codec::SpeexWideband,
        _ => codec,
    };
    // siprtmp gave the preferred rate the other one's number along with its place.
    let audio =
        codecs.into_iter().map(|codec| PayloadFormat { codec: swapped(codec), ..PayloadFormat::offered(codec) });
    let capabilities = Capabilities::new(audio, true)?.offering_comfort_noise();
    Some(if preferences.codecs.is_none() { capabilities.also_taking(TAKEN) } else { capabilities })
}

/// The arguments of `accepted`: the first word of the list, in list order, that the peer has.
pub(crate) fn accepted(
    list: Option<&[CodecWord]>,
    negotiated: &Negotiated,
    plays_opus: bool,
) -> Option<AcceptedCodecs> {
    let peer_has = |format: &PayloadFormat| negotiated.receive.iter().any(|known| known.codec == format.codec);
    let chosen = list?.iter().copied().find(|word| formats(*word).iter().any(peer_has));
    Some(AcceptedCodecs { audio: chosen.map(|word| phone_word(word, plays_opus)), video: None })
}

/// What the phone is sent: G.711 if it was told so, Opus if it plays that, else Speex as wide as what comes from the far end
/// (decisions/0004).
pub(crate) fn phone_codec(accepted: Option<&AcceptedCodecs>, negotiated: &Negotiated, plays_opus: bool) -> Codec {
    match accepted.and_then(|accepted| accepted.audio) {
        Some("pcmu") => Codec::Pcmu,
        Some("pcma") => Codec::Pcma,
        _ if plays_opus => Codec::Opus,
        _ if negotiated.send.codec.sample_rate() > SampleRate::Hz8000 => Codec::SpeexWideband,
        _ => Codec::SpeexNarrowband,
    }
}

/// What a word stands for at the SIP side.
fn formats(word: CodecWord) -> Vec<PayloadFormat> {
    let codecs: &[Codec] = match word {
        CodecWord::Wideband => &[Codec::SpeexWideband],
        CodecWord::Narrowband => &[Codec::SpeexNarrowband],
        CodecWord::Pcmu | CodecWord::Ulaw => &[Codec::Pcmu],
        CodecWord::Pcma | CodecWord::Alaw => &[Codec::Pcma],
        CodecWord::UltraWideband => &[Codec::SpeexUltraWideband],
        CodecWord::G722 => &[Codec::G722],
        CodecWord::Opus => &[Codec::Opus],
        CodecWord::L16 => &[Codec::L16Wideband, Codec::L16Narrowband],
        CodecWord::Dtmf | CodecWord::H264 | CodecWord::Flv => &[],
    };
    codecs.iter().copied().map(PayloadFormat::offered).collect()
}

/// What the phone shall speak.
fn phone_word(word: CodecWord, plays_opus: bool) -> &'static str {
    match word {
        CodecWord::Pcmu => "pcmu",
        CodecWord::Pcma => "pcma",
        CodecWord::Opus if plays_opus => "opus",
        _ => "speex",
    }
}

//! The names of codecs: siprtmp's words and ours, and what Enhanced RTMP says of Opus.

use phone_agent::CodecWord;
use rtmp_session::{Connect, Object, Value};

use super::shortened;

/// The property of the connect object with the codecs of calls that come without a list.
const CODECS: &str = "codecs";
/// Enhanced RTMP, version 1: a list of FourCCs.
const FOURCC_LIST: &str = "fourCcList";
/// Enhanced RTMP, version 2: what can be done with each FourCC.
const AUDIO_FOURCC_INFO: &str = "audioFourCcInfoMap";
const OPUS: &str = "Opus";
/// Stands for every FourCC.
const ANY: &str = "*";
/// Bits of `audioFourCcInfoMap`.
const CAN_DECODE: u32 = 1;
const CAN_ENCODE: u32 = 2;
const CAN_FORWARD: u32 = 4;

/// The words of codecs that stand on the SIP side, for preferences.
const NAMES: [(&str, CodecWord); 8] = [
    ("opus", CodecWord::Opus),
    ("wideband", CodecWord::Wideband),
    ("ultrawideband", CodecWord::UltraWideband),
    ("narrowband", CodecWord::Narrowband),
    ("g722", CodecWord::G722),
    ("pcmu", CodecWord::Pcmu),
    ("pcma", CodecWord::Pcma),
    ("l16", CodecWord::L16),
];

/// A word of the codec list of a call.
pub(super) fn word(word: &str) -> Option<CodecWord> {
    Some(match word {
        "ulaw" => CodecWord::Ulaw,
        "alaw" => CodecWord::Alaw,
        "dtmf" => CodecWord::Dtmf,
        "flv" => CodecWord::Flv,
        _ if word.starts_with("h264") => CodecWord::H264,
        _ => NAMES.into_iter().find(|(name, _)| *name == word)?.1,
    })
}

/// A codec to prefer.
///
/// # Errors
/// What there is instead.
pub fn preference(name: &str) -> Result<CodecWord, String> {
    let found = NAMES.into_iter().find(|(known, _)| *known == name);
    found.map(|(_, word)| word).ok_or_else(|| unknown(name, &NAMES.map(|(name, _)| name)))
}

/// The words of one argument with commas, each of which must mean something.
pub(super) fn list(text: &str) -> Result<Vec<CodecWord>, String> {
    read(text.split(','), |name| {
        let all: Vec<&str> =
            NAMES.iter().map(|(name, _)| *name).chain(["ulaw", "alaw", "dtmf", "h264", "flv"]).collect();
        word(name).ok_or_else(|| unknown(name, &all))
    })
}

/// What the connect object prefers, a text with commas or an array of names; `None` if it says nothing.
pub(super) fn of_account(object: &Object) -> Result<Option<Vec<CodecWord>>, String> {
    let given = match object.get(CODECS) {
        None => return Ok(None),
        Some(value) if value.is_nothing() => return Ok(None),
        Some(value) => value,
    };
    let wrong = || format!("{CODECS} must be a text such as \"opus,wideband,pcmu\" or an array of such names");
    let words = match (given.as_str(), given.as_array()) {
        (Some(text), _) => read(text.split(','), preference)?,
        (None, Some(values)) => {
            let names: Vec<&str> =
                values.iter().map(|value| value.as_str().ok_or_else(wrong)).collect::<Result<_, _>>()?;
            read(names.into_iter(), preference)?
        }
        (None, None) => return Err(wrong()),
    };
    if words.is_empty() { Err(wrong()) } else { Ok(Some(words)) }
}

fn read<'a>(
    names: impl Iterator<Item = &'a str>,
    word: impl Fn(&str) -> Result<CodecWord, String>,
) -> Result<Vec<CodecWord>, String> {
    let mut words = Vec::new();
    for name in names.map(str::trim).filter(|name| !name.is_empty()) {
        add(&mut words, word(name)?);
    }
    Ok(words)
}

/// Each word counts once, so a list has an end.
pub(super) fn add(words: &mut Vec<CodecWord>, word: CodecWord) {
    if !words.contains(&word) {
        words.push(word);
    }
}

fn unknown(name: &str, known: &[&str]) -> String {
    format!("no codec {:?}: there are {}", shortened(name, 64), known.join(", "))
}

/// Whether a client can be played Opus by Enhanced RTMP. In a `fourCcList` a name means everything, also to decode.
pub(super) fn plays_opus(object: &Object) -> bool {
    let listed = object
        .get(FOURCC_LIST)
        .and_then(Value::as_array)
        .is_some_and(|list| list.iter().any(|name| matches!(name.as_str(), Some(OPUS | ANY))));
    let mask = |map: &Object, name| map.get(name).and_then(Value::as_number).map_or(0, |mask| mask as u32); // saturates
    let decodes = object
        .get(AUDIO_FOURCC_INFO)
        .and_then(Value::as_object)
        .is_some_and(|map| (mask(map, OPUS) | mask(map, ANY)) & CAN_DECODE != 0);
    listed || decodes
}

/// What is answered to a client that speaks of FourCCs, in the info object and under the same names.
pub fn enhanced(connect: &Connect) -> Vec<(String, Value)> {
    let mut said = Vec::new();
    if connect.object.get(FOURCC_LIST).is_some() {
        said.push((FOURCC_LIST.to_owned(), vec![Value::from(OPUS)].into()));
    }
    if connect.object.get(AUDIO_FOURCC_INFO).is_some() {
        let all = f64::from(CAN_DECODE | CAN_ENCODE | CAN_FORWARD);
        said.push((AUDIO_FOURCC_INFO.to_owned(), Object::new().with(OPUS, Value::Number(all)).into()));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_word_of_calls_too() {
        for (name, expected) in NAMES {
            assert_eq!((word(name), preference(name)), (Some(expected), Ok(expected)));
        }
        assert_eq!(word("ulaw"), Some(CodecWord::Ulaw));
        assert_eq!(word("Opus"), None);
    }

    #[test]
    fn a_list_with_commas_is_read_whole_or_not_at_all() {
        assert_eq!(list("opus, wideband,opus,,dtmf"), Ok(vec![CodecWord::Opus, CodecWord::Wideband, CodecWord::Dtmf]));
        let error = list("opus,silk").unwrap_err();
        assert!(error.starts_with("no codec \"silk\": there are opus, wideband,"), "{error}");
    }

    #[test]
    fn the_connect_object_may_prefer_by_text_or_array() {
        let of = |value: Value| of_account(&Object::new().with(CODECS, value));
        let expected = Ok(Some(vec![CodecWord::Opus, CodecWord::Pcmu]));
        assert_eq!(of("opus,pcmu".into()), expected);
        assert_eq!(of(vec![Value::from("opus"), Value::from("pcmu")].into()), expected);
        assert_eq!(of(Value::Null), Ok(None));
        assert_eq!(of_account(&Object::new()), Ok(None));
        for wrong in [Value::from(""), Value::from("opus,dtmf"), 3.0.into(), vec![Value::from(true)].into()] {
            assert!(of(wrong.clone()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_client_plays_opus_if_its_list_or_its_map_says_so() {
        let listed = |name: &str| Object::new().with(FOURCC_LIST, vec![Value::from("av01"), Value::from(name)]);
        let mapped = |name: &str, mask: f64| Object::new().with(AUDIO_FOURCC_INFO, Object::new().with(name, mask));
        for object in [listed("Opus"), listed("*"), mapped("Opus", 1.0), mapped("*", 7.0)] {
            assert!(plays_opus(&object), "{object:?}");
        }
        let nonsense = Object::new().with(FOURCC_LIST, 1.0).with(AUDIO_FOURCC_INFO, "Opus");
        for object in [Object::new(), listed("mp4a"), mapped("Opus", 2.0), mapped("Opus", f64::NAN), nonsense] {
            assert!(!plays_opus(&object), "{object:?}");
        }
    }
}

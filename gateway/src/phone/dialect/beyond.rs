//! Words that siprtmp does not know (docs/protocol.md, "Beyond siprtmp"): told only to phones that asked for them by name.

use phone_agent::{Indication, Topic, Topics};
use rtmp_session::{Connect, Object, Value};

use super::shortened;
use crate::phone::figures::Figures;

/// Asks for everything there is.
const ALL: &str = "all";

/// The property of the connect object by which a client asks, and of the answer that says what it gets.
pub const INDICATIONS: &str = "indications";

/// The indication's name, and what a phone asks for it by.
const fn name(topic: Topic) -> &'static str {
    match topic {
        Topic::Registered => "registered",
        Topic::Unregistered => "unregistered",
        Topic::Dtmf => "dtmf",
        Topic::ReceivedMessage => "receivedMessage",
        Topic::ReceivedPagingMessage => "receivedPagingMessage",
        Topic::MessageSent => "messageSent",
        Topic::MessageFailed => "messageFailed",
        Topic::Transferred => "transferred",
        Topic::EarlyMedia => "earlyMedia",
        Topic::Stats => "stats",
    }
}

fn read(word: &str) -> Option<Topics> {
    if word == ALL {
        return Some(Topics::all());
    }
    Topic::ALL.into_iter().find(|topic| name(*topic) == word).map(|topic| [topic].into_iter().collect())
}

/// The names as an array.
pub fn names(topics: Topics) -> Value {
    topics.iter().map(|topic| name(topic).into()).collect::<Vec<Value>>().into()
}

/// The arguments of `subscribe`: one that means nothing spoils the whole call.
pub(super) fn topics(args: &[Value]) -> Result<Topics, String> {
    args.iter().try_fold(Topics::default(), |topics, value| {
        let word = value.as_str().ok_or_else(|| format!("subscribe: a name must be String, not {}", value.kind()))?;
        let more = read(word).ok_or_else(|| {
            let known = Topic::ALL.map(name).join(", ");
            format!("subscribe: no indication {:?}: there are {known} and {ALL}", shortened(word, 64))
        })?;
        Ok(topics.union(more))
    })
}

/// What a client asks for as it connects: `None` if it does not know that one can. Names that mean nothing are left out, so that a
/// newer client is not locked out; the answer shows it what counts.
pub fn asked_by(connect: &Connect) -> Option<Topics> {
    let asked = connect.object.get(INDICATIONS)?;
    let words = asked.as_array().unwrap_or(std::slice::from_ref(asked));
    Some(words.iter().filter_map(|word| read(word.as_str()?)).fold(Topics::default(), Topics::union))
}

/// The call that tells the phone, for the indications of this file.
pub(super) fn call(indication: &Indication) -> Option<(&'static str, Vec<Value>)> {
    let text = |text: &String| Value::String(text.clone());
    let args = match indication {
        Indication::Registered { seconds } => vec![number(*seconds)],
        Indication::Unregistered(reason) => vec![text(reason)],
        Indication::Dtmf(digit) => vec![digit.to_string().into()],
        Indication::ReceivedMessage { from, text: body } | Indication::ReceivedPagingMessage { from, text: body } => {
            vec![text(from), text(body)]
        }
        Indication::MessageSent(message) => vec![number(message.0)],
        Indication::MessageFailed { message, reason } => vec![number(message.0), text(reason)],
        Indication::Transferred(status) => vec![text(status)],
        Indication::EarlyMedia => Vec::new(),
        _ => return None,
    };
    Some((name(indication.topic()?), args))
}

/// Whether an indication is nobody's business but the phone's, so that no log shows what it says.
pub fn is_private(indication: &Indication) -> bool {
    matches!(
        indication,
        Indication::Dtmf(_) | Indication::ReceivedMessage { .. } | Indication::ReceivedPagingMessage { .. }
    )
}

/// The call that tells a call's figures.
pub fn stats(figures: &Figures) -> (&'static str, Vec<Value>) {
    (name(Topic::Stats), vec![figures_of(Some(figures))])
}

/// A call's figures as an object; null without a call.
pub fn figures_of(figures: Option<&Figures>) -> Value {
    let Some(figures) = figures else { return Value::Null };
    let codec = |codec: call_media::codec::Codec| format!("{}/{}", codec.info().rtp_name, codec.clock_rate());
    let millis = |time: std::time::Duration| Value::Number((time.as_secs_f64() * 10_000.0).round() / 10.0);
    let frames = |count: u64| number(count * 20);
    let score = |score: f64| Value::Number((score * 100.0).round() / 100.0);
    let (up, down, remote) = (&figures.path.uplink, &figures.path.downlink, &figures.path.remote);
    let reported = |value: Value| if remote.reports > 0 { value } else { Value::Null };
    Object::new()
        .with("codec", codec(figures.codec))
        .with("phoneCodec", codec(figures.phone_codec))
        .with("seconds", number(figures.up_for.as_secs()))
        .with("packetsSent", number(up.packets))
        .with("bytesSent", number(up.octets))
        .with("droppedMs", frames(up.dropped_frames))
        .with("filledMs", frames(up.filled_frames))
        .with("packetsReceived", number(down.packets))
        .with("bytesReceived", number(down.octets))
        .with("lost", number(down.lost))
        .with("late", number(down.late))
        .with("duplicated", number(down.duplicated))
        .with("reordered", number(down.reordered))
        .with("concealedMs", frames(down.concealed_frames))
        .with("jitterMs", millis(down.jitter))
        .with("rttMs", figures.path.round_trip.map_or(Value::Null, millis))
        .with("remoteLost", reported(Value::Number(remote.cumulative_lost.into())))
        .with("remoteJitterMs", reported(millis(remote.jitter)))
        .with("mos", score(figures.incoming_score()))
        .with("remoteMos", figures.outgoing_score().map_or(Value::Null, score))
        .into()
}

fn number(value: u64) -> Value {
    Value::Number(value as f64)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use call_media::codec::Codec;
    use call_media::stats::PathStats;
    use phone_agent::MessageHandle;
    use rtmp_session::TransactionId;

    use super::*;

    fn strings(texts: &[&str]) -> Vec<Value> {
        texts.iter().map(|&text| text.into()).collect()
    }

    fn asked(value: impl Into<Value>) -> Option<Topics> {
        asked_by(&Connect {
            transaction: TransactionId::new(1.0),
            app: String::new(),
            tc_url: String::new(),
            object_encoding: None,
            object: Object::new().with(INDICATIONS, value),
            args: Vec::new(),
        })
    }

    #[test]
    fn subscribe_takes_names_and_the_word_all_and_refuses_the_whole_list_for_one_it_does_not_know() {
        let some = topics(&strings(&["stats", "dtmf", "dtmf"])).unwrap();
        assert_eq!(names(some), strings(&["dtmf", "stats"]).into());
        assert_eq!(topics(&strings(&["all"])).unwrap(), Topics::all());
        assert_eq!(topics(&[]).unwrap(), Topics::default());
        assert!(topics(&strings(&["dtmf", "x\r\n"])).unwrap_err().starts_with("subscribe: no indication \"x\\r\\n\""));
        assert_eq!(topics(&[5.0.into()]).unwrap_err(), "subscribe: a name must be String, not Number");
    }

    #[test]
    fn connect_asks_by_an_array_or_a_word_and_may_know_more_than_we() {
        assert_eq!(asked(strings(&["dtmf", "video", "stats"])).map(names), Some(strings(&["dtmf", "stats"]).into()));
        assert_eq!(asked("all"), Some(Topics::all()));
        assert_eq!(asked(vec![Value::Null, 5.0.into()]), Some(Topics::default()));
        assert_eq!(asked(true), Some(Topics::default()));
        let silent = Connect { object: Object::new(), ..connect() };
        assert_eq!(asked_by(&silent), None);
    }

    fn connect() -> Connect {
        let (app, tc_url) = (String::new(), String::new());
        let transaction = TransactionId::new(1.0);
        Connect { transaction, app, tc_url, object_encoding: None, object: Object::new(), args: Vec::new() }
    }

    #[test]
    fn every_indication_is_told_by_the_name_that_it_is_asked_for() {
        let (from, text) = ("sip:bob@x".to_owned(), "hi".to_owned());
        let cases = [
            (Indication::Registered { seconds: 180 }, "registered", vec![180.0.into()]),
            (Indication::Unregistered("503 Later".into()), "unregistered", strings(&["503 Later"])),
            (Indication::Dtmf('#'), "dtmf", strings(&["#"])),
            (
                Indication::ReceivedMessage { from: from.clone(), text: text.clone() },
                "receivedMessage",
                strings(&["sip:bob@x", "hi"]),
            ),
            (Indication::ReceivedPagingMessage { from, text }, "receivedPagingMessage", strings(&["sip:bob@x", "hi"])),
            (Indication::MessageSent(MessageHandle(7)), "messageSent", vec![7.0.into()]),
            (
                Indication::MessageFailed { message: MessageHandle(8), reason: "404 Not Found".into() },
                "messageFailed",
                vec![8.0.into(), "404 Not Found".into()],
            ),
            (Indication::Transferred("200 OK".into()), "transferred", strings(&["200 OK"])),
            (Indication::EarlyMedia, "earlyMedia", vec![]),
        ];
        for (indication, name, args) in cases {
            assert_eq!(super::super::call(&indication), Some((name, args)));
            let asked = topics(&strings(&[name])).unwrap();
            assert!(asked.iter().eq(indication.topic()), "{name}");
        }
    }

    #[test]
    fn figures_are_an_object_of_plain_values() {
        let mut path = PathStats { round_trip: Some(Duration::from_micros(12_345)), ..PathStats::default() };
        path.downlink.packets = 50;
        path.downlink.concealed_frames = 3;
        let figures = Figures {
            codec: Codec::Pcmu,
            phone_codec: Codec::SpeexWideband,
            up_for: Duration::from_millis(5_999),
            path,
        };
        let (name, args) = stats(&figures);
        let object = args[0].as_object().unwrap();
        let text = |name| object.get_str(name).unwrap();
        let number = |name| object.get_number(name).unwrap();
        assert_eq!((name, text("codec"), text("phoneCodec")), ("stats", "PCMU/8000", "speex/16000"));
        assert_eq!((number("seconds"), number("packetsReceived"), number("concealedMs")), (5.0, 50.0, 60.0));
        assert_eq!((number("rttMs"), object.get("remoteLost")), (12.3, Some(&Value::Null)));
        assert_eq!((number("mos"), object.get("remoteMos")), (4.39, Some(&Value::Null)));
        assert_eq!(figures_of(None), Value::Null);
    }
}

//! siprtmp's words: the only file that spells them (siprtmp contract sections 2, 3 and 6).
//!
//! ```text
//! connect's path and arguments -> Account       method and arguments -> Method -> Command
//!                                               Indication -> name and arguments of a call to the phone
//! ```
//!
//! Better than siprtmp: arguments of a wrong type or number, and methods that do not exist, are answered `_error` with a description
//! (siprtmp answers `_result` to nearly all of them).

mod beyond;
mod codecs;

use std::fmt;
use std::net::SocketAddr;

pub use beyond::{INDICATIONS, asked_by, figures_of, is_private, names, stats};
pub use codecs::{enhanced, preference};
use phone_agent::{Account, CodecWord, Command, Indication, MessageHandle, Rights, SpeexRate, Topics};
use rtmp_session::{Connect, Value};

/// The application that the gateway is; siprtmp's word, case-sensitive.
const APPLICATION: &str = "sip";

/// Longest text that a phone may give for a login, a name or a destination, bytes. A SIP header line has to hold it.
const TEXT_MAX: usize = 1_024;

/// Digits of one `sendDTMF`.
const DIGITS_MAX: usize = 64;

/// What there is, for who asks for something else.
const METHODS: &str =
    "invite, accept, reject, bye, sendDTMF, hold, subscribe, transfer, sendMessage, sendPagingMessage and stats";

/// `onStatus` codes of our own; the rest are the session's.
pub mod status {
    /// What is published cannot be passed on.
    pub const FAILED: &str = "NetStream.Failed";
    /// Another connection has taken the address.
    pub const CLOSED: &str = "NetConnection.Connect.Closed";
    /// The gateway ends.
    pub const SHUTDOWN: &str = "NetConnection.Connect.AppShutdown";
}

/// A method that the phone may call, its arguments checked.
#[derive(Clone, PartialEq, Eq)]
pub enum Method {
    /// `invite(dest, codec...)`.
    Invite {
        /// As written; empty for null.
        destination: String,
        /// `None` without any word.
        codecs: Option<Vec<CodecWord>>,
    },
    /// `accept(codec...)`.
    Accept {
        /// `None` without any word.
        codecs: Option<Vec<CodecWord>>,
    },
    /// `reject(reason)`.
    Reject {
        /// `None` for null or nothing.
        reason: Option<String>,
    },
    /// `bye()`.
    Bye,
    /// `sendDTMF(digits)`.
    SendDtmf {
        /// `0-9 * # A-D`.
        digits: String,
    },
    /// `hold(value)`.
    Hold(bool),
    /// `subscribe(name...)`.
    Subscribe(Topics),
    /// `transfer(dest)`.
    Transfer {
        /// As written; empty for null.
        destination: String,
    },
    /// `sendMessage(text)`.
    SendMessage {
        /// As written; empty for null.
        text: String,
    },
    /// `sendPagingMessage(dest, text)`.
    SendPagingMessage {
        /// As written; empty for null.
        destination: String,
        /// As written; empty for null.
        text: String,
    },
    /// `stats()`.
    Stats,
}

impl Method {
    /// Reads a call of the phone.
    ///
    /// # Errors
    /// The description for `_error`.
    pub fn parse(name: &str, args: &[Value]) -> Result<Method, String> {
        let args = Arguments { method: name, args };
        match name {
            "invite" => {
                let destination = args.text(0, "destination")?.unwrap_or_default();
                Ok(Method::Invite { destination, codecs: args.codecs(1)? })
            }
            "accept" => Ok(Method::Accept { codecs: args.codecs(0)? }),
            "reject" => {
                args.at_most(1)?;
                Ok(Method::Reject { reason: if args.args.is_empty() { None } else { args.text(0, "reason")? } })
            }
            "bye" => args.at_most(0).map(|()| Method::Bye),
            "sendDTMF" => args.digits().map(|digits| Method::SendDtmf { digits }),
            "hold" => args.truth(0, "value").map(Method::Hold),
            "subscribe" => beyond::topics(args.args).map(Method::Subscribe),
            "transfer" => {
                args.at_most(1)?;
                Ok(Method::Transfer { destination: args.text(0, "destination")?.unwrap_or_default() })
            }
            "sendMessage" => {
                args.at_most(1)?;
                Ok(Method::SendMessage { text: args.text(0, "text")?.unwrap_or_default() })
            }
            "sendPagingMessage" => {
                args.at_most(2)?;
                let destination = args.text(0, "destination")?.unwrap_or_default();
                Ok(Method::SendPagingMessage { destination, text: args.text(1, "text")?.unwrap_or_default() })
            }
            "stats" => args.at_most(0).map(|()| Method::Stats),
            _ => Err(format!("no method {:?}: there are {METHODS}", shortened(name, 64))),
        }
    }

    /// The command for the agent, if it has to do with it. `rtp` is needed by `invite` and `accept` only, `message` (its number) by
    /// the two that send one.
    pub fn command(self, rtp: SocketAddr, message: MessageHandle) -> Option<Command> {
        Some(match self {
            Method::Invite { destination, codecs } => Command::Invite { destination, codecs, rtp },
            Method::Accept { codecs } => Command::Accept { codecs, rtp },
            Method::Reject { reason } => Command::Reject { reason },
            Method::Bye => Command::Bye,
            Method::SendDtmf { digits } => Command::SendDtmf { digits },
            Method::Hold(value) => Command::Hold(value),
            Method::Subscribe(topics) => Command::Subscribe(topics),
            Method::Transfer { destination } => Command::Transfer { destination },
            Method::SendMessage { text } => Command::SendMessage { message, text },
            Method::SendPagingMessage { destination, text } => {
                Command::SendPagingMessage { message, destination, text }
            }
            Method::Stats => return None,
        })
    }
}

/// For logs: the digits of a `sendDTMF` may be somebody's PIN and are left out, and so are texts.
impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Method::Invite { destination, codecs } => write!(f, "invite({destination:?}, {codecs:?})"),
            Method::Accept { codecs } => write!(f, "accept({codecs:?})"),
            Method::Reject { reason } => write!(f, "reject({reason:?})"),
            Method::Bye => f.write_str("bye()"),
            Method::SendDtmf { digits } => write!(f, "sendDTMF({} digits)", digits.len()),
            Method::Hold(value) => write!(f, "hold({value})"),
            Method::Subscribe(topics) => write!(f, "subscribe({:?})", topics.iter().collect::<Vec<_>>()),
            Method::Transfer { destination } => write!(f, "transfer({destination:?})"),
            Method::SendMessage { text } => write!(f, "sendMessage({} bytes)", text.len()),
            Method::SendPagingMessage { destination, text } => {
                write!(f, "sendPagingMessage({destination:?}, {} bytes)", text.len())
            }
            Method::Stats => f.write_str("stats()"),
        }
    }
}

/// Who the phone is: `sip/user@domain[:port]` and `connect(login, password, display name, rate)`, all four optional.
///
/// # Errors
/// The description for `NetConnection.Connect.Rejected`.
pub fn account(connect: &Connect) -> Result<Account, String> {
    let address = address(&connect.app)?;
    let args = Arguments { method: "connect", args: &connect.args };
    if connect.args.len() > 4 {
        return Err(format!(
            "connect takes at most 4 arguments (login, password, display name, rate), not {}",
            connect.args.len()
        ));
    }
    let text = |index, name| if index < args.args.len() { args.text(index, name) } else { Ok(None) };
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    Ok(Account {
        address,
        login: given(text(0, "login")?),
        password: given(text(1, "password")?),
        display_name: given(text(2, "display name")?),
        rate: match text(3, "rate")?.as_deref() {
            Some("narrowband") => SpeexRate::Narrowband,
            _ => SpeexRate::Wideband,
        },
        codecs: codecs::of_account(&connect.object)?,
        plays_opus: codecs::plays_opus(&connect.object),
        rights: Rights::default(),
    })
}

/// The address-of-record in an app path. A leading `sip:`, a query and what follows a second slash are cut off: real clients send them.
fn address(app: &str) -> Result<String, String> {
    let app = app.trim_matches('/');
    if app.is_empty() {
        return Err("Missing app path".into());
    }
    let (application, rest) = app.split_once('/').unwrap_or((app, ""));
    if application.split('?').next() != Some(APPLICATION) {
        return Err(format!(
            "Unknown application {:?}: connect to {APPLICATION}/user@domain",
            shortened(application, 64)
        ));
    }
    let address = rest.split(['/', '?']).next().unwrap_or_default();
    let address = address.strip_prefix("sip:").unwrap_or(address);
    let wrong =
        || Err(format!("{:?} is no SIP address: connect to {APPLICATION}/user@domain", shortened(address, 128)));
    match address.rsplit_once('@') {
        // It would show in From and in logs.
        Some((user, _)) if user.contains(':') => {
            Err("A password does not belong into the address: give it to connect".into())
        }
        Some((user, domain)) if !user.is_empty() && !domain.is_empty() && address.len() <= TEXT_MAX => {
            let sound = |c: char| !c.is_whitespace() && !c.is_control() && !"<>\"@,;".contains(c);
            if user.chars().all(sound) && domain.chars().all(sound) { Ok(address.into()) } else { wrong() }
        }
        _ => wrong(),
    }
}

/// The call that tells the phone; `None` for the outcome of `connect`, which is an answer instead.
pub fn call(indication: &Indication) -> Option<(&'static str, Vec<Value>)> {
    let text = |text: &String| Value::String(text.clone());
    Some(match indication {
        Indication::Connected | Indication::ConnectRejected(_) => return None,
        Indication::Invited { from, to } => ("invited", vec![text(from), text(to)]),
        Indication::Cancelled { from, to } => ("cancelled", vec![text(from), text(to)]),
        Indication::Ringing(reason) => ("ringing", vec![text(reason)]),
        // Clients of VideoIO's age declare no parameters: one too many is an error there.
        Indication::Accepted(None) => ("accepted", Vec::new()),
        Indication::Accepted(Some(codecs)) => ("accepted", vec![codecs.audio.into(), codecs.video.into()]),
        Indication::Rejected(reason) => ("rejected", vec![text(reason)]),
        Indication::Byed => ("byed", Vec::new()),
        Indication::Holded(value) => ("holded", vec![(*value).into()]),
        beyond => return beyond::call(beyond),
    })
}

/// Arguments of a call, and whose they are for the error texts.
struct Arguments<'a> {
    method: &'a str,
    args: &'a [Value],
}

impl Arguments<'_> {
    /// Text, or `None` for null; absent is an error.
    fn text(&self, index: usize, name: &str) -> Result<Option<String>, String> {
        match self.get(index, name)? {
            Value::String(text) if text.len() > TEXT_MAX => {
                Err(format!("{}: {name} is longer than {TEXT_MAX} bytes", self.method))
            }
            Value::String(text) => Ok(Some(text.clone())),
            nothing if nothing.is_nothing() => Ok(None),
            other => Err(self.wrong_type(name, "String", other)),
        }
    }

    fn truth(&self, index: usize, name: &str) -> Result<bool, String> {
        self.at_most(index + 1)?;
        let value = self.get(index, name)?;
        value.as_bool().ok_or_else(|| self.wrong_type(name, "Boolean", value))
    }

    fn digits(&self) -> Result<String, String> {
        self.at_most(1)?;
        let digits = self.text(0, "digits")?.unwrap_or_default().to_ascii_uppercase();
        let sound =
            (1..=DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(|b| b"0123456789*#ABCD".contains(&b));
        if sound { Ok(digits) } else { Err(format!("{}: digits are 1 to {DIGITS_MAX} of 0-9 * # A-D", self.method)) }
    }

    /// The codec list from `first` on: unknown and repeated words are skipped (contract section 7), so are nulls; `None` if no word
    /// is there at all. An argument with commas is a list of its own, which siprtmp did not know: nothing is skipped in it.
    fn codecs(&self, first: usize) -> Result<Option<Vec<CodecWord>>, String> {
        let mut words = None;
        for (index, value) in self.args.iter().enumerate().skip(first).filter(|(_, value)| !value.is_nothing()) {
            let text = value
                .as_str()
                .ok_or_else(|| self.wrong_type(&format!("codec {}", index - first + 1), "String", value))?;
            let words = words.get_or_insert_with(Vec::new);
            let named = match text.contains(',') {
                true => codecs::list(text).map_err(|error| format!("{}: {error}", self.method))?,
                false => codecs::word(text).into_iter().collect(),
            };
            named.into_iter().for_each(|word| codecs::add(words, word));
        }
        Ok(words)
    }

    fn at_most(&self, count: usize) -> Result<(), String> {
        if self.args.len() <= count {
            return Ok(());
        }
        Err(format!("{} takes at most {count} arguments, not {}", self.method, self.args.len()))
    }

    fn get(&self, index: usize, name: &str) -> Result<&Value, String> {
        self.args.get(index).ok_or_else(|| format!("{}: argument {} ({name}) is missing", self.method, index + 1))
    }

    fn wrong_type(&self, name: &str, wanted: &str, got: &Value) -> String {
        format!("{}: {name} must be {wanted}, not {}", self.method, got.kind())
    }
}

/// The beginning of a text that came from outside, for messages.
fn shortened(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use phone_agent::command::AcceptedCodecs;
    use rtmp_session::{Object, TransactionId};

    use super::*;

    fn connect(app: &str, args: &[Value]) -> Result<Account, String> {
        account(&Connect {
            transaction: TransactionId::new(1.0),
            app: app.into(),
            tc_url: String::new(),
            object_encoding: None,
            object: Object::new(),
            args: args.to_vec(),
        })
    }

    fn strings(texts: &[&str]) -> Vec<Value> {
        texts.iter().map(|&text| text.into()).collect()
    }

    fn invite(args: &[Value]) -> Result<(String, Option<Vec<CodecWord>>), String> {
        match Method::parse("invite", args)? {
            Method::Invite { destination, codecs } => Ok((destination, codecs)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn connect_takes_none_to_four_arguments_and_null_or_empty_means_not_given() {
        for args in [vec![], vec![Value::Null; 4], strings(&["", "", "", ""]), vec![Value::Undefined]] {
            let account = connect("sip/alice@example.com", &args).unwrap();
            assert_eq!(account.address, "alice@example.com");
            assert!(account.login.is_none() && account.password.is_none() && account.display_name.is_none());
            assert_eq!(account.rate, SpeexRate::Wideband);
        }
        let account = connect("sip/alice@example.com:5070", &strings(&["a", "pw", "Alice A", "narrowband"])).unwrap();
        assert_eq!(account.address, "alice@example.com:5070");
        assert_eq!((account.login.as_deref(), account.password.as_deref()), (Some("a"), Some("pw")));
        assert_eq!((account.display_name.as_deref(), account.rate), (Some("Alice A"), SpeexRate::Narrowband));
    }

    #[test]
    fn five_arguments_or_wrong_types_reject_the_connection() {
        assert!(connect("sip/a@b", &vec![Value::Null; 5]).err().unwrap().contains("at most 4"));
        let error = connect("sip/a@b", &[Value::Null, 5.0.into()]).err().unwrap();
        assert_eq!(error, "connect: password must be String, not Number");
    }

    #[test]
    fn the_app_path_is_sip_and_an_address() {
        for path in ["sip/a@b", "/sip/a@b/", "sip/sip:a@b", "sip/a@b/123", "sip/a@b?x=y"] {
            assert_eq!(connect(path, &[]).ok().map(|account| account.address).as_deref(), Some("a@b"), "{path}");
        }
        assert_eq!(connect("", &[]).err().unwrap(), "Missing app path");
        assert!(!connect("sip/alice:S3cr3t@b", &[]).err().unwrap().contains("S3cr3t"));
        for other in ["live", "live/a@b", "SIP/a@b", "sipx/a@b"] {
            assert!(connect(other, &[]).err().unwrap().starts_with("Unknown application"), "{other}");
        }
        for wrong in
            ["sip", "sip/", "sip/alice", "sip/@b", "sip/a@", "sip/a b@c", "sip/a\r\n@c", "sip/<a@b>", "sip/a@b@c"]
        {
            assert!(connect(wrong, &[]).err().unwrap().contains("no SIP address"), "{wrong:?}");
        }
    }

    #[test]
    fn codec_words_keep_their_order_and_lose_what_is_unknown_or_said_twice() {
        let (destination, words) =
            invite(&strings(&["sip:bob@x", "pcma", "silk", "wideband", "pcma", "h264/90000"])).unwrap();
        assert_eq!(destination, "sip:bob@x");
        assert_eq!(words, Some(vec![CodecWord::Pcma, CodecWord::Wideband, CodecWord::H264]));
        assert_eq!(invite(&strings(&["bob"])).unwrap().1, None);
        assert_eq!(invite(&["bob".into(), Value::Null]).unwrap().1, None);
        assert_eq!(invite(&strings(&["bob", "silk"])).unwrap().1, Some(vec![]));
        assert_eq!(invite(&[Value::Null]).unwrap().0, "");
    }

    #[test]
    fn every_word_of_the_contract_is_known() {
        let words = strings(&["wideband", "narrowband", "pcmu", "pcma", "ulaw", "alaw", "dtmf", "h264", "flv"]);
        assert!(
            matches!(Method::parse("accept", &words), Ok(Method::Accept { codecs: Some(words) }) if words.len() == 9)
        );
    }

    #[test]
    fn wrong_arguments_are_described() {
        let error = |name: &str, args: &[Value]| Method::parse(name, args).unwrap_err();
        assert_eq!(error("invite", &[]), "invite: argument 1 (destination) is missing");
        assert_eq!(error("invite", &[5.0.into()]), "invite: destination must be String, not Number");
        assert_eq!(error("invite", &["b".into(), true.into()]), "invite: codec 1 must be String, not Boolean");
        assert!(error("invite", &["x".repeat(TEXT_MAX + 1).into()]).contains("longer than"));
        assert_eq!(error("accept", &[Object::new().into()]), "accept: codec 1 must be String, not Object");
        assert_eq!(error("reject", &strings(&["a", "b"])), "reject takes at most 1 arguments, not 2");
        assert_eq!(error("bye", &[Value::Null]), "bye takes at most 0 arguments, not 1");
        assert_eq!(error("hold", &[]), "hold: argument 1 (value) is missing");
        assert_eq!(error("transfer", &[]), "transfer: argument 1 (destination) is missing");
        assert_eq!(error("sendMessage", &strings(&["a", "b"])), "sendMessage takes at most 1 arguments, not 2");
        assert_eq!(error("sendPagingMessage", &strings(&["a"])), "sendPagingMessage: argument 2 (text) is missing");
        assert_eq!(error("stats", &[Value::Null]), "stats takes at most 0 arguments, not 1");
        assert_eq!(error("hold", &[1.0.into()]), "hold: value must be Boolean, not Number");
        for wrong in ["", "x", "12 3", "1\r\n"] {
            assert!(error("sendDTMF", &strings(&[wrong])).contains("0-9 * # A-D"), "{wrong:?}");
        }
        for internal in ["register", "unregister", "data", "mute", "constructor", ""] {
            assert!(error(internal, &[]).starts_with("no method"), "{internal}");
        }
    }

    #[test]
    fn reject_distinguishes_no_reason_from_an_empty_one() {
        let reason = |args: &[Value]| match Method::parse("reject", args) {
            Ok(Method::Reject { reason }) => reason,
            _ => panic!("not understood"),
        };
        assert_eq!(reason(&[]), None);
        assert_eq!(reason(&[Value::Null]), None);
        assert_eq!(reason(&strings(&[""])).as_deref(), Some(""));
        assert_eq!(reason(&strings(&["486 Busy Here"])).as_deref(), Some("486 Busy Here"));
    }

    #[test]
    fn several_digits_may_go_at_once_and_never_into_a_log() {
        let method = Method::parse("sendDTMF", &strings(&["12a*#"])).unwrap();
        assert!(matches!(&method, Method::SendDtmf { digits } if digits == "12A*#"));
        assert_eq!(format!("{method:?}"), "sendDTMF(5 digits)");
        let method = Method::parse("sendPagingMessage", &strings(&["bob", "secret"])).unwrap();
        assert_eq!(format!("{method:?}"), "sendPagingMessage(\"bob\", 6 bytes)");
    }

    #[test]
    fn indications_carry_the_arguments_that_clients_declare() {
        let told = |indication: Indication| call(&indication).unwrap();
        let (from, to) = ("sip:bob@x".to_owned(), "sip:alice@x".to_owned());
        let both = strings(&["sip:bob@x", "sip:alice@x"]);
        assert_eq!(told(Indication::Invited { from: from.clone(), to: to.clone() }), ("invited", both.clone()));
        assert_eq!(told(Indication::Cancelled { from, to }), ("cancelled", both));
        assert_eq!(told(Indication::Ringing("180 Ringing".into())), ("ringing", strings(&["180 Ringing"])));
        assert_eq!(told(Indication::Accepted(None)), ("accepted", vec![]));
        let codecs = AcceptedCodecs { audio: Some("speex"), video: None };
        assert_eq!(told(Indication::Accepted(Some(codecs))), ("accepted", vec!["speex".into(), Value::Null]));
        assert_eq!(told(Indication::Rejected("486 Busy Here".into())), ("rejected", strings(&["486 Busy Here"])));
        assert_eq!(told(Indication::Byed), ("byed", vec![]));
        assert_eq!(told(Indication::Holded(true)), ("holded", vec![true.into()]));
        assert_eq!(call(&Indication::Connected), None);
    }
}

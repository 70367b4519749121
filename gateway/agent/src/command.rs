//! The product's vocabulary towards the phone: what it may ask and what it is told (siprtmp contract sections 2 to 6).

use std::net::SocketAddr;

use crate::{MessageHandle, Rights, Topics};

/// Who the phone is, from the app path and the arguments of `connect`.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Address-of-record without scheme: `user@domain[:port]`.
    pub address: String,
    /// Digest user name; the user part of the address where the phone gave none.
    pub login: Option<String>,
    /// Digest password. Empty or absent: do not register (contract section 2).
    pub password: Option<String>,
    /// Display name of From.
    pub display_name: Option<String>,
    /// Which Speex rate comes first in the default offer.
    pub rate: SpeexRate,
    /// Codecs of calls without a list, in order of preference; `None`: the order of the house.
    pub codecs: Option<Vec<CodecWord>>,
    /// The phone plays Opus (Enhanced RTMP), and would rather have it than anything else.
    pub plays_opus: bool,
    /// What it may do.
    pub rights: Rights,
}

/// The `rate` argument of `connect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpeexRate {
    /// Speex 16 kHz first.
    #[default]
    Wideband,
    /// Speex 8 kHz first.
    Narrowband,
}

/// A word of the codec list of `invite` and `accept` (contract section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CodecWord {
    /// Speex 16 kHz.
    Wideband,
    /// Speex 8 kHz.
    Narrowband,
    /// G.711 mu-law on both sides.
    Pcmu,
    /// G.711 A-law on both sides.
    Pcma,
    /// G.711 mu-law on the SIP side, Speex on the phone's.
    Ulaw,
    /// G.711 A-law on the SIP side, Speex on the phone's.
    Alaw,
    /// Speex 32 kHz on the SIP side, Speex 16 kHz on the phone's.
    UltraWideband,
    /// G.722 on the SIP side, Speex on the phone's.
    G722,
    /// Opus on the SIP side, and on the phone's if it plays it.
    Opus,
    /// Linear audio of 16 and 8 kHz on the SIP side, Speex on the phone's.
    L16,
    /// telephone-event.
    Dtmf,
    /// H.264 video (not bridged yet: its m= line is not offered).
    H264,
    /// x-flv (not bridged yet).
    Flv,
}

/// What the phone asks for. Word lists are already parsed, unknown and repeated words dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `connect`: register if there is a password.
    Connect(Account),
    /// `invite`: call `destination`. `rtp` is the address and port that the driver bound and advertises for this call.
    Invite {
        /// As the phone wrote it.
        destination: String,
        /// `None` when the phone gave no list at all.
        codecs: Option<Vec<CodecWord>>,
        /// Our RTP address as the peer shall see it; RTCP is the port above.
        rtp: SocketAddr,
    },
    /// `accept` the pending incoming call.
    Accept {
        /// `None` when the phone gave no list at all.
        codecs: Option<Vec<CodecWord>>,
        /// Our RTP address as the peer shall see it; RTCP is the port above.
        rtp: SocketAddr,
    },
    /// `reject` the pending incoming call: `486 Busy Here`, or a phrase for 603 (contract section 3).
    Reject {
        /// `None` means "Decline".
        reason: Option<String>,
    },
    /// `bye`: hang up, cancel, or decline, whichever fits.
    Bye,
    /// `sendDTMF`.
    SendDtmf {
        /// `0-9 * # A-D`, any number of digits.
        digits: String,
    },
    /// `hold` and resume.
    Hold(bool),
    /// `subscribe`, or what `connect` asked for: these indications may be told from now on, besides those asked for before.
    Subscribe(Topics),
    /// `transfer`: the peer shall call `destination` instead of us.
    Transfer {
        /// As the phone wrote it.
        destination: String,
    },
    /// `sendMessage`: a text for the peer of the call.
    SendMessage {
        /// New handle.
        message: MessageHandle,
        /// As the phone wrote it.
        text: String,
    },
    /// `sendPagingMessage`: a text for anybody.
    SendPagingMessage {
        /// New handle.
        message: MessageHandle,
        /// As the phone wrote it.
        destination: String,
        /// As the phone wrote it.
        text: String,
    },
    /// The RTMP connection is gone or the gateway shuts down: end the call, un-register, then [`crate::Output::Finished`].
    Disconnect,
}

/// What the phone is told. Those with a topic are told only to a phone that has asked for it: see [`Indication::topic`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Indication {
    /// `connect` succeeded.
    Connected,
    /// `connect` failed; the text is the SIP status, e.g. `403 Forbidden`.
    ConnectRejected(String),
    /// An incoming call rings: From and To as text.
    Invited {
        /// `"Bob" <sip:bob@host>` without tag.
        from: String,
        /// Our own address in the same form.
        to: String,
    },
    /// The caller gave up: the same two strings as `Invited`.
    Cancelled {
        /// As in `Invited`.
        from: String,
        /// As in `Invited`.
        to: String,
    },
    /// 180 or 183 came: code and phrase.
    Ringing(String),
    /// The call is up. `Some` iff the phone gave a codec list: audio word and video word, each may be null.
    Accepted(Option<AcceptedCodecs>),
    /// The call failed or was refused: code and phrase, or a sentence.
    Rejected(String),
    /// The peer hung up.
    Byed,
    /// The peer put us on hold or took us back.
    Holded(bool),
    /// The registration stands: with `connect`, and again after it was lost.
    Registered {
        /// For how long the registrar granted it.
        seconds: u64,
    },
    /// A refresh of the registration failed: code and phrase. It is tried again; told once until it is back.
    Unregistered(String),
    /// The peer pressed a key: `0-9 * # A-D`.
    Dtmf(char),
    /// A text from the peer, in the call.
    ReceivedMessage {
        /// As in `Invited`.
        from: String,
        /// The text.
        text: String,
    },
    /// A text from anybody, outside of calls.
    ReceivedPagingMessage {
        /// As in `Invited`.
        from: String,
        /// The text.
        text: String,
    },
    /// A text of the phone's has arrived.
    MessageSent(MessageHandle),
    /// A text of the phone's was refused: code and phrase, or a sentence.
    MessageFailed {
        /// Which.
        message: MessageHandle,
        /// Why.
        reason: String,
    },
    /// How far a transfer has got, as the peer reports it: code and phrase, or a sentence if the gateway refused it.
    Transferred(String),
    /// The peer can be heard although it has not answered yet.
    EarlyMedia,
}

/// The two arguments of `accepted` (contract section 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedCodecs {
    /// `speex`, `pcmu`, `pcma`, `opus`, `default` or null.
    pub audio: Option<&'static str>,
    /// `h264`, `default` or null.
    pub video: Option<&'static str>,
}

//! A peer's session description, cut down to what matters for one audio stream. `sdp-types` reads the lines; what they mean is ours.

use std::net::{IpAddr, SocketAddr};

use super::{
    Direction,
    format::{Format, Row},
    limits::{MAX_FORMATS, MAX_MEDIA, MAX_TEXT, MAX_TOKEN},
};
use crate::codec::OpusWishes;

/// Why a peer's description leads to no media.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// The peer's text breaks RFC 4566, or is larger than we read.
    #[error("malformed SDP: {0}")]
    Malformed(String),
    /// Well-formed, but there is no audio that both sides can do.
    #[error("no common audio: {0}")]
    NothingInCommon(&'static str),
    /// An answer that does not fit our offer (RFC 3264 section 6).
    #[error("the answer does not fit the offer: {0}")]
    BadAnswer(&'static str),
}

/// All m= lines of a description, in order.
#[derive(Debug)]
pub(super) struct Description {
    pub(super) media: Vec<MediaLine>,
}

/// One m= line with all that is below it.
#[derive(Debug)]
pub(super) struct MediaLine {
    pub(super) media: String,
    pub(super) port: u16,
    pub(super) proto: String,
    /// The first format as written: what a refusal mirrors.
    pub(super) first_format: String,
    /// Payload types in order, each once.
    pub(super) payloads: Vec<Payload>,
    pub(super) address: PeerAddress,
    pub(super) rtcp: Option<SocketAddr>,
    /// From the peer's side, with old-style hold already counted in.
    pub(super) direction: Direction,
    pub(super) ptime: Option<u16>,
    pub(super) max_ptime: Option<u16>,
}

/// One payload type of an m= line.
#[derive(Debug)]
pub(super) enum Payload {
    /// A format that we speak.
    Known(Row),
    /// A dynamic number without rtpmap: in an answer it can only mean what our offer said.
    Unmapped(u8),
    /// A format that we do not speak.
    Foreign(u8),
}

/// What c= says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PeerAddress {
    Ip(IpAddr),
    /// 0.0.0.0 or `::`, hold in the manner of RFC 2543 (RFC 3264 section 8.4).
    Unspecified,
    /// A host name: cores do not resolve; symmetric RTP finds the address.
    Name,
    /// Multicast or broadcast, or no c= at all.
    Unusable,
}

impl Description {
    /// Reads a description as leniently as is safe: lines that do not matter to us are not even looked at.
    pub(super) fn parse(text: &str) -> Result<Self, SdpError> {
        if text.len() > MAX_TEXT {
            return Err(SdpError::Malformed(format!("{} bytes, more than {MAX_TEXT}", text.len())));
        }
        let session = sdp_types::Session::parse(essential_lines(text).as_bytes())
            .map_err(|error| SdpError::Malformed(error.to_string()))?;
        if session.medias.len() > MAX_MEDIA {
            return Err(SdpError::Malformed(format!("{} m= lines, more than {MAX_MEDIA}", session.medias.len())));
        }
        let media = session.medias.iter().map(|media| MediaLine::read(&session, media)).collect();
        Ok(Self { media })
    }
}

impl MediaLine {
    fn read(session: &sdp_types::Session, media: &sdp_types::Media) -> Self {
        let connection = media.connections.first().or(session.connection.as_ref());
        let address = connection.map_or(PeerAddress::Unusable, PeerAddress::read);
        let attribute = |name: &str| media.attributes.iter().find(|a| a.attribute.eq_ignore_ascii_case(name));
        let milliseconds = |name: &str| {
            attribute(name)
                .and_then(|a| a.value.as_deref())
                // Some phones write `a=ptime:20.0` or add words.
                .and_then(|value| value.split(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty()))
                .and_then(|digits| digits.parse().ok())
        };
        Self {
            media: token(&media.media),
            port: media.port,
            proto: token(&media.proto),
            first_format: token(media.fmt.split_whitespace().next().unwrap_or("0")),
            payloads: read_payloads(media),
            rtcp: attribute("rtcp").and_then(|a| a.value.as_deref()).and_then(|value| read_rtcp(value, address)),
            direction: read_direction(session, media, address),
            address,
            ptime: milliseconds("ptime"),
            max_ptime: milliseconds("maxptime"),
        }
    }

    /// Whether this m= line could be our audio stream: plain RTP, in use, somewhere that we may send to.
    pub(super) fn is_usable_audio(&self) -> bool {
        self.is_audio() && self.port != 0 && self.address != PeerAddress::Unusable
    }

    /// `audio` over RTP/AVP. RTP/AVPF is taken too: we use none of its feedback, and softphones offer it to everybody.
    pub(super) fn is_audio(&self) -> bool {
        let plain = ["RTP/AVP", "RTP/AVPF"].iter().any(|p| self.proto.eq_ignore_ascii_case(p));
        self.media.eq_ignore_ascii_case("audio") && plain
    }

    /// Where our RTP goes.
    pub(super) fn rtp_address(&self) -> Option<SocketAddr> {
        match self.address {
            PeerAddress::Ip(ip) if self.port != 0 => Some(SocketAddr::new(ip, self.port)),
            _ => None,
        }
    }

    /// Where our RTCP goes: as `a=rtcp` says (RFC 3605), else the port above (RFC 3550 section 11).
    pub(super) fn rtcp_address(&self) -> Option<SocketAddr> {
        let rtp = self.rtp_address()?;
        self.rtcp.or_else(|| rtp.port().checked_add(1).map(|port| SocketAddr::new(rtp.ip(), port)))
    }
}

impl PeerAddress {
    fn read(connection: &sdp_types::Connection) -> Self {
        let text = connection.connection_address.split('/').next().unwrap_or_default();
        match text.parse::<IpAddr>() {
            Ok(ip) => Self::from_ip(ip),
            Err(_) if text.bytes().any(|b| b.is_ascii_alphabetic()) && !text.contains(':') => Self::Name,
            Err(_) => Self::Unusable,
        }
    }

    fn from_ip(ip: IpAddr) -> Self {
        let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
        match ip.to_canonical() {
            ip if ip.is_unspecified() => Self::Unspecified,
            ip if ip.is_multicast() || broadcast => Self::Unusable,
            ip => Self::Ip(ip),
        }
    }
}

/// The lines that we use, spaces tidied: a slip of the peer in any other line (spaces in the user name of o=, a broken b= or t=)
/// must not cost the call.
fn essential_lines(text: &str) -> String {
    let mut kept = String::with_capacity(text.len() + 2);
    for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        match line.as_bytes() {
            [b'v' | b'c' | b'a', b'=', ..] => kept.push_str(line),
            [b'm', b'=', ..] => kept.push_str(&line.split_whitespace().collect::<Vec<_>>().join(" ")),
            [letter, b'=', ..] if letter.is_ascii_lowercase() => continue,
            // No SDP line at all: let the parser say where.
            _ => kept.push_str(line),
        }
        kept.push_str("\r\n");
    }
    kept
}

/// A token that is safe to write back.
fn token(text: &str) -> String {
    let kept: String = text.chars().filter(char::is_ascii_graphic).take(MAX_TOKEN).collect();
    if kept.is_empty() { "-".to_owned() } else { kept }
}

impl Payload {
    pub(super) fn number(&self) -> u8 {
        match self {
            Self::Known(row) => row.payload_type,
            Self::Unmapped(number) | Self::Foreign(number) => *number,
        }
    }

    /// The first rtpmap of a number counts, else the static table.
    fn read(media: &sdp_types::Media, number: u8) -> Self {
        let rtpmap = |attribute: &sdp_types::Attribute| -> Option<String> {
            let value = attribute.value.as_deref().filter(|_| attribute.attribute.eq_ignore_ascii_case("rtpmap"))?;
            let (mapped, encoding) = value.trim().split_once(char::is_whitespace)?;
            (mapped.parse() == Ok(number)).then(|| token(encoding))
        };
        let fmtp = |attribute: &sdp_types::Attribute| -> Option<OpusWishes> {
            let value = attribute.value.as_deref().filter(|_| attribute.attribute.eq_ignore_ascii_case("fmtp"))?;
            let (mapped, parameters) = value.trim().split_once(char::is_whitespace)?;
            (mapped.parse() == Ok(number)).then(|| OpusWishes::parse(parameters))
        };
        match media.attributes.iter().find_map(rtpmap) {
            Some(spelling) => match Format::from_encoding(&spelling) {
                Some(format) => {
                    let wishes = media.attributes.iter().find_map(fmtp).unwrap_or_default();
                    Self::Known(Row { payload_type: number, format, spelling, wishes })
                }
                None => Self::Foreign(number),
            },
            None => match Format::from_static(number) {
                Some(format) => Self::Known(Row::ours(number, format)),
                None => Self::Unmapped(number),
            },
        }
    }
}

/// Payload types above 127 do not exist (RFC 3550 section 5.1) and are passed over, as are repeated ones.
fn read_payloads(media: &sdp_types::Media) -> Vec<Payload> {
    let mut payloads: Vec<Payload> = Vec::new();
    for number in media.fmt.split_whitespace().take(MAX_FORMATS).filter_map(|word| word.parse::<u8>().ok()) {
        if number < 128 && !payloads.iter().any(|known| known.number() == number) {
            payloads.push(Payload::read(media, number));
        }
    }
    payloads
}

/// `port [IN IP4 address]` (RFC 3605 section 2.1).
fn read_rtcp(value: &str, address: PeerAddress) -> Option<SocketAddr> {
    let mut words = value.split_whitespace();
    let port = words.next()?.parse().ok().filter(|port| *port != 0)?;
    let address = match words.nth(2) {
        Some(text) => PeerAddress::from_ip(text.parse().ok()?),
        None => address,
    };
    match address {
        PeerAddress::Ip(ip) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// The media's own attribute, else the session's, else both ways (RFC 3264 section 5.1). An unspecified address says that the
/// peer takes nothing from us, whatever the attribute says.
fn read_direction(session: &sdp_types::Session, media: &sdp_types::Media, address: PeerAddress) -> Direction {
    let find = |attributes: &[sdp_types::Attribute]| {
        attributes.iter().find_map(|attribute| Direction::from_attribute(attribute.attribute.trim()))
    };
    let said = find(&media.attributes).or_else(|| find(&session.attributes)).unwrap_or_default();
    match address {
        PeerAddress::Unspecified => said.meet(Direction::SendOnly),
        _ => said,
    }
}

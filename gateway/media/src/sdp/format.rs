//! What stands behind a payload number: an audio codec, comfort noise or telephone events. SDP's spelling of each, and what we offer.

use super::{PayloadFormat, TelephoneEvent};
use crate::codec::{Codec, OpusWishes};

/// What a payload type means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Audio(Codec),
    /// Comfort noise at 8000 Hz (RFC 3389).
    ComfortNoise,
    Event {
        clock_rate: u32,
    },
}

/// First dynamic payload type (RFC 3551 section 3).
const FIRST_DYNAMIC: u8 = 96;
/// Clock rates of telephone-event that we speak, with the payload types that we offer. 101 for 8000 is everybody's habit; an event
/// shares its stream's clock (RFC 4733 section 2.1), so beside speex/16000 PJSIP and Linphone want 16000, while siprtmp knows 8000 only.
const EVENT_8000: TelephoneEvent = TelephoneEvent { payload_type: 101, clock_rate: 8000 };
const EVENTS: [TelephoneEvent; 4] = [
    EVENT_8000,
    TelephoneEvent { payload_type: 100, clock_rate: 16000 },
    TelephoneEvent { payload_type: 105, clock_rate: 32000 },
    TelephoneEvent { payload_type: 106, clock_rate: 48000 },
];

/// Comfort noise has a static payload type at 8000 Hz (RFC 3389 section 4).
const COMFORT_NOISE: u8 = 13;

impl Format {
    /// Reads `name/clock[/channels]` of an rtpmap (RFC 4566 section 6); `None` for what we do not speak.
    pub(super) fn from_encoding(encoding: &str) -> Option<Self> {
        let mut parts = encoding.split('/');
        let (name, clock, channels) = (parts.next()?, parts.next()?.trim(), parts.next());
        let channels: u8 = channels.map_or(Some(1), |channels| channels.trim().parse().ok())?;
        if parts.next().is_some() {
            return None;
        }
        let clock_rate: u32 = clock.parse().ok()?;
        let name = name.trim();
        match clock_rate {
            8000 if channels == 1 && name.eq_ignore_ascii_case("CN") => Some(Self::ComfortNoise),
            _ if name.eq_ignore_ascii_case("telephone-event") => {
                EVENTS.iter().any(|event| event.clock_rate == clock_rate).then_some(Self::Event { clock_rate })
            }
            // The RFC wants `/2`, but `opus/48000` can mean nothing else.
            48000 if name.eq_ignore_ascii_case("opus") => Some(Self::Audio(Codec::Opus)),
            _ => Codec::from_rtpmap(name, clock_rate, channels).map(Self::Audio),
        }
    }

    /// What a payload type means without an rtpmap (RFC 3551 table 4).
    pub(super) fn from_static(payload_type: u8) -> Option<Self> {
        match payload_type {
            COMFORT_NOISE => Some(Self::ComfortNoise),
            _ => Codec::from_static_payload_type(payload_type).map(Self::Audio),
        }
    }

    /// Our spelling for an rtpmap.
    fn encoding(self) -> String {
        match self {
            Self::Audio(codec) => match codec.info() {
                info if info.rtp_channels == 1 => format!("{}/{}", info.rtp_name, info.clock_rate),
                info => format!("{}/{}/{}", info.rtp_name, info.clock_rate, info.rtp_channels),
            },
            Self::ComfortNoise => "CN/8000".to_owned(),
            Self::Event { clock_rate } => format!("telephone-event/{clock_rate}"),
        }
    }
}

/// What we can do in a call, in our order of preference, with the payload types that our offers use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    audio: Vec<PayloadFormat>,
    /// Taken from a peer that offers them, but not offered.
    taken: Vec<Codec>,
    telephone_events: bool,
    offers_comfort_noise: bool,
}

impl Capabilities {
    /// `None` if no audio codec is left. A codec named twice counts once, in its first place.
    pub fn new(audio: impl IntoIterator<Item = PayloadFormat>, telephone_events: bool) -> Option<Self> {
        let mut kept: Vec<PayloadFormat> = Vec::new();
        for format in audio {
            let clash = |k: &PayloadFormat| k.codec == format.codec || k.payload_type == format.payload_type;
            if !kept.iter().any(clash) && format.payload_type < 128 {
                kept.push(format);
            }
        }
        (!kept.is_empty()).then_some(Self {
            audio: kept,
            taken: Vec::new(),
            telephone_events,
            offers_comfort_noise: false,
        })
    }

    /// Comfort noise is offered as well, beside a codec that uses it. In a peer's offer it is taken in any case.
    #[must_use]
    pub fn offering_comfort_noise(self) -> Self {
        Self { offers_comfort_noise: true, ..self }
    }

    /// These are not offered, but taken from a peer that offers them.
    #[must_use]
    pub fn also_taking(self, codecs: impl IntoIterator<Item = Codec>) -> Self {
        Self { taken: codecs.into_iter().collect(), ..self }
    }

    fn codecs(&self) -> impl Iterator<Item = Codec> {
        self.audio.iter().map(|format| format.codec).chain(self.taken.iter().copied())
    }

    /// Whether we would take this in a peer's offer.
    pub(super) fn allows(&self, format: Format) -> bool {
        match format {
            Format::Audio(codec) => self.codecs().any(|ours| ours == codec),
            Format::ComfortNoise => self.codecs().any(Codec::uses_comfort_noise),
            Format::Event { clock_rate: 8000 } => self.telephone_events,
            Format::Event { clock_rate } => {
                self.telephone_events && self.codecs().any(|ours| ours.clock_rate() == clock_rate)
            }
        }
    }

    /// Every format with its preferred payload type, audio first.
    pub(super) fn rows(&self) -> Vec<Row> {
        let audio = self.audio.iter().map(|f| Row::ours(f.payload_type, Format::Audio(f.codec)));
        let noise = (self.offers_comfort_noise && self.allows(Format::ComfortNoise))
            .then(|| Row::ours(COMFORT_NOISE, Format::ComfortNoise));
        let events = EVENTS
            .into_iter()
            .filter(|event| self.telephone_events && (event.clock_rate == 8000 || self.has_clock(event.clock_rate)))
            .map(|event| Row::ours(event.payload_type, Format::Event { clock_rate: event.clock_rate }));
        audio.chain(events).chain(noise).collect()
    }

    fn has_clock(&self, rate: u32) -> bool {
        self.audio.iter().any(|ours| ours.codec.clock_rate() == rate)
    }
}

/// A payload type of an m= line that we understand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) payload_type: u8,
    pub(super) format: Format,
    /// What the rtpmap says: the offerer's spelling is mirrored in answers.
    pub(super) spelling: String,
    /// What the peer's `a=fmtp` says.
    pub(super) wishes: OpusWishes,
}

impl Row {
    pub(super) fn ours(payload_type: u8, format: Format) -> Self {
        Self { payload_type, format, spelling: format.encoding(), wishes: OpusWishes::default() }
    }
}

/// `known` and behind it everything of `wanted` that it lacks; numbers in use are never bound anew within a session
/// (RFC 3264 section 8.3.2), so a newcomer whose number is taken gets a free dynamic one.
pub(super) fn extended(known: &[Row], wanted: Vec<Row>) -> Vec<Row> {
    let mut rows = known.to_vec();
    for mut row in wanted {
        if rows.iter().any(|known| known.format == row.format) {
            continue;
        }
        let taken = |number: u8| rows.iter().any(|known| known.payload_type == number);
        if taken(row.payload_type) {
            match (FIRST_DYNAMIC..=127).find(|number| !taken(*number)) {
                Some(free) => row.payload_type = free,
                None => continue,
            }
        }
        rows.push(row);
    }
    // Audio before events: many peers take the first format for the codec.
    rows.sort_by_key(|row| match row.format {
        Format::Audio(_) => 0,
        Format::Event { .. } => 1,
        Format::ComfortNoise => 2,
    });
    rows
}

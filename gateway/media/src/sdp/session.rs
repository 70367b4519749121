//! Our side of a call's offer/answer: what must stay the same from one description to the next (RFC 3264 section 8).

use std::net::SocketAddr;

use super::{
    Direction, Negotiated, SdpError,
    description::{Description, MediaLine},
    format::{Capabilities, Row, extended},
    negotiate::{Common, agree, match_answer, match_offer},
    write,
};

/// What offer and answer came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// For the media path.
    pub negotiated: Negotiated,
    /// The peer takes no media from us: `a=sendonly`, `a=inactive` or the address 0.0.0.0.
    pub peer_holds: bool,
}

/// Writes our descriptions and reads the peer's, for the life of one call. A description that cannot be taken
/// changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalSession {
    pub(super) id: u64,
    pub(super) version: u64,
    pub(super) rtp: SocketAddr,
    capabilities: Capabilities,
    hold: bool,
    /// m= lines in order; exactly one is ours.
    pub(super) slots: Vec<Slot>,
    /// The formats of our m= line as last written. Numbers are never bound anew.
    pub(super) rows: Vec<Row>,
    pub(super) direction: Direction,
    pub(super) ptime_ms: u16,
    /// All but the o= line of the last description: a new version is due only when this changes (RFC 3264 section 8).
    written: Option<String>,
}

/// One m= line of our descriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slot {
    /// Our audio stream, with the transport's name as the offerer wrote it.
    Audio { proto: String },
    /// Refused: port 0 for ever (RFC 3264 section 8.2).
    Refused { media: String, proto: String, format: String },
}

impl Slot {
    fn refused(line: &MediaLine) -> Self {
        Self::Refused { media: line.media.clone(), proto: line.proto.clone(), format: line.first_format.clone() }
    }
}

impl LocalSession {
    /// `id` makes the o= line unique; `rtp` is what the peer is told.
    pub fn new(id: u64, rtp: SocketAddr, capabilities: Capabilities) -> Self {
        Self {
            // Some parsers read it as a signed number.
            id: id >> 1,
            version: 1,
            rtp,
            rows: capabilities.rows(),
            capabilities,
            hold: false,
            slots: vec![Slot::Audio { proto: "RTP/AVP".to_owned() }],
            direction: Direction::SendRecv,
            ptime_ms: 20,
            written: None,
        }
    }

    /// What the peer is told as our RTP address.
    pub fn rtp(&self) -> SocketAddr {
        self.rtp
    }

    /// Whether `offer` could be answered at all, before anybody is disturbed by it.
    pub fn check_offer(offer: &str, capabilities: &Capabilities) -> Result<(), SdpError> {
        choose(&Description::parse(offer)?, capabilities, None).map(|_| ())
    }

    /// From now on offer (and answer) `a=sendonly`, or both ways again. The peer learns it with the next description.
    pub fn set_hold(&mut self, hold: bool) {
        self.hold = hold;
    }

    /// An offer of what this session has: everything at first, later what was agreed.
    pub fn offer(&mut self) -> String {
        self.direction = self.wanted();
        self.write()
    }

    /// An offer of all that we can do, when the peer asks for one by an INVITE without SDP (RFC 3261 section 14.2).
    pub fn full_offer(&mut self) -> String {
        self.rows = extended(&self.rows, self.capabilities.rows());
        self.offer()
    }

    /// The peer's answer to our last offer.
    pub fn accept_answer(&self, answer: &str) -> Result<Agreement, SdpError> {
        let description = Description::parse(answer)?;
        let ours = self.audio_slot();
        let line = description.media.get(ours).ok_or(SdpError::BadAnswer("fewer m= lines than offered"))?;
        if !line.is_audio() {
            return Err(SdpError::BadAnswer("another medium in the place of audio"));
        }
        if !line.is_usable_audio() {
            return Err(SdpError::NothingInCommon("audio was refused"));
        }
        let common = match_answer(line, &self.rows).ok_or(SdpError::NothingInCommon("no offered audio format"))?;
        agree(line, &common, self.direction.meet(line.direction.mirrored()))
    }

    /// Our answer to the peer's offer.
    pub fn answer(&mut self, offer: &str) -> Result<(String, Agreement), SdpError> {
        let description = Description::parse(offer)?;
        let (index, common) = choose(&description, &self.capabilities, Some(self.audio_slot()))?;
        let line = &description.media[index];
        let direction = line.direction.mirrored().meet(self.wanted());
        let agreement = agree(line, &common, direction)?;
        self.slots = description.media.iter().map(Slot::refused).collect();
        self.slots[index] = Slot::Audio { proto: line.proto.clone() };
        self.rows = common.into_iter().map(|common| common.ours).collect();
        self.direction = direction;
        self.ptime_ms = agreement.negotiated.ptime_ms;
        Ok((self.write(), agreement))
    }

    fn wanted(&self) -> Direction {
        if self.hold { Direction::SendOnly } else { Direction::SendRecv }
    }

    fn audio_slot(&self) -> usize {
        self.slots.iter().position(|slot| matches!(slot, Slot::Audio { .. })).expect("one slot is always our audio")
    }

    fn write(&mut self) -> String {
        let body = write::body(self);
        if self.written.as_ref().is_some_and(|written| *written != body) {
            self.version += 1;
        }
        let text = format!("{}{body}", write::head(self));
        self.written = Some(body);
        text
    }
}

/// The m= line to answer: the one that carries our audio already, if it still can, else the first that can.
fn choose(
    description: &Description,
    capabilities: &Capabilities,
    current: Option<usize>,
) -> Result<(usize, Vec<Common>), SdpError> {
    let usable: Vec<usize> = (0..description.media.len()).filter(|&i| description.media[i].is_usable_audio()).collect();
    if usable.is_empty() {
        return Err(SdpError::NothingInCommon("no plain RTP audio offered"));
    }
    let preferred = current.filter(|current| usable.contains(current));
    preferred
        .into_iter()
        .chain(usable)
        .find_map(|index| match_offer(&description.media[index], capabilities).map(|common| (index, common)))
        .ok_or(SdpError::NothingInCommon("no audio format of ours"))
}

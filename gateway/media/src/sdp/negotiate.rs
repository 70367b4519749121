//! From the two sides' formats of one m= line to what the media path needs.

use super::{
    Agreement, Direction, Negotiated, PayloadFormat, SdpError, TelephoneEvent,
    description::{MediaLine, Payload},
    format::{Capabilities, Format, Row},
};
use crate::codec::{Codec, OpusWishes};

/// A format of both sides, with the number that each uses (they differ only when an answerer chose its own, RFC 3264 section 5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Common {
    theirs: u8,
    wishes: OpusWishes,
    pub(super) ours: Row,
}

/// What an answer to this m= line would list: all common formats in the offerer's order, numbers and spelling.
/// `None` without a common audio codec.
pub(super) fn match_offer(line: &MediaLine, capabilities: &Capabilities) -> Option<Vec<Common>> {
    let mut common: Vec<Common> = Vec::new();
    for payload in &line.payloads {
        if let Payload::Known(row) = payload
            && capabilities.allows(row.format)
            && !common.iter().any(|known| known.ours.format == row.format)
        {
            common.push(Common { theirs: row.payload_type, wishes: row.wishes, ours: row.clone() });
        }
    }
    let has_clock =
        |rate| common.iter().any(|c| matches!(c.ours.format, Format::Audio(codec) if codec.clock_rate() == rate));
    let has_audio = common.iter().any(|c| matches!(c.ours.format, Format::Audio(_)));
    // An event's clock is its stream's (RFC 4733 section 2.1); 8000 beside wideband is what siprtmp and its like do, so it stays.
    let fitting: Vec<u32> = [16_000, 32_000, 48_000].into_iter().filter(|rate| has_clock(*rate)).collect();
    common.retain(|c| match c.ours.format {
        Format::Event { clock_rate } => clock_rate == 8000 || fitting.contains(&clock_rate),
        _ => true,
    });
    let quiet = common.iter().any(|c| matches!(c.ours.format, Format::Audio(codec) if codec.uses_comfort_noise()));
    common.retain(|c| c.ours.format != Format::ComfortNoise || quiet);
    has_audio.then_some(common)
}

/// Matches an answer's formats with those of our offer. `None` without a common audio codec.
pub(super) fn match_answer(line: &MediaLine, offered: &[Row]) -> Option<Vec<Common>> {
    let mut common: Vec<Common> = Vec::new();
    for payload in &line.payloads {
        let ours = match payload {
            Payload::Known(row) => offered.iter().find(|ours| ours.format == row.format),
            Payload::Unmapped(number) => offered.iter().find(|ours| ours.payload_type == *number),
            Payload::Foreign(_) => None,
        };
        if let Some(ours) = ours.filter(|ours| !common.iter().any(|known| known.ours.format == ours.format)) {
            let wishes = if let Payload::Known(row) = payload { row.wishes } else { OpusWishes::default() };
            common.push(Common { theirs: payload.number(), wishes, ours: ours.clone() });
        }
    }
    common.iter().any(|c| matches!(c.ours.format, Format::Audio(_))).then_some(common)
}

/// Joins it all. We send the first audio format of the answer: the answerer's preference (RFC 3264 section 7), and most peers
/// expect the same codec both ways.
pub(super) fn agree(line: &MediaLine, common: &[Common], direction: Direction) -> Result<Agreement, SdpError> {
    let audio = |c: &Common| match c.ours.format {
        Format::Audio(codec) => Some((codec, c.theirs, c.ours.payload_type)),
        Format::ComfortNoise | Format::Event { .. } => None,
    };
    let event = |c: &Common| match c.ours.format {
        Format::Event { clock_rate } => Some((clock_rate, c.theirs, c.ours.payload_type)),
        Format::Audio(_) | Format::ComfortNoise => None,
    };
    let noise = common.iter().find(|c| c.ours.format == Format::ComfortNoise);
    let (codec, theirs, _) =
        common.iter().find_map(audio).ok_or(SdpError::NothingInCommon("no audio format of ours"))?;
    let events: Vec<_> = common.iter().filter_map(event).collect();
    let telephone_event = events.iter().find(|(rate, ..)| *rate == codec.clock_rate()).or(events.first());
    let negotiated = Negotiated {
        remote_rtp: line.rtp_address(),
        remote_rtcp: line.rtcp_address(),
        send: PayloadFormat { payload_type: theirs, codec },
        receive: common
            .iter()
            .filter_map(audio)
            .map(|(codec, _, ours)| PayloadFormat { payload_type: ours, codec })
            .collect(),
        telephone_event: telephone_event
            .map(|&(clock_rate, theirs, _)| TelephoneEvent { payload_type: theirs, clock_rate }),
        receive_events: events
            .iter()
            .map(|&(clock_rate, _, ours)| TelephoneEvent { payload_type: ours, clock_rate })
            .collect(),
        opus: common
            .iter()
            .find(|c| c.ours.format == Format::Audio(codec))
            .map_or_else(OpusWishes::default, |c| c.wishes),
        comfort_noise: noise.filter(|_| codec.uses_comfort_noise()).map(|c| c.theirs),
        receive_comfort_noise: noise.map(|c| c.ours.payload_type),
        direction,
        ptime_ms: packet_time(line, codec),
    };
    Ok(Agreement { negotiated, peer_holds: !line.direction.receives() })
}

/// What the peer asks for, within reason: whole frames of the codec, at most 120 ms.
fn packet_time(line: &MediaLine, codec: Codec) -> u16 {
    codec.packet_time(line.ptime.unwrap_or(20).min(line.max_ptime.unwrap_or(u16::MAX)))
}

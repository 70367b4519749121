//! One call's media: joins the uplink (phone to SIP) and the downlink (SIP to phone) behind one face.
//!
//! ```text
//!            PhoneAudio --> +--------+ --> Rtp          RTCP reports on their timer, from the counters of both
//!            SendDtmf ----> | uplink |
//!                           +--------+
//!  PhoneAudio, Dtmf <------ |downlink| <-- Rtp
//!                           +--------+
//! ```

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;
use tracing::debug;

use crate::{
    codec::Codec,
    downlink::{Delivery, Downlink},
    rtcp::RtcpSession,
    rtmp_time::RtmpTimestamp,
    sdp::Negotiated,
    stats::PathStats,
    uplink::Uplink,
};

/// How a call's media is set up. Random values come from the driver, so that tests can fix them.
#[derive(Debug, Clone)]
pub struct PathConfig {
    /// The outcome of offer/answer.
    pub negotiated: Negotiated,
    /// What the phone is sent on its `remote` stream (siprtmp contract section 7.2).
    pub phone_codec: Codec,
    /// Our synchronisation source (RFC 3550 section 8).
    pub ssrc: u32,
    /// First RTP sequence number.
    pub initial_sequence: u16,
    /// First RTP timestamp.
    pub initial_timestamp: u32,
    /// RTCP canonical name (RFC 3550 section 6.5.1).
    pub cname: String,
    /// RTMP time at `now` of the call's start, milliseconds: base of the timestamps that the phone is sent.
    pub rtmp_base_ms: u32,
    /// Wall clock at the call's start as 64-bit NTP time (RFC 3550 section 4), for sender reports.
    pub ntp_base: u64,
}

/// What comes in.
#[derive(Debug)]
pub enum Input<'a> {
    /// An RTMP audio message: FLV AUDIODATA (tag byte and payload) with its RTMP timestamp in milliseconds.
    PhoneAudio {
        /// Milliseconds, wraps at 2^32.
        timestamp_ms: u32,
        /// Tag byte and codec payload.
        body: &'a [u8],
    },
    /// A datagram on the RTP port, from a source that [`Latch`](crate::latch::Latch) accepted.
    Rtp(&'a [u8]),
    /// A datagram on the RTCP port, from a source that [`Latch`](crate::latch::Latch) accepted.
    Rtcp(&'a [u8]),
    /// Digits to send, `0-9 * # A-D`, in order (queued behind digits still being sent).
    SendDtmf(&'a str),
    /// Direction, addresses or formats changed (re-INVITE).
    Renegotiated(Negotiated),
    /// The deadline of `poll_timeout` has come.
    Timeout,
}

/// What goes out.
#[derive(Debug)]
pub enum Output {
    /// A packet for the peer's RTP address.
    Rtp(Bytes),
    /// A packet for the peer's RTCP address.
    Rtcp(Bytes),
    /// An audio message for the phone's played stream.
    PhoneAudio {
        /// Milliseconds, wraps at 2^32.
        timestamp_ms: u32,
        /// Tag byte and codec payload.
        body: Bytes,
    },
    /// The peer pressed a key (RFC 4733), once per press.
    DtmfReceived(char),
    /// The phone sends a codec that we do not have: the SoundFormat of its audio messages (FLV section E.4.2.1), told
    /// once a codec.
    PhoneCodecUnsupported(u8),
}

/// The media of one call.
pub struct MediaPath {
    uplink: Uplink,
    downlink: Downlink,
    rtcp: RtcpSession,
    /// The peer has an address for RTCP.
    reports: bool,
    malformed: u64,
    stopped: bool,
    outputs: VecDeque<Output>,
}

impl MediaPath {
    /// Sets up both directions; nothing flows before input comes, but RTCP reports do.
    pub fn new(now: Instant, config: PathConfig) -> Self {
        let PathConfig { negotiated, phone_codec, ssrc, initial_sequence, initial_timestamp, .. } = config;
        Self {
            uplink: Uplink::new(now, &negotiated, ssrc, initial_sequence, initial_timestamp),
            downlink: Downlink::new(now, &negotiated, phone_codec, RtmpTimestamp(config.rtmp_base_ms)),
            rtcp: RtcpSession::new(now, ssrc, initial_sequence, config.cname, config.ntp_base),
            reports: negotiated.remote_rtcp.is_some(),
            malformed: 0,
            stopped: false,
            outputs: VecDeque::new(),
        }
    }

    /// Feeds one input.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        if self.stopped {
            return;
        }
        if !matches!(input, Input::PhoneAudio { .. }) {
            self.pump(now); // what was due before this input came
        }
        match input {
            Input::PhoneAudio { timestamp_ms, body } => {
                let came = self.uplink.came(now);
                self.pump_uplink(now, came);
                let unsupported = self.uplink.phone_audio(now, RtmpTimestamp(timestamp_ms), body);
                self.outputs.extend(unsupported.map(Output::PhoneCodecUnsupported));
                self.pump_uplink(now, came);
            }
            Input::Rtp(datagram) => {
                let outputs = &mut self.outputs;
                if let Err(error) = self.downlink.rtp(now, datagram, |delivery| outputs.push_back(delivery.into())) {
                    self.malformed += 1;
                    debug!(bytes = datagram.len(), %error, "dropped");
                }
            }
            Input::Rtcp(datagram) => {
                let clock_rate = self.uplink.totals(now).clock_rate;
                let reports = self.rtcp.remote().reports;
                let received = self.rtcp.receive(now, datagram, clock_rate);
                let remote = self.rtcp.remote();
                if remote.reports != reports {
                    self.uplink.reported_loss(remote.fraction_lost);
                }
                match received {
                    Ok(true) => self.downlink.left(),
                    Ok(false) => {}
                    Err(error) => {
                        self.malformed += 1;
                        debug!(bytes = datagram.len(), %error, "dropped");
                    }
                }
            }
            Input::SendDtmf(digits) => {
                self.uplink.send_digits(now, digits);
                self.pump_uplink(now, now);
            }
            Input::Renegotiated(negotiated) => {
                self.uplink.renegotiate(now, &negotiated);
                self.downlink.renegotiate(&negotiated);
                self.reports = negotiated.remote_rtcp.is_some();
            }
            Input::Timeout => {}
        }
    }

    /// What the phone sends next was not there yet at this moment, the last one at which the driver looked: audio is as late as
    /// it must have come, not as it was found (a driver that was held up holds up what leaves, too). Without it, what is fed comes
    /// at that moment.
    pub fn looked_for_audio(&mut self, at: Instant) {
        self.uplink.looked(at);
    }

    /// Takes the next output, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Ends the path: what is still to be sent, an RTCP BYE among it, comes out of `poll_output`.
    pub fn stop(&mut self, now: Instant) {
        if std::mem::replace(&mut self.stopped, true) || !self.reports {
            return;
        }
        let bye = self.rtcp.bye(now, self.uplink.totals(now), self.downlink.reception());
        self.outputs.push_back(Output::Rtcp(bye));
    }

    /// What the path has seen so far.
    pub fn stats(&self) -> PathStats {
        PathStats {
            uplink: self.uplink.stats(),
            downlink: self.downlink.stats(),
            remote: self.rtcp.remote(),
            round_trip: self.rtcp.round_trip(),
            malformed: self.malformed,
        }
    }

    /// When `Input::Timeout` is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.stopped {
            return None;
        }
        let media = self.uplink.deadline().into_iter().chain(self.downlink.deadline());
        media.chain(Some(self.rtcp.deadline())).min()
    }

    fn pump(&mut self, now: Instant) {
        self.pump_uplink(now, now);
        let outputs = &mut self.outputs;
        self.downlink.pump(now, |delivery| outputs.push_back(delivery.into()));
        if now >= self.rtcp.deadline() {
            let report = self.rtcp.poll(now, self.uplink.totals(now), self.downlink.reception());
            if self.reports {
                self.outputs.extend(report.map(Output::Rtcp));
            }
        }
    }

    fn pump_uplink(&mut self, now: Instant, missed: Instant) {
        let outputs = &mut self.outputs;
        self.uplink.pump(now, missed, |packet| outputs.push_back(Output::Rtp(packet)));
    }
}

impl From<Delivery> for Output {
    fn from(delivery: Delivery) -> Self {
        match delivery {
            Delivery::Audio(timestamp, body) => Self::PhoneAudio { timestamp_ms: timestamp.0, body },
            Delivery::Digit(digit) => Self::DtmfReceived(digit.to_char()),
        }
    }
}

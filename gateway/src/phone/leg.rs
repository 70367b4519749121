//! The RTP side of a call: its sockets, its place among the calls, and, once both ends agreed, its media path.
//!
//! ```text
//!            offer made          answer agreed             call over
//!  Leg::open ----------> reserved ------------> up (path) ------------> dropped: ports rest, the place is free
//! ```

use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use call_media::codec::Codec;
use call_media::latch::{Latch, Verdict};
use call_media::path::{Input, MediaPath, Output, PathConfig};
use call_media::sdp::Negotiated;
use tokio::io::ReadBuf;
use tracing::{debug, info};

use super::Gateway;
use super::admission::CallPermit;
use super::figures::Figures;
use crate::metrics::{GaugeGuard, Metrics};
use crate::rtp_io::{Channel, RtpSockets};
use crate::workers::{self, LiveCall};

/// Longest datagram taken. Telephone audio never needs fragments; a longer one is cut and will not parse.
const DATAGRAM_MAX: usize = 2_048;

/// How often a phone that asked for it is told its call's figures.
const REPORT: Duration = Duration::from_secs(5);

/// Datagrams taken from one socket before others get their turn.
const BURST: usize = 32;

/// The RTP side of a call.
pub(super) struct Leg {
    sockets: RtpSockets,
    advertised: IpAddr,
    metrics: &'static Metrics,
    up: Option<Up>,
    _permit: CallPermit,
}

/// What exists once media may flow.
struct Up {
    path: Box<MediaPath>,
    /// Whose datagrams are the peer's, and where ours go (symmetric RTP).
    latch: Latch,
    codec: Codec,
    phone_codec: Codec,
    since: Instant,
    report_at: Instant,
    _counted: GaugeGuard,
    _live: LiveCall,
}

/// What a call's media has to tell.
#[derive(Debug)]
pub(super) enum FromPeer {
    /// An audio message for the phone's played stream.
    Audio(super::outbox::PhoneAudio),
    /// The phone publishes a codec that we do not have (FLV SoundFormat).
    CodecUnsupported(u8),
    /// The peer pressed a key.
    Digit(char),
}

impl Leg {
    /// Takes a place and ports for a call.
    ///
    /// # Errors
    /// Why not, as SIP status code and phrase.
    pub(super) fn open(gateway: &Gateway, now: Instant) -> Result<Leg, &'static str> {
        let Some(permit) = gateway.admission.call() else {
            gateway.metrics.calls_over_limit.add();
            return Err("503 Too many calls");
        };
        let sockets = gateway.ports.bind(now).map_err(|error| {
            gateway.metrics.calls_over_limit.add();
            tracing::warn!(%error, "no RTP ports for a call");
            "503 No RTP port free"
        })?;
        let advertised = gateway.sip.advertised_ip();
        Ok(Leg { sockets, advertised, metrics: gateway.metrics, up: None, _permit: permit })
    }

    /// Where the peer shall send its RTP.
    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.advertised, self.sockets.port())
    }

    /// Offer and answer agreed: media flows. `rtmp_base_ms` is the RTMP time of now.
    pub(super) fn start(&mut self, now: Instant, negotiated: Negotiated, phone_codec: Codec, rtmp_base_ms: u32) {
        info!(peer = ?negotiated.remote_rtp, sends = ?negotiated.send.codec, phone = ?phone_codec, "media up");
        let (latch, codec) = (Latch::new(&negotiated), negotiated.send.codec);
        let config = PathConfig {
            negotiated,
            phone_codec,
            ssrc: rand::random(),
            initial_sequence: rand::random(),
            initial_timestamp: rand::random(),
            // RFC 7022 section 4.2: random, and the same for all streams of this call only.
            cname: format!("{:024x}", rand::random::<u128>() >> 32),
            rtmp_base_ms,
            ntp_base: ntp_now(),
        };
        self.up = Some(Up {
            path: Box::new(MediaPath::new(now, config)),
            latch,
            codec,
            phone_codec,
            since: now,
            report_at: now + REPORT,
            _counted: self.metrics.calls_up.enter(),
            _live: LiveCall::begin(),
        });
    }

    /// Feeds the path audio of the phone, if there is one.
    pub(super) fn audio(&mut self, now: Instant, timestamp_ms: u32, body: &[u8]) {
        let Some(up) = &mut self.up else { return };
        up.path.looked_for_audio(workers::looked_before(now));
        up.path.handle_input(now, Input::PhoneAudio { timestamp_ms, body });
    }

    /// Feeds the path, if there is one.
    pub(super) fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        let Some(up) = &mut self.up else { return };
        if let Input::Renegotiated(negotiated) = &input {
            up.latch.renegotiated(negotiated);
            up.codec = negotiated.send.codec;
        }
        up.path.handle_input(now, input);
    }

    /// Takes what came on the ports. True if there was more than one turn's worth.
    pub(super) fn receive(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut more = false;
        let mut space = [MaybeUninit::uninit(); DATAGRAM_MAX];
        for channel in [Channel::Rtp, Channel::Rtcp] {
            more |= (0..BURST).all(|_| {
                let mut buffer = ReadBuf::uninit(&mut space);
                match self.sockets.poll_recv(cx, channel, &mut buffer) {
                    Poll::Pending => false,
                    Poll::Ready(Err(error)) => {
                        debug!(%error, ?channel, "receiving media");
                        false
                    }
                    Poll::Ready(Ok(source)) => {
                        self.on_datagram(now, channel, buffer.filled(), source);
                        true
                    }
                }
            });
        }
        more
    }

    fn on_datagram(&mut self, now: Instant, channel: Channel, datagram: &[u8], source: SocketAddr) {
        self.metrics.media_received.add();
        let Some(up) = &mut self.up else { return };
        let (verdict, input) = match channel {
            Channel::Rtp => (up.latch.accept_rtp(now, source, datagram), Input::Rtp(datagram)),
            Channel::Rtcp => (up.latch.accept_rtcp(source), Input::Rtcp(datagram)),
        };
        match verdict {
            Verdict::Accepted => up.path.handle_input(now, input),
            Verdict::Rejected => self.metrics.media_rejected.add(),
        }
    }

    /// Sends what the path has for the peer, until it has something for the phone or nothing at all.
    pub(super) fn poll_output(&mut self) -> Option<FromPeer> {
        let up = self.up.as_mut()?;
        loop {
            let (channel, datagram, to) = match up.path.poll_output()? {
                Output::Rtp(datagram) => (Channel::Rtp, datagram, up.latch.rtp_target()),
                Output::Rtcp(datagram) => (Channel::Rtcp, datagram, up.latch.rtcp_target()),
                Output::PhoneAudio { timestamp_ms, body } => {
                    return Some(FromPeer::Audio(super::outbox::PhoneAudio { timestamp_ms, body }));
                }
                Output::PhoneCodecUnsupported(format) => return Some(FromPeer::CodecUnsupported(format)),
                Output::DtmfReceived(digit) => return Some(FromPeer::Digit(digit)),
            };
            let Some(to) = to else { continue };
            match self.sockets.send(channel, &datagram, to) {
                Ok(()) => self.metrics.media_sent.add(),
                Err(error) => {
                    self.metrics.media_send_errors.add();
                    debug!(%error, %to, "sending media");
                }
            }
        }
    }

    /// When `Input::Timeout` is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.up.as_ref()?.path.poll_timeout()
    }

    /// How the call is doing, once media may flow.
    pub(super) fn figures(&self, now: Instant) -> Option<Figures> {
        let Up { path, codec, phone_codec, since, .. } = self.up.as_ref()?;
        let up_for = now.saturating_duration_since(*since);
        Some(Figures { codec: *codec, phone_codec: *phone_codec, up_for, path: path.stats() })
    }

    /// When a phone that asked for it is told next.
    pub(super) fn report_at(&self) -> Option<Instant> {
        self.up.as_ref().map(|up| up.report_at)
    }

    /// The report that is due.
    pub(super) fn report(&mut self, now: Instant) -> Option<Figures> {
        self.up.as_mut()?.report_at = now + REPORT;
        self.figures(now)
    }

    /// The call is over: says so by RTCP, and gives ports and place back.
    pub(super) fn stop(mut self, now: Instant) {
        if let Some(up) = &mut self.up {
            up.path.stop(now);
        }
        while self.poll_output().is_some() {}
        if let (Some(up), Some(figures)) = (&self.up, self.figures(now)) {
            figures.log(up.latch.rejected());
        }
    }
}

/// Wall clock as 64-bit NTP time (RFC 3550 section 4): seconds since 1900 and a binary fraction.
fn ntp_now() -> u64 {
    const FROM_1900_TO_1970: u64 = 2_208_988_800;
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
    // Seconds wrap in 2036, as the format does (RFC 5905 section 6: era 1).
    (unix.as_secs().wrapping_add(FROM_1900_TO_1970) << 32) | fraction
}

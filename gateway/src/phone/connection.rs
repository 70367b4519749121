//! The driver of one phone: receive, feed, drain, write, sleep until the deadline. Every decision is below it.
//!
//! ```text
//!  byte stream <-> Wire <-> ServerSession <-- dialect --> Line <-> SIP, RTP
//! ```
//!
//! One task owns all of it, and one poll serves whatever came: bytes, SIP events, datagrams, deadlines. It is written as a `Future`
//! by hand so that a wake-up costs one pass, everything that it causes leaves in one write, and an idle phone keeps no buffer.

use std::future::Future;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use call_media::flv;
use phone_agent::{Account, Indication, Topics};
use rtmp_session::{
    Connect, ConnectAccepted, Event, Input, Level, Output, ServerSession, SessionError, StreamId, Value,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep_until};
use tracing::{Span, debug, info, trace, warn};

use super::Gateway;
use super::admission::PhonePermit;
use super::attempts::{self, Attempt};
use super::dialect::{self, Method, status};
use super::directory::{Farewell, Seat};
use super::line::{Line, Told};
use super::outbox::PhoneAudio;
use super::wire::Wire;
use crate::metrics::GaugeGuard;
use crate::workers::Place;

/// Bytes taken from the stream in one go: on the stack of a poll, so idle phones do not pay for it.
const READ: usize = 8 * 1024;

/// Reads in one wake-up before others get their turn.
const READS: usize = 4;

/// How long call and registration may take to end after the phone has gone. The user agent gives up before; this is for its faults.
const LINGER: Duration = Duration::from_secs(10);

/// One phone's connection, from accept to the end of its registration.
pub struct Connection<S> {
    gateway: Arc<Gateway>,
    wire: Wire<S>,
    session: Box<ServerSession>,
    line: Option<Box<Line>>,
    /// Credentials of which nobody has said yet whether they are right.
    attempt: Option<Attempt>,
    /// `connect` was answered with success.
    welcomed: bool,
    /// The stream that the phone plays: where its audio goes.
    playing: Option<StreamId>,
    /// The stream that it plays was told what Opus it gets (Enhanced RTMP).
    opus_begun: bool,
    /// What its `connect` is answered about FourCCs.
    enhanced: Vec<(String, Value)>,
    /// The stream that the phone publishes.
    publishing: Option<StreamId>,
    /// Since when the phone is gone and only the SIP side is still to end.
    leaving: Option<Instant>,
    /// Asks us to end, once.
    farewell: Option<oneshot::Receiver<Farewell>>,
    alarm: Pin<Box<Sleep>>,
    seat: Seat,
    span: Span,
    permit: PhonePermit,
    _place: Place,
    _counted: GaugeGuard,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    /// A connection just accepted from `peer`. `None` if the gateway is closing.
    pub fn new(gateway: Arc<Gateway>, socket: S, peer: SocketAddr, permit: PhonePermit, place: Place) -> Option<Self> {
        let now = Instant::now();
        let (seat, farewell) = gateway.directory.enter()?;
        let session = Box::new(ServerSession::new(now, gateway.limits, rand::random()));
        let span = tracing::info_span!("phone", n = seat.number(), %peer);
        let counted = gateway.metrics.connections_open.enter();
        Some(Connection {
            wire: Wire::new(socket),
            session,
            line: None,
            attempt: None,
            welcomed: false,
            playing: None,
            opus_begun: false,
            enhanced: Vec::new(),
            publishing: None,
            leaving: None,
            farewell: Some(farewell),
            alarm: Box::pin(sleep_until(now.into())),
            seat,
            span,
            permit,
            _place: place,
            _counted: counted,
            gateway,
        })
    }

    // --- receive ---------------------------------------------------------------------------------------------------------------

    /// Takes all that has come. True if there is more than one turn's worth.
    fn receive(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        if let Some(farewell) = &mut self.farewell
            && let Poll::Ready(farewell) = Pin::new(farewell).poll(cx)
        {
            self.farewell = None;
            if let Ok(farewell) = farewell {
                self.on_farewell(now, farewell);
            }
        }
        let bytes = self.receive_bytes(cx, now);
        let rest = self.line.as_mut().is_some_and(|line| line.receive(cx, &self.gateway, now));
        bytes || rest
    }

    fn receive_bytes(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut space = [MaybeUninit::uninit(); READ];
        for _ in 0..READS {
            let mut buffer = ReadBuf::uninit(&mut space);
            match self.wire.poll_read(cx, &mut buffer) {
                Poll::Pending => return false,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.feed_session(now, Input::Bytes(buffer.filled()));
                    // Outputs first: an ended session must not be fed again.
                    self.drain(now);
                }
                Poll::Ready(end) => {
                    debug!(error = ?end.err(), "phone closed its connection");
                    self.wire.abort();
                    return false;
                }
            }
        }
        true
    }

    fn feed_session(&mut self, now: Instant, input: Input<'_>) {
        let Err(error) = self.session.handle_input(now, input) else { return };
        let metrics = self.gateway.metrics;
        match &error {
            SessionError::Malformed { .. } => metrics.rtmp_malformed.add(),
            SessionError::Protocol { .. } => metrics.rtmp_protocol_errors.add(),
            SessionError::Limit { .. } => metrics.rtmp_over_limit.add(),
            SessionError::Timeout { .. } => metrics.rtmp_timeouts.add(),
            SessionError::Ended => {}
        }
        warn!(%error, "RTMP connection ends");
    }

    fn on_farewell(&mut self, now: Instant, farewell: Farewell) {
        info!(?farewell, "asked to end");
        let (code, description) = match farewell {
            Farewell::Replaced => (status::CLOSED, "Replaced by another connection for the same address"),
            Farewell::Shutdown => (status::SHUTDOWN, "The gateway is shutting down"),
        };
        if self.welcomed {
            self.session.send_status(now, StreamId::CONNECTION, Level::Status, code, description);
            self.session.close();
        } else if self.line.is_some() {
            self.reject(now, description);
        } else {
            self.session.close();
        }
    }

    // --- drain -----------------------------------------------------------------------------------------------------------------

    /// Carries out all that the state machines want, until none wants anything more.
    fn drain(&mut self, now: Instant) {
        loop {
            while let Some(output) = self.session.poll_output() {
                match output {
                    Output::Bytes(bytes) => {
                        if let Err(error) = self.wire.push(bytes) {
                            self.gateway.metrics.rtmp_slow_readers.add();
                            warn!(%error, "RTMP connection ends");
                        }
                    }
                    Output::Event(event) => self.on_event(now, event),
                    Output::Close => self.wire.close(now),
                }
            }
            let session = &self.session;
            match self.line.as_mut().and_then(|line| line.poll_output(now, || session.timestamp(now))) {
                Some(Told::Indication(indication)) => self.on_indication(now, indication),
                Some(Told::Audio(audio)) => self.on_audio(now, audio),
                Some(Told::CodecUnsupported(format)) => self.on_codec_unsupported(now, format),
                Some(Told::Figures(figures)) => {
                    let (name, args) = dialect::stats(&figures);
                    self.session.call(now, name, &args);
                }
                None => return,
            }
        }
    }

    fn on_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Connect(connect) => self.on_connect(now, &connect),
            Event::Call { id, name, args, .. } => match Method::parse(&name, &args) {
                Ok(method) => {
                    let result = self.line.as_ref().and_then(|line| line.result_of(now, &method));
                    self.session.respond(now, id, result.as_slice());
                    self.on_method(now, method);
                }
                Err(description) => {
                    self.gateway.metrics.calls_of_methods_refused.add();
                    debug!(description, "call answered _error");
                    self.session.respond_error(now, id, &description);
                }
            },
            Event::Audio { timestamp, body, .. } => {
                if let Some(line) = &mut self.line {
                    line.audio(now, timestamp, &body);
                }
            }
            Event::Play { stream, name } => {
                debug!(%stream, name, "plays");
                self.playing = Some(stream);
                self.opus_begun = false;
            }
            Event::StopPlay { stream, .. } => {
                self.playing = self.playing.filter(|playing| *playing != stream);
            }
            Event::Publish { stream, name, .. } => {
                debug!(%stream, name, "publishes");
                self.publishing = Some(stream);
            }
            Event::PolicyFileRequested => debug!("asked for the Flash policy file"),
            Event::CallResult { .. }
            | Event::Unpublish { .. }
            | Event::Video { .. }
            | Event::Data { .. }
            | Event::BufferLength { .. } => {}
        }
    }

    fn on_connect(&mut self, now: Instant, connect: &Connect) {
        if self.line.is_some() {
            return warn!("a second connect on one connection is ignored");
        }
        match dialect::account(connect).and_then(|account| self.open_line(now, account, dialect::asked_by(connect))) {
            Ok(line) => {
                self.line = Some(Box::new(line));
                self.enhanced = dialect::enhanced(connect);
            }
            Err(description) => self.reject(now, &description),
        }
    }

    /// A line for who gives good credentials, or none at all. Whether a password is right is its registrar's to say.
    fn open_line(&mut self, now: Instant, account: Account, asked: Option<Topics>) -> Result<Line, String> {
        // The path may hold anything, the arguments a password: only what was understood is logged.
        trace!(target: "wire::rtmp", address = account.address, password = account.password.is_some(), "<- connect");
        let Gateway { access, attempts, metrics, .. } = &*self.gateway;
        if access.are_credentials(&account) {
            let attempt = attempts.ask(now, self.permit.source(), &account.address).map_err(|error| {
                metrics.connects_limited.add();
                error.to_string()
            })?;
            self.attempt = Some(attempt);
        }
        let account = access.exchange(account, SystemTime::now()).map_err(|error| error.to_string())?;
        Line::open(&self.gateway, now, account, asked).map_err(|error| error.to_string())
    }

    fn reject(&mut self, now: Instant, description: &str) {
        info!(description, "connect rejected");
        if let Some(attempt) = self.attempt.take()
            && attempts::is_refusal(description)
        {
            self.gateway.attempts.failed(now, &attempt);
        }
        self.gateway.metrics.connects_rejected.add(description);
        self.session.reject_connect(now, description);
    }

    fn on_method(&mut self, now: Instant, method: Method) {
        trace!(target: "wire::rtmp", ?method, "<-");
        // No method comes before `connect` was accepted, so there is a line.
        let Some(line) = &mut self.line else { return };
        if let Err(instead) = line.call(&self.gateway, now, method) {
            self.on_indication(now, instead);
        }
    }

    fn on_indication(&mut self, now: Instant, indication: Indication) {
        match &indication {
            Indication::Connected => return self.on_connected(now),
            Indication::ConnectRejected(reason) => return self.reject(now, reason),
            Indication::Rejected(reason) => self.gateway.metrics.calls_rejected.add(reason),
            Indication::Accepted(_) => self.gateway.metrics.calls_answered.add(),
            Indication::Byed => self.wire.outbox.forget_audio(),
            _ => {}
        }
        let Some((name, args)) = dialect::call(&indication) else { return };
        let shown = if dialect::is_private(&indication) { &[] } else { args.as_slice() };
        trace!(target: "wire::rtmp", name, args = ?shown, "->");
        self.session.call(now, name, &args);
    }

    fn on_connected(&mut self, now: Instant) {
        let Some(line) = &self.line else { return };
        info!(address = line.address(), registered = line.registers(), "connected");
        self.gateway.metrics.connects.add();
        if let Some(attempt) = self.attempt.take() {
            self.gateway.attempts.succeeded(now, &attempt);
        }
        self.seat.claim(line.address(), line.registers());
        let active = line.topics_if_asked().map(|topics| (dialect::INDICATIONS.to_owned(), dialect::names(topics)));
        let enhanced = std::mem::take(&mut self.enhanced);
        let accepted =
            ConnectAccepted { more: active.into_iter().chain(enhanced).collect(), ..ConnectAccepted::default() };
        self.session.accept_connect(now, accepted);
        self.welcomed = true;
    }

    /// Audio goes at once while the socket takes what it is given, else it is held (and dropped when it gets too old).
    fn on_audio(&mut self, now: Instant, audio: PhoneAudio) {
        if self.wire.outbox.is_flowing() {
            self.send_audio(now, &audio);
        } else {
            self.wire.outbox.hold(now, audio);
        }
    }

    fn send_audio(&mut self, now: Instant, audio: &PhoneAudio) {
        if let Some(stream) = self.playing {
            let timestamp = rtmp_session::RtmpTimestamp::from_ms(audio.timestamp_ms);
            if !self.opus_begun && flv::is_opus(&audio.body) {
                self.opus_begun = self.session.send_audio(now, stream, timestamp, flv::OPUS_SEQUENCE_START);
            }
            self.session.send_audio(now, stream, timestamp, &audio.body);
        }
    }

    fn on_codec_unsupported(&mut self, now: Instant, format: u8) {
        warn!(format, "the phone publishes a codec that cannot be bridged");
        let description =
            format!("Audio codec {format} is not supported: publish Speex, PCMU, PCMA or Opus (Enhanced RTMP)");
        let stream = self.publishing.unwrap_or(StreamId::CONNECTION);
        self.session.send_status(now, stream, Level::Error, status::FAILED, &description);
    }

    // --- write -----------------------------------------------------------------------------------------------------------------

    /// Writes what is ready, then what audio was held back by it.
    fn write(&mut self, cx: &mut Context<'_>, now: Instant) {
        loop {
            self.wire.poll_flush(cx, now);
            if !self.wire.outbox.is_flowing() {
                break;
            }
            let Some(audio) = self.wire.outbox.take_audio(now) else { break };
            self.send_audio(now, &audio);
            self.drain(now);
        }
        let dropped = self.wire.outbox.take_dropped();
        if dropped > 0 {
            self.gateway.metrics.audio_late.add_many(dropped);
        }
    }

    // --- sleep -----------------------------------------------------------------------------------------------------------------

    fn deadline(&self) -> Option<Instant> {
        let session = if self.wire.is_open() { self.session.poll_timeout() } else { None };
        let line = self.line.as_ref().and_then(|line| line.poll_timeout());
        let leaving = self.leaving.map(|since| since + LINGER);
        [session, line, leaving, self.wire.poll_timeout()].into_iter().flatten().min()
    }

    fn handle_timeouts(&mut self, now: Instant) {
        if self.wire.is_open() && self.session.poll_timeout().is_some_and(|due| due <= now) {
            self.feed_session(now, Input::Timeout);
        }
        self.wire.handle_timeout(now);
        if let Some(line) = &mut self.line {
            line.handle_timeout(now);
        }
    }

    /// Sets the alarm to the next deadline. True if that has come already.
    fn sleep(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = self.deadline() else { return false };
        if self.alarm.deadline() != deadline.into() {
            self.alarm.as_mut().reset(deadline.into());
        }
        self.alarm.as_mut().poll(cx).is_ready()
    }

    // --- end -------------------------------------------------------------------------------------------------------------------

    /// Begins to leave once the phone is gone, or going. True when nothing is left to end.
    fn is_over(&mut self, now: Instant) -> bool {
        if self.wire.is_open() {
            return false;
        }
        if self.leaving.is_none() {
            self.leaving = Some(now);
            if self.welcomed {
                info!("phone gone");
            }
            if let Some(line) = &mut self.line {
                line.hang_up(now);
                self.drain(now);
            }
        }
        let line_over = self.line.as_ref().is_none_or(|line| line.is_finished());
        let out_of_patience = self.leaving.is_some_and(|since| now >= since + LINGER);
        out_of_patience || (line_over && self.wire.is_gone())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Future for Connection<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let span = this.span.clone();
        let _entered = span.enter();
        let now = Instant::now();
        let more = this.receive(cx, now);
        this.handle_timeouts(now);
        this.drain(now);
        this.write(cx, now);
        if this.is_over(now) {
            debug!("connection over");
            return Poll::Ready(());
        }
        this.write(cx, now);
        if this.sleep(cx) || more {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The target is 64 kB for an idle connection (targets.md); what is not ours to keep small is the SIP stack's part.
    #[test]
    fn an_idle_phone_is_small() {
        let connection =
            size_of::<Connection<tokio::net::TcpStream>>() + size_of::<ServerSession>() + size_of::<Line>();
        assert!(connection < 4 * 1024, "{connection} bytes");
    }
}

//! What the process counts, and how /metrics shows it (Prometheus text format 0.0.4).
//!
//! Plain atomics in one struct: a counter is a field, so that what is counted can be read off this file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::sip::SipCounters;

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add(&self) {
        self.add_many(1);
    }

    /// `n` more.
    pub fn add_many(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// As of now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are now.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// One more, until the guard is dropped.
    #[must_use]
    pub fn enter(&'static self) -> GaugeGuard {
        self.0.fetch_add(1, Ordering::Relaxed);
        GaugeGuard(self)
    }

    /// As of now.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Stands for one unit of a [`Gauge`].
#[derive(Debug)]
pub struct GaugeGuard(&'static Gauge);

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reasons by SIP status code. Codes outside 300 to 699 count as 0, so that there are never more than 401 rows.
#[derive(Debug, Default)]
pub struct ByStatus(Mutex<BTreeMap<u16, u64>>);

impl ByStatus {
    /// One more for a reason text such as `486 Busy Here`; a text without a code counts as 0.
    pub fn add(&self, reason: &str) {
        let code = reason.split(' ').next().and_then(|word| word.parse().ok()).filter(|code| (300..700).contains(code));
        *self.rows().entry(code.unwrap_or(0)).or_default() += 1;
    }

    fn rows(&self) -> std::sync::MutexGuard<'_, BTreeMap<u16, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that is counted above SIP (the SIP side has [`SipCounters`]).
#[derive(Debug, Default)]
pub struct Metrics {
    /// RTMP connections accepted by the listener.
    pub connections: Counter,
    /// RTMP connections now, the ones still un-registering included.
    pub connections_open: Gauge,
    /// RTMP connections turned away at the door because of a limit.
    pub connections_refused: Counter,
    /// WebSockets refused because of the origin of their page.
    pub websocket_origins_refused: Counter,
    /// RTMP connections ended because of malformed bytes.
    pub rtmp_malformed: Counter,
    /// RTMP connections ended because a peer broke a rule of the protocol.
    pub rtmp_protocol_errors: Counter,
    /// RTMP connections ended because a limit was passed.
    pub rtmp_over_limit: Counter,
    /// RTMP connections ended because a deadline passed.
    pub rtmp_timeouts: Counter,
    /// RTMP connections ended because the peer did not read what it was sent.
    pub rtmp_slow_readers: Counter,
    /// `connect` commands that succeeded.
    pub connects: Counter,
    /// `connect` commands that failed, by reason.
    pub connects_rejected: ByStatus,
    /// `connect` commands turned away because too many had failed before.
    pub connects_limited: Counter,
    /// Methods answered `_error`.
    pub calls_of_methods_refused: Counter,
    /// Calls that phones made.
    pub calls_out: Counter,
    /// Calls that came for phones.
    pub calls_in: Counter,
    /// Calls that were answered, both ways.
    pub calls_answered: Counter,
    /// Calls with media now.
    pub calls_up: Gauge,
    /// Outgoing calls that failed, by reason.
    pub calls_rejected: ByStatus,
    /// Calls refused because of a limit of ours.
    pub calls_over_limit: Counter,
    /// Audio messages dropped because the phone's connection was backed up.
    pub audio_late: Counter,
    /// Datagrams received on RTP and RTCP ports.
    pub media_received: Counter,
    /// Datagrams on RTP and RTCP ports that were not the peer's.
    pub media_rejected: Counter,
    /// Datagrams sent from RTP and RTCP ports.
    pub media_sent: Counter,
    /// Datagrams that the system refused to send.
    pub media_send_errors: Counter,
}

impl Metrics {
    /// A registry that lives as long as the process; its gauges' guards may be kept anywhere.
    pub fn leak() -> &'static Metrics {
        Box::leak(Box::default())
    }

    /// The whole table as Prometheus text.
    pub fn render(&self, sip: &SipCounters) -> String {
        let mut page = Page::default();
        page.counter("rtmp_connections_total", "RTMP connections accepted", self.connections.get());
        page.gauge("rtmp_connections", "RTMP connections now", self.connections_open.get());
        page.labelled(
            "rtmp_connections_ended_total",
            "RTMP connections ended by fault, by kind",
            "reason",
            [
                ("refused", self.connections_refused.get()),
                ("malformed", self.rtmp_malformed.get()),
                ("protocol", self.rtmp_protocol_errors.get()),
                ("limit", self.rtmp_over_limit.get()),
                ("timeout", self.rtmp_timeouts.get()),
                ("slow_reader", self.rtmp_slow_readers.get()),
            ],
        );
        page.counter(
            "websocket_origins_refused_total",
            "WebSockets of foreign origins refused",
            self.websocket_origins_refused.get(),
        );
        page.counter("rtmp_connects_total", "connect commands that succeeded", self.connects.get());
        page.by_status("rtmp_connects_rejected_total", "connect commands that failed", &self.connects_rejected);
        page.counter(
            "rtmp_connects_limited_total",
            "connect commands turned away because too many had failed before",
            self.connects_limited.get(),
        );
        page.counter("rtmp_methods_refused_total", "methods answered _error", self.calls_of_methods_refused.get());
        page.labelled(
            "calls_total",
            "calls begun",
            "direction",
            [("out", self.calls_out.get()), ("in", self.calls_in.get())],
        );
        page.counter("calls_answered_total", "calls answered", self.calls_answered.get());
        page.gauge("calls", "calls with media now", self.calls_up.get());
        page.by_status("calls_rejected_total", "outgoing calls that failed", &self.calls_rejected);
        page.counter("calls_over_limit_total", "calls refused because of a limit", self.calls_over_limit.get());
        page.counter("audio_late_total", "audio messages dropped for a slow phone", self.audio_late.get());
        page.labelled(
            "media_datagrams_total",
            "RTP and RTCP datagrams",
            "direction",
            [
                ("in", self.media_received.get()),
                ("out", self.media_sent.get()),
                ("error", self.media_send_errors.get()),
            ],
        );
        page.counter("media_rejected_total", "RTP and RTCP datagrams of strangers", self.media_rejected.get());
        page.labelled(
            "sip_datagrams_total",
            "SIP datagrams",
            "direction",
            [("in", sip.received.get()), ("out", sip.sent.get()), ("error", sip.send_errors.get())],
        );
        page.labelled(
            "sip_refused_total",
            "SIP messages refused, by kind",
            "reason",
            [
                ("malformed_dropped", sip.malformed_dropped.get()),
                ("malformed_answered", sip.malformed_answered.get()),
                ("refused", sip.refused.get()),
                ("overload", sip.overload.get()),
                ("foreign_challenge", sip.foreign_challenges.get()),
            ],
        );
        page.0
    }
}

/// The text being written. Names get the prefix `gateway_`.
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP gateway_{name} {help}\n# TYPE gateway_{name} {kind}");
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "counter");
        let _ = writeln!(self.0, "gateway_{name} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: i64) {
        self.head(name, help, "gauge");
        let _ = writeln!(self.0, "gateway_{name} {value}");
    }

    fn labelled<const N: usize>(&mut self, name: &str, help: &str, label: &str, rows: [(&str, u64); N]) {
        self.head(name, help, "counter");
        for (row, value) in rows {
            let _ = writeln!(self.0, "gateway_{name}{{{label}=\"{row}\"}} {value}");
        }
    }

    fn by_status(&mut self, name: &str, help: &str, rows: &ByStatus) {
        self.head(name, help, "counter");
        for (code, value) in rows.rows().iter() {
            let _ = writeln!(self.0, "gateway_{name}{{code=\"{code}\"}} {value}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_comment_or_a_name_and_a_number() {
        let metrics = Metrics::leak();
        metrics.connections.add();
        metrics.calls_rejected.add("486 Busy Here");
        metrics.calls_rejected.add("486 Busy Here");
        metrics.calls_rejected.add("invalid dest URI");
        let page = metrics.render(&SipCounters::default());
        for line in page.lines().filter(|line| !line.starts_with("# ")) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with("gateway_") && value.parse::<i64>().is_ok(), "{line}");
        }
        assert!(page.contains("gateway_rtmp_connections_total 1\n"));
        assert!(page.contains("gateway_calls_rejected_total{code=\"486\"} 2\n"));
        assert!(page.contains("gateway_calls_rejected_total{code=\"0\"} 1\n"));
    }

    #[test]
    fn a_gauge_falls_when_its_guard_is_dropped() {
        let metrics = Metrics::leak();
        let guard = metrics.calls_up.enter();
        assert_eq!(metrics.calls_up.get(), 1);
        drop(guard);
        assert_eq!(metrics.calls_up.get(), 0);
    }
}

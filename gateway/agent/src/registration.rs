//! The binding of the phone's address at its registrar (RFC 3261 section 10; contract section 2).
//!
//! ```text
//!   Unknown --connect--> Registering --2xx--> Registered --timer--> Refreshing --2xx--> Registered
//!      |                     | failure                                  | failure          ^
//!      | no password         v                                          v                  |
//!      +--> NotWanted       Refused                                  Retrying --timer--> Refreshing
//! ```
//!
//! A refresh that fails costs no call: it is tried again, ever more slowly.

use std::time::{Duration, Instant};

use crate::{
    Indication, SipAction, SipStatus,
    context::Context,
    limits::{MAX_REFRESH, MIN_REFRESH, REFRESH_MARGIN, REGISTER_EXPIRES, RETRY_FIRST, RETRY_LONGEST, RETRY_REFUSED},
    reason,
};

/// Where the registration stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Registration {
    /// Before `connect`.
    Unknown,
    /// No password: outgoing calls only.
    NotWanted,
    /// The first REGISTER runs, `connect` waits for it.
    Registering,
    /// Bound.
    Registered { refresh_at: Instant },
    /// A later REGISTER runs, after so many failures.
    Refreshing { failures: u32 },
    /// Waiting to try again.
    Retrying { at: Instant, failures: u32 },
    /// The first REGISTER failed.
    Refused,
    /// The un-REGISTER runs.
    Unregistering,
    /// Nothing is bound (any more), and nothing will be.
    Ended,
}

impl Registration {
    /// `connect` with checked arguments.
    pub(crate) fn connect(&mut self, ctx: &mut Context<'_>, wanted: bool) {
        *self = if wanted {
            ctx.sip(SipAction::Register { expires: REGISTER_EXPIRES });
            Self::Registering
        } else {
            ctx.tell(Indication::Connected);
            Self::NotWanted
        };
    }

    /// Whether `connect` has succeeded, so that calls may go out.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(self, Self::NotWanted) || self.can_be_called()
    }

    /// Whether anybody may call us: a failed refresh does not make us deaf.
    pub(crate) fn can_be_called(&self) -> bool {
        matches!(self, Self::Registered { .. } | Self::Refreshing { .. } | Self::Retrying { .. })
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Registered { refresh_at: at } | Self::Retrying { at, .. } => Some(*at),
            _ => None,
        }
    }

    pub(crate) fn on_timeout(&mut self, ctx: &mut Context<'_>) {
        if self.deadline().is_some_and(|at| ctx.now >= at) {
            let failures = match self {
                Self::Retrying { failures, .. } => *failures,
                _ => 0,
            };
            ctx.sip(SipAction::Register { expires: REGISTER_EXPIRES });
            *self = Self::Refreshing { failures };
        }
    }

    pub(crate) fn recv_registered(&mut self, ctx: &mut Context<'_>, expires: Duration) {
        match self {
            Self::Registering => {
                tracing::info!("registered");
                ctx.tell(Indication::Connected);
                ctx.tell(Indication::Registered { seconds: expires.as_secs() });
            }
            Self::Refreshing { failures: 1.. } => {
                tracing::info!("registered again");
                ctx.tell(Indication::Registered { seconds: expires.as_secs() });
            }
            Self::Refreshing { .. } => {}
            _ => return,
        }
        *self = Self::Registered { refresh_at: ctx.now + refresh_after(expires) };
    }

    pub(crate) fn recv_failed(&mut self, ctx: &mut Context<'_>, status: &SipStatus) {
        match self {
            Self::Registering => {
                ctx.tell(Indication::ConnectRejected(reason::text(status)));
                *self = Self::Refused;
            }
            Self::Refreshing { failures } => {
                let failures = failures.saturating_add(1);
                let pause = ctx.dice.about(retry_after(status, failures));
                tracing::warn!(%status, failures, ?pause, "registration lost");
                if failures == 1 {
                    ctx.tell(Indication::Unregistered(reason::text(status)));
                }
                *self = Self::Retrying { at: ctx.now + pause, failures };
            }
            _ => {}
        }
    }

    /// Whether an un-REGISTER is due. While a REGISTER runs it must wait for its end (RFC 3261 section 10.2).
    pub(crate) fn is_bound(&self) -> bool {
        matches!(self, Self::Registered { .. } | Self::Retrying { .. })
    }

    /// Whether a REGISTER runs.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Self::Registering | Self::Refreshing { .. })
    }

    pub(crate) fn unregister(&mut self, ctx: &mut Context<'_>) {
        ctx.sip(SipAction::Unregister);
        *self = Self::Unregistering;
    }
}

/// Expires less 5 %, but not less than 5 s before the end (contract section 2).
fn refresh_after(expires: Duration) -> Duration {
    let margin = (expires / 20).min(REFRESH_MARGIN);
    expires.saturating_sub(margin).clamp(MIN_REFRESH, MAX_REFRESH)
}

fn retry_after(status: &SipStatus, failures: u32) -> Duration {
    match status.code {
        401 | 403 | 404 | 407 | 410 | 604 => RETRY_REFUSED,
        _ => (RETRY_FIRST * 2u32.pow(failures.saturating_sub(1).min(8))).min(RETRY_LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_comes_a_twentieth_or_five_seconds_before_the_end() {
        let cases = [(180, 175_000), (10, 9_500), (3600, 3_595_000), (1, 1_000), (0, 1_000)];
        for (expires, millis) in cases {
            assert_eq!(refresh_after(Duration::from_secs(expires)), Duration::from_millis(millis), "{expires}");
        }
        assert_eq!(refresh_after(Duration::MAX), MAX_REFRESH);
    }

    #[test]
    fn retries_slow_down_and_a_refusal_is_not_hammered() {
        let timeout = SipStatus::new(408, "Request timeout");
        let pauses: Vec<u64> = (1..=7).map(|n| retry_after(&timeout, n).as_secs()).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(retry_after(&timeout, u32::MAX), RETRY_LONGEST);
        assert_eq!(retry_after(&SipStatus::new(403, "Forbidden"), 1), RETRY_REFUSED);
    }
}

//! Everything of the agent that a phone or a peer can make grow, and every time that it waits.

use std::time::Duration;

/// Longest address-of-record or destination, bytes.
pub(crate) const MAX_ADDRESS: usize = 1024;
/// Longest display name, login or password, bytes.
pub(crate) const MAX_NAME: usize = 256;
/// Most digits of one `sendDTMF`.
pub(crate) const MAX_DIGITS: usize = 64;
/// Longest reason phrase, characters, in either direction.
pub(crate) const MAX_PHRASE: usize = 128;
/// Most calls that the phone has left and that are not over yet at the SIP side. Beyond it no new call begins.
pub(crate) const MAX_LEAVING: usize = 8;
/// Longest text of a message that the phone sends, bytes. RFC 3428 section 8: a MESSAGE has at most 1300, headers included.
pub(crate) const MAX_MESSAGE_SENT: usize = 800;
/// Longest text of a message that is taken, bytes.
pub(crate) const MAX_MESSAGE_RECEIVED: usize = 4096;
/// Most messages of the phone that wait for their answers.
pub(crate) const MAX_MESSAGES_UNDER_WAY: usize = 8;
/// Messages that may come at once, in either direction.
pub(crate) const MESSAGE_BURST: u32 = 10;
/// And one more after each such time.
pub(crate) const MESSAGE_INTERVAL: Duration = Duration::from_millis(500);
/// Digits that wait for their double from the peer's other way of sending them.
pub(crate) const MAX_PRESSES: usize = 16;
/// How long they wait.
pub(crate) const DOUBLE_LIMIT: Duration = Duration::from_secs(3);

/// What REGISTER asks for (contract section 2).
pub(crate) const REGISTER_EXPIRES: Duration = Duration::from_secs(180);
/// Registrations are refreshed this much before they end, at most (contract section 2).
pub(crate) const REFRESH_MARGIN: Duration = Duration::from_secs(5);
/// A registrar that grants next to nothing is not asked more often than this.
pub(crate) const MIN_REFRESH: Duration = Duration::from_secs(1);
/// No registration is trusted longer than this.
pub(crate) const MAX_REFRESH: Duration = Duration::from_secs(24 * 3600);
/// First pause after a failed refresh; doubled up to the next.
pub(crate) const RETRY_FIRST: Duration = Duration::from_secs(2);
/// Longest pause between refreshes that fail for a passing reason.
pub(crate) const RETRY_LONGEST: Duration = Duration::from_secs(60);
/// Pause after a refresh that was refused outright: a registrar that says no is not hammered.
pub(crate) const RETRY_REFUSED: Duration = Duration::from_secs(30 * 60);

/// An incoming call that rings sends a provisional response each minute (RFC 3261 section 13.3.1.1).
pub(crate) const RING_AGAIN: Duration = Duration::from_secs(60);
/// An offer of ours in the 200 of a re-INVITE is forgotten when no ACK came: 64*T1 and some.
pub(crate) const LATE_OFFER_LIMIT: Duration = Duration::from_secs(40);
/// A transfer of which nothing was heard for so long has come to nothing: longer than phones ring.
pub(crate) const TRANSFER_LIMIT: Duration = Duration::from_secs(180);
/// A left call that the SIP stack never reports as over is forgotten after this: 64*T1 and some.
pub(crate) const LEAVING_LIMIT: Duration = Duration::from_secs(40);
/// On `Disconnect`: how long a call may take to end before the un-REGISTER goes out anyway.
pub(crate) const HANG_UP_GRACE: Duration = Duration::from_secs(2);
/// On `Disconnect`: when the agent is finished whatever is missing, so that Ctrl-C ends within 5 s.
pub(crate) const FINISH_LIMIT: Duration = Duration::from_secs(4);

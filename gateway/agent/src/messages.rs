//! Text messages (RFC 3428), inside the call and outside of it.
//!
//! ```text
//!   sendMessage, sendPagingMessage --> MESSAGE --2xx--> messageSent        MESSAGE --asked for?--> 200, receivedMessage
//!                 '--too long, too many--------------> messageFailed                '--no--> 405
//! ```

use std::collections::BTreeSet;

use crate::{
    Indication, MessageHandle, SipAction, SipStatus,
    context::Context,
    limits::{MAX_MESSAGE_RECEIVED, MAX_MESSAGE_SENT, MAX_MESSAGES_UNDER_WAY, MESSAGE_BURST, MESSAGE_INTERVAL},
    pace::Pace,
    reason,
    sip::MessageTarget,
};

/// What is under way, and how much more may be.
#[derive(Debug)]
pub(crate) struct Messages {
    under_way: BTreeSet<MessageHandle>,
    sending: Pace,
    receiving: Pace,
}

impl Messages {
    pub(crate) fn new() -> Self {
        let pace = || Pace::new(MESSAGE_BURST, MESSAGE_INTERVAL);
        Self { under_way: BTreeSet::new(), sending: pace(), receiving: pace() }
    }

    /// Sends a text of the phone's. `target` may be the reason why there is nobody to send it to.
    pub(crate) fn send(
        &mut self,
        ctx: &mut Context<'_>,
        message: MessageHandle,
        target: Result<MessageTarget, String>,
        text: String,
    ) {
        if self.under_way.contains(&message) {
            return tracing::warn!(message = message.0, "handle used twice");
        }
        let target = target.and_then(|target| self.may_send(ctx, &text).map(|()| target));
        match target {
            Ok(target) => {
                self.under_way.insert(message);
                ctx.sip(SipAction::SendMessage { message, target, text });
            }
            Err(reason) => ctx.tell(Indication::MessageFailed { message, reason }),
        }
    }

    fn may_send(&mut self, ctx: &Context<'_>, text: &str) -> Result<(), String> {
        match text.len() {
            0 => Err("empty message".to_owned()),
            length if length > MAX_MESSAGE_SENT => Err(format!("message longer than {MAX_MESSAGE_SENT} bytes")),
            _ if self.under_way.len() >= MAX_MESSAGES_UNDER_WAY || !self.sending.pass(ctx.now) => {
                Err("too many messages".to_owned())
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn recv_done(&mut self, ctx: &mut Context<'_>, message: MessageHandle, status: &SipStatus) {
        if !self.under_way.remove(&message) {
            return;
        }
        ctx.tell(match status.code {
            200..=299 => Indication::MessageSent(message),
            _ => Indication::MessageFailed { message, reason: reason::text(status) },
        });
    }

    /// Takes a text, if the phone has asked for such: nobody shall believe that it was read by a client that cannot show it.
    pub(crate) fn recv(&mut self, ctx: &mut Context<'_>, message: MessageHandle, text_length: usize, told: Indication) {
        let asked_for = told.topic().is_some_and(|topic| ctx.topics.contains(topic));
        let status = match () {
            () if !asked_for => SipStatus::new(405, "Method Not Allowed"),
            () if text_length > MAX_MESSAGE_RECEIVED => SipStatus::new(413, "Request Entity Too Large"),
            () if !self.receiving.pass(ctx.now) => SipStatus::new(503, "Too many messages"),
            () => SipStatus::new(200, "OK"),
        };
        if status.code == 200 {
            ctx.tell(told);
        }
        ctx.sip(SipAction::AnswerMessage { message, status });
    }
}

//! What every state may use: the time, the way out, chance, and the list of calls that are being left.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{Indication, MediaAction, Output, SipAction, Topics, call::Leaving, dice::Dice};

/// Borrowed by one transition.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) out: &'a mut VecDeque<Output>,
    pub(crate) dice: &'a mut Dice,
    pub(crate) leaving: &'a mut Vec<Leaving>,
    /// What the phone has asked to be told.
    pub(crate) topics: Topics,
    /// How long a call may last.
    pub(crate) call_length: Option<Duration>,
}

impl Context<'_> {
    pub(crate) fn sip(&mut self, action: SipAction) {
        self.out.push_back(Output::Sip(action));
    }

    /// Tells the phone, if it knows the word.
    pub(crate) fn tell(&mut self, indication: Indication) {
        if indication.topic().is_some_and(|topic| !self.topics.contains(topic)) {
            return;
        }
        self.out.push_back(Output::Indication(indication));
    }

    pub(crate) fn reject(&mut self, reason: impl Into<String>) {
        self.tell(Indication::Rejected(reason.into()));
    }

    pub(crate) fn media(&mut self, action: MediaAction) {
        self.out.push_back(Output::Media(action));
    }
}

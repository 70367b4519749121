//! Indications that siprtmp does not know. Its clients raise an error for a call that they have no handler for, so each of these is
//! told only to a phone that has asked for it by name.

use crate::Indication;

/// An indication that must be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// [`Indication::Registered`].
    Registered,
    /// [`Indication::Unregistered`].
    Unregistered,
    /// [`Indication::Dtmf`].
    Dtmf,
    /// [`Indication::ReceivedMessage`].
    ReceivedMessage,
    /// [`Indication::ReceivedPagingMessage`].
    ReceivedPagingMessage,
    /// [`Indication::MessageSent`].
    MessageSent,
    /// [`Indication::MessageFailed`].
    MessageFailed,
    /// [`Indication::Transferred`].
    Transferred,
    /// [`Indication::EarlyMedia`].
    EarlyMedia,
    /// The media's own, told by the driver: the call's figures every few seconds.
    Stats,
}

impl Topic {
    /// All of them, in the order in which lists name them.
    pub const ALL: [Self; 10] = [
        Self::Registered,
        Self::Unregistered,
        Self::Dtmf,
        Self::ReceivedMessage,
        Self::ReceivedPagingMessage,
        Self::MessageSent,
        Self::MessageFailed,
        Self::Transferred,
        Self::EarlyMedia,
        Self::Stats,
    ];

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Topics(u16);

impl Topics {
    /// Every topic.
    pub fn all() -> Self {
        Topic::ALL.into_iter().collect()
    }

    /// Whether the topic is in the set.
    pub fn contains(self, topic: Topic) -> bool {
        self.0 & topic.bit() != 0
    }

    /// What is in either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The topics of the set, in the order of [`Topic::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Topic> {
        Topic::ALL.into_iter().filter(move |topic| self.contains(*topic))
    }
}

impl FromIterator<Topic> for Topics {
    fn from_iter<T: IntoIterator<Item = Topic>>(topics: T) -> Self {
        Self(topics.into_iter().fold(0, |bits, topic| bits | topic.bit()))
    }
}

impl Indication {
    /// What a phone must have asked for to be told this; `None` for what every client knows.
    pub fn topic(&self) -> Option<Topic> {
        Some(match self {
            Self::Connected
            | Self::ConnectRejected(_)
            | Self::Invited { .. }
            | Self::Cancelled { .. }
            | Self::Ringing(_)
            | Self::Accepted(_)
            | Self::Rejected(_)
            | Self::Byed
            | Self::Holded(_) => return None,
            Self::Registered { .. } => Topic::Registered,
            Self::Unregistered(_) => Topic::Unregistered,
            Self::Dtmf(_) => Topic::Dtmf,
            Self::ReceivedMessage { .. } => Topic::ReceivedMessage,
            Self::ReceivedPagingMessage { .. } => Topic::ReceivedPagingMessage,
            Self::MessageSent(_) => Topic::MessageSent,
            Self::MessageFailed { .. } => Topic::MessageFailed,
            Self::Transferred(_) => Topic::Transferred,
            Self::EarlyMedia => Topic::EarlyMedia,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        for topic in Topic::ALL {
            let set = Topics::from_iter([topic, topic]);
            assert_eq!(set.iter().collect::<Vec<_>>(), [topic]);
            assert!(Topic::ALL.into_iter().all(|other| set.contains(other) == (other == topic)));
        }
        assert!(Topics::default().iter().next().is_none());
        assert!(Topics::all().iter().eq(Topic::ALL));
    }

    #[test]
    fn a_union_forgets_nothing() {
        let some = Topics::from_iter([Topic::Dtmf]).union(Topics::from_iter([Topic::Stats, Topic::Dtmf]));
        assert!(some.iter().eq([Topic::Dtmf, Topic::Stats]));
    }
}

//! A packet behind a gap, decoded before its turn so that the gap can lead over to it. A decoder hears each packet once: in its
//! turn the samples are those.

/// The packet and its samples, if there is one.
#[derive(Debug, Default)]
pub(super) struct Ahead(Option<(Vec<u8>, Vec<i16>)>);

impl Ahead {
    /// Keeps the samples of a packet that is to be decoded next.
    pub(super) fn keep(&mut self, packet: &[u8], pcm: Vec<i16>) {
        self.0 = Some((packet.to_vec(), pcm));
    }

    /// The samples of `packet`, if it is the one. Whatever was kept is forgotten: another packet has come in its place.
    pub(super) fn take(&mut self, packet: &[u8]) -> Option<Vec<i16>> {
        self.0.take().filter(|(kept, _)| kept == packet).map(|(_, pcm)| pcm)
    }

    /// The samples kept; none without a packet.
    pub(super) fn pcm(&self) -> &[i16] {
        self.0.as_ref().map_or(&[], |(_, pcm)| pcm)
    }

    /// Forgets the packet.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }
}

//! Everything of SDP that a peer can make grow.

/// Longest text that is read, bytes. A large real offer (WebRTC, many codecs) has about 8 KiB.
pub(super) const MAX_TEXT: usize = 32 * 1024;
/// Most m= lines. They are all mirrored in our answer.
pub(super) const MAX_MEDIA: usize = 16;
/// Most payload types of one m= line that are looked at; the rest is as if absent.
pub(super) const MAX_FORMATS: usize = 64;
/// Longest token (media type, transport, format) of a refused m= line that is mirrored, bytes.
pub(super) const MAX_TOKEN: usize = 64;

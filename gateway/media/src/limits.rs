//! Every bound of the media engine, named, in one place: what a peer may make grow, and how long anything may wait.

use std::time::Duration;

/// RTP datagrams beyond this are dropped unread: an Ethernet frame with room for tunnels.
pub const MAX_RTP_BYTES: usize = 2048;
/// RTCP datagrams beyond this are dropped unread.
pub const MAX_RTCP_BYTES: usize = 2048;
/// Samples that one packet or message may decode to: half a second at 16 kHz.
pub const MAX_DECODED_SAMPLES: usize = 8000;
/// Speex frames taken from one packet or message: 320 ms. More is malformed (pjsip 6c9024511 shows why there is a cap).
pub const MAX_SPEEX_FRAMES_PER_PACKET: usize = 16;
/// Nellymoser blocks of 256 samples taken from one message: 1 s at 8 kHz, 186 ms at 44.1 kHz. Flash Player sends one or two.
pub const MAX_NELLYMOSER_BLOCKS: usize = 32;
/// Opus packets beyond this are neither read nor made: the largest frame of RFC 6716 section 3.2.1.
pub const MAX_OPUS_PACKET_BYTES: usize = 1275;
/// Effort of the Opus encoder (0..=10). With the bits of `codec::opus` the least effort is as good as 5 at three quarters
/// of them, for less than half of the time (decisions/0008).
pub const OPUS_COMPLEXITY: u8 = 0;
/// Loss that Opus prepares for where the far end makes use of redundancy and has not reported any, percent.
pub const OPUS_EXPECTED_LOSS: u8 = 5;
/// Loss that redundancy is made for where there is any, at least, percent.
pub const OPUS_LEAST_LOSS: u8 = 10;
/// More loss than this is not prepared for, whatever is reported, percent.
pub const OPUS_MOST_EXPECTED_LOSS: u8 = 30;
/// RTP payload that is sent at most, header not counted.
pub const MAX_PAYLOAD_BYTES: usize = 1200;

/// Quality of Speex that we encode (0..=10): what siprtmp used, 15 kbit/s narrowband, 27.8 kbit/s wideband.
pub const SPEEX_QUALITY: u8 = 8;
/// Quality of Speex for a phone, which TCP brings there: 24.6 kbit/s narrowband, 42.2 kbit/s wideband. Measured at 0.28
/// PESQ more than 8 for 3 us more a frame (decisions/0004).
pub const SPEEX_QUALITY_TO_PHONE: u8 = 10;
/// Effort of the Speex encoder (1..=10): libspeex's default.
pub const SPEEX_COMPLEXITY: u8 = 2;

/// Least and largest packet time that we send, whatever `a=ptime` says, milliseconds.
pub const PTIME_MS: std::ops::RangeInclusive<u16> = 10..=60;

/// Uplink: lateness up to this is jitter that a delay may fit, if it comes again; a longer one never is.
pub const UPLINK_MAX_DELAY: Duration = Duration::from_millis(400);
/// Uplink: a backlog beyond what jitter needs that is dropped at once. A smaller one is kept, and its delay worked off.
pub const UPLINK_STALL: Duration = Duration::from_millis(290);
/// Uplink: a frame may leave this much before its turn, so that a calm stream is not held at all.
pub const UPLINK_EARLY: Duration = Duration::from_micros(1500);
/// Uplink: a frame that comes at most this much behind its turn does not move the schedule.
pub const UPLINK_LATE: Duration = Duration::from_millis(2);
/// Uplink: the same while at most one frame in ten comes later than that.
pub const UPLINK_STRAY: Duration = Duration::from_millis(5);
/// Uplink: a driver that was held up for longer has stalled: what it finds counts as late like any other.
pub const UPLINK_HELD_UP: Duration = Duration::from_millis(100);
/// Uplink: the schedule is moved back by no more than this in all without a hole in the timestamps: half of a usual receiver's buffer.
pub const UPLINK_SLIP: Duration = Duration::from_millis(40);
/// Uplink: after this long without audio that was due the time is filled with comfort noise. Longer than a station of Wi-Fi sleeps
/// (beacons come each 102.4 ms), or TCP takes to send again what was lost on a short way.
pub const UPLINK_PATIENCE: Duration = Duration::from_millis(120);
/// Uplink: for so long comfort noise flows like audio.
pub const UPLINK_FILL: Duration = Duration::from_secs(10);
/// Uplink: how often comfort noise is described to a peer that makes it by itself (RFC 3389).
pub const UPLINK_DESCRIBE: Duration = Duration::from_millis(400);
/// Uplink: afterwards a packet this often keeps the call from being taken for dead. Address translators forget after 30 s
/// (RFC 6263 section 4 asks for 15 s), and gateways hang up after 10 s without RTP.
pub const UPLINK_KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Uplink: after the delay grew it is left as it is for this long.
pub const UPLINK_SETTLE: Duration = Duration::from_secs(1);
/// Uplink: quiet that lasted this long is a pause between words: there the delay may change. A shorter one is the closing of a
/// consonant, after which a shift is heard.
pub const UPLINK_PAUSE: Duration = Duration::from_millis(100);
/// Uplink: so long quiet is waited for to leave it out; then the rest of the delay is taken back by sending faster.
pub const UPLINK_WAIT_FOR_QUIET: Duration = Duration::from_secs(5);
/// Uplink: delay beyond what is needed that is let be.
pub const UPLINK_SLACK: Duration = Duration::from_millis(5);
/// Uplink: the lateness of deliveries is remembered by the largest of each of these stretches,
pub const UPLINK_BLOCK: Duration = Duration::from_millis(500);
/// and of so many: ten seconds.
pub const UPLINK_BLOCKS: usize = 20;
/// Uplink: deliveries that come this late,
pub const UPLINK_UNREST: Duration = Duration::from_millis(40);
/// three times within this long, are waited for at once.
pub const UPLINK_UNREST_WITHIN: Duration = Duration::from_millis(500);
/// Uplink: RTMP timestamps that stray less than this from the samples counted are taken as jitter of the phone's clock.
pub const UPLINK_GAP: Duration = Duration::from_millis(40);
/// Uplink: a step from here on is silence at once; a smaller one only if the messages behind it agree.
pub const UPLINK_SURE_GAP: Duration = Duration::from_millis(250);
/// Uplink: RTMP timestamps that run ahead of the arrival by more than this are a new timeline, not silence.
pub const UPLINK_JUMP: Duration = Duration::from_secs(1);

/// Uplink: units of audio whose memory is kept for reuse.
pub const UPLINK_SPARE_UNITS: usize = 4;

/// Digits that may wait to be sent; a caller that dials faster loses the rest.
pub const MAX_QUEUED_DIGITS: usize = 64;

/// Downlink: packets held behind a gap, at most.
pub const MAX_HELD_PACKETS: usize = 32;
/// Downlink: longest wait for a missing packet, on a network that has shown to need it.
pub const DOWNLINK_MAX_WAIT: Duration = Duration::from_millis(120);
/// Downlink: longest wait before the end of a stream is filled.
pub const DOWNLINK_MAX_END_WAIT: Duration = Duration::from_millis(200);
/// Downlink: wait for a missing packet while nothing is known of the network, and least wait before the end of a stream
/// is filled.
pub const DOWNLINK_FIRST_WAIT: Duration = Duration::from_millis(60);
/// Downlink: shortest wait for a missing packet, used once the network has shown that it keeps order.
pub const DOWNLINK_MIN_WAIT: Duration = Duration::from_millis(20);
/// Downlink: frames of 20 ms invented in a row before the stream is called silent, and what is invented is background noise.
pub const MAX_CONCEALED_FRAMES: u32 = 6;
/// Downlink: for so long noise follows audio that broke off,
pub const DOWNLINK_FILL: Duration = Duration::from_secs(10);
/// and so long a comfort noise packet (RFC 3389) of the peer's, which need not send another.
pub const DOWNLINK_REST: Duration = Duration::from_secs(120);
/// Downlink: media time that strays from arrival by more than this starts a new timeline.
pub const DOWNLINK_JUMP: Duration = Duration::from_millis(500);
/// RFC 3550 appendix A.1: a sequence step beyond this is a restart, not loss.
pub const MAX_DROPOUT: u16 = 3000;
/// RFC 3550 appendix A.1: packets this far behind are old, not a restart.
pub const MAX_MISORDER: u16 = 100;
/// RFC 3550 appendix A.1: packets in sequence after which a new source or a restarted one is believed.
pub const MIN_SEQUENTIAL: u16 = 2;
/// A synchronisation source that was silent for this long may be replaced at once.
pub const SOURCE_IDLE: Duration = Duration::from_millis(200);

/// RTCP report interval before randomisation (RFC 3550 section 6.2).
pub const RTCP_INTERVAL: Duration = Duration::from_secs(5);
/// CNAME is one SDES item: at most 255 bytes (RFC 3550 section 6.5).
pub const MAX_CNAME_BYTES: usize = 255;

/// Source learning: packets in sequence from another port of the signalled address.
pub const LATCH_PACKETS_SAME_IP: u16 = 4;
/// Source learning: packets in sequence from another address.
pub const LATCH_PACKETS_OTHER_IP: u16 = 8;
/// Source learning: those packets must come within this time.
pub const LATCH_WINDOW: Duration = Duration::from_millis(1000);
/// Source learning: candidates watched at once.
pub const MAX_LATCH_CANDIDATES: usize = 4;

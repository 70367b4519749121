//! Which ways of speech are measured, and with which speech.

use call_media::codec::{Codec, Encoder, SampleRate};
use gateway_tests::{libopus, spandsp, speex_corpus, wav};

use crate::ears::rate_of;

/// A woman in French and a man in Italian, 8 s each, out of the packages of the speech corpus. On these two the bare codecs
/// score what the table of the targets was made with (PCMU 4.47, narrowband Speex 4.17, that through PCMU 4.12; most
/// recordings score 0.1 to 0.2 less), so that its figures mean the same here.
const RECORDINGS: [&str; 2] = ["fr_CA_f_June/tt-allbusy", "it_IT_m_Carlo/vm-opts"];

/// From one phone's codec to the other's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Chain {
    pub(crate) name: &'static str,
    /// On the SIP side.
    pub(crate) peer: Codec,
    /// On the RTMP side.
    pub(crate) phone: Codec,
}

impl Chain {
    /// siprtmp knows Speex and G.711 only.
    pub(crate) fn siprtmp_has_it(self) -> bool {
        self.peer.is_speex() || self.peer.is_g711()
    }
}

/// SIP to phone.
pub(crate) const DOWN: [Chain; 7] = [
    Chain { name: "PCMU to PCMU", peer: Codec::Pcmu, phone: Codec::Pcmu },
    Chain { name: "Speex NB to PCMU", peer: Codec::SpeexNarrowband, phone: Codec::Pcmu },
    Chain { name: "Speex NB to Speex NB", peer: Codec::SpeexNarrowband, phone: Codec::SpeexNarrowband },
    Chain { name: "Speex WB to Speex WB", peer: Codec::SpeexWideband, phone: Codec::SpeexWideband },
    Chain { name: "G.722 to Speex WB", peer: Codec::G722, phone: Codec::SpeexWideband },
    Chain { name: "Opus FEC to Speex WB", peer: Codec::Opus, phone: Codec::SpeexWideband },
    Chain { name: "Opus FEC to Opus", peer: Codec::Opus, phone: Codec::Opus },
];

/// Phone to SIP.
pub(crate) const UP: [Chain; 3] = [
    Chain { name: "PCMU to PCMU", peer: Codec::Pcmu, phone: Codec::Pcmu },
    Chain { name: "Speex WB to PCMU", peer: Codec::Pcmu, phone: Codec::SpeexWideband },
    Chain { name: "Speex WB to Speex WB", peer: Codec::SpeexWideband, phone: Codec::SpeexWideband },
];

/// Speech, and the packets that its speaker's codec makes of it.
pub(crate) struct Speech {
    /// At the listener's sample rate.
    pub(crate) said: Vec<i16>,
    pub(crate) packets: Vec<Vec<u8>>,
}

/// Every recording as packets of `speaker`, to be judged as heard by `listener`, spoken `times` times in a row.
pub(crate) fn speeches(speaker: Codec, listener: Codec, times: usize) -> Vec<Speech> {
    let spoken = recordings(speaker, times);
    let said = recordings(listener, times);
    spoken.iter().zip(said).map(|(spoken, said)| Speech { said, packets: packets(speaker, spoken) }).collect()
}

/// Narrowband as it was published, wideband out of its G.722.
fn recordings(codec: Codec, times: usize) -> Vec<Vec<i16>> {
    let sounds = speex_corpus::folder().join("packages/root/usr/share/asterisk/sounds");
    let recording = |name: &&str| {
        let mut pcm = Vec::new();
        if rate_of(codec) == SampleRate::Hz8000 {
            pcm = wav::read(&sounds.join(format!("{name}.wav"))).expect("the corpus holds WAV files");
        } else {
            let bytes = std::fs::read(sounds.join(format!("{name}.g722"))).expect("the corpus holds G.722 files");
            spandsp::G722Decoder::new().decode(&bytes, &mut pcm);
        }
        pcm.repeat(times)
    };
    RECORDINGS.iter().map(recording).collect()
}

/// Opus is libopus at its defaults, 16 kHz and 24 kbit/s, with redundancy against the loss of every tenth packet; the others
/// are the gateway's own encoders.
fn packets(codec: Codec, pcm: &[i16]) -> Vec<Vec<u8>> {
    let frames = pcm.chunks_exact(rate_of(codec).samples_in_ms(20));
    if codec == Codec::Opus {
        let mut encoder = libopus::Encoder::new(rate_of(codec).hz(), 24_000, 10);
        return frames.map(|frame| encoder.encode(frame)).collect();
    }
    let mut encoder = Encoder::new(codec);
    let encode = |frame| {
        let mut packet = Vec::new();
        encoder.encode(frame, &mut packet).expect("a whole frame");
        packet
    };
    frames.map(encode).collect()
}

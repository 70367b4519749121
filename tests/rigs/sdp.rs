//! Just enough SDP to hold one side of a call, and to read the other's.

use std::net::{IpAddr, SocketAddr};

/// One side's description of one audio stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioSdp {
    /// Where RTP goes.
    pub target: SocketAddr,
    /// Payload types and their `name/rate`, in order of preference.
    pub formats: Vec<(u8, String)>,
    /// `sendrecv`, `sendonly`, `recvonly` or `inactive`.
    pub direction: String,
}

impl AudioSdp {
    /// A description with these formats, e.g. `[(0, "PCMU/8000"), (101, "telephone-event/8000")]`.
    pub fn new(target: SocketAddr, formats: &[(u8, &str)]) -> Self {
        let formats = formats.iter().map(|(number, name)| (*number, (*name).to_owned())).collect();
        Self { target, formats, direction: "sendrecv".into() }
    }

    /// This description with another direction.
    #[must_use]
    pub fn with_direction(mut self, direction: &str) -> Self {
        self.direction = direction.into();
        self
    }

    /// The text.
    pub fn text(&self) -> String {
        let ip = self.target.ip();
        let numbers: Vec<String> = self.formats.iter().map(|(number, _)| number.to_string()).collect();
        let mut text = format!(
            "v=0\r\no=peer 7 7 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {} RTP/AVP {}\r\n",
            self.target.port(),
            numbers.join(" ")
        );
        for (number, name) in &self.formats {
            text += &format!("a=rtpmap:{number} {name}\r\n");
            if name.starts_with("telephone-event") {
                text += &format!("a=fmtp:{number} 0-15\r\n");
            }
        }
        text + &format!("a={}\r\n", self.direction)
    }

    /// Reads the first audio stream of a description; static payload types need no rtpmap.
    pub fn parse(text: &str) -> Option<Self> {
        let mut session_ip: Option<IpAddr> = None;
        let mut media_ip = None;
        let mut audio: Option<(u16, Vec<u8>)> = None;
        let mut names: Vec<(u8, String)> = vec![(0, "PCMU/8000".into()), (8, "PCMA/8000".into())];
        let mut direction = "sendrecv".to_owned();
        for line in text.lines() {
            let Some((kind, value)) = line.trim_end().split_once('=') else { continue };
            match kind {
                "m" if audio.is_some() => break,
                "m" => {
                    let mut words = value.split_whitespace();
                    if words.next()? != "audio" {
                        continue;
                    }
                    let port = words.next()?.parse().ok()?;
                    audio = Some((port, words.skip(1).filter_map(|word| word.parse().ok()).collect()));
                }
                "c" => {
                    let ip = value.split_whitespace().nth(2)?.parse().ok()?;
                    if audio.is_some() { media_ip = Some(ip) } else { session_ip = Some(ip) }
                }
                "a" if ["sendrecv", "sendonly", "recvonly", "inactive"].contains(&value) => direction = value.into(),
                "a" => {
                    if let Some((number, name)) = value.strip_prefix("rtpmap:").and_then(|rest| rest.split_once(' ')) {
                        let number = number.parse().ok()?;
                        names.retain(|(known, _)| *known != number);
                        names.push((number, name.trim().to_owned()));
                    }
                }
                _ => {}
            }
        }
        let (port, numbers) = audio?;
        let formats = numbers
            .into_iter()
            .filter_map(|number| names.iter().find(|(known, _)| *known == number).cloned())
            .collect();
        Some(Self { target: SocketAddr::new(media_ip.or(session_ip)?, port), formats, direction })
    }

    /// The payload type of a `name/rate`, whatever its case.
    pub fn payload_type(&self, name: &str) -> Option<u8> {
        self.formats.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(number, _)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let sdp = AudioSdp::new("127.0.0.1:4000".parse().unwrap(), &[(96, "speex/16000"), (0, "PCMU/8000")])
            .with_direction("sendonly");
        assert_eq!(AudioSdp::parse(&sdp.text()), Some(sdp));
    }
}

//! The command line and the environment (design section 5), siprtmp's own letters included.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::{Listen, Settings, SipListen};

/// Media gateway between RTMP phones and SIP telephony.
///
/// Without options it listens on loopback only and serves the SIP domain `localhost` itself. Every option also stands in the
/// configuration file (same name) and in the environment; the command line wins over the environment, the environment over the file.
#[derive(Debug, clap::Parser)]
#[command(name = "rtmp-sip-gateway", version, args_conflicts_with_subcommands = true)]
pub struct CommandLine {
    #[command(subcommand)]
    pub(super) command: Option<Subcommand>,
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "RTMP_SIP_GATEWAY_CONFIG")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    siprtmp: SiprtmpLetters,
}

/// What else the program can do than serve.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Subcommand {
    /// Read a configuration file, say what is wrong with it or what it would do, and end.
    CheckConfig {
        /// Configuration file (TOML).
        file: PathBuf,
    },
}

/// The options of siprtmp whose meaning is split differently here (siprtmp contract section 10).
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "As siprtmp spells them")]
struct SiprtmpLetters {
    /// Address of the RTMP listener.
    #[arg(short = 'i', long = "host", value_name = "IP", conflicts_with = "rtmp")]
    host: Option<IpAddr>,
    /// Port of the RTMP listener.
    #[arg(short = 'p', long = "port", value_name = "PORT", conflicts_with = "rtmp")]
    port: Option<u16>,
    /// Address of the SIP and RTP sockets; SIP keeps port 5060.
    #[arg(short = 'l', long = "int-ip", value_name = "IP", conflicts_with = "sip")]
    int_ip: Option<IpAddr>,
}

impl CommandLine {
    /// What was asked for, siprtmp's letters translated.
    pub(super) fn settings(self) -> Settings {
        let SiprtmpLetters { host, port, int_ip } = self.siprtmp;
        let mut settings = self.settings;
        if host.is_some() || port.is_some() {
            let host = host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
            settings.rtmp = Some(Listen::At(SocketAddr::new(host, port.unwrap_or(1935))));
        }
        if let Some(ip) = int_ip {
            settings.sip = Some(vec![SipListen(SocketAddr::new(ip, 5060))]);
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    fn parse(arguments: &[&str]) -> Settings {
        CommandLine::try_parse_from([&["rtmp-sip-gateway"], arguments].concat()).unwrap().settings()
    }

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn the_letters_of_siprtmp_mean_what_they_meant() {
        let settings = parse(&["-i", "0.0.0.0", "-p", "1936", "-l", "10.0.0.1", "-e", "203.0.113.7", "-d"]);
        assert_eq!(settings.rtmp, Some(Listen::At("0.0.0.0:1936".parse().unwrap())));
        assert_eq!(settings.sip, Some(vec![SipListen("10.0.0.1:5060".parse().unwrap())]));
        assert_eq!(settings.external_ip.map(|e| e.0), Some("203.0.113.7".parse().unwrap()));
        assert_eq!(settings.debug, Some(true));
    }

    #[test]
    fn two_words_for_one_thing_are_refused() {
        let arguments = ["rtmp-sip-gateway", "--rtmp", "127.0.0.1:1", "-p", "2"];
        assert!(CommandLine::try_parse_from(arguments).unwrap_err().to_string().contains("cannot be used with"));
    }

    #[test]
    fn a_wrong_value_is_named_with_its_option_and_what_is_allowed() {
        let error = CommandLine::try_parse_from(["rtmp-sip-gateway", "--rtp-ports", "7"]).unwrap_err().to_string();
        assert!(error.contains("--rtp-ports") && error.contains("LOW-HIGH"), "{error}");
    }

    #[test]
    fn sip_listeners_can_be_repeated() {
        let settings = parse(&["--sip", "udp:127.0.0.1:5060", "--sip", "[::1]:5060"]);
        assert_eq!(settings.sip.unwrap().len(), 2);
    }
}

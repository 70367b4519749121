//! The options as they are written: all optional, the same in the file, in the environment and on the command line.

use std::path::PathBuf;

use serde::Deserialize;

use super::{
    CodecName, DomainName, ExternalIp, ForwardedHeader, FrameAncestor, Listen, LogFormat, Network, PortRange, ProxyUri,
    SipListen, WebOrigin,
};

/// One source's options. `None` leaves the word to the next source.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Settings {
    /// RTMP listener [default: 127.0.0.1:1935].
    #[arg(long, value_name = "ADDR", env = "RTMP_SIP_GATEWAY_RTMP")]
    pub(super) rtmp: Option<Listen>,
    /// RTMP over TLS listener.
    #[arg(long, value_name = "ADDR", env = "RTMP_SIP_GATEWAY_RTMPS")]
    pub(super) rtmps: Option<Listen>,
    /// HTTP listener for the web phone, /rtmp, /metrics and /healthz, or `off` [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR", env = "RTMP_SIP_GATEWAY_HTTP")]
    pub(super) http: Option<Listen>,
    /// HTTPS listener.
    #[arg(long, value_name = "ADDR", env = "RTMP_SIP_GATEWAY_HTTPS")]
    pub(super) https: Option<Listen>,
    /// Certificate chain (PEM) of the TLS listeners.
    #[arg(long, value_name = "FILE", env = "RTMP_SIP_GATEWAY_TLS_CERT")]
    pub(super) tls_cert: Option<PathBuf>,
    /// Private key (PEM) of the TLS listeners.
    #[arg(long, value_name = "FILE", env = "RTMP_SIP_GATEWAY_TLS_KEY")]
    pub(super) tls_key: Option<PathBuf>,
    /// Origins whose pages may use /rtmp beside the gateway's own, `https://HOST[:PORT]` or `*`.
    #[arg(long, value_name = "ORIGIN", env = "RTMP_SIP_GATEWAY_WEB_ORIGINS", value_delimiter = ',')]
    pub(super) web_origins: Option<Vec<WebOrigin>>,
    /// Proxies in front of the HTTP listener that are believed when they say for whom they ask: `IP` or `IP/BITS`.
    #[arg(long, value_name = "NETWORK", env = "RTMP_SIP_GATEWAY_TRUSTED_PROXIES", value_delimiter = ',')]
    pub(super) trusted_proxies: Option<Vec<Network>>,
    /// The header in which they say it [default: x-forwarded-for].
    #[arg(long, value_name = "HEADER", env = "RTMP_SIP_GATEWAY_FORWARDED_HEADER")]
    pub(super) forwarded_header: Option<ForwardedHeader>,
    /// Pages that may show the web phone in a frame: `self`, `none` or origins [default: self].
    #[arg(long, value_name = "SOURCE", env = "RTMP_SIP_GATEWAY_FRAME_ANCESTORS", value_delimiter = ',')]
    pub(super) frame_ancestors: Option<Vec<FrameAncestor>>,
    /// SIP listener, `udp:IP:PORT`; may be repeated [default: udp:127.0.0.1:5060].
    #[arg(long, value_name = "ADDR", env = "RTMP_SIP_GATEWAY_SIP", value_delimiter = ',')]
    pub(super) sip: Option<Vec<SipListen>>,
    /// SIP proxy that all requests go to first, `sip:HOST[:PORT]`.
    #[arg(long, value_name = "URI", env = "RTMP_SIP_GATEWAY_SIP_PROXY")]
    pub(super) sip_proxy: Option<ProxyUri>,
    /// IP address to advertise in SIP and SDP instead of the local one.
    #[arg(short = 'e', long, visible_alias = "ext-ip", value_name = "IP", env = "RTMP_SIP_GATEWAY_EXTERNAL_IP")]
    pub(super) external_ip: Option<ExternalIp>,
    /// Ports for RTP and RTCP [default: what the system gives].
    #[arg(long, value_name = "LOW-HIGH", env = "RTMP_SIP_GATEWAY_RTP_PORTS")]
    pub(super) rtp_ports: Option<PortRange>,
    /// SIP domain that the gateway serves itself [default: localhost].
    #[arg(long, value_name = "NAME", env = "RTMP_SIP_GATEWAY_LOCAL_DOMAIN")]
    pub(super) local_domain: Option<DomainName>,
    /// RTMP connections at one time [default: 10000].
    #[arg(long, value_name = "N", env = "RTMP_SIP_GATEWAY_MAX_PHONES")]
    pub(super) max_phones: Option<usize>,
    /// Calls at one time [default: 5000].
    #[arg(long, value_name = "N", env = "RTMP_SIP_GATEWAY_MAX_CALLS")]
    pub(super) max_calls: Option<usize>,
    /// Threads that phones live on [default: one a core].
    #[arg(long, value_name = "N", env = "RTMP_SIP_GATEWAY_WORKERS")]
    pub(super) workers: Option<usize>,
    /// Connects that may fail in a row from one IP address, 0 for any number [default: 20].
    #[arg(long, value_name = "N", env = "RTMP_SIP_GATEWAY_FAILED_CONNECTS")]
    pub(super) failed_connects: Option<u32>,
    /// Seconds after which one more may fail [default: 10].
    #[arg(long, value_name = "S", env = "RTMP_SIP_GATEWAY_FAILED_CONNECT_SECONDS")]
    pub(super) failed_connect_seconds: Option<u64>,
    /// Codecs of calls for which the phone gives no list, in order of preference [default: wideband, g722, narrowband, pcmu,
    /// pcma, opus].
    #[arg(long, value_name = "NAME", env = "RTMP_SIP_GATEWAY_CODECS", value_delimiter = ',')]
    pub(super) codecs: Option<Vec<CodecName>>,
    /// How log lines look [default: text].
    #[arg(long, value_name = "FORMAT", env = "RTMP_SIP_GATEWAY_LOG_FORMAT")]
    pub(super) log_format: Option<LogFormat>,
    /// Print SIP and RTMP messages, passwords and digests left out.
    #[arg(short = 'd', long, env = "RTMP_SIP_GATEWAY_DEBUG", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL")]
    pub(super) debug: Option<bool>,
    /// Whether phones may connect without a token [default: true].
    #[arg(long, value_name = "BOOL", env = "RTMP_SIP_GATEWAY_PASSWORD_ARGUMENTS")]
    pub(super) password_arguments: Option<bool>,
    /// What tokens are signed with (file only: a command line is visible to all).
    #[arg(skip)]
    pub(super) token_secret: Option<Secret>,
    /// The same, with names, so that one can take the place of another (file only).
    #[arg(skip)]
    pub(super) token_secrets: Vec<TokenSecret>,
    /// Whom tokens stand for (file only).
    #[arg(skip)]
    pub(super) web_accounts: Vec<WebAccount>,
    /// Who may register at the local domain (file only).
    #[arg(skip)]
    pub(super) users: Vec<User>,
    /// What one phone may cost (file only).
    #[arg(skip)]
    pub(super) limits: LimitSettings,
}

/// `[[users]]` of the file: an account of the local domain.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct User {
    /// User part of the SIP address, and digest user name.
    pub name: String,
    /// Digest password.
    pub password: String,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// `[[web-accounts]]` of the file: the SIP account that a token stands for.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WebAccount {
    /// Address-of-record, `user@domain[:port]`.
    pub address: String,
    /// Digest user name; the user part of the address if there is none.
    pub login: Option<String>,
    /// Digest password.
    pub password: String,
    /// Codecs of its calls, in order of preference, before those of the gateway.
    pub codecs: Option<Vec<CodecName>>,
}

impl std::fmt::Debug for WebAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebAccount").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Text that is not shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(...)")
    }
}

/// `[[token-secrets]]` of the file: one of several that tokens are signed with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TokenSecret {
    /// `kid` of its tokens.
    pub id: Option<String>,
    /// What they are signed with.
    pub secret: Secret,
}

/// `[limits]` of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct LimitSettings {
    pub(super) message_bytes: Option<u32>,
    pub(super) chunk_streams: Option<usize>,
    pub(super) amf_depth: Option<usize>,
    pub(super) handshake_seconds: Option<u64>,
    pub(super) connect_seconds: Option<u64>,
    pub(super) idle_seconds: Option<u64>,
    pub(super) phones_per_ip: Option<usize>,
    pub(super) phones_per_address: Option<usize>,
}

impl Settings {
    /// These options, and the other's where these are silent.
    pub(super) fn or(self, other: Settings) -> Settings {
        Settings {
            rtmp: self.rtmp.or(other.rtmp),
            rtmps: self.rtmps.or(other.rtmps),
            http: self.http.or(other.http),
            https: self.https.or(other.https),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            web_origins: self.web_origins.or(other.web_origins),
            trusted_proxies: self.trusted_proxies.or(other.trusted_proxies),
            forwarded_header: self.forwarded_header.or(other.forwarded_header),
            frame_ancestors: self.frame_ancestors.or(other.frame_ancestors),
            sip: self.sip.or(other.sip),
            sip_proxy: self.sip_proxy.or(other.sip_proxy),
            external_ip: self.external_ip.or(other.external_ip),
            rtp_ports: self.rtp_ports.or(other.rtp_ports),
            local_domain: self.local_domain.or(other.local_domain),
            max_phones: self.max_phones.or(other.max_phones),
            max_calls: self.max_calls.or(other.max_calls),
            workers: self.workers.or(other.workers),
            failed_connects: self.failed_connects.or(other.failed_connects),
            failed_connect_seconds: self.failed_connect_seconds.or(other.failed_connect_seconds),
            codecs: self.codecs.or(other.codecs),
            log_format: self.log_format.or(other.log_format),
            debug: self.debug.or(other.debug),
            password_arguments: self.password_arguments.or(other.password_arguments),
            token_secret: self.token_secret.or(other.token_secret),
            token_secrets: if self.token_secrets.is_empty() { other.token_secrets } else { self.token_secrets },
            web_accounts: if self.web_accounts.is_empty() { other.web_accounts } else { self.web_accounts },
            users: if self.users.is_empty() { other.users } else { self.users },
            limits: if self.limits == LimitSettings::default() { other.limits } else { self.limits },
        }
    }
}

//! Configuration: defaults, a TOML file, the environment and the command line, joined into a [`Config`] that holds together.
//!
//! ```text
//! command line > environment > file > defaults  ->  Settings  ->  resolve  ->  Config
//! ```

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use phone_agent::CodecWord;
use rtmp_session::Limits;

mod command_line;
mod proxies;
mod settings;
mod values;
pub(crate) mod web;

pub use command_line::CommandLine;
pub use proxies::{ForwardedHeader, Network};
pub use settings::{Secret, TokenSecret, User, WebAccount};
pub use values::{CodecName, DomainName, ExternalIp, Listen, LogFormat, PortRange, ProxyUri, SipListen, ValueError};
pub use web::{FrameAncestor, WebOrigin};

use command_line::Subcommand;
use settings::Settings;

/// All that the program can be told, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// RTMP listener.
    pub rtmp: SocketAddr,
    /// HTTP listener, if any.
    pub http: Option<SocketAddr>,
    /// Whose pages may use /rtmp beside the gateway's own.
    pub web_origins: Vec<WebOrigin>,
    /// Proxies in front of the HTTP listener that are believed when they say for whom they ask.
    pub trusted_proxies: Vec<Network>,
    /// Where they say it.
    pub forwarded_header: ForwardedHeader,
    /// Who may show the web phone in a frame, at least one.
    pub frame_ancestors: Vec<FrameAncestor>,
    /// Whether phones may connect without a token.
    pub password_arguments: bool,
    /// What tokens are signed with; without any there are none.
    pub token_secrets: Vec<TokenSecret>,
    /// Whom tokens stand for.
    pub web_accounts: Vec<WebAccount>,
    /// SIP listeners over UDP, at least one.
    pub sip: Vec<SocketAddr>,
    /// First hop of SIP requests.
    pub sip_proxy: Option<String>,
    /// Advertised in SIP and SDP.
    pub external_ip: Option<IpAddr>,
    /// Ports of RTP and RTCP; `None` asks the system.
    pub rtp_ports: Option<PortRange>,
    /// The SIP domain that we serve ourselves.
    pub local_domain: String,
    /// Who may register there.
    pub registrar: Registrar,
    /// RTMP connections at one time.
    pub max_phones: usize,
    /// RTMP connections at one time from one IP address; `None`: as many as in all.
    pub max_phones_per_ip: Option<usize>,
    /// RTMP connections at one time for one SIP address; one more replaces the oldest.
    pub max_phones_per_address: usize,
    /// Calls at one time.
    pub max_calls: usize,
    /// Threads that phones live on, at least 1.
    pub workers: usize,
    /// Connects that may fail in a row from one IP address; 0: any number.
    pub failed_connects: u32,
    /// After which time one more may fail.
    pub failed_connect_interval: Duration,
    /// Codecs of calls without a list, in order of preference; `None`: the order of the house.
    pub codecs: Option<Vec<CodecWord>>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Whether SIP and RTMP messages are logged.
    pub debug: bool,
    /// Bounds of one RTMP connection.
    pub limits: Limits,
}

/// Who may register at the local domain (design section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registrar {
    /// Anybody, since all listeners are on loopback.
    Open,
    /// These users, with their passwords; nobody if there are none.
    Users(Vec<User>),
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Serve.
    Run(Box<Config>),
    /// `check-config` found nothing wrong: what the file means, for people.
    Checked(String),
}

/// What is wrong with the configuration: where, and what is allowed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {error}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// The file is no TOML, has a key that does not exist, or a value that is not allowed.
    #[error("{}:{line}:{column}: {}{message}", file.display(), key.as_ref().map(|key| format!("{key}: ")).unwrap_or_default())]
    Text {
        /// Which.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// The key of that line, if it has one.
        key: Option<String>,
        /// What, and what is allowed.
        message: String,
    },
    /// An option by itself or beside others makes no sense.
    #[error("{key}: {message}")]
    Option {
        /// Name of the option, as in the file.
        key: &'static str,
        /// What, and what is allowed.
        message: String,
    },
}

impl Default for Config {
    fn default() -> Self {
        Config::resolve(Settings::default()).expect("a test proves that the defaults are sound")
    }
}

impl CommandLine {
    /// Reads what the command line points at and joins it all.
    ///
    /// # Errors
    /// The file, or options that do not fit together.
    pub fn invocation(mut self) -> Result<Invocation, ConfigError> {
        match self.command.take() {
            Some(Subcommand::CheckConfig { file }) => {
                let config = Config::resolve(read_file(&file)?)?;
                Ok(Invocation::Checked(format!("{}: sound\n{}", file.display(), config.describe())))
            }
            None => {
                let file = self.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
                Ok(Invocation::Run(Box::new(Config::resolve(self.settings().or(file))?)))
            }
        }
    }
}

impl Config {
    /// Fills in defaults and checks what no single value can know.
    fn resolve(settings: Settings) -> Result<Config, ConfigError> {
        let wrong = |key, message: &str| Err(ConfigError::Option { key, message: message.into() });
        for (key, listener) in [("rtmps", settings.rtmps), ("https", settings.https)] {
            if listener.and_then(Listen::address).is_some() {
                return wrong(key, "this version has no TLS listeners: leave it out, or put a TLS proxy in front");
            }
        }
        if settings.tls_cert.is_some() != settings.tls_key.is_some() {
            return wrong("tls-cert", "tls-cert and tls-key go together");
        }
        let Listen::At(rtmp) = settings.rtmp.unwrap_or(Listen::At(loopback(1935))) else {
            return wrong("rtmp", "cannot be off: phones have no other way in");
        };
        let sip = settings.sip.unwrap_or_else(|| vec![SipListen(loopback(5060))]);
        if sip.is_empty() {
            return wrong("sip", "at least one listener is needed, such as udp:127.0.0.1:5060");
        }
        let http = settings.http.unwrap_or(Listen::At(loopback(8080))).address();
        let frame_ancestors = settings.frame_ancestors.unwrap_or_else(|| vec![FrameAncestor::own()]);
        if frame_ancestors.is_empty()
            || (frame_ancestors.len() > 1 && frame_ancestors.contains(&FrameAncestor::nobody()))
        {
            return wrong("frame-ancestors", "write self, origins, or none alone");
        }
        let password_arguments = settings.password_arguments.unwrap_or(true);
        let unnamed = settings.token_secret.map(|secret| TokenSecret { id: None, secret });
        let token_secrets: Vec<_> = unnamed.into_iter().chain(settings.token_secrets).collect();
        check_secrets(&token_secrets)?;
        check_accounts(&token_secrets, &settings.web_accounts, password_arguments)?;
        let sip: Vec<SocketAddr> = sip.into_iter().map(|SipListen(address)| address).collect();
        let exposed = sip.iter().chain(&http).chain([&rtmp]).any(|address| !address.ip().is_loopback());
        let max_phones = settings.max_phones.unwrap_or(10_000);
        let max_calls = settings.max_calls.unwrap_or(5_000);
        let workers = settings.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        if !(1..=WORKERS_MAX).contains(&workers) {
            return wrong("workers", "allowed: 1 to 1024");
        }
        for (key, limit) in [
            ("max-phones", Some(max_phones)),
            ("max-calls", Some(max_calls)),
            ("phones-per-ip", settings.limits.phones_per_ip),
            ("phones-per-address", settings.limits.phones_per_address),
        ] {
            if limit == Some(0) {
                return wrong(key, "must be 1 or more");
            }
        }
        let (failed_connects, failed_connect_interval) =
            failed_connects(settings.failed_connects, settings.failed_connect_seconds)?;
        Ok(Config {
            rtmp,
            http,
            web_origins: settings.web_origins.unwrap_or_default(),
            trusted_proxies: settings.trusted_proxies.unwrap_or_default(),
            forwarded_header: settings.forwarded_header.unwrap_or_default(),
            frame_ancestors,
            password_arguments,
            token_secrets,
            web_accounts: settings.web_accounts,
            sip,
            sip_proxy: settings.sip_proxy.map(|ProxyUri(uri)| uri),
            external_ip: settings.external_ip.map(|ExternalIp(ip)| ip),
            rtp_ports: settings.rtp_ports,
            local_domain: settings.local_domain.map_or_else(|| "localhost".into(), |DomainName(name)| name),
            registrar: registrar(settings.users, exposed)?,
            max_phones,
            max_phones_per_ip: settings.limits.phones_per_ip,
            max_phones_per_address: settings.limits.phones_per_address.unwrap_or(1),
            max_calls,
            workers,
            failed_connects,
            failed_connect_interval,
            codecs: codecs(settings.codecs)?,
            log_format: settings.log_format.unwrap_or_default(),
            debug: settings.debug.unwrap_or(false),
            limits: session_limits(&settings.limits)?,
        })
    }

    /// What this configuration does, a line for each point, for people.
    pub fn describe(&self) -> String {
        let mut text = format!("  RTMP  {}\n", self.rtmp);
        for address in &self.sip {
            let _ = writeln!(text, "  SIP   udp:{address}");
        }
        match self.http {
            Some(address) => writeln!(text, "  HTTP  http://{address}/"),
            None => writeln!(text, "  HTTP  off"),
        }
        .expect("a String takes all");
        let _ = match &self.rtp_ports {
            Some(ports) => writeln!(text, "  RTP   ports {ports}, room for {} calls", ports.even_ports().len()),
            None => writeln!(text, "  RTP   ports that the system gives"),
        };
        if let Some(ip) = self.external_ip {
            let _ = writeln!(text, "        advertised as {ip}");
        }
        if let Some(proxy) = &self.sip_proxy {
            let _ = writeln!(text, "  SIP requests go to {proxy} first");
        }
        let who = match &self.registrar {
            Registrar::Open => "any phone on this machine may register".into(),
            Registrar::Users(users) if users.is_empty() => {
                "nobody may register (a listener is not on loopback, and the file has no [[users]])".into()
            }
            Registrar::Users(users) => format!("{} users of the file may register", users.len()),
        };
        let _ = writeln!(text, "  Domain {}: {who}", self.local_domain);
        text
    }
}

/// At least one, each once.
fn codecs(names: Option<Vec<CodecName>>) -> Result<Option<Vec<CodecWord>>, ConfigError> {
    let Some(names) = names else { return Ok(None) };
    let words: Vec<CodecWord> = names.into_iter().map(|CodecName(word)| word).collect();
    let twice = (1..words.len()).any(|at| words[..at].contains(&words[at]));
    if words.is_empty() || twice {
        let message = "name at least one codec, and each once".into();
        return Err(ConfigError::Option { key: "codecs", message });
    }
    Ok(Some(words))
}

/// More threads than any machine has cores.
const WORKERS_MAX: usize = 1_024;

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Design section 4: who is not on loopback has to name the users.
fn registrar(users: Vec<User>, exposed: bool) -> Result<Registrar, ConfigError> {
    let wrong = |message| Err(ConfigError::Option { key: "users", message });
    for (index, User { name, password }) in users.iter().enumerate() {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&b)) {
            return wrong(format!("{name:?} cannot be the user part of a SIP address (RFC 3261 section 25.1)"));
        }
        if password.is_empty() {
            return wrong(format!("{name} has no password"));
        }
        if users[..index].iter().any(|other| other.name == *name) {
            return wrong(format!("{name} stands there twice"));
        }
    }
    Ok(if users.is_empty() && !exposed { Registrar::Open } else { Registrar::Users(users) })
}

/// Shorter secrets can be found by trying (RFC 7518 section 3.2 asks for as many bits as the hash has).
const TOKEN_SECRET_MIN: usize = 32;

/// More are tried with every token.
const TOKEN_SECRETS_MAX: usize = 8;

fn check_secrets(secrets: &[TokenSecret]) -> Result<(), ConfigError> {
    let wrong = |message: String| Err(ConfigError::Option { key: "token-secret", message });
    if secrets.len() > TOKEN_SECRETS_MAX {
        return wrong(format!("{TOKEN_SECRETS_MAX} are allowed"));
    }
    for (index, TokenSecret { id, secret: Secret(secret) }) in secrets.iter().enumerate() {
        if secret.len() < TOKEN_SECRET_MIN {
            return wrong(format!("needs {TOKEN_SECRET_MIN} bytes or more, random ones"));
        }
        if secrets[..index].iter().any(|other| other.secret.0 == *secret || (id.is_some() && other.id == *id)) {
            return wrong(format!("{} stands there twice", id.as_deref().unwrap_or("the same")));
        }
    }
    Ok(())
}

fn check_accounts(secrets: &[TokenSecret], accounts: &[WebAccount], passwords: bool) -> Result<(), ConfigError> {
    let wrong = |key, message: String| Err(ConfigError::Option { key, message });
    if secrets.is_empty() && !accounts.is_empty() {
        return wrong("web-accounts", "no use without token-secret".into());
    }
    if secrets.is_empty() && !passwords {
        return wrong("password-arguments", "nobody could connect without token-secret".into());
    }
    for (index, WebAccount { address, password, codecs, .. }) in accounts.iter().enumerate() {
        if !address.split_once('@').is_some_and(|(user, domain)| !user.is_empty() && !domain.is_empty())
            || address.starts_with("sip:")
        {
            return wrong("web-accounts", format!("{address:?} is no address: write user@domain"));
        }
        if password.is_empty() {
            return wrong("web-accounts", format!("{address} has no password"));
        }
        if codecs.as_ref().is_some_and(Vec::is_empty) {
            return wrong("web-accounts", format!("{address} has no codecs: name one, or leave codecs out"));
        }
        if accounts[..index].iter().any(|other| other.address.eq_ignore_ascii_case(address)) {
            return wrong("web-accounts", format!("{address} stands there twice"));
        }
    }
    Ok(())
}

/// How many connects may fail in a row, and after which time one more.
fn failed_connects(burst: Option<u32>, seconds: Option<u64>) -> Result<(u32, Duration), ConfigError> {
    let wrong = |key, message: &str| Err(ConfigError::Option { key, message: message.into() });
    match (burst.unwrap_or(20), seconds.unwrap_or(10)) {
        (burst, _) if burst > 10_000 => wrong("failed-connects", "allowed: 1 to 10000, or 0 for no limit"),
        (_, seconds) if !(1..=900).contains(&seconds) => wrong("failed-connect-seconds", "allowed: 1 to 900"),
        (burst, seconds) => Ok((burst, Duration::from_secs(seconds))),
    }
}

fn session_limits(settings: &settings::LimitSettings) -> Result<Limits, ConfigError> {
    let standard = Limits::default();
    let seconds = |given: Option<u64>, standard| given.map_or(standard, Duration::from_secs);
    let limits = Limits {
        message_bytes: settings.message_bytes.unwrap_or(standard.message_bytes),
        chunk_streams: settings.chunk_streams.unwrap_or(standard.chunk_streams),
        amf_depth: settings.amf_depth.unwrap_or(standard.amf_depth),
        handshake: seconds(settings.handshake_seconds, standard.handshake),
        connect: seconds(settings.connect_seconds, standard.connect),
        idle: seconds(settings.idle_seconds, standard.idle),
        ..standard
    };
    let wrong = |key, message: &str| Err(ConfigError::Option { key, message: message.into() });
    // 16 MiB is the longest message that a chunk header can declare; a day is beyond any use and keeps `Instant` sums safe.
    match () {
        () if !(1_024..=0xFF_FFFF).contains(&limits.message_bytes) => {
            wrong("limits.message-bytes", "allowed: 1024 to 16777215")
        }
        () if !(4..=1_024).contains(&limits.chunk_streams) => wrong("limits.chunk-streams", "allowed: 4 to 1024"),
        () if !(4..=64).contains(&limits.amf_depth) => wrong("limits.amf-depth", "allowed: 4 to 64"),
        () if [limits.handshake, limits.connect, limits.idle].iter().any(|d| !(1..=86_400).contains(&d.as_secs())) => {
            wrong("limits", "handshake-seconds, connect-seconds and idle-seconds: allowed: 1 to 86400")
        }
        () if limits.idle <= limits.ping => {
            wrong("limits.idle-seconds", "must be longer than the 10 s from ping to ping")
        }
        () => Ok(limits),
    }
}

fn read_file(file: &Path) -> Result<Settings, ConfigError> {
    let text = std::fs::read_to_string(file).map_err(|error| ConfigError::File { file: file.into(), error })?;
    toml::from_str(&text).map_err(|error| place(file, &text, &error))
}

/// Turns the parser's byte span into line, column and key.
fn place(file: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let offset = error.span().map_or(0, |span| span.start).min(text.len());
    let before = text.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    let source = text.lines().nth(line - 1).unwrap_or_default();
    let key = source.split_once('=').map(|(key, _)| key.trim().to_owned()).filter(|key| !key.is_empty());
    let message = error.message().replace("unknown field", "unknown key").replace("expected one of", "allowed:");
    ConfigError::Text { file: file.into(), line, column, key, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_file(text: &str) -> Result<Config, ConfigError> {
        toml::from_str(text).map_err(|error| place(Path::new("gw.toml"), text, &error)).and_then(Config::resolve)
    }

    fn error(text: &str) -> String {
        from_file(text).unwrap_err().to_string()
    }

    #[test]
    fn codecs_are_names_that_exist_each_once() {
        let unknown = error("codecs = [\"opus\", \"g729\"]");
        assert!(unknown.contains("gw.toml:1:") && unknown.contains("no codec \"g729\": there are opus,"), "{unknown}");
        for wrong in ["codecs = []", "codecs = [\"pcmu\", \"pcmu\"]"] {
            assert!(error(wrong).contains("codecs: name at least one codec, and each once"), "{}", error(wrong));
        }
    }

    #[test]
    fn the_defaults_listen_on_loopback_only_and_anybody_there_may_register() {
        let config = Config::default();
        assert_eq!(config.rtmp, loopback(1935));
        assert_eq!(config.sip, [loopback(5060)]);
        assert_eq!(config.http, Some(loopback(8080)));
        assert_eq!(config.local_domain, "localhost");
        assert_eq!(config.registrar, Registrar::Open);
    }

    #[test]
    fn the_file_knows_every_option() {
        let config = from_file(
            r#"
            rtmp = "0.0.0.0:1935"
            http = "off"
            web-origins = ["https://phone.example.com", "http://10.0.0.1:8000"]
            frame-ancestors = ["self", "https://*.example.com"]
            sip = ["udp:0.0.0.0:5060", "[::]:5060"]
            sip-proxy = "sip:proxy.example.com"
            external-ip = "203.0.113.7"
            rtp-ports = "20000-20999"
            local-domain = "Example.COM"
            max-phones = 7
            max-calls = 3
            workers = 3
            log-format = "json"
            codecs = ["opus", "wideband"]
            debug = true
            password-arguments = false
            token-secret = "0123456789abcdef0123456789abcdef"
            [[web-accounts]]
            address = "alice@example.com"
            login = "alice-auth"
            password = "wonderland"
            [[token-secrets]]
            id = "new"
            secret = "fedcba9876543210fedcba9876543210"
            [[users]]
            name = "alice"
            password = "wonderland"
            [limits]
            message-bytes = 2048
            handshake-seconds = 2
            phones-per-ip = 4
            phones-per-address = 2
            "#,
        )
        .unwrap();
        assert_eq!(config.codecs, Some(vec![CodecWord::Opus, CodecWord::Wideband]));
        assert_eq!((config.max_phones, config.max_calls, config.max_phones_per_ip), (7, 3, Some(4)));
        assert_eq!(config.workers, 3);
        assert_eq!((config.max_phones_per_address, Config::default().max_phones_per_address), (2, 1));
        assert_eq!(config.local_domain, "example.com");
        assert_eq!((config.http, config.debug, config.log_format), (None, true, LogFormat::Json));
        assert_eq!((config.web_origins.len(), config.frame_ancestors.len()), (2, 2));
        assert_eq!(config.limits.message_bytes, 2048);
        assert_eq!(config.limits.handshake, Duration::from_secs(2));
        assert!(matches!(&config.registrar, Registrar::Users(users) if users.len() == 1));
        assert!(!config.password_arguments && config.token_secrets.len() == 2 && config.web_accounts.len() == 1);
        let shown = format!("{config:?}");
        assert!(
            !shown.contains("wonderland") && !shown.contains("0123456789abcdef") && !shown.contains("fedcba98"),
            "a secret in Debug output"
        );
    }

    #[test]
    fn an_error_names_file_line_key_and_what_is_allowed() {
        let text = error("max-calls = 3\nrtmp = \"here\"\n");
        assert!(text.starts_with("gw.toml:2:8: rtmp: `here` is no address: write IP:PORT"), "{text}");
        let text = error("\nlog-format = \"xml\"\n");
        assert!(text.starts_with("gw.toml:2:") && text.contains("`text`") && text.contains("`json`"), "{text}");
        let text = error("max-calls = [\n");
        assert!(text.starts_with("gw.toml:1:"), "{text}");
    }

    #[test]
    fn an_unknown_key_is_refused_with_those_that_exist() {
        let text = error("rtmp-port = 1935\n");
        assert!(
            text.starts_with("gw.toml:1:1: ")
                && text.contains("unknown key `rtmp-port`")
                && text.contains("`rtp-ports`"),
            "{text}"
        );
        assert!(error("[limits]\nmessages = 1\n").contains("unknown key `messages`"));
    }

    #[test]
    fn a_listener_off_loopback_closes_the_registrar_to_strangers() {
        for exposed in ["rtmp = \"0.0.0.0:1935\"", "sip = [\"10.1.2.3:5060\"]", "http = \"[::]:80\""] {
            assert_eq!(from_file(exposed).unwrap().registrar, Registrar::Users(Vec::new()), "{exposed}");
        }
    }

    #[test]
    fn users_are_checked_one_by_one_and_against_each_other() {
        let user = |name: &str, password: &str| format!("[[users]]\nname = \"{name}\"\npassword = \"{password}\"\n");
        assert!(error(&user("a b", "x")).contains("cannot be the user part"));
        assert!(error(&user("alice", "")).contains("no password"));
        assert!(error(&(user("alice", "x") + &user("alice", "y"))).contains("twice"));
    }

    #[test]
    fn tokens_need_a_good_secret_and_accounts_that_can_be_told_apart() {
        let account = |address: &str| format!("[[web-accounts]]\naddress = \"{address}\"\npassword = \"x\"\n");
        let secret = "token-secret = \"0123456789abcdef0123456789abcdef\"\n";
        assert!(error("token-secret = \"short\"").contains("32 bytes"));
        let named = "[[token-secrets]]\nid = \"a\"\nsecret = \"0123456789abcdef0123456789abcdef\"\n";
        assert!(from_file(named).is_ok());
        assert!(error(&(secret.to_owned() + named)).contains("twice"), "the same secret");
        assert!(error(&(named.to_owned() + &named.replace("f\"", "!\""))).contains("a stands there twice"));
        assert!(error(&account("a@b")).contains("token-secret"));
        assert!(error("password-arguments = false").contains("token-secret"));
        assert!(error(&(secret.to_owned() + &account("sip:a@b"))).contains("user@domain"));
        assert!(error(&(secret.to_owned() + &account("a@b") + &account("A@b"))).contains("twice"));
        assert!(from_file(&(secret.to_owned() + &account("a@b"))).is_ok());
    }

    #[test]
    fn what_cannot_be_served_is_refused_rather_than_ignored() {
        assert!(error("rtmps = \"0.0.0.0:443\"").contains("TLS"));
        assert!(error("rtmp = \"off\"").starts_with("rtmp: "));
        assert!(error("sip = []").starts_with("sip: "));
        assert!(error("frame-ancestors = [\"none\", \"self\"]").starts_with("frame-ancestors: "));
        assert!(error("max-calls = 0").contains("1 or more"));
        assert!(error("workers = 0").contains("1 to 1024"));
        assert!(error("failed-connect-seconds = 0").contains("1 to 900"));
        assert!(error("[limits]\nidle-seconds = 5").contains("ping"));
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let command_line: Settings = toml::from_str("max-calls = 1").unwrap();
        let file: Settings = toml::from_str("max-calls = 2\nmax-phones = 2\n[limits]\nphones-per-ip = 9").unwrap();
        let config = Config::resolve(command_line.or(file)).unwrap();
        assert_eq!((config.max_calls, config.max_phones, config.max_phones_per_ip), (1, 2, Some(9)));
    }
}

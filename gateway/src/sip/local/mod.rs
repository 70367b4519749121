//! The local domain: a registrar and stateless proxy (RFC 3261 sections 10.3 and 16.11) on the user agents' own sockets, so that one
//! program with no configuration is a whole small telephone network.
//!
//! ```text
//!  REGISTER sip:localhost        -> registrar: binding, 200
//!  INVITE sip:bob@localhost      -> proxy: Via on top, Request-URI = bob's contact -> bob (a softphone, or an agent of ours)
//!  response with our Via on top  -> proxy: Via off -> the caller
//!  everything else               -> the user agents
//! ```
//!
//! Stateless means: nothing is kept of a request, retransmissions take the same way because the branch is a keyed hash of theirs, and
//! a call goes to one contact, the one registered last.

mod access;
mod message;
mod registrar;
pub mod services;

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

pub use access::Access;
use access::{Admission, Gate};
use message::{Edit, Message, Via, address_uri, first_of_list, is_header, parse_ip, split_host_port, value_of};
use registrar::{Refused, Registrar, Request};

use super::{DatagramFilter, DatagramSender, Verdict};

/// Contact lifetime when the REGISTER names none (RFC 3261 section 10.2.1.1).
const DEFAULT_EXPIRES: u32 = 3600;
/// Contacts of one REGISTER.
const CONTACTS_PER_REQUEST: usize = 8;

/// The local domain.
pub struct LocalDomain {
    name: String,
    advertised: Option<IpAddr>,
    gate: Gate,
    reserved: Vec<&'static str>,
    registrar: Mutex<Registrar>,
    key: RandomState,
    started: Instant,
    sender: OnceLock<DatagramSender>,
}

impl LocalDomain {
    /// Serves the domain `name`. `advertised` is the address under which peers know our sockets, where it is not the bound one;
    /// `reserved` users can be registered by [`LocalDomain::assign`] only.
    pub fn new(name: &str, advertised: Option<IpAddr>, access: Access, reserved: &[&'static str]) -> Self {
        Self {
            name: name.to_owned(),
            advertised,
            gate: Gate::new(access),
            reserved: reserved.to_vec(),
            registrar: Mutex::default(),
            key: RandomState::new(),
            started: Instant::now(),
            sender: OnceLock::new(),
        }
    }

    /// The domain's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Binds a user of ours to its agent's contact for as long as the program runs.
    pub fn assign(&self, user: &str, contact_uri: &str) {
        let Some(sender) = self.sender.get() else { return };
        self.registrar().assign(Instant::now(), user, contact_uri, sender.local_addr());
    }

    fn registrar(&self) -> std::sync::MutexGuard<'_, Registrar> {
        // The table is consistent between any two statements of its owner.
        self.registrar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an address is served by the sockets that we share.
    fn is_own(&self, sender: &DatagramSender, host: &str, port: Option<u16>) -> bool {
        let local = sender.local_addr();
        let Some(ip) = parse_ip(host) else { return false };
        let wildcard = local.ip().is_unspecified() && ip.is_loopback();
        port.unwrap_or(5060) == local.port() && (ip == local.ip() || Some(ip) == self.advertised || wildcard)
    }

    /// Whether a URI names the domain itself.
    fn is_domain(&self, sender: &DatagramSender, uri: &SipUri<'_>) -> bool {
        let named =
            uri.host.eq_ignore_ascii_case(&self.name) && uri.port.is_none_or(|port| port == sender.local_addr().port());
        named || self.is_own(sender, uri.host, uri.port)
    }

    fn on_request(
        &self,
        sender: &DatagramSender,
        message: &Message<'_>,
        method: &str,
        uri: &str,
        from: SocketAddr,
    ) -> Verdict {
        let (Some(uri), Some(via)) = (SipUri::parse(uri), message.top_via()) else { return Verdict::Pass };
        if !self.is_domain(sender, &uri) {
            return Verdict::Pass;
        }
        let answer = Answer { message, via, from, key: &self.key, sender };
        if method == "REGISTER" {
            self.on_register(&answer);
            return Verdict::Consumed;
        }
        let Some(user) = uri.user else { return Verdict::Pass };
        let named = uri.host.eq_ignore_ascii_case(&self.name);
        let target = self.registrar().newest(Instant::now(), user).map(|b| (b.uri.clone(), b.target));
        match target {
            Some((contact, target)) => self.forward(&answer, method, &contact, target),
            // On our bare address, whoever is no user of the domain may be an agent's contact.
            None if !named => return Verdict::Pass,
            None if method == "ACK" => {}
            None if self.gate.knows(user) => answer.send(480, "Temporarily Unavailable", &[]),
            None => answer.send(404, "Not Found", &[]),
        }
        Verdict::Consumed
    }

    /// RFC 3261 section 16.11 with 16.6: Request-URI, Max-Forwards, Via.
    fn forward(&self, answer: &Answer<'_>, method: &str, contact: &str, target: SocketAddr) {
        let message = answer.message;
        let hops = message.value("Max-Forwards").map_or(Some(70), |v| v.parse::<u32>().ok());
        match hops {
            None => return answer.refuse(method, 400, "Bad Max-Forwards", &[]),
            Some(0) => return answer.refuse(method, 483, "Too Many Hops", &[]),
            Some(_) => {}
        }
        if let Some(required) = message.value("Proxy-Require") {
            return answer.refuse(method, 420, "Bad Extension", &[format!("Unsupported: {required}")]);
        }
        let through_us =
            message.top_route().and_then(SipUri::parse).is_some_and(|route| self.is_domain(answer.sender, &route));
        let own_via =
            format!("Via: SIP/2.0/UDP {};branch={}", self.sent_by(answer.sender), self.branch(answer.via, message));
        let (mut top_via, mut top_route) = (true, through_us);
        let start = format!("{method} {contact} SIP/2.0");
        let datagram = message.rewrite(&start, |line| {
            if is_header(line, "Max-Forwards") {
                return Edit::Replace(vec![format!("Max-Forwards: {}", hops.unwrap_or(70).saturating_sub(1).min(255))]);
            }
            if top_via && let Some(value) = value_of(line, "Via") {
                top_via = false;
                let stamped = answer.via.stamped(answer.from);
                let rest = first_of_list(value).1.map_or(String::new(), |rest| format!(", {rest}"));
                return Edit::Replace(vec![own_via.clone(), format!("Via: {stamped}{rest}")]);
            }
            if top_route && let Some(value) = value_of(line, "Route") {
                top_route = false;
                return first_of_list(value).1.map_or(Edit::Drop, |rest| Edit::Replace(vec![format!("Route: {rest}")]));
            }
            Edit::Keep
        });
        answer.sender.send(&datagram, target);
    }

    fn on_response(&self, sender: &DatagramSender, message: &Message<'_>) -> Verdict {
        let Some(top) = message.top_via() else { return Verdict::Pass };
        let ours = split_host_port(top.sent_by).is_some_and(|(host, port)| self.is_own(sender, host, port));
        let Some(branch) = top.param("branch").filter(|branch| ours && branch.starts_with(BRANCH)) else {
            return Verdict::Pass;
        };
        let mut popped = false;
        let datagram = message.rewrite(message.start, |line| match value_of(line, "Via") {
            Some(value) if !popped => {
                popped = true;
                first_of_list(value).1.map_or(Edit::Drop, |rest| Edit::Replace(vec![format!("Via: {rest}")]))
            }
            _ => Edit::Keep,
        });
        // The branch vouches for the Via below it: nobody can have us send a response to an address of their choice.
        let below = Message::parse(&datagram);
        if let Some(next) = below.as_ref().and_then(Message::top_via)
            && let Some(target) = next.response_target()
            && self.branch(next, message) == branch
        {
            sender.send(&datagram, target);
        }
        Verdict::Consumed
    }

    /// The same for every retransmission of a request, its CANCEL and the ACK to its failure (RFC 3261 section 16.11): a keyed hash of
    /// what those share and a response still carries.
    fn branch(&self, below: Via<'_>, message: &Message<'_>) -> String {
        let transaction = match below.param("branch").filter(|branch| branch.starts_with("z9hG4bK")) {
            Some(branch) => (branch, ""),
            None => (message.value("Call-ID").unwrap_or_default(), message.value("CSeq").unwrap_or_default()),
        };
        format!("{BRANCH}{:016x}", self.key.hash_one((below.sent_by, transaction)))
    }

    fn sent_by(&self, sender: &DatagramSender) -> SocketAddr {
        let local = sender.local_addr();
        match (local.ip().is_unspecified(), self.advertised) {
            (true, Some(ip)) => SocketAddr::new(ip, local.port()),
            _ => local,
        }
    }

    fn on_register(&self, answer: &Answer<'_>) {
        let message = answer.message;
        let user = match message.value("To").and_then(address_uri).and_then(SipUri::parse) {
            Some(to) if self.is_domain(answer.sender, &to) => to.user,
            _ => return answer.send(404, "Not Found", &[]),
        };
        let Some(user) = user else { return answer.send(400, "No User In To", &[]) };
        if self.reserved.contains(&user) {
            return answer.send(403, "Reserved User", &[]);
        }
        let time = self.started.elapsed();
        match self.gate.admit(time, answer.from, user, &self.name, message.values("Authorization")) {
            Admission::Granted => {}
            Admission::Refused(phrase) => return answer.send(403, phrase, &[]),
            Admission::Challenged(mut lines) => {
                if message.value("User-Agent").is_some_and(takes_one_challenge_only) {
                    lines.retain(|line| line.contains("algorithm=MD5"));
                }
                return answer.send(401, "Unauthorized", &lines);
            }
        }
        let now = Instant::now();
        let mut registrar = self.registrar();
        if let Err((code, phrase)) = update(&mut registrar, now, user, answer) {
            return answer.send(code, phrase, &[]);
        }
        let contacts: Vec<String> = registrar
            .bindings(now, user)
            .iter()
            .map(|binding| format!("Contact: <{}>;expires={}", binding.uri, binding.seconds_left(now)))
            .collect();
        drop(registrar);
        answer.send(200, "OK", &contacts);
    }
}

/// Marks our branches (behind RFC 3261's cookie).
const BRANCH: &str = "z9hG4bK-local-";

impl DatagramFilter for LocalDomain {
    fn started(&self, sender: DatagramSender) {
        // Called once; a second call would be the stack's mistake and changes nothing.
        let _ = self.sender.set(sender);
    }

    fn inspect(&self, datagram: &[u8], from: SocketAddr) -> Verdict {
        let (Some(sender), Some(message)) = (self.sender.get(), Message::parse(datagram)) else { return Verdict::Pass };
        match message.request() {
            Some((method, uri)) => self.on_request(sender, &message, method, uri, from),
            None => self.on_response(sender, &message),
        }
    }
}

/// Applies a REGISTER's contacts (RFC 3261 section 10.3 steps 6 to 8).
fn update(registrar: &mut Registrar, now: Instant, user: &str, answer: &Answer<'_>) -> Result<(), (u16, &'static str)> {
    let message = answer.message;
    let expires = match message.value("Expires") {
        // A malformed value counts as the default (RFC 3261 section 10.2.1.1).
        Some(value) => value.parse().unwrap_or(DEFAULT_EXPIRES),
        None => DEFAULT_EXPIRES,
    };
    let mut contacts = Vec::new();
    for line in message.values("Contact") {
        let mut rest = Some(line);
        while let Some(list) = rest {
            let (contact, more) = first_of_list(list);
            rest = more;
            if contact == "*" {
                if expires != 0 {
                    return Err((400, "Contact * Needs Expires 0"));
                }
                registrar.clear(user);
                return Ok(());
            }
            if contacts.len() == CONTACTS_PER_REQUEST {
                return Err((400, "Too Many Contacts"));
            }
            contacts.push(binding_request(contact, expires, answer.from).ok_or((400, "Bad Contact"))?);
        }
    }
    if contacts.is_empty() {
        return Ok(());
    }
    let call_id = message.value("Call-ID").unwrap_or_default();
    let cseq =
        message.value("CSeq").and_then(|v| v.split_whitespace().next()?.parse().ok()).ok_or((400, "Bad CSeq"))?;
    registrar.update(now, user, call_id, cseq, &contacts).map_err(|refused| match refused {
        Refused::OutOfOrder => (500, "Request Out Of Order"),
        Refused::Full => (503, "Too Many Registrations"),
    })
}

/// One Contact value. Datagrams for it go to the address that it names if the REGISTER came from there, and otherwise to where the
/// REGISTER came from: the way through a NAT, and no way to have us call a third party.
fn binding_request(contact: &str, expires: u32, from: SocketAddr) -> Option<Request> {
    let uri = address_uri(contact)?;
    let parsed = SipUri::parse(uri)?;
    let params = contact.rsplit_once('>').map_or_else(|| contact.split_once(';').map_or("", |(_, p)| p), |(_, p)| p);
    let lifetime = params
        .split(';')
        .filter_map(|param| param.split_once('='))
        .find(|(key, _)| key.trim().eq_ignore_ascii_case("expires"))
        .map_or(expires, |(_, value)| value.trim().parse().unwrap_or(DEFAULT_EXPIRES));
    let target = match parse_ip(parsed.host) {
        Some(ip) if ip == from.ip() => SocketAddr::new(ip, parsed.port.unwrap_or(5060)),
        _ => from,
    };
    Some(Request { uri: uri.to_owned(), target, lifetime: Duration::from_secs(lifetime.into()) })
}

/// The parts of a SIP URI that routing needs (RFC 3261 section 19.1.1).
struct SipUri<'a> {
    user: Option<&'a str>,
    host: &'a str,
    port: Option<u16>,
}

impl<'a> SipUri<'a> {
    fn parse(uri: &'a str) -> Option<Self> {
        let (scheme, rest) = uri.split_once(':')?;
        if !scheme.eq_ignore_ascii_case("sip") {
            return None;
        }
        let (user, rest) = match rest.rsplit_once('@') {
            Some((userinfo, rest)) => (userinfo.split(':').next(), rest),
            None => (None, rest),
        };
        let (host, port) = split_host_port(rest.split([';', '?']).next()?)?;
        (!host.is_empty()).then_some(Self { user: user.filter(|user| !user.is_empty()), host, port })
    }
}

/// Where the answers to one request go.
struct Answer<'a> {
    message: &'a Message<'a>,
    via: Via<'a>,
    from: SocketAddr,
    key: &'a RandomState,
    sender: &'a DatagramSender,
}

impl Answer<'_> {
    /// A refusal, unless the request is an ACK, which is never answered.
    fn refuse(&self, method: &str, code: u16, phrase: &str, headers: &[String]) {
        if method != "ACK" {
            self.send(code, phrase, headers);
        }
    }

    /// A stateless response (RFC 3261 section 8.2.7): the To tag is a hash, so that retransmissions get the same one.
    fn send(&self, code: u16, phrase: &str, headers: &[String]) {
        let mut text = format!("SIP/2.0 {code} {phrase}\r\n");
        let mut line = |name: &str, value: &str| text.push_str(&format!("{name}: {value}\r\n"));
        let mut top = true;
        for via in self.message.values("Via") {
            match (std::mem::take(&mut top), first_of_list(via).1) {
                (true, None) => line("Via", &self.via.stamped(self.from)),
                (true, Some(rest)) => line("Via", &format!("{}, {rest}", self.via.stamped(self.from))),
                (false, _) => line("Via", via),
            }
        }
        let value = |name| self.message.value(name).unwrap_or_default();
        line("From", value("From"));
        let tagged = value("To").rsplit_once('>').map_or(value("To"), |(_, params)| params).contains(";tag=");
        let tag = if tagged {
            String::new()
        } else {
            format!(";tag={:016x}", self.key.hash_one((value("Call-ID"), value("From"))))
        };
        line("To", &format!("{}{tag}", value("To")));
        line("Call-ID", value("Call-ID"));
        line("CSeq", value("CSeq"));
        for header in headers {
            text.push_str(header);
            text.push_str("\r\n");
        }
        text.push_str("Content-Length: 0\r\n\r\n");
        // The datagram came from there, whatever its Via says (RFC 3261 section 18.2.2 with `received` and `rport` filled in); a
        // client without rport listens on the port of its sent-by.
        let port = match self.via.param("rport") {
            Some(_) => self.from.port(),
            None => split_host_port(self.via.sent_by).and_then(|(_, port)| port).unwrap_or(5060),
        };
        self.sender.send(text.as_bytes(), SocketAddr::new(self.from.ip(), port));
    }
}

/// baresip before 2.0 (Debian 12 has 1.0.0) gives up when it is offered an algorithm other than MD5, or two challenges of one realm.
fn takes_one_challenge_only(user_agent: &str) -> bool {
    user_agent.starts_with("baresip v0.") || user_agent.starts_with("baresip v1.")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const OURS: &str = "127.0.0.1:5060";
    const PHONE: &str = "127.0.0.1:5090";

    type Sent = Arc<Mutex<Vec<(String, SocketAddr)>>>;

    fn domain(access: Access) -> (LocalDomain, Sent) {
        let sent = Sent::default();
        let copy = Arc::clone(&sent);
        let domain = LocalDomain::new("localhost", None, access, &["echo"]);
        domain.started(DatagramSender::new(OURS.parse().unwrap(), move |bytes, to| {
            copy.lock().unwrap().push((String::from_utf8(bytes.to_vec()).unwrap(), to));
        }));
        (domain, sent)
    }

    fn request(method: &str, uri: &str, user: &str, extra: &str) -> String {
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {PHONE};rport;branch=z9hG4bKabc\r\nMax-Forwards: 70\r\n\
             From: <sip:{user}@localhost>;tag=f\r\nTo: <sip:{user}@localhost>\r\nCall-ID: c@phone\r\nCSeq: 1 {method}\r\n{extra}\
             Content-Length: 0\r\n\r\n"
        )
    }

    fn register(domain: &LocalDomain, user: &str, contact: &str) {
        let text = request("REGISTER", "sip:localhost", user, &format!("Contact: {contact}\r\n"));
        assert_eq!(domain.inspect(text.as_bytes(), PHONE.parse().unwrap()), Verdict::Consumed);
    }

    fn next(sent: &Sent) -> (String, SocketAddr) {
        sent.lock().unwrap().remove(0)
    }

    fn status(sent: &Sent) -> String {
        next(sent).0.lines().next().unwrap().to_owned()
    }

    #[test]
    fn a_registered_phone_is_told_its_contacts_and_what_is_left_of_them() {
        let (domain, sent) = domain(Access::Open);
        register(&domain, "bob", "\"Bob\" <sip:bob@127.0.0.1:5090;line=1>;expires=120");
        let (text, to) = next(&sent);
        assert!(text.starts_with("SIP/2.0 200 OK\r\n"), "{text}");
        assert!(text.contains("Contact: <sip:bob@127.0.0.1:5090;line=1>;expires=120\r\n"), "{text}");
        assert!(
            text.contains("Via: SIP/2.0/UDP 127.0.0.1:5090;rport=5090;branch=z9hG4bKabc;received=127.0.0.1\r\n"),
            "{text}"
        );
        assert_eq!(to, PHONE.parse().unwrap());
    }

    #[test]
    fn a_call_goes_to_the_contact_and_its_response_comes_back_the_same_way() {
        let (domain, sent) = domain(Access::Open);
        register(&domain, "bob", "<sip:b@127.0.0.1:5091>");
        next(&sent);
        let invite = request("INVITE", "sip:bob@localhost", "alice", "");
        domain.inspect(invite.as_bytes(), PHONE.parse().unwrap());
        let (forwarded, to) = next(&sent);
        assert_eq!(to, "127.0.0.1:5091".parse().unwrap());
        assert!(forwarded.starts_with(
            "INVITE sip:b@127.0.0.1:5091 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK-local-"
        ));
        assert!(forwarded.contains("Max-Forwards: 69\r\n"));
        let head = forwarded.split_once("\r\n").unwrap().1;
        domain.inspect(format!("SIP/2.0 180 Ringing\r\n{head}").as_bytes(), to);
        let (response, to) = next(&sent);
        assert_eq!(to, PHONE.parse().unwrap());
        assert_eq!(response.matches("Via:").count(), 1);
    }

    #[test]
    fn a_retransmission_its_cancel_and_its_ack_take_the_same_branch() {
        let (domain, sent) = domain(Access::Open);
        register(&domain, "bob", "<sip:b@127.0.0.1:5091>");
        next(&sent);
        let mut branches = ["INVITE", "INVITE", "CANCEL", "ACK"].map(|method| {
            domain.inspect(request(method, "sip:bob@localhost", "alice", "").as_bytes(), PHONE.parse().unwrap());
            let text = next(&sent).0;
            Message::parse(text.as_bytes()).unwrap().top_via().unwrap().param("branch").unwrap().to_owned()
        });
        branches.sort();
        assert_eq!(branches.first(), branches.last());
    }

    #[test]
    fn a_response_whose_next_via_was_changed_goes_nowhere() {
        let (domain, sent) = domain(Access::Open);
        register(&domain, "bob", "<sip:b@127.0.0.1:5091>");
        next(&sent);
        domain.inspect(request("INVITE", "sip:bob@localhost", "alice", "").as_bytes(), PHONE.parse().unwrap());
        let forwarded = next(&sent).0.replace("127.0.0.1:5090;rport", "192.0.2.1:53;rport");
        let response = format!("SIP/2.0 200 OK\r\n{}", forwarded.split_once("\r\n").unwrap().1);
        assert_eq!(domain.inspect(response.as_bytes(), PHONE.parse().unwrap()), Verdict::Consumed);
        assert!(sent.lock().unwrap().is_empty());
    }

    #[test]
    fn who_is_not_registered_is_not_found_and_an_ack_to_nobody_is_silent() {
        let (domain, sent) = domain(Access::Open);
        let phone = PHONE.parse().unwrap();
        domain.inspect(request("INVITE", "sip:nobody@localhost", "alice", "").as_bytes(), phone);
        assert_eq!(status(&sent), "SIP/2.0 404 Not Found");
        assert_eq!(
            domain.inspect(request("ACK", "sip:nobody@localhost", "alice", "").as_bytes(), phone),
            Verdict::Consumed
        );
        assert!(sent.lock().unwrap().is_empty());
    }

    #[test]
    fn what_is_addressed_to_an_agent_or_another_domain_passes() {
        let (domain, _) = domain(Access::Open);
        for uri in
            ["sip:7f3a@127.0.0.1:5060", "sip:bob@example.org", "sip:bob@localhost:5099", "sip:localhost", "tel:123"]
        {
            let text = request("INVITE", uri, "alice", "");
            assert_eq!(domain.inspect(text.as_bytes(), PHONE.parse().unwrap()), Verdict::Pass, "{uri}");
        }
        assert_eq!(
            domain.inspect(
                b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKagent\r\n\r\n",
                PHONE.parse().unwrap()
            ),
            Verdict::Pass
        );
    }

    #[test]
    fn max_forwards_zero_ends_the_way() {
        let (domain, sent) = domain(Access::Open);
        domain.assign("echo", "sip:e@127.0.0.1:5060");
        let text = request("INVITE", "sip:echo@localhost", "alice", "").replace("Max-Forwards: 70", "Max-Forwards: 0");
        domain.inspect(text.as_bytes(), PHONE.parse().unwrap());
        assert_eq!(status(&sent), "SIP/2.0 483 Too Many Hops");
    }

    #[test]
    fn our_own_route_is_taken_off_and_others_stay() {
        let (domain, sent) = domain(Access::Open);
        domain.assign("echo", "sip:e@127.0.0.1:5060");
        let text =
            request("INVITE", "sip:echo@localhost", "alice", "Route: <sip:127.0.0.1:5060;lr>, <sip:next;lr>\r\n");
        domain.inspect(text.as_bytes(), PHONE.parse().unwrap());
        assert!(next(&sent).0.contains("Route: <sip:next;lr>\r\n"));
    }

    #[test]
    fn a_reserved_user_cannot_be_registered_by_others() {
        let (domain, sent) = domain(Access::Open);
        register(&domain, "echo", "<sip:x@127.0.0.1:5090>");
        assert_eq!(status(&sent), "SIP/2.0 403 Reserved User");
    }

    #[test]
    fn a_contact_that_names_a_third_party_is_called_where_the_register_came_from() {
        let (domain, sent) = domain(Access::Open);
        register(&domain, "bob", "<sip:bob@192.0.2.7:25>");
        next(&sent);
        domain.inspect(request("OPTIONS", "sip:bob@localhost", "alice", "").as_bytes(), PHONE.parse().unwrap());
        assert_eq!(next(&sent).1, PHONE.parse().unwrap());
    }

    #[test]
    fn configured_users_are_challenged_and_unavailable_ones_told_apart_from_unknown_ones() {
        let (domain, sent) = domain(Access::Users([("bob".to_owned(), "secret".to_owned())].into()));
        register(&domain, "bob", "<sip:x@127.0.0.1:5090>");
        let text = next(&sent).0;
        assert!(
            text.starts_with("SIP/2.0 401 Unauthorized\r\n")
                && text.contains("algorithm=SHA-256")
                && text.contains("algorithm=MD5"),
            "{text}"
        );
        domain.inspect(request("INVITE", "sip:bob@localhost", "alice", "").as_bytes(), PHONE.parse().unwrap());
        assert_eq!(status(&sent), "SIP/2.0 480 Temporarily Unavailable");
    }

    #[test]
    fn an_old_baresip_is_asked_for_md5_alone() {
        let (domain, sent) = domain(Access::Users([("bob".to_owned(), "secret".to_owned())].into()));
        for (agent, challenges) in [("baresip v1.0.0 (x86_64/linux)", 1), ("baresip v3.1.0", 2)] {
            let more = format!("Contact: <sip:x@127.0.0.1:5090>\r\nUser-Agent: {agent}\r\n");
            domain.inspect(request("REGISTER", "sip:localhost", "bob", &more).as_bytes(), PHONE.parse().unwrap());
            let text = next(&sent).0;
            assert!(text.contains("algorithm=MD5"), "{text}");
            assert_eq!(text.matches("WWW-Authenticate").count(), challenges, "{agent}");
        }
    }

    #[test]
    fn a_star_contact_removes_every_binding_and_only_with_expires_zero() {
        let (domain, sent) = domain(Access::Open);
        register(&domain, "bob", "<sip:x@127.0.0.1:5090>, <sip:y@127.0.0.1:5090>");
        assert_eq!(next(&sent).0.matches("Contact:").count(), 2);
        register(&domain, "bob", "*");
        assert_eq!(status(&sent), "SIP/2.0 400 Contact * Needs Expires 0");
        let text = request("REGISTER", "sip:localhost", "bob", "Contact: *\r\nExpires: 0\r\n");
        domain.inspect(text.as_bytes(), PHONE.parse().unwrap());
        assert!(!next(&sent).0.contains("Contact:"));
    }

    #[test]
    fn mangled_messages_never_panic() {
        let (domain, _) = domain(Access::Users([("bob".to_owned(), "secret".to_owned())].into()));
        let authorization = "Authorization: Digest username=\"bob\", opaque=\"\u{e9}\u{2028}\", realm=\"localhost\", nonce=\"1-2\", uri=\"sip:x\", response=\"0\", qop=auth, nc=1, cnonce=\"c\"\r\n";
        let seeds = [
            request("REGISTER", "sip:localhost", "bob", &format!("{authorization}Contact: \"a\" <sip:b@[::1]:5;x>;expires=3, *\r\n")),
            request("INVITE", "sip:bob@localhost", "alice", "Route: <sip:127.0.0.1;lr>\r\nProxy-Require: x\r\n"),
            request("INVITE", "sip:echo@localhost", "alice", "v: SIP/2.0/UDP a;branch=z9hG4bK-local-1\r\n"),
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK-local-1, SIP/2.0/UDP b;received=::1;rport=x\r\n\r\n".to_owned(),
        ];
        domain.assign("echo", "sip:e@127.0.0.1:5060");
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let alphabet = b"\r\n\t ,;:<>\"\\@=[]*%aZ0\0\xc3\xff";
        for round in 0..40_000 {
            let mut bytes = seeds[round % seeds.len()].clone().into_bytes();
            for _ in 0..=random(6) {
                let at = random(bytes.len());
                match random(4) {
                    0 => bytes[at] = alphabet[random(alphabet.len())],
                    1 => bytes.insert(at, alphabet[random(alphabet.len())]),
                    2 => drop(bytes.splice(at..at, "\u{e9}".bytes())),
                    _ => drop(bytes.drain(at..(at + random(9)).min(bytes.len()))),
                }
            }
            domain.inspect(&bytes, PHONE.parse().unwrap());
        }
    }
}

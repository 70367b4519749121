//! REGISTER: what is asked, what was granted (RFC 3261 section 10.2). When to refresh is the user agent's business.

use std::time::Duration;

use phone_agent::{SipEvent, SipStatus};
use rsipstack::sip::{Headers, Method, Response};
use tokio::time::Instant;

use super::address::{NameAddr, SipUri};
use super::agent::{Agent, Purpose, sip_status};
use super::mail::TransactionId;
use super::message::{all, text};
use super::request::Draft;
use super::transaction::Way;

/// The registrar may lengthen our wish by 423, up to here.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Realms that the registrar has asked for.
const REALMS: usize = 4;

/// One binding, from the first REGISTER to the last; Call-ID stays and CSeq rises (RFC 3261 section 10.2).
#[derive(Debug)]
pub(crate) struct Registration {
    call_id: String,
    tag: String,
    cseq: u32,
    /// What the REGISTER on its way is for.
    running: Option<Wish>,
    /// Wished for meanwhile; the newest wins.
    next: Option<Wish>,
    /// The registrar knows us.
    pub(crate) bound: bool,
}

/// What is asked of the registrar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Zero ends the binding.
    pub(crate) expires: Duration,
    /// 423 was obeyed once.
    lengthened: bool,
}

impl Wish {
    pub(crate) fn new(expires: Duration) -> Wish {
        Wish { expires, lengthened: false }
    }
}

impl Registration {
    pub(crate) fn new(call_id: String, tag: String) -> Registration {
        Registration { call_id, tag, cseq: 0, running: None, next: None, bound: false }
    }

    /// The registrar may know us.
    pub(crate) fn is_known(&self) -> bool {
        self.bound || self.running.is_some()
    }

    /// The wish to act on now, if none is under way.
    pub(crate) fn want(&mut self, wish: Wish) -> Option<Wish> {
        if self.running.is_some() {
            self.next = Some(wish);
            return None;
        }
        self.running = Some(wish);
        Some(wish)
    }

    /// What the finished REGISTER was for, and what to do next.
    pub(crate) fn finish(&mut self) -> (Option<Wish>, Option<Wish>) {
        let done = self.running.take();
        self.running = self.next.take();
        (done, self.running)
    }

    /// What 423 asks for: once, and not without end (RFC 3261 section 10.2.8).
    pub(crate) fn lengthen(&mut self, headers: &Headers) -> Option<Wish> {
        let wish = self.running.as_mut().filter(|w| !w.lengthened && !w.expires.is_zero())?;
        let least = Duration::from_secs(text(headers, "Min-Expires")?.parse().ok()?);
        if least <= wish.expires || least > LONGEST {
            return None;
        }
        *wish = Wish { expires: least, lengthened: true };
        Some(*wish)
    }

    /// The REGISTER itself. `domain` is the registrar's `host[:port]`, `address` our name-addr.
    pub(crate) fn request(
        &mut self,
        wish: Wish,
        domain: &str,
        address: &str,
        contact: &str,
        routes: Vec<String>,
        next_hop: SipUri,
    ) -> Draft {
        self.cseq += 1;
        Draft {
            method: Method::Register,
            uri: format!("sip:{domain}"),
            from: format!("{address};tag={}", self.tag),
            to: address.to_owned(),
            call_id: self.call_id.clone(),
            cseq: self.cseq,
            routes,
            next_hop,
            contact: Some(contact.to_owned()),
            extra: vec![("Expires", wish.expires.as_secs().to_string())],
            body: String::new(),
            credentials: None,
            answered: 0,
        }
    }

    /// Number for the same REGISTER sent again.
    pub(crate) fn next_cseq(&mut self) -> u32 {
        self.cseq += 1;
        self.cseq
    }
}

/// How long the binding lasts: our Contact's `expires`, else Expires, else as asked (RFC 3261 section 10.2.4). Other contacts of the
/// address are not ours.
pub(crate) fn granted(headers: &Headers, token: &str, asked: Duration) -> Duration {
    let contacts = NameAddr::parse_all(all(headers, "Contact")).unwrap_or_default();
    let ours = contacts.iter().find(|c| SipUri::parse(&c.uri).and_then(|u| u.user).as_deref() == Some(token));
    let seconds =
        ours.and_then(|c| c.param("expires")).or(text(headers, "Expires")).and_then(|s| s.parse::<u32>().ok());
    seconds.map_or(asked, |s| Duration::from_secs(s.into()))
}

impl Agent {
    pub(super) fn want(&mut self, wish: Wish) {
        if let Some(wish) = self.registration.want(wish) {
            self.send_register(wish);
        }
    }

    pub(super) fn unregister(&mut self) {
        if !self.registration.is_known() {
            return self.emit(SipEvent::Unregistered);
        }
        self.unregister_by = Some(Instant::now() + self.shared.patience());
        self.want(Wish::new(Duration::ZERO));
    }

    fn send_register(&mut self, wish: Wish) {
        let names = &self.names;
        let (routes, next_hop) = self.way_out(&names.domain);
        let mut draft = self.registration.request(
            wish,
            &names.domain.host_port(),
            &names.address,
            &names.contact,
            routes,
            next_hop,
        );
        let realm = self.realms.last().cloned();
        if let (Some(credentials), Some(realm)) = (&mut self.credentials, &realm) {
            draft.credentials = credentials.reuse(realm, "REGISTER", &draft.uri, b"");
        }
        self.send_as(Purpose::Register, draft, Way::Resolve, realm);
    }

    pub(super) fn on_register_response(&mut self, id: TransactionId, response: &Response, status: SipStatus) {
        if status.code == 423
            && let Some(wish) = self.registration.lengthen(&response.headers)
        {
            self.pending.remove(&id);
            return self.send_register(wish);
        }
        if status.code >= 300 {
            return self.on_failure(id, status);
        }
        let pending = self.pending.remove(&id);
        if let Some(pending) = pending {
            self.registrar = pending.sent.map(|(to, _)| to.ip());
            if let Some(realm) = pending.realm.filter(|realm| !self.realms.contains(realm)) {
                self.realms.truncate(REALMS - 1);
                self.realms.push(realm);
            }
        }
        let (done, next) = self.registration.finish();
        let asked = done.map_or_else(Default::default, |wish| wish.expires);
        let expires = granted(&response.headers, &self.names.token, asked);
        self.registration.bound = !asked.is_zero() && !expires.is_zero();
        self.list();
        match (asked.is_zero(), expires.is_zero()) {
            (true, _) => self.unregistered(),
            (false, false) => self.emit(SipEvent::Registered { expires }),
            (false, true) => {
                self.emit(SipEvent::RegisterFailed(sip_status((500, "Registration not kept by the registrar"))))
            }
        }
        if let Some(wish) = next {
            self.send_register(wish);
        }
    }

    pub(super) fn on_register_failed(&mut self, status: SipStatus) {
        // A nonce that did not work is not offered again.
        if let (Some(credentials), Some(realm)) = (&mut self.credentials, self.realms.last()) {
            credentials.forget(realm);
        }
        let (done, next) = self.registration.finish();
        match done.is_some_and(|wish| wish.expires.is_zero()) {
            true => self.unregistered(),
            false => self.emit(SipEvent::RegisterFailed(status)),
        }
        if let Some(wish) = next {
            self.send_register(wish);
        }
    }

    pub(super) fn unregistered(&mut self) {
        self.registration.bound = false;
        self.list();
        if self.unregister_by.take().is_some() {
            self.emit(SipEvent::Unregistered);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsipstack::sip::headers::make_header;

    fn headers(lines: &[(&str, &str)]) -> Headers {
        lines.iter().map(|(name, value)| make_header(name, (*value).to_owned())).collect::<Vec<_>>().into()
    }

    #[test]
    fn the_contact_parameter_goes_before_the_header() {
        let asked = Duration::from_secs(180);
        let of = |lines: &[(&str, &str)]| granted(&headers(lines), "tok", asked).as_secs();
        assert_eq!(of(&[("Contact", "<sip:other@h>;expires=9, <sip:tok@h:1>;expires=60"), ("Expires", "30")]), 60);
        assert_eq!(of(&[("Contact", "<sip:tok@h:1>"), ("Expires", "30")]), 30);
        assert_eq!(of(&[("Contact", "<sip:tok@h:1>;expires=x")]), 180);
        assert_eq!(of(&[]), 180);
    }

    #[test]
    fn a_too_brief_interval_is_lengthened_once() {
        let mut registration = Registration::new("c".to_owned(), "t".to_owned());
        registration.want(Wish::new(Duration::from_secs(10))).unwrap();
        let demand = headers(&[("Min-Expires", "60")]);
        assert_eq!(registration.lengthen(&demand).unwrap().expires, Duration::from_secs(60));
        assert_eq!(registration.lengthen(&headers(&[("Min-Expires", "120")])), None);
        let mut greedy = Registration::new("c".to_owned(), "t".to_owned());
        greedy.want(Wish::new(Duration::from_secs(10))).unwrap();
        assert_eq!(greedy.lengthen(&headers(&[("Min-Expires", "4000000000")])), None);
    }

    #[test]
    fn one_register_at_a_time_and_the_last_wish_wins() {
        let mut registration = Registration::new("c".to_owned(), "t".to_owned());
        let (first, end) = (Wish::new(Duration::from_secs(180)), Wish::new(Duration::ZERO));
        assert_eq!(registration.want(first), Some(first));
        assert_eq!(registration.want(first), None);
        assert_eq!(registration.want(end), None);
        assert_eq!(registration.finish(), (Some(first), Some(end)));
        assert_eq!(registration.finish(), (Some(end), None));
    }
}

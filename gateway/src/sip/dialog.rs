//! A dialog: what both sides agreed on for as long as the call lasts (RFC 3261 section 12). Plain data, so that a call can outlive
//! its process.

use rsipstack::sip::{Headers, Method, Request, Response};
use serde::{Deserialize, Serialize};

use super::address::{NameAddr, SipUri};
use super::message::{all, cseq, text};
use super::request::Draft;

/// Record-Route entries of one dialog; more come from a loop or an attack.
const ROUTES: usize = 32;

/// Confirmed or, on the callee's side, early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dialog {
    pub(crate) call_id: String,
    pub(crate) local_tag: String,
    pub(crate) remote_tag: String,
    /// From of what we send, without tag.
    local: String,
    /// To of what we send, without tag.
    remote: String,
    /// The peer's Contact.
    remote_target: String,
    /// Route header values, nearest first.
    routes: Vec<String>,
    /// Number of our last request.
    pub(crate) local_cseq: u32,
    /// Number of the peer's last request.
    pub(crate) remote_cseq: Option<u32>,
}

impl Dialog {
    /// The caller's side, from a 2xx (section 12.1.2). All that is needed stands in the response.
    pub(crate) fn of_caller(response: &Response) -> Option<Dialog> {
        let mut dialog = Dialog::from_headers(&response.headers, ("From", "To"))?;
        dialog.local_cseq = cseq(&response.headers)?.0;
        dialog.routes.reverse();
        Some(dialog)
    }

    /// The callee's side, from the INVITE (section 12.1.1).
    pub(crate) fn of_callee(invite: &Request, local_tag: &str) -> Option<Dialog> {
        let mut dialog = Dialog::from_headers(&invite.headers, ("To", "From"))?;
        dialog.local_tag = local_tag.to_owned();
        dialog.remote_cseq = Some(cseq(&invite.headers)?.0);
        Some(dialog)
    }

    fn from_headers(headers: &Headers, (local, remote): (&str, &str)) -> Option<Dialog> {
        let local = NameAddr::parse(text(headers, local)?)?;
        let remote = NameAddr::parse(text(headers, remote)?)?;
        let contact = NameAddr::parse_all(all(headers, "Contact"))?.into_iter().next();
        // An element of RFC 2543 may have no Contact and is reached at its address.
        let remote_target = contact.map_or_else(|| remote.uri.clone(), |contact| contact.uri);
        SipUri::parse(&remote_target)?;
        let routes = NameAddr::parse_all(all(headers, "Record-Route"))?;
        if routes.len() > ROUTES || routes.iter().any(|route| SipUri::parse(&route.uri).is_none()) {
            return None;
        }
        Some(Dialog {
            call_id: text(headers, "Call-ID")?.to_owned(),
            local_tag: local.tag().unwrap_or_default().to_owned(),
            remote_tag: remote.tag().unwrap_or_default().to_owned(),
            local: local.without_params(),
            remote: remote.without_params(),
            remote_target,
            routes: routes.iter().map(|route| format!("<{}>", route.uri)).collect(),
            local_cseq: 0,
            remote_cseq: None,
        })
    }

    /// A target refresh: the peer may have moved (section 12.2.1.2, 12.2.2).
    pub(crate) fn refresh_target(&mut self, headers: &Headers) {
        let contact = NameAddr::parse_all(all(headers, "Contact")).and_then(|all| all.into_iter().next());
        if let Some(contact) = contact.filter(|c| SipUri::parse(&c.uri).is_some()) {
            self.remote_target = contact.uri;
        }
    }

    /// The next request of ours in this dialog (section 12.2.1.1). `None` never happens for a dialog of ours: its URIs were checked.
    pub(crate) fn request(&mut self, method: Method, contact: Option<&str>) -> Option<Draft> {
        self.local_cseq += 1;
        self.draft(method, self.local_cseq, contact)
    }

    /// The ACK of a 2xx to our INVITE number `cseq` (section 13.2.2.4).
    pub(crate) fn ack(&self, cseq: u32) -> Option<Draft> {
        self.draft(Method::Ack, cseq, None)
    }

    fn draft(&self, method: Method, cseq: u32, contact: Option<&str>) -> Option<Draft> {
        let with_tag = |address: &str, tag: &str| match tag {
            "" => address.to_owned(),
            tag => format!("{address};tag={tag}"),
        };
        let (uri, routes, next_hop) = self.path()?;
        Some(Draft {
            method,
            uri,
            from: with_tag(&self.local, &self.local_tag),
            to: with_tag(&self.remote, &self.remote_tag),
            call_id: self.call_id.clone(),
            cseq,
            routes,
            next_hop,
            contact: contact.map(str::to_owned),
            extra: Vec::new(),
            body: String::new(),
            credentials: None,
            answered: 0,
        })
    }

    /// Request-URI, Route headers and next hop. A first route without `lr` is a strict router: it wants itself in the Request-URI and
    /// the target at the end (section 12.2.1.1).
    fn path(&self) -> Option<(String, Vec<String>, SipUri)> {
        let Some(first) = self.routes.first() else {
            return Some((self.remote_target.clone(), Vec::new(), SipUri::parse(&self.remote_target)?));
        };
        let text = first.trim_start_matches('<').trim_end_matches('>');
        let uri = SipUri::parse(text)?;
        if uri.param("lr").is_some() {
            return Some((self.remote_target.clone(), self.routes.clone(), uri));
        }
        let mut routes = self.routes[1..].to_vec();
        routes.push(format!("<{}>", self.remote_target));
        Some((text.to_owned(), routes, uri))
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::SipLimits;
    use super::super::message::Message;
    use super::*;

    fn response(record_routes: &str) -> Response {
        let text = format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: \"A\" <sip:a@h>;tag=1\r\nTo: <sip:b@h>;tag=2\r\nCall-ID: c\r\n\
             CSeq: 7 INVITE\r\nContact: <sip:b@10.0.0.2:5070;ob>\r\n{record_routes}\r\n"
        );
        Message::parse(text.as_bytes(), &SipLimits::default()).unwrap().into_response().unwrap()
    }

    #[test]
    fn the_caller_takes_the_record_route_backwards() {
        let mut dialog = Dialog::of_caller(&response("Record-Route: <sip:p2;lr>, <sip:p1:5080;lr>\r\n")).unwrap();
        let bye = dialog.request(Method::Bye, None).unwrap();
        assert_eq!(bye.routes, ["<sip:p1:5080;lr>", "<sip:p2;lr>"]);
        assert_eq!((bye.uri.as_str(), bye.next_hop.host.as_str()), ("sip:b@10.0.0.2:5070;ob", "p1"));
        assert_eq!((bye.cseq, bye.from.as_str(), bye.to.as_str()), (8, "\"A\" <sip:a@h>;tag=1", "<sip:b@h>;tag=2"));
        assert_eq!(dialog.ack(7).unwrap().cseq, 7);
    }

    #[test]
    fn a_strict_router_gets_itself_in_the_request_uri() {
        let mut dialog =
            Dialog::of_caller(&response("Record-Route: <sip:p2;lr>\r\nRecord-Route: <sip:strict>\r\n")).unwrap();
        let bye = dialog.request(Method::Bye, None).unwrap();
        assert_eq!(bye.uri, "sip:strict");
        assert_eq!(bye.routes, ["<sip:p2;lr>", "<sip:b@10.0.0.2:5070;ob>"]);
    }

    #[test]
    fn a_hundred_record_routes_are_no_dialog() {
        assert_eq!(Dialog::of_caller(&response(&"Record-Route: <sip:p;lr>\r\n".repeat(100))), None);
    }

    #[test]
    fn a_dialog_survives_being_written_down() {
        let dialog = Dialog::of_caller(&response("")).unwrap();
        let text = toml::to_string(&dialog).unwrap();
        assert_eq!(toml::from_str::<Dialog>(&text).unwrap(), dialog);
    }
}

//! A request of ours before it has a Via: what stays the same when it is sent again with credentials (RFC 3261 section 8.1.1).

use rsipstack::sip::headers::make_header;
use rsipstack::sip::{Header, Method, Request, Response, Version};

use super::address::SipUri;
use super::digest::Answer;
use super::endpoint::echoed;
use super::message::{self, verbatim_uri};
use super::reply::ALLOW;

/// The body of a MESSAGE.
pub(crate) const TEXT: &str = "text/plain";

/// Everything but the hop: Via comes with the address.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) method: Method,
    pub(crate) uri: String,
    /// With tag.
    pub(crate) from: String,
    /// With tag inside a dialog.
    pub(crate) to: String,
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
    /// Route header values, in order.
    pub(crate) routes: Vec<String>,
    /// Where it is sent: the first route or the request URI (RFC 3261 section 8.1.2).
    pub(crate) next_hop: SipUri,
    pub(crate) contact: Option<String>,
    /// Expires and the like.
    pub(crate) extra: Vec<(&'static str, String)>,
    /// SDP, or the text of a MESSAGE, or empty.
    pub(crate) body: String,
    pub(crate) credentials: Option<Answer>,
    /// Challenges answered so far for this request.
    pub(crate) answered: u8,
}

impl Draft {
    /// Nothing in here has CR, LF or NUL: every part was parsed, or made by us.
    pub(crate) fn to_request(&self, via: &str, user_agent: &str) -> Request {
        let mut headers = vec![Header::Via(via.into()), Header::MaxForwards(70.into())];
        headers.extend(self.routes.iter().map(|route| Header::Route(route.as_str().into())));
        headers.push(Header::From(self.from.as_str().into()));
        headers.push(Header::To(self.to.as_str().into()));
        headers.push(Header::CallId(self.call_id.as_str().into()));
        headers.push(Header::CSeq(format!("{} {}", self.cseq, self.method).into()));
        if let Some(contact) = &self.contact {
            headers.push(Header::Contact(contact.as_str().into()));
        }
        headers.extend(self.extra.iter().map(|(name, value)| make_header(name, value.clone())));
        if let Some(answer) = &self.credentials {
            headers.push(make_header(answer.name, answer.value.clone()));
        }
        if matches!(self.method, Method::Invite | Method::Register) {
            headers.push(Header::Allow(ALLOW.into()));
        }
        headers.push(Header::UserAgent(user_agent.into()));
        if !self.body.is_empty() {
            let kind = if self.method == Method::Message { "text/plain;charset=UTF-8" } else { "application/sdp" };
            headers.push(Header::ContentType(kind.into()));
        }
        headers.push(Header::ContentLength((self.body.len() as u32).into()));
        let uri = verbatim_uri(&self.uri);
        Request {
            method: self.method,
            uri,
            version: Version::V2,
            headers: headers.into(),
            body: self.body.clone().into_bytes(),
        }
    }

    /// The CANCEL of this INVITE: same Request-URI, Via, route and CSeq number (RFC 3261 section 9.1).
    pub(crate) fn cancel(&self) -> Draft {
        Draft {
            method: Method::Cancel,
            contact: None,
            extra: Vec::new(),
            body: String::new(),
            credentials: None,
            answered: 0,
            ..self.clone()
        }
    }
}

/// A response to `request`: its To with our tag, then `extra`, then the body.
pub(crate) fn response(
    request: &Request,
    (code, phrase): (u16, &str),
    local_tag: &str,
    extra: Vec<Header>,
    sdp: &str,
) -> Response {
    let mut headers = echoed(&request.headers);
    for header in &mut headers {
        if let Header::To(to) = header
            && code > 100
            && message::tag(&request.headers, "To").is_none()
        {
            *header = Header::To(format!("{};tag={local_tag}", to.value()).into());
        }
    }
    headers.extend(extra);
    if !sdp.is_empty() {
        headers.push(Header::ContentType("application/sdp".into()));
    }
    headers.push(Header::ContentLength((sdp.len() as u32).into()));
    Response {
        status_code: message::status(code, phrase),
        wire_reason: None,
        version: Version::V2,
        headers: headers.into(),
        body: sdp.as_bytes().to_vec(),
    }
}

/// The SDP of a message, if that is what its body is.
pub(crate) fn sdp(headers: &rsipstack::sip::Headers, body: &[u8]) -> Option<String> {
    let kind = message::text(headers, "Content-Type")?.split(';').next().unwrap_or_default().trim();
    (kind.eq_ignore_ascii_case("application/sdp") && !body.is_empty())
        .then(|| String::from_utf8_lossy(body).into_owned())
}

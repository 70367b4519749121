//! What a phone may do, where whoever let it in has set bounds: whom it may reach, how many calls it may make, how long they last.

use std::time::Duration;

use crate::destination::{Address, Target};

/// The bounds of one phone. By default there are none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights {
    /// Whom it may call, transfer to and send texts to; `None`: everybody.
    pub destinations: Option<Vec<Pattern>>,
    /// How many calls it may make; calls that come in do not count.
    pub calls: Option<u64>,
    /// How long a call may last, whoever made it.
    pub call_length: Option<Duration>,
}

/// Addresses that look alike: `bob@example.com`, `+49*@example.com`, `*@example.com`, and without a domain those of the phone's own.
/// The one `*` stands for any part of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// What the user part begins and, behind a `*`, ends with.
    begin: String,
    end: Option<String>,
    /// `host[:port]`.
    host: Option<String>,
}

impl Pattern {
    /// Reads a pattern; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("sip:").unwrap_or(text);
        let (user, host) = text.split_once('@').map_or((text, None), |(user, host)| (user, Some(host)));
        let odd = |c: char| c.is_whitespace() || c.is_control() || "<>\"@;?".contains(c);
        if user.is_empty() || text.len() != user.len() && host.is_none_or(|host| host.is_empty() || host.contains('*'))
        {
            return None;
        }
        let (begin, end) = user.split_once('*').map_or((user, None), |(begin, end)| (begin, Some(end)));
        if begin.contains(odd) || end.is_some_and(|end| end.contains(odd) || end.contains('*')) {
            return None;
        }
        if host.is_some_and(|host| host.contains(odd)) {
            return None;
        }
        Some(Self { begin: begin.to_owned(), end: end.map(str::to_owned), host: host.map(str::to_owned) })
    }

    fn matches(&self, user: &str, host: &str, home: &str) -> bool {
        let user = match &self.end {
            None => user == self.begin,
            Some(end) => {
                user.strip_prefix(&*self.begin).is_some_and(|rest| rest.ends_with(&**end)) // no part counts twice
            }
        };
        user && host.eq_ignore_ascii_case(self.host.as_deref().unwrap_or(home))
    }
}

impl Rights {
    /// Whether a phone whose own address is `home` may reach `target`. What is not understood is not allowed.
    pub(crate) fn allow(&self, target: &Target, home: &Address) -> bool {
        let Some(patterns) = &self.destinations else { return true };
        // Parameters may send a request elsewhere; that of telephone numbers does not.
        let uri = target.uri().strip_suffix(";user=phone").unwrap_or(target.uri());
        let Some((user, host)) = uri.strip_prefix("sip:").and_then(|rest| rest.split_once('@')) else { return false };
        let home = home.port().map_or_else(|| home.host().to_owned(), |port| format!("{}:{port}", home.host()));
        !user.contains(';') && patterns.iter().any(|pattern| pattern.matches(user, host, &home))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(patterns: &[&str], destination: &str) -> bool {
        let home = Address::parse("alice@Home.example:5070").unwrap();
        let destinations = patterns.iter().map(|pattern| Pattern::parse(pattern).unwrap()).collect();
        let rights = Rights { destinations: Some(destinations), ..Rights::default() };
        rights.allow(&Target::parse(destination, &home).unwrap(), &home)
    }

    #[test]
    fn a_pattern_is_an_address_or_the_beginning_and_end_of_users_of_a_domain() {
        for (pattern, right) in [
            ("bob@x.example", "sip:bob@X.example"),
            ("sip:bob@x.example", "\"Bob\" <sip:bob@x.example>"),
            ("*@x.example", "bob@x.example"),
            ("+49*@x.example", "sip:+4930123@x.example"),
            ("6*9@x.example", "sip:6559@x.example"),
            ("bob", "bob"),
            ("+49*", "+49 (30) 123"),
            ("+49*", "tel:+49-30-123"),
            ("bob@x.example:5080", "sip:bob@x.example:5080"),
        ] {
            assert!(allowed(&[pattern], right), "{pattern} {right}");
            assert!(allowed(&["other@x.example", pattern], right), "{pattern} {right}");
        }
    }

    #[test]
    fn nothing_gets_past_a_pattern() {
        for (pattern, wrong) in [
            ("bob@x.example", "sip:bob@evil.example"),
            ("bob@x.example", "sip:Bob@x.example"),
            ("bob@x.example", "sip:bob@x.example:5080"),
            ("bob@x.example", "sip:bob@x.example;transport=tcp"),
            ("bob@x.example", "sip:x.example"),
            ("bob@x.example", "sip:%62ob@x.example"),
            ("*@x.example", "sip:bob@x.example.evil"),
            ("*@x.example", "sip:bob@evil.example;x=y"),
            ("+49*", "+1 900 123"),
            ("+49*", "sip:+4930@x.example"),
            ("+49*", "sip:+49;phone-context=x@Home.example:5070"),
            ("6*6", "6"),
            ("6*", "0066"),
            ("bob", "sip:bob@home.example"),
        ] {
            assert!(!allowed(&[pattern], wrong), "{pattern} {wrong}");
        }
        assert!(!allowed(&[], "bob"), "an empty list allows nobody");
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for wrong in ["", "@x", "bob@", "bob@*", "*@*.example", "a*b*", "a b", "bob@x;y", "a@b@c", "<bob>", "bob\n"] {
            assert_eq!(Pattern::parse(wrong), None, "{wrong:?}");
        }
    }
}

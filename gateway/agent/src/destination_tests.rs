use proptest::prelude::*;

use super::*;

fn home() -> Address {
    Address::parse("alice@example.com:5070").unwrap()
}

fn target(text: &str) -> String {
    Target::parse(text, &home()).map_or_else(|error| format!("! {error}"), |target| target.to_string())
}

#[test]
fn destinations_become_sip_uris() {
    let cases = [
        ("sip:bob@home.com", "sip:bob@home.com"),
        ("SIP:bob@home.com:5080", "sip:bob@home.com:5080"),
        ("bob@home.com", "sip:bob@home.com"),
        ("  bob@home.com ", "sip:bob@home.com"),
        ("sip:bob@home.com;transport=udp;x", "sip:bob@home.com;transport=udp;x"),
        ("\"Bob\" <sip:bob@home.com;transport=udp>", "\"Bob\" <sip:bob@home.com;transport=udp>"),
        ("\"Bob \\\"B\\\" \\\\\" <sip:bob@home.com>", "\"Bob \\\"B\\\" \\\\\" <sip:bob@home.com>"),
        ("Bob Builder <bob@home.com>", "\"Bob Builder\" <sip:bob@home.com>"),
        ("<sip:bob@home.com>", "sip:bob@home.com"),
        ("sip:home.com", "sip:home.com"),
        ("sip:bob@[2001:db8::1]:5060", "sip:bob@[2001:db8::1]:5060"),
        ("sip:bob@127.0.0.1", "sip:bob@127.0.0.1"),
        ("sip:j\u{fc}rgen@home.com", "sip:j%C3%BCrgen@home.com"),
        ("sip:a%20b@home.com", "sip:a%20b@home.com"),
        ("sip:bob:pw@home.com", "sip:bob:pw@home.com"),
        ("10.0.0.1", "sip:10.0.0.1"),
        ("10.0.0.1:5070", "sip:10.0.0.1:5070"),
        ("localhost:5070", "sip:localhost:5070"),
    ];
    for (text, expected) in cases {
        assert_eq!(target(text), expected, "{text}");
    }
}

#[test]
fn numbers_tel_and_bare_names_go_to_the_accounts_domain() {
    let cases = [
        ("bob", "sip:bob@example.com:5070"),
        ("john.smith", "sip:john.smith@example.com:5070"),
        ("100", "sip:100@example.com:5070"),
        ("+1 (555) 123-4567", "sip:+15551234567@example.com:5070"),
        ("*98#", "sip:*98%23@example.com:5070"),
        ("tel:+1-555-123", "sip:+1555123@example.com:5070;user=phone"),
        ("TEL:911;phone-context=home.com", "sip:911;phone-context=home.com@example.com:5070;user=phone"),
        ("\"Operator\" <tel:0>", "\"Operator\" <sip:0@example.com:5070;user=phone>"),
    ];
    for (text, expected) in cases {
        assert_eq!(target(text), expected, "{text}");
    }
}

#[test]
fn bad_destinations_say_what_and_where() {
    let cases = [
        ("", "empty"),
        ("   ", "empty"),
        ("bob@x\r\nRoute: <sip:evil>", "control character at 5"),
        ("sip:bob@x\r", "control character at 9"),
        ("bob\0@x", "control character at 3"),
        ("bob@x\u{2028}", "control character at 5"),
        ("sip:b%0d%0aRoute@x", "control character at 5"),
        ("sip:bob@x;p=%00", "control character at 12"),
        ("sip:bob@x;p=%0", "character '%' at 12"),
        ("sip:bob@x?Route=evil", "header part at 9"),
        ("sip:bob@x;maddr=10.0.0.1", "parameter maddr at 10"),
        ("sip:bob;MADDR=10.0.0.1@x", "parameter maddr at 8"),
        ("sip:bob?x=y@z", "header part at 7"),
        ("sips:bob@x", "sips is not supported"),
        ("http://x/", "scheme http is neither sip nor tel"),
        ("mailto:bob@x", "scheme mailto is neither sip nor tel"),
        ("sip:", "no host at 4"),
        ("sip:@x", "no user at 4"),
        ("sip:bob@", "no host at 8"),
        ("sip:bob@x@y", "character '@' at 9"),
        ("sip:bob@x:0", "bad port at 10"),
        ("sip:bob@x:99999", "bad port at 10"),
        ("sip:bob@x:+80", "bad port at 10"),
        ("sip:bob@x y", "character ' ' at 9"),
        ("sip:bob smith@x", "character ' ' at 7"),
        ("sip:bob@[::x]", "no host at 8"),
        ("\"Bob <sip:bob@x>", "no closing quote at 16"),
        ("\"Bob\\\" <sip:bob@x>", "no closing quote at 18"),
        ("\"Bob\" sip:bob@x", "no < at 6"),
        ("<sip:bob@x", "no > at 10"),
        ("<sip:bob@x>;tag=1", "character ';' at 11"),
        ("tel:abc", "no number at 4"),
        ("a,b<c>d", "character 'd' at 6"),
    ];
    for (text, expected) in cases {
        assert_eq!(target(text), format!("! {expected}"), "{text:?}");
    }
    assert_eq!(target(&"9".repeat(2000)), "! longer than 1024 bytes");
}

#[test]
fn an_account_is_user_and_domain() {
    for text in ["alice@example.com:5070", "sip:alice@example.com:5070", " alice@example.com:5070"] {
        assert_eq!(Address::parse(text), Ok(home()), "{text}");
    }
    assert_eq!((home().user(), home().host(), home().port()), ("alice", "example.com", Some(5070)));
    for bad in ["", "alice", "@x", "alice@", "alice@x/123", "alice@x;p", "alice@x\r\n", "a@b@c"] {
        assert!(Address::parse(bad).is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn nothing_read_can_break_a_header(text in "\\PC{0,40}|(sip:|tel:|\"|<|>|@|%|;|\\?|\r|\n|\0|[a-z0-9.:]|\\[|\\]| ){0,20}") {
        if let Ok(target) = Target::parse(&text, &home()) {
            let written = target.to_string();
            prop_assert!(!written.chars().any(char::is_control));
            prop_assert!(target.uri().is_ascii());
            prop_assert!(!target.uri().contains(['<', '>', '"', ' ']));
            // What we write, we read back the same.
            let again = Target::parse(&written, &home()).unwrap();
            prop_assert_eq!(again, target);
        }
        let _ = Address::parse(&text);
    }
}

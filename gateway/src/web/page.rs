//! The page at `/`: says how to connect to this very gateway, so addresses and domain are filled in at the start.

use crate::app::Addresses;
use crate::config::{Config, Registrar};

/// From inside the binary, so that one file is the whole program.
static TEMPLATE: &str = include_str!("../../../web-phone/guide.html");

/// Its style sheet.
pub(super) static STYLE: &str = include_str!("../../../web-phone/guide.css");

/// Its icon.
pub(super) static ICON: &str = include_str!("../../../web-phone/icon.svg");

/// The page with its places filled in.
pub(super) fn render(config: &Config, at: &Addresses) -> String {
    let registrar = match &config.registrar {
        Registrar::Open => "Any softphone may register here without a password.",
        Registrar::Users(users) if users.is_empty() => {
            "A listener is not on loopback, so nobody may register here until the configuration file names [[users]]."
        }
        Registrar::Users(_) => "The users that the configuration file names may register here with their passwords.",
    };
    [
        ("{{rtmp}}", at.rtmp.to_string()),
        ("{{sip}}", at.sip.to_string()),
        ("{{domain}}", config.local_domain.clone()),
        ("{{registrar}}", registrar.into()),
    ]
    .iter()
    .fold(TEMPLATE.to_owned(), |page, (place, text)| page.replace(place, &escaped(text)))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_the_page_is_filled_with_what_is_true_here() {
        let at =
            Addresses { rtmp: "127.0.0.1:19350".parse().unwrap(), sip: "127.0.0.1:50600".parse().unwrap(), http: None };
        let page = render(&Config::default(), &at);
        assert!(page.contains("rtmp://127.0.0.1:19350/sip/alice@localhost") && page.contains("127.0.0.1:50600"));
        assert!(!page.contains("{{"), "an unfilled place");
    }
}

//! The pages say how to connect to this very gateway: addresses and domain are filled in as they are sent.

use crate::app::Addresses;
use crate::config::{Config, Registrar};

/// What stands in a page instead of `{{name}}`, as HTML.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<(&'static str, String)>);

impl Places {
    /// What is true of this gateway.
    pub(super) fn new(config: &Config, at: &Addresses) -> Places {
        let registrar = match &config.registrar {
            Registrar::Open => "Any softphone may register here without a password.",
            Registrar::Users(users) if users.is_empty() => {
                "A listener is not on loopback, so nobody may register here until the configuration file names [[users]]."
            }
            Registrar::Users(_) => {
                "The users that the configuration file names may register here with their passwords."
            }
        };
        let places = [
            ("{{rtmp}}", at.rtmp.to_string()),
            ("{{sip}}", at.sip.to_string()),
            ("{{domain}}", config.local_domain.clone()),
            ("{{registrar}}", registrar.into()),
        ];
        Places(places.into_iter().map(|(place, text)| (place, escaped(&text))).collect())
    }

    /// The page with its places filled in.
    pub(super) fn fill(&self, page: &str) -> String {
        self.0.iter().fold(page.to_owned(), |page, (place, text)| page.replace(place, text))
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_the_pages_is_filled_with_what_is_true_here() {
        let at =
            Addresses { rtmp: "127.0.0.1:19350".parse().unwrap(), sip: "127.0.0.1:50600".parse().unwrap(), http: None };
        let places = Places::new(&Config::default(), &at);
        let guide = places.fill(include_str!("../../../web-phone/guide.html"));
        assert!(guide.contains("rtmp://127.0.0.1:19350/sip/") && guide.contains("127.0.0.1:50600"));
        let index = places.fill(include_str!("../../../web-phone/index.html"));
        assert!(!guide.contains("{{") && !index.contains("{{"), "an unfilled place");
    }
}

//! The files of the web phone: inside a release binary, from `web-phone/` in a debug build, so that an edit shows at once.
//!
//! Pages (`.html`) have places for what is true of this very gateway ([`super::page`]); all else is sent as it is.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use super::page::Places;
use crate::config::FrameAncestor;

/// What a browser is to run: no tests, no types, nothing of npm's.
#[derive(RustEmbed)]
#[folder = "../web-phone"]
#[include = "*.html"]
#[include = "*.js"]
#[include = "*.wasm"]
#[include = "*.css"]
#[include = "*.svg"]
#[include = "*.json"]
#[exclude = "test/*"]
#[exclude = "types/*"]
#[exclude = "scripts/*"]
#[exclude = "*node_modules/*"]
#[exclude = "*package.json"]
#[exclude = "*package-lock.json"]
#[exclude = "*tsconfig*.json"]
#[exclude = "*.config.js"]
#[exclude = ".*"]
struct WebPhone;

/// What pages may load and do (web phone security): only from here, WebAssembly but no other code made at run time.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; \
    worker-src 'self'; media-src 'self' blob: mediastream:; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors";

/// The microphone and the choice of a speaker are what a phone needs.
const PERMISSIONS: &str = "microphone=(self), camera=(), speaker-selection=(self)";

/// Serves the files, each with the headers that keep it what it is.
#[derive(Debug)]
pub(super) struct Files {
    places: Places,
    policy: HeaderValue,
}

impl Files {
    pub(super) fn new(places: Places, frame_ancestors: &[FrameAncestor]) -> Files {
        let ancestors = frame_ancestors.iter().fold(String::new(), |text, ancestor| format!("{text} {ancestor}"));
        let policy = HeaderValue::try_from(format!("{POLICY}{ancestors}")).expect("origins are checked to be ASCII");
        Files { places, policy }
    }

    /// Answers a GET for `path`, which begins with a slash.
    pub(super) fn answer(&self, path: &str, request: &HeaderMap) -> Response {
        let name = match path.trim_start_matches('/') {
            "" => "index.html",
            name => name,
        };
        match self.find(name) {
            Some(file) => self.response(file, request),
            None => (StatusCode::NOT_FOUND, [NO_SNIFF], "not found\n").into_response(),
        }
    }

    fn find(&self, name: &str) -> Option<File> {
        let kind = kind(name)?;
        if name.split('/').any(|part| part.starts_with('.')) {
            return None;
        }
        let file = WebPhone::get(name)?;
        if kind != HTML {
            let body = match file.data {
                std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                std::borrow::Cow::Owned(bytes) => bytes.into(),
            };
            return Some(File { kind, tag: tag(&file.metadata.sha256_hash()), body });
        }
        let page = self.places.fill(std::str::from_utf8(&file.data).ok()?);
        Some(File { kind, tag: tag(&Sha256::digest(&page)), body: page.into() })
    }

    fn response(&self, file: File, request: &HeaderMap) -> Response {
        let known = request.get_all(header::IF_NONE_MATCH).iter().any(|tags| names(tags, &file.tag));
        let (status, body) =
            if known { (StatusCode::NOT_MODIFIED, Body::empty()) } else { (StatusCode::OK, file.body.into()) };
        let tag = HeaderValue::try_from(file.tag).expect("hexadecimal digits in quotes");
        let kept = [(header::ETAG, tag), (header::CONTENT_SECURITY_POLICY, self.policy.clone())];
        let fixed = [
            (header::CONTENT_TYPE, file.kind),
            (header::CACHE_CONTROL, "no-cache"),
            NO_SNIFF,
            (header::REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("permissions-policy"), PERMISSIONS),
        ];
        (status, kept, fixed, body).into_response()
    }
}

pub(super) const NO_SNIFF: (HeaderName, &str) = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");

struct File {
    kind: &'static str,
    /// Entity tag, quotes included (RFC 9110 section 8.8.3).
    tag: String,
    body: Bytes,
}

const HTML: &str = "text/html; charset=utf-8";

/// The media type by the ending of the name.
fn kind(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "html" => HTML,
        "js" => "text/javascript; charset=utf-8",
        "wasm" => "application/wasm",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        _ => return None,
    })
}

fn tag(hash: &[u8]) -> String {
    let digits: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

/// Whether If-None-Match names this tag: weak comparison (RFC 9110 section 13.1.2).
fn names(tags: &HeaderValue, tag: &str) -> bool {
    let Ok(tags) = tags.to_str() else { return false };
    tags.split(',').map(str::trim).any(|other| other == "*" || other.trim_start_matches("W/") == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        Files::new(Places::default(), &["self".parse().unwrap(), "https://intranet.example".parse().unwrap()])
    }

    fn header<'r>(response: &'r Response, name: &str) -> &'r str {
        response.headers().get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
    }

    #[test]
    fn every_file_of_the_phone_has_its_media_type() {
        for (path, kind) in [
            ("/", "text/html; charset=utf-8"),
            ("/guide.html", "text/html; charset=utf-8"),
            ("/guide.css", "text/css; charset=utf-8"),
            ("/icon.svg", "image/svg+xml"),
            ("/phone.js", "text/javascript; charset=utf-8"),
            ("/audio/worklet.js", "text/javascript; charset=utf-8"),
            ("/audio/speex.wasm", "application/wasm"),
        ] {
            let response = files().answer(path, &HeaderMap::new());
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(header(&response, "content-type"), kind, "{path}");
            assert_eq!(header(&response, "cache-control"), "no-cache", "{path}");
        }
    }

    #[test]
    fn what_a_browser_has_no_use_for_is_not_there() {
        for path in [
            "/package.json",
            "/tsconfig.json",
            "/.gitignore",
            "/test/rtmp.test.js",
            "/audio/../test/rtmp.test.js",
            "/../gateway/Cargo.toml",
            "/../web-phone/phone.js",
            "//etc/passwd",
            "/audio",
            "/audio/",
            "/nowhere.js",
        ] {
            assert_eq!(files().answer(path, &HeaderMap::new()).status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn the_policy_allows_the_phone_itself_and_the_frames_of_the_configuration() {
        let response = files().answer("/", &HeaderMap::new());
        let policy = header(&response, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; "), "{policy}");
        assert!(policy.ends_with("; frame-ancestors 'self' https://intranet.example"), "{policy}");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        assert_eq!(header(&response, "referrer-policy"), "no-referrer");
        assert!(header(&response, "permissions-policy").starts_with("microphone=(self)"));
    }

    #[test]
    fn a_file_that_the_browser_has_is_not_sent_again() {
        for path in ["/", "/phone.js"] {
            let first = files().answer(path, &HeaderMap::new());
            let tag = header(&first, "etag").to_owned();
            for (known, status) in
                [(tag.clone(), 304), (format!("\"other\", W/{tag}"), 304), ("*".into(), 304), ("\"other\"".into(), 200)]
            {
                let request = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::try_from(known).unwrap())]);
                let second = files().answer(path, &request);
                assert_eq!(second.status(), status, "{path}");
                assert_eq!(header(&second, "etag"), tag);
            }
        }
    }
}

//! The chat page: one document that loads nothing else.
//!
//! Its script and its style are allowed by their hashes and nothing else is, so that no text of a message
//! can become either. A test holds the hashes equal to the document.

/// The document.
pub(super) const HTML: &str = include_str!("page.html");

/// The header fields that go with it.
pub(super) const FIELDS: &str = concat!(
    "Content-Security-Policy: default-src 'none'; script-src 'sha256-",
    "SCRIPT",
    "'; style-src 'sha256-",
    "STYLE",
    "'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n",
    "Referrer-Policy: no-referrer\r\n",
    "Cross-Origin-Opener-Policy: same-origin\r\n",
    "Cross-Origin-Resource-Policy: same-origin\r\n",
);

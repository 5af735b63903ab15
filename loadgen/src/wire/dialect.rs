//! What a WebSocket server expects that is not uringcast: where it serves, what a client says first, and
//! what a message looks like.
//!
//! Nothing is known of what such a server sends, so a stamp is looked for anywhere in it.

use std::str::FromStr;

/// How to speak with a WebSocket server that is not uringcast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// What is requested, with its query.
    pub(crate) path: RequestPath,
    /// What a client says first.
    pub(crate) join: Option<Template>,
    pub(crate) message: Template,
}

/// The target of a request: `/` and whatever fits in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestPath(String);

/// A text with places for what changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Stamp,
    Client,
}

impl Template {
    /// `%s` and nothing else.
    pub(crate) fn bare() -> Self {
        Self(vec![Part::Stamp])
    }

    /// Whether it has a place for a stamp.
    pub(crate) fn has_stamp(&self) -> bool {
        self.0.contains(&Part::Stamp)
    }

    /// The text of `client`, with this stamp.
    pub(super) fn fill(&self, client: u32, stamp: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text.extend_from_slice(part.as_bytes()),
                Part::Stamp => text.extend_from_slice(stamp),
                Part::Client => text.extend_from_slice(client.to_string().as_bytes()),
            }
        }
        text
    }
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('%') {
            parts.push(Part::Text(before.to_owned()));
            let mut letters = after.chars();
            parts.push(match letters.next() {
                Some('s') => Part::Stamp,
                Some('i') => Part::Client,
                Some('%') => Part::Text("%".to_owned()),
                _ => return Err("write %s for the stamp, %i for the client, %% for a %".to_owned()),
            });
            rest = letters.as_str();
        }
        parts.push(Part::Text(rest.to_owned()));
        if parts.iter().filter(|part| **part == Part::Stamp).count() > 1 {
            return Err("write %s once".to_owned());
        }
        Ok(Self(parts))
    }
}

impl RequestPath {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for RequestPath {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl FromStr for RequestPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(text.to_owned()));
        }
        Err("give a path that begins with / and has no spaces, as in /chat?room=1".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_places_for_a_stamp_and_a_number() {
        let filled = |text: &str| text.parse::<Template>().map(|it| it.fill(7, b"STAMP"));
        assert_eq!(
            filled(r#"{"m":"%s","by":%i,"at":"5%%"}"#).unwrap(),
            br#"{"m":"STAMP","by":7,"at":"5%"}"#
        );
        assert_eq!(Template::bare().fill(7, b"STAMP"), b"STAMP");
        assert!(!"join %i".parse::<Template>().unwrap().has_stamp());
        for wrong in ["%", "%d", "a %s and %s"] {
            assert!(filled(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_path_fits_in_a_request() {
        assert!("/chat?room=1".parse::<RequestPath>().is_ok());
        for wrong in ["", "chat", "/a b", "/a\r\nX: y", "/ä"] {
            assert!(wrong.parse::<RequestPath>().is_err(), "{wrong:?}");
        }
    }
}

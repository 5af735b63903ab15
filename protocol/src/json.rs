//! The JSON objects that WebSocket and event streams carry, in both directions.
//!
//! A server says a [`ServerObject`], with its `type`; an event stream names the type beside the object, and
//! carries [`ServerObject::event_data`]. A client says a [`ClientObject`], whose unknown fields are ignored.
//! Text that is not UTF-8 goes out as `base64`.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Position;
use crate::presence::Presence;

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ServerObject<'a> {
    /// The answer to joining.
    #[serde(borrow)]
    Joined(Joined<'a>),
    /// A message of somebody.
    Message(Message<'a>),
    /// The client's own message has its place.
    Accepted(Accepted),
    /// The client was too slow, and messages were skipped.
    Missed(Missed),
    /// Who came, who went, or who is there.
    Presence(Who<'a>),
    /// Nothing more comes, and why.
    Closing(Closing<'a>),
}

/// The answer to joining.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined<'a> {
    /// The name as it was taken.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Where what the client is sent begins.
    pub position: Position,
    /// It begins exactly behind the position that the client asked for.
    pub resumed: bool,
}

/// A message of somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message<'a> {
    /// The place behind it; an event stream says it beside the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Its author.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// What it says, if that is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Text<'a>>,
    /// What it says, if that is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

/// The client's own message has its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The number that the client gave it.
    pub id: u64,
    /// The place behind it.
    pub position: Position,
}

/// Messages were skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// How many.
    pub messages: u64,
    /// The place behind them; an event stream says it beside the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
}

/// Who came, who went, or who is there. Fields that say nothing are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who<'a> {
    /// The place behind it; an event stream says it beside the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Somebody joined.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<Text<'a>>,
    /// Somebody left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Text<'a>>,
    /// To a newcomer: the names of those who are there, or of some of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub here: Option<Vec<Text<'a>>>,
    /// How many are there in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How many joined at once, too many to name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joins: Option<u64>,
    /// How many left at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaves: Option<u64>,
}

/// Nothing more comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing<'a> {
    /// Why.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
}

/// What a client says: first who it is, then messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientObject<'a> {
    /// Its name.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text<'a>>,
    /// The last position it has; the server goes on behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Text<'a>>,
    /// A message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text<'a>>,
    /// A number of the client's own for the message, which asks for [`ServerObject::Accepted`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
}

/// A string: a slice of what was read where that says it without escapes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// Why a text is not what a client may say.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ObjectError {
    /// JSON, but another value.
    #[error("not a JSON object such as {{\"text\":\"hi\"}}")]
    NotAnObject,
    /// Not JSON, or a field of another type.
    #[error("not a JSON object as expected: {0}")]
    Json(String),
}

impl ObjectError {
    /// Why serde does not understand a text: it cites what it found, however long that is.
    fn of(error: &serde_json::Error) -> Self {
        const CITED_BYTES_MAX: usize = 100;
        let mut why = error.to_string();
        if why.len() > CITED_BYTES_MAX {
            why.truncate(why.floor_char_boundary(CITED_BYTES_MAX));
            why.push_str("...");
        }
        Self::Json(why)
    }
}

impl<'a> ClientObject<'a> {
    /// Understands what a client said.
    ///
    /// # Errors
    /// When it is not one JSON object with fields as declared: see [`ObjectError`].
    pub fn parse(text: &'a str) -> Result<Self, ObjectError> {
        // A list of values would pass for an object.
        let begin = text.trim_start_matches([' ', '\t', '\n', '\r']);
        if !begin.starts_with('{') {
            return Err(ObjectError::NotAnObject);
        }
        serde_json::from_str(text).map_err(|error| ObjectError::of(&error))
    }

    /// The object as text.
    #[must_use]
    pub fn json(&self) -> Vec<u8> {
        json(self)
    }
}

impl<'a> ServerObject<'a> {
    /// A message of `name` whose end is at `position`.
    #[must_use]
    pub fn message(name: &'a str, payload: &'a [u8], position: Position) -> Self {
        let text = str::from_utf8(payload).ok();
        Self::Message(Message {
            position: Some(position),
            name: name.into(),
            text: text.map(Text::from),
            base64: text.is_none().then(|| STANDARD.encode(payload)),
        })
    }

    /// What is said of who is there, whose end is at `position`.
    #[must_use]
    pub fn presence(presence: &Presence<'a>, position: Position) -> Self {
        Self::Presence(Who {
            position: Some(position),
            ..Who::from(presence)
        })
    }

    /// Understands what a server said.
    ///
    /// # Errors
    /// When it is not JSON, of an unknown type, or lacks a field.
    pub fn parse(text: &'a str) -> Result<Self, ObjectError> {
        serde_json::from_str(text).map_err(|error| ObjectError::of(&error))
    }

    /// The object as text.
    #[must_use]
    pub fn json(&self) -> Vec<u8> {
        json(self)
    }

    /// The type, and the object without what an event stream says beside it: type and position.
    #[must_use]
    pub fn event_data(self) -> (&'static str, Vec<u8>) {
        match self {
            Self::Joined(joined) => ("joined", json(&joined)),
            Self::Message(message) => {
                let position = None;
                (
                    "message",
                    json(&Message {
                        position,
                        ..message
                    }),
                )
            }
            Self::Accepted(accepted) => ("accepted", json(&accepted)),
            Self::Missed(missed) => {
                let position = None;
                ("missed", json(&Missed { position, ..missed }))
            }
            Self::Presence(who) => {
                let position = None;
                ("presence", json(&Who { position, ..who }))
            }
            Self::Closing(closing) => ("closing", json(&closing)),
        }
    }

    /// Where a client stands that has this.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        match self {
            Self::Joined(joined) => Some(joined.position),
            Self::Message(message) => message.position,
            Self::Missed(missed) => missed.position,
            Self::Presence(who) => who.position,
            Self::Accepted(_) | Self::Closing(_) => None,
        }
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.into())
    }
}

impl<'a> From<&Presence<'a>> for Who<'a> {
    fn from(presence: &Presence<'a>) -> Self {
        let nothing = Self::default();
        match presence {
            Presence::Joined(name) => Self {
                joined: Some((*name).into()),
                ..nothing
            },
            Presence::Left(name) => Self {
                left: Some((*name).into()),
                ..nothing
            },
            Presence::Herd { joined, left, here } => Self {
                joins: Some(*joined),
                leaves: Some(*left),
                count: Some(*here),
                ..nothing
            },
            Presence::Here { here, names } => Self {
                here: Some(names.iter().map(|&name| name.into()).collect()),
                count: Some(*here),
                ..nothing
            },
        }
    }
}

fn json(object: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(object).expect("strings and numbers have a JSON text")
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Position = Position {
        epoch: 0xabc,
        sequence: 7,
    };

    fn text(object: &ServerObject<'_>) -> String {
        String::from_utf8(object.json()).unwrap()
    }

    #[test]
    fn a_message_is_text_or_base64() {
        let object = ServerObject::message("ann", "\"hi\"\n<b>".as_bytes(), AT);
        let expected = r#"{"type":"message","position":"0000000000000abc.7","name":"ann","text":"\"hi\"\n<b>"}"#;
        assert_eq!(text(&object), expected);
        assert_eq!(ServerObject::parse(expected), Ok(object.clone()));
        assert_eq!(object.position(), Some(AT));
        let (kind, data) = object.event_data();
        assert_eq!(kind, "message");
        assert_eq!(data, br#"{"name":"ann","text":"\"hi\"\n<b>"}"#);
        let object = ServerObject::message("ann", b"\xff\0", AT);
        let expected =
            r#"{"type":"message","position":"0000000000000abc.7","name":"ann","base64":"/wA="}"#;
        assert_eq!(text(&object), expected);
    }

    #[test]
    fn presence_leaves_out_what_it_does_not_say() {
        let json = |presence: &Presence<'_>| text(&ServerObject::Presence(presence.into()));
        assert_eq!(
            json(&Presence::Joined("bob")),
            r#"{"type":"presence","joined":"bob"}"#
        );
        let here = Presence::Here {
            here: 3,
            names: vec!["ann", "bob"],
        };
        assert_eq!(
            json(&here),
            r#"{"type":"presence","here":["ann","bob"],"count":3}"#
        );
        let herd = Presence::Herd {
            joined: 2,
            left: 1,
            here: 9,
        };
        assert_eq!(
            json(&herd),
            r#"{"type":"presence","count":9,"joins":2,"leaves":1}"#
        );
    }

    #[test]
    fn a_client_says_an_object_and_unknown_fields_are_ignored() {
        let object = ClientObject::parse(r#" {"text":"hi","id":7,"x":[[{}]]} "#).unwrap();
        assert_eq!(object.id, Some(7));
        assert!(matches!(&object.text, Some(Text(Cow::Borrowed("hi")))));
        let object = ClientObject::parse(r#"{"name":"\u0061nn","after":null}"#).unwrap();
        assert_eq!(object.name, Some("ann".into()));
        assert_eq!(object.json(), br#"{"name":"ann"}"#);
        for wrong in [
            "",
            "hi",
            r#"["ann"]"#,
            "\"ann\"",
            "null",
            "7",
            r#"{"text":7}"#,
            r#"{"text":"hi","id":-1}"#,
            r#"{"text":"hi","id":1.5}"#,
            r#"{"text":"a","text":"b"}"#,
            r#"{"text":"\ud800"}"#,
            r#"{"text":"hi"} {"text":"hi"}"#,
            r#"{"text":"hi""#,
        ] {
            assert!(ClientObject::parse(wrong).is_err(), "{wrong}");
        }
        let long = format!(r#"{{"text":"hi","id":"{}"}}"#, "ä".repeat(1000));
        let error = ClientObject::parse(&long).unwrap_err().to_string();
        assert!(error.contains("invalid type: string \"ää"), "{error}");
        assert!(error.len() < 200, "{error}");
    }
}

//! What a receiver gets: who said what.

use std::fmt;

/// A name frame and a message frame.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) name: String,
    pub(crate) text: Vec<u8>,
}

/// The message that `name` said `text`.
pub(crate) fn said(name: &str, text: impl AsRef<[u8]>) -> Message {
    Message {
        name: name.into(),
        text: text.as_ref().into(),
    }
}

/// A text of exactly `bytes` bytes that is different at every place for every `number`.
pub(crate) fn counted_text(number: usize, bytes: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 16);
    let mut line = 0;
    while text.len() < bytes {
        text.extend_from_slice(format!("{number}.{line} ").as_bytes());
        line += 1;
    }
    text.truncate(bytes);
    text
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 60;
        let text = &self.text[..self.text.len().min(SHOWN)];
        write!(f, "{} > {:?}", self.name, String::from_utf8_lossy(text))?;
        match self.text.len() {
            0..=SHOWN => Ok(()),
            bytes => write!(f, "... ({bytes} bytes)"),
        }
    }
}

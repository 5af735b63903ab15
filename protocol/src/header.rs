//! The header: ten ASCII bytes that say how long the payload is.
//!
//! Written left-justified and padded with spaces (`"5         "`); read with white space on either side, as
//! Python's `int(text.strip())` reads it: spaces, and the bytes 9 to 13 (tab to carriage return).
//! Whatever [`encode`] writes, [`parse`] reads back as the same number.

use std::fmt;

/// Size of a header on the wire.
pub const HEADER_BYTES: usize = 10;

/// The longest payload a header can announce: ten nines.
pub const PAYLOAD_BYTES_MAX: u64 = 9_999_999_999;

/// A header in its canonical form.
///
/// # Panics
/// When `payload_bytes` is over [`PAYLOAD_BYTES_MAX`]: no ten digits can say it, and a caller that
/// has such a payload in memory forgot its own limit.
#[must_use]
pub fn encode(payload_bytes: usize) -> [u8; HEADER_BYTES] {
    assert!(
        payload_bytes as u64 <= PAYLOAD_BYTES_MAX,
        "a header has ten digits and cannot announce {payload_bytes} bytes"
    );
    let mut digits = [b' '; HEADER_BYTES];
    let mut rest = payload_bytes;
    let mut width = 0;
    loop {
        digits[width] = b"0123456789"[rest % 10];
        width += 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    digits[..width].reverse();
    digits
}

/// The payload length that `header` announces, in bytes.
///
/// # Errors
/// Names the first thing wrong with the header: see [`HeaderError`].
#[inline]
pub fn parse(header: &[u8; HEADER_BYTES]) -> Result<u64, HeaderError> {
    match parse_usual(header) {
        Some(payload_bytes) => Ok(payload_bytes),
        None => parse_any(header),
    }
}

/// What [`encode`] writes of less than 100 MB, all digits at once in one word; `None` of all else.
/// Hot: once per frame.
#[inline]
fn parse_usual(header: &[u8; HEADER_BYTES]) -> Option<u64> {
    const TEENS: u64 = 0x1010_1010_1010_1010;
    let [word @ .., b' ', b' '] = *header else {
        return None;
    };
    // A space becomes 0, and a digit its value and 16 more.
    let marked = u64::from_le_bytes(word) ^ 0x2020_2020_2020_2020;
    let digits_bits = (!marked & TEENS).trailing_zeros() & !7;
    if digits_bits == 0 || marked.checked_shr(digits_bits).unwrap_or(0) != 0 {
        return None;
    }
    // Zeros that count for nothing come before the digits.
    let aligned = marked << (64 - digits_bits);
    let values = aligned & 0x0f0f_0f0f_0f0f_0f0f;
    let is_above_nine = (values + 0x0606_0606_0606_0606) & TEENS != 0;
    if is_above_nine || aligned ^ values != TEENS << (64 - digits_bits) {
        return None;
    }
    let pairs = (values * 10 + (values >> 8)) & 0x00ff_00ff_00ff_00ff;
    let quads = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((quads * 10_000 + (quads >> 32)) & 0xffff_ffff)
}

fn parse_any(header: &[u8; HEADER_BYTES]) -> Result<u64, HeaderError> {
    let mut payload_bytes = 0;
    let mut digits_ended = false;
    let mut digits = 0;
    for (position, &byte) in header.iter().enumerate() {
        match byte {
            b' ' | b'\t'..=b'\r' => digits_ended = digits > 0,
            b'0'..=b'9' if digits_ended => return Err(HeaderError::InnerSpace { position }),
            b'0'..=b'9' => {
                payload_bytes = payload_bytes * 10 + u64::from(byte - b'0');
                digits += 1;
            }
            _ => return Err(HeaderError::NotADigit { byte, position }),
        }
    }
    if digits == 0 {
        return Err(HeaderError::Blank);
    }
    Ok(payload_bytes)
}

/// Why ten bytes are not a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderError {
    /// Nothing but white space: no length at all.
    Blank,
    /// A byte that is neither a digit nor white space: signs, underscores and binary end here.
    NotADigit {
        /// The byte as it came.
        byte: u8,
        /// Where it stands, 0 to 9.
        position: usize,
    },
    /// A second number after white space.
    InnerSpace {
        /// Where the second number begins, 1 to 9.
        position: usize,
    },
}

impl std::error::Error for HeaderError {}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Blank => write!(f, "blank header announces no length"),
            Self::NotADigit { byte, position } => write!(
                f,
                "header byte {} is '{}', not a digit or a space",
                position + 1,
                byte.escape_ascii()
            ),
            Self::InnerSpace { position } => write!(
                f,
                "header has a second number at byte {}, after a space",
                position + 1
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_usual_and_any_are_read_alike(
            digits in proptest::collection::vec(0_u8..12, 0..11),
            change in proptest::option::of((0_usize..HEADER_BYTES, any::<u8>())),
        ) {
            let mut header = [b' '; HEADER_BYTES];
            // Beside the digits, the two characters that follow them.
            digits.iter().zip(&mut header).for_each(|(digit, byte)| *byte = b'0' + digit);
            if let Some((at, byte)) = change {
                header[at] = byte;
            }
            prop_assert_eq!(parse(&header), parse_any(&header));
        }

        #[test]
        fn what_is_written_is_read_back(payload_bytes in 0..=9_999_999_999_usize) {
            prop_assert_eq!(parse(&encode(payload_bytes)), Ok(payload_bytes as u64));
            let usual = payload_bytes % 100_000_000;
            prop_assert_eq!(parse_usual(&encode(usual)), Some(usual as u64));
        }
    }

    #[test]
    fn is_written_left_justified() {
        assert_eq!(&encode(0), b"0         ");
        assert_eq!(&encode(5), b"5         ");
        assert_eq!(&encode(65_536), b"65536     ");
        assert_eq!(&encode(9_999_999_999), b"9999999999");
    }

    #[test]
    fn is_read_with_white_space_on_either_side() {
        for text in [
            b"5         ",
            b"         5",
            b"    5     ",
            b"0000000005",
            b"\t\n5\r\x0b\x0c    ",
        ] {
            assert_eq!(parse(text), Ok(5));
        }
        for byte in 0..=u8::MAX {
            let is_white_space = byte == b' ' || (9..=13).contains(&byte);
            for at in [0, 2, 9] {
                let mut text = *b" 5        ";
                text[at] = byte;
                let is_taken = is_white_space || (at != 9 && byte.is_ascii_digit());
                assert_eq!(parse(&text).is_ok(), is_taken, "{}", text.escape_ascii());
            }
        }
    }

    #[test]
    #[should_panic(expected = "cannot announce 10000000000 bytes")]
    fn refuses_to_write_what_ten_digits_cannot_say() {
        let _ = encode(10_000_000_000);
    }

    #[test]
    fn errors_name_what_was_wrong() {
        let message = |text: &[u8; 10]| parse(text).unwrap_err().to_string();
        assert_eq!(message(b"          "), "blank header announces no length");
        assert_eq!(
            message(b"GET / HTTP"),
            "header byte 1 is 'G', not a digit or a space"
        );
        assert_eq!(
            message(b"12_3      "),
            "header byte 3 is '_', not a digit or a space"
        );
        assert_eq!(
            message(b"1\x00        "),
            "header byte 2 is '\\x00', not a digit or a space"
        );
        assert_eq!(
            message(b"1 2       "),
            "header has a second number at byte 3, after a space"
        );
    }
}

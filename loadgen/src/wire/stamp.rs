//! The stamp: what the load generator writes at the head of every message it sends.
//!
//! 56 printable bytes say which run and which message this is, which message of the same author
//! came before it, when it was to be sent and when it was; a checksum over them, the author and the
//! length follows. The rest of the payload is a pattern that is compared byte by byte. So every
//! change of a payload, of its length or of the name it came under is noticed.
//!
//! ```text
//! m3f2a91c 0000012a 000000c7 000254a11bd0 000254a12003 5d1e07b4   (written without the spaces)
//! kind,run number   previous intended ns  sent ns      checksum
//! ```
//!
//! Reading a stamp is hot: once per delivery. It allocates nothing and branches on faults only.

/// Whom a payload is stamped by where the protocol names no author.
pub(super) const NAMELESS: u32 = u32::MAX;

/// Length of a stamp, and so the shortest message the load generator can send.
pub(crate) const STAMP_BYTES: usize = 56;

/// The first number that a stamp cannot carry.
pub(crate) const NUMBER_MAX: u32 = u32::MAX;

const CHECKED_BYTES: usize = STAMP_BYTES - 8;
const PATTERN: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789-";

/// What one message says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Counts all messages of the run, in the order of the schedule.
    pub(crate) number: u32,
    /// The message its author was to send before this one.
    pub(crate) previous: Option<u32>,
    /// When the schedule wanted it sent.
    pub(crate) intended_ns: u64,
    /// When its first byte was handed to the kernel.
    pub(crate) sent_ns: u64,
}

/// What a readable payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// A message of this run, bit for bit as it was sent.
    Message(Stamp),
    /// A probe of this run's barrier: which clients send to find out who has joined.
    Probe { round: u32 },
    /// Whole, but of another run of the load generator.
    OtherRun,
    /// Not what any load generator sent under this name.
    Corrupt,
}

/// Writes and reads the stamps of one run.
#[derive(Debug, Clone)]
pub(crate) struct Stamper {
    message_tag: [u8; 8],
    probe_tag: [u8; 8],
    /// What follows a stamp, long enough for the longest message.
    padding: Vec<u8>,
}

impl Stamper {
    /// For messages of up to `payload_bytes_max` bytes. Runs with the same `run` (28 bits of it
    /// count) take each other's messages for their own.
    pub(crate) fn new(run: u32, payload_bytes_max: usize) -> Self {
        let tag = |kind: u8| {
            let mut tag = hex8(run & 0x0fff_ffff);
            tag[0] = kind;
            tag
        };
        let padding_bytes = payload_bytes_max.saturating_sub(STAMP_BYTES);
        Self {
            message_tag: tag(b'm'),
            probe_tag: tag(b'p'),
            padding: PATTERN
                .iter()
                .copied()
                .cycle()
                .take(padding_bytes)
                .collect(),
        }
    }

    /// Whether `payload` claims to be of this run, be it damaged or not.
    pub(crate) fn claims_this_run(&self, payload: &[u8]) -> bool {
        payload.starts_with(&self.message_tag) || payload.starts_with(&self.probe_tag)
    }

    /// Where in `bytes`, which hold a message of this run, the last digits of its number are, for
    /// [`number_tail`].
    pub(crate) fn number_tail_at(&self, bytes: &[u8]) -> Option<usize> {
        let tag = self.message_tag.len();
        let at = bytes
            .windows(tag)
            .position(|window| window == self.message_tag)?;
        Some(at + tag + 4)
    }

    /// The payload of this run that lies somewhere in `bytes`, or what is left of it; `None` if there is
    /// none. Its end is where its own length, which its checksum covers, says.
    pub(crate) fn find<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let tag = self.message_tag.len();
        let at = bytes
            .windows(tag)
            .position(|window| window == self.message_tag || window == self.probe_tag)?;
        let found = &bytes[at..];
        let padding = found.get(STAMP_BYTES..).unwrap_or_default();
        let matching = padding.iter().zip(&self.padding);
        let longest = matching.take_while(|(came, sent)| came == sent).count();
        // What follows the payload may go on like the pattern.
        let lengths = (STAMP_BYTES..=STAMP_BYTES + longest).rev();
        let mut payloads = lengths.filter_map(|length| found.get(..length));
        let whole = payloads.find(|payload| self.read(payload, NAMELESS) != Reading::Corrupt);
        Some(whole.unwrap_or(found))
    }

    /// The payload of a message: `payload_bytes` long, and at least a stamp.
    pub(crate) fn message(&self, stamp: &Stamp, author: u32, payload_bytes: usize) -> Vec<u8> {
        let padding_bytes = payload_bytes.saturating_sub(STAMP_BYTES);
        let mut payload = Vec::with_capacity(STAMP_BYTES + padding_bytes);
        payload.extend_from_slice(&self.message_tag);
        payload.extend_from_slice(&hex8(stamp.number));
        payload.extend_from_slice(&hex8(stamp.previous.unwrap_or(NUMBER_MAX)));
        payload.extend_from_slice(&hex12(stamp.intended_ns));
        payload.extend_from_slice(&hex12(stamp.sent_ns));
        self.seal(payload, author, padding_bytes)
    }

    /// The payload of a probe.
    pub(crate) fn probe(&self, round: u32, author: u32) -> Vec<u8> {
        let mut payload = Vec::with_capacity(STAMP_BYTES);
        payload.extend_from_slice(&self.probe_tag);
        payload.extend_from_slice(&hex8(round));
        payload.resize(CHECKED_BYTES, b'0');
        self.seal(payload, author, 0)
    }

    /// Reads a payload that came under the name of client `author`.
    pub(crate) fn read(&self, payload: &[u8], author: u32) -> Reading {
        let Some((stamp, padding)) = payload.split_first_chunk::<STAMP_BYTES>() else {
            return Reading::Corrupt;
        };
        let (fields, checksum) = stamp.split_at(CHECKED_BYTES);
        if checksum != hex8(checksum_of(fields, author, payload.len())) {
            return Reading::Corrupt;
        }
        let tag = &fields[..8];
        if tag == self.message_tag {
            if self.padding.get(..padding.len()) != Some(padding) {
                return Reading::Corrupt;
            }
            let previous = unhex8(&fields[16..24]);
            Reading::Message(Stamp {
                number: unhex8(&fields[8..16]),
                previous: (previous != NUMBER_MAX).then_some(previous),
                intended_ns: unhex12(&fields[24..36]),
                sent_ns: unhex12(&fields[36..48]),
            })
        } else if tag == self.probe_tag {
            Reading::Probe {
                round: unhex8(&fields[8..16]),
            }
        } else {
            Reading::OtherRun
        }
    }

    fn seal(&self, mut payload: Vec<u8>, author: u32, padding_bytes: usize) -> Vec<u8> {
        let checksum = checksum_of(&payload, author, STAMP_BYTES + padding_bytes);
        payload.extend_from_slice(&hex8(checksum));
        payload.extend_from_slice(&self.padding[..padding_bytes]);
        payload
    }
}

/// Mixes six words, one after the other; each step can be undone, so that two stamps which differ
/// in one word never meet before the last 32 bits are cut off.
fn checksum_of(fields: &[u8], author: u32, payload_bytes: usize) -> u32 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut mixed = (u64::from(author) << 32) ^ payload_bytes as u64 ^ ODD;
    for word in fields.chunks_exact(8) {
        mixed = (mixed ^ word_of(word)).wrapping_mul(ODD);
        mixed ^= mixed >> 32;
    }
    high_half(mixed.wrapping_mul(ODD))
}

fn word_of(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(bytes);
    u64::from_be_bytes(word)
}

fn high_half(word: u64) -> u32 {
    let [a, b, c, d, ..] = word.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// Eight lower-case hexadecimal digits, all at once in one word.
fn hex8(value: u32) -> [u8; 8] {
    let word = u64::from(value);
    let quads = (word | (word << 16)) & 0x0000_ffff_0000_ffff;
    let pairs = (quads | (quads << 8)) & 0x00ff_00ff_00ff_00ff;
    let nibbles = (pairs | (pairs << 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    // Adding 6 carries into the next bit where a nibble is above 9.
    let letters = ((nibbles + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    let gap = u64::from(b'a' - b'9' - 1);
    (nibbles + 0x3030_3030_3030_3030 + letters * gap).to_be_bytes()
}

/// The lowest 48 bits of `value`: 78 hours of nanoseconds.
fn hex12(value: u64) -> [u8; 12] {
    let mut digits = [0; 12];
    digits[..8].copy_from_slice(&hex8(high_half(value << 16)));
    digits[8..].copy_from_slice(&hex8(high_half(value << 32))[4..]);
    digits
}

/// The value of eight lower-case hexadecimal digits, all at once in one word. What other bytes
/// yield means nothing: the checksum has vouched for these.
fn unhex8(digits: &[u8]) -> u32 {
    let word = word_of(digits);
    let letters = (word >> 6) & 0x0101_0101_0101_0101;
    let nibbles = (word & 0x0f0f_0f0f_0f0f_0f0f) + 9 * letters;
    let pairs = (nibbles | (nibbles >> 4)) & 0x00ff_00ff_00ff_00ff;
    let quads = (pairs | (pairs >> 8)) & 0x0000_ffff_0000_ffff;
    high_half((quads | (quads >> 16)) << 32)
}

/// The lowest 16 bits of a message's number, by the four digits at the head of `tail`; `None` if
/// `tail` is shorter. What other bytes yield means nothing. Hot: once per delivery.
#[inline]
pub(crate) fn number_tail(tail: &[u8]) -> Option<u32> {
    let word = u32::from_be_bytes(*tail.first_chunk()?);
    let letters = (word >> 6) & 0x0101_0101;
    let nibbles = (word & 0x0f0f_0f0f) + 9 * letters;
    let pairs = (nibbles | (nibbles >> 4)) & 0x00ff_00ff;
    Some((pairs | (pairs >> 8)) & 0xffff)
}

fn unhex12(digits: &[u8]) -> u64 {
    let mut tail = *b"00000000";
    tail[4..].copy_from_slice(&digits[8..]);
    (u64::from(unhex8(&digits[..8])) << 16) | u64::from(unhex8(&tail))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AUTHOR: u32 = 4_711;

    fn stamper() -> Stamper {
        Stamper::new(0xabc_1234, 200)
    }

    fn any_stamp() -> impl Strategy<Value = Stamp> {
        let time_ns = 0..(1_u64 << 48);
        (
            0..NUMBER_MAX,
            proptest::option::of(0..NUMBER_MAX),
            time_ns.clone(),
            time_ns,
        )
            .prop_map(|(number, previous, intended_ns, sent_ns)| Stamp {
                number,
                previous,
                intended_ns,
                sent_ns,
            })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(stamp in any_stamp(), bytes in STAMP_BYTES..200) {
            let payload = stamper().message(&stamp, AUTHOR, bytes);
            prop_assert_eq!(payload.len(), bytes);
            prop_assert!(payload.iter().all(u8::is_ascii_graphic));
            prop_assert_eq!(stamper().read(&payload, AUTHOR), Reading::Message(stamp));
        }

        #[test]
        fn a_changed_byte_is_noticed(
            stamp in any_stamp(),
            bytes in STAMP_BYTES..200,
            at in any::<prop::sample::Index>(),
            bits in 1_u8..,
        ) {
            let mut payload = stamper().message(&stamp, AUTHOR, bytes);
            payload[at.index(bytes)] ^= bits;
            prop_assert_eq!(stamper().read(&payload, AUTHOR), Reading::Corrupt);
        }
    }

    #[test]
    fn digits_are_lower_case_hexadecimal() {
        assert_eq!(&hex8(0x0123_4567), b"01234567");
        assert_eq!(&hex8(0x89ab_cdef), b"89abcdef");
        assert_eq!(&hex12(0xf_0123_4567_89ab), b"0123456789ab");
        assert_eq!(unhex8(b"89abcdef"), 0x89ab_cdef);
        assert_eq!(unhex12(b"f123456789ab"), 0xf123_4567_89ab);
        assert_eq!(number_tail(b"9abc, and more"), Some(0x9abc));
        assert_eq!(number_tail(b"9ab"), None);
    }

    fn example() -> Stamp {
        Stamp {
            number: 1,
            previous: None,
            intended_ns: 1_000,
            sent_ns: 1_001,
        }
    }

    #[test]
    fn a_payload_under_another_name_or_of_another_length_is_corrupt() {
        let payload = stamper().message(&example(), AUTHOR, 100);
        assert_eq!(stamper().read(&payload, AUTHOR + 1), Reading::Corrupt);
        assert_eq!(stamper().read(&payload[..99], AUTHOR), Reading::Corrupt);
        assert_eq!(stamper().read(&payload[..20], AUTHOR), Reading::Corrupt);
        let longer = [&payload[..], b"a"].concat();
        assert_eq!(stamper().read(&longer, AUTHOR), Reading::Corrupt);
    }

    #[test]
    fn a_message_of_another_run_is_told_from_a_damaged_one() {
        let other = Stamper::new(5, 200).message(&example(), AUTHOR, 100);
        assert_eq!(stamper().read(&other, AUTHOR), Reading::OtherRun);
        assert!(!stamper().claims_this_run(&other));
    }

    #[test]
    fn a_probe_is_never_taken_for_a_message() {
        let probe = stamper().probe(77, AUTHOR);
        assert_eq!(stamper().read(&probe, AUTHOR), Reading::Probe { round: 77 });
        assert!(stamper().claims_this_run(&probe));
    }
}

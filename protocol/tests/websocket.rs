//! What RFC 6455 allows and what it does not, in the order of the families of the Autobahn test suite (which
//! needs Python 2; `results/autobahn` has what it says). Compression, its families 12 and 13, is not offered.

#![allow(clippy::unwrap_used, reason = "a test may fail this way")]

use proptest::prelude::*;
use protocol::websocket::{
    Decoder, Error, Message, Opcode, Sender, accept_key, encode, encode_close, frame_bytes,
};

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame of a client whose first byte is `first`.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut wire = encode(Opcode::Binary, payload, Some(MASK)).to_vec();
    wire[0] = first;
    wire
}

/// What a server reads, a line for each message, then the fault. Whole and byte by byte are the same.
fn read(wire: &[u8]) -> Vec<String> {
    let whole = read_pieces(wire, wire.len().max(1));
    assert_eq!(read_pieces(wire, 1), whole);
    whole
}

fn read_pieces(wire: &[u8], piece_bytes: usize) -> Vec<String> {
    let mut decoder = Decoder::new(Sender::Client, 70_000);
    let mut read = Vec::new();
    for mut piece in wire.chunks(piece_bytes) {
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(Message::Text(text))) if text.len() > 50 => {
                    read.push(format!("text of {}", text.len()));
                }
                Ok(Some(Message::Binary(bytes))) => read.push(format!("binary of {}", bytes.len())),
                Ok(Some(Message::Text(text))) => read.push(format!("text {text}")),
                Ok(Some(Message::Ping(payload))) => read.push(format!("ping of {}", payload.len())),
                Ok(Some(Message::Pong(payload))) => read.push(format!("pong of {}", payload.len())),
                Ok(Some(Message::Close(close))) => read.push(format!("close {close:?}")),
                Ok(None) => break,
                Err(error) => {
                    read.push(format!("{} {error}", error.close_code()));
                    return read;
                }
            }
        }
    }
    read
}

fn fault(error: Error) -> Vec<String> {
    vec![format!("{} {error}", error.close_code())]
}

#[test]
fn family_1_messages_of_every_length() {
    for bytes in [0, 51, 125, 126, 127, 128, 65_535, 65_536, 70_000] {
        let (text, binary) = (
            frame(0x81, &vec![b'*'; bytes]),
            frame(0x82, &vec![0xfe; bytes]),
        );
        let expected = if bytes > 50 {
            format!("text of {bytes}")
        } else {
            "text ".into()
        };
        assert_eq!(read(&text), [expected]);
        assert_eq!(read(&binary), [format!("binary of {bytes}")]);
    }
}

#[test]
fn family_2_pings_and_pongs() {
    for bytes in [0, 1, 125] {
        assert_eq!(
            read(&frame(0x89, &vec![0xff; bytes])),
            [format!("ping of {bytes}")]
        );
        assert_eq!(
            read(&frame(0x8a, &vec![0; bytes])),
            [format!("pong of {bytes}")]
        );
    }
    assert_eq!(read(&frame(0x89, &[0; 126])), fault(Error::ControlTooLong));
    let ten = frame(0x89, b"payload").repeat(10);
    assert_eq!(read(&ten), vec!["ping of 7"; 10]);
}

#[test]
fn families_3_and_4_reserved_bits_and_opcodes() {
    for bits in 1..8 {
        assert_eq!(
            read(&frame(0x81 | bits << 4, b"x")),
            fault(Error::ReservedBits)
        );
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        let wire = [frame(0x81, b"hi"), frame(0x80 | opcode, b"")].concat();
        assert_eq!(read(&wire)[0], "text hi", "what came before is taken");
        assert_eq!(read(&wire)[1..], fault(Error::UnknownOpcode(opcode)));
    }
}

#[test]
fn family_5_fragments() {
    let (begin, middle, end) = (
        frame(0x01, b"one "),
        frame(0x00, b"two "),
        frame(0x80, b"three"),
    );
    let (ping, pong) = (frame(0x89, b"?"), frame(0x8a, b""));
    let whole = [&begin[..], &middle, &end].concat();
    assert_eq!(read(&whole), ["text one two three"]);
    let interleaved = [&begin[..], &ping, &middle, &pong, &end].concat();
    assert_eq!(
        read(&interleaved),
        ["ping of 1", "pong of 0", "text one two three"]
    );
    let empty = [frame(0x01, b""), frame(0x00, b""), frame(0x80, b"")].concat();
    assert_eq!(read(&empty), ["text "]);
    for fragmented in [0x08, 0x09, 0x0a] {
        assert_eq!(
            read(&frame(fragmented, b"")),
            fault(Error::FragmentedControl)
        );
    }
    for nothing in [0x00, 0x80] {
        let wire = [&whole[..], &frame(nothing, b"x")].concat();
        assert_eq!(read(&wire)[1..], fault(Error::NothingToContinue));
    }
    for interrupting in [0x01, 0x81, 0x02, 0x82] {
        let wire = [&begin[..], &frame(interrupting, b"x")].concat();
        assert_eq!(read(&wire), fault(Error::Interrupted));
    }
}

#[test]
fn family_6_text_is_utf_8_across_fragments() {
    let text = "κόσμε 🦀 \u{0}\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10ffff}";
    for cut in 0..=text.len() {
        let (one, two) = text.as_bytes().split_at(cut);
        let wire = [frame(0x01, one), frame(0x89, b""), frame(0x80, two)].concat();
        assert_eq!(read(&wire), ["ping of 0".into(), format!("text {text}")]);
    }
    for wrong in [
        &b"\xf8\x88\x80\x80\x80"[..],
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"a\x80",
        b"\xce\xba\xff",
        b"cut \xf0\x9f\xa6",
    ] {
        assert_eq!(
            read(&frame(0x81, wrong)),
            fault(Error::NotUtf8),
            "{wrong:?}"
        );
        assert_eq!(read(&frame(0x82, wrong)).len(), 1, "bytes may be anything");
    }
}

#[test]
fn what_is_not_utf_8_is_refused_at_its_first_wrong_byte() {
    // Case 6.4.4: the frame is long, and ends nowhere.
    let wire = frame(0x01, b"\xce\xba\xe1\xbd\xb9\xf4\x90 and more");
    let mut decoder = Decoder::new(Sender::Client, 1000);
    let (mut before, mut wrong) = wire.split_at(6 + 6);
    assert_eq!(decoder.next(&mut before), Ok(None));
    assert_eq!(
        decoder.next(&mut wrong.split_off(..1).unwrap()),
        Err(Error::NotUtf8)
    );
}

#[test]
fn family_7_closing() {
    assert_eq!(read(&frame(0x88, b"")), ["close None"]);
    assert_eq!(read(&frame(0x88, b"\x03")), fault(Error::CloseCode));
    let close = |code: u16, reason: &[u8]| frame(0x88, &[&code.to_be_bytes(), reason].concat());
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
        4999,
    ] {
        assert_eq!(
            read(&close(code, b"bye")),
            [format!("close Some(({code}, \"bye\"))")]
        );
    }
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        assert_eq!(read(&close(code, b"")), fault(Error::CloseCode), "{code}");
    }
    assert_eq!(read(&close(1000, b"\xff")), fault(Error::NotUtf8));
    assert_eq!(read(&close(1000, &[b'*'; 123])).len(), 1);
    assert_eq!(
        read(&close(1000, &[b'*'; 124])),
        fault(Error::ControlTooLong)
    );
}

#[test]
fn lengths_are_checked_in_the_header_before_memory_is_taken() {
    let too_long = Error::TooLong {
        message_bytes: 70_001,
        message_bytes_max: 70_000,
    };
    let header = |bytes: u64| [&[0x82, 0xff][..], &bytes.to_be_bytes(), &MASK].concat();
    assert_eq!(read(&header(70_001)), fault(too_long));
    assert_eq!(read(&header(1 << 63)), fault(Error::Length));
    assert_eq!(
        read(&header(65_535)),
        fault(Error::Length),
        "two bytes say it"
    );
    assert_eq!(
        read(&[&[0x82, 0xfe, 0, 125][..], &MASK].concat()),
        fault(Error::Length)
    );
    let wire = [frame(0x02, &[0; 70_000]), frame(0x80, &[0])].concat();
    assert_eq!(read(&wire), fault(too_long), "all fragments count");
    let mut decoder = Decoder::new(Sender::Client, 1 << 40);
    assert_eq!(decoder.next(&mut &header(1 << 40)[..]), Ok(None));
    assert_eq!(decoder.kept_bytes(), 0);
}

#[test]
fn masks_are_what_each_side_owes() {
    let mut server = Decoder::new(Sender::Client, 10);
    let mut client = Decoder::new(Sender::Server, 10);
    let (masked, plain) = (frame(0x81, b"hi"), encode(Opcode::Text, b"hi", None));
    assert_eq!(server.next(&mut &plain[..]), Err(Error::NotMasked));
    assert_eq!(client.next(&mut &masked[..]), Err(Error::Masked));
    let mut server = Decoder::new(Sender::Client, 10);
    let mut client = Decoder::new(Sender::Server, 10);
    assert_eq!(server.next(&mut &masked[..]), Ok(Some(Message::Text("hi"))));
    assert_eq!(client.next(&mut &plain[..]), Ok(Some(Message::Text("hi"))));
    assert_eq!(frame_bytes(&plain), Some(plain.len()));
    assert_eq!(frame_bytes(&plain[..1]), None);
}

#[test]
fn of_a_long_reason_goes_out_what_fits() {
    let wire = encode_close(1008, &"ä".repeat(100), None);
    let mut decoder = Decoder::new(Sender::Server, 0);
    let reason = &*"ä".repeat(61);
    assert_eq!(
        decoder.next(&mut &wire[..]),
        Ok(Some(Message::Close(Some((1008, reason)))))
    );
}

#[test]
fn a_key_is_accepted_as_in_the_rfc() {
    let accept = accept_key("dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(accept.as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    for wrong in ["", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25j", "*"] {
        assert_eq!(accept_key(wrong), None, "{wrong}");
    }
}

/// A message: whether it is text, its fragments, and the mask of each.
fn messages() -> impl Strategy<Value = Vec<(bool, Vec<String>, [u8; 4])>> {
    let fragments = prop::collection::vec("[a-zé🦀\n]{0,90}", 1..5);
    prop::collection::vec((any::<bool>(), fragments, any::<[u8; 4]>()), 0..6)
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_however_it_was_fragmented_and_cut(
        messages in messages(),
        cuts in prop::collection::vec(1_usize..200, 1..20),
    ) {
        let mut wire = Vec::new();
        let mut expected = Vec::new();
        for (is_text, fragments, mask) in &messages {
            let last = fragments.len() - 1;
            for (index, fragment) in fragments.iter().enumerate() {
                let opcode = match (index, is_text) {
                    (0, true) => 1,
                    (0, false) => 2,
                    _ => 0,
                };
                let begin = wire.len();
                wire.extend_from_slice(&encode(Opcode::Text, fragment.as_bytes(), Some(*mask)));
                wire[begin] = opcode | u8::from(index == last) << 7;
            }
            expected.push((*is_text, fragments.concat()));
        }
        let mut decoder = Decoder::new(Sender::Client, 2000);
        let mut decoded = Vec::new();
        let mut rest = &wire[..];
        for bytes in cuts.iter().cycle() {
            let mut piece = rest.split_off(..rest.len().min(*bytes)).unwrap();
            while let Some(message) = decoder.next(&mut piece).unwrap() {
                decoded.push(match message {
                    Message::Text(text) => (true, text.to_owned()),
                    Message::Binary(bytes) => (false, String::from_utf8(bytes.to_vec()).unwrap()),
                    other => panic!("{other:?}"),
                });
            }
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(decoded, expected);
        prop_assert!(!decoder.is_unfinished());
        decoder.release();
        prop_assert_eq!(decoder.kept_bytes(), 0);
    }
}

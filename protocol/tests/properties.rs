//! What must hold for every stream, not only for the examples in the unit tests.

use proptest::prelude::*;
use protocol::{DecodeError, Decoder, HeaderError, frame, header};

/// Decodes `wire` fed in pieces cut at `cuts` (taken modulo the length).
fn decode_in_pieces(
    wire: &[u8],
    cuts: &[usize],
    payload_bytes_max: usize,
) -> Result<Vec<Vec<u8>>, DecodeError> {
    let mut positions: Vec<usize> = cuts.iter().map(|cut| cut % (wire.len() + 1)).collect();
    positions.extend([0, wire.len()]);
    positions.sort_unstable();
    let mut decoder = Decoder::new(payload_bytes_max);
    let mut payloads = Vec::new();
    for piece in positions.windows(2) {
        let mut input = &wire[piece[0]..piece[1]];
        while let Some(payload) = decoder.next(&mut input)? {
            payloads.push(payload.to_vec());
        }
        assert!(input.is_empty(), "None means that the input is used up");
    }
    Ok(payloads)
}

fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..12)
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_however_it_was_cut(
        payloads in payloads(),
        cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        let wire: Vec<u8> = payloads.iter().flat_map(|payload| frame::encode(payload)).collect();
        prop_assert_eq!(decode_in_pieces(&wire, &cuts, 300), Ok(payloads.clone()));
        let every_byte: Vec<usize> = (0..wire.len()).collect();
        prop_assert_eq!(decode_in_pieces(&wire, &every_byte, 300), Ok(payloads));
    }

    #[test]
    fn garbage_decodes_to_the_same_frames_and_error_however_it_was_cut(
        wire in prop::collection::vec(prop_oneof![4 => Just(b' '), 6 => b'0'..=b'9', 1 => any::<u8>()], 0..200),
        cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        prop_assert_eq!(decode_in_pieces(&wire, &cuts, 50), decode_in_pieces(&wire, &[], 50));
    }

    #[test]
    fn a_header_says_its_length_back(payload_bytes in 0..=header::PAYLOAD_BYTES_MAX) {
        let written = header::encode(usize::try_from(payload_bytes).unwrap());
        prop_assert_eq!(header::parse(&written), Ok(payload_bytes));
    }

    #[test]
    fn a_header_is_read_as_pythons_int_of_the_stripped_text_or_refused(
        header in prop::array::uniform10(prop_oneof![
            4 => Just(b' '), 1 => 9_u8..=13, 5 => b'0'..=b'9', 1 => any::<u8>()
        ]),
    ) {
        let is_white_space = |byte: u8| byte == b' ' || (9..=13).contains(&byte);
        let text = String::from_utf8_lossy(&header);
        let stripped = text.trim_matches(|character: char| u8::try_from(character).is_ok_and(is_white_space));
        let digits_only = !stripped.is_empty() && stripped.bytes().all(|byte| byte.is_ascii_digit());
        match header::parse(&header) {
            Ok(payload_bytes) => {
                prop_assert!(digits_only);
                prop_assert_eq!(payload_bytes, stripped.parse::<u64>().unwrap());
            }
            Err(HeaderError::Blank) => prop_assert_eq!(stripped, ""),
            Err(HeaderError::NotADigit { byte, position }) => {
                prop_assert_eq!(header[position], byte);
                prop_assert!(!is_white_space(byte) && !byte.is_ascii_digit());
            }
            Err(HeaderError::InnerSpace { position }) => {
                prop_assert!(header[position].is_ascii_digit());
                prop_assert!(is_white_space(header[position - 1]));
                prop_assert!(header[..position].iter().any(u8::is_ascii_digit));
            }
        }
    }

    #[test]
    fn a_skipped_frame_leaves_the_rest_of_the_stream_whole(
        before in prop::collection::vec(any::<u8>(), 0..50),
        long in prop::collection::vec(any::<u8>(), 51..400),
        after in prop::collection::vec(any::<u8>(), 0..50),
        piece_bytes in 1..64usize,
    ) {
        let wire = [frame::encode(&before), frame::encode(&long), frame::encode(&after)].concat();
        let mut decoder = Decoder::new(50);
        let mut seen = Vec::new();
        for mut input in wire.chunks(piece_bytes) {
            loop {
                match decoder.next(&mut input) {
                    Ok(Some(payload)) => seen.push(payload.to_vec()),
                    Ok(None) => break,
                    Err(DecodeError::TooLong { payload_bytes, .. }) => decoder.skip(payload_bytes),
                    Err(error) => return Err(TestCaseError::fail(error.to_string())),
                }
            }
        }
        prop_assert_eq!(seen, vec![before, after]);
    }
}

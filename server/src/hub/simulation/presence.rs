//! What the total order says about who is there.

use bytes::Bytes;
use protocol::presence::Presence;
use protocol::{Decoder, SERVER_NAME};

/// How many are there after `notice`, when `here` were before it.
pub(super) fn here_after(notice: &Bytes, here: u64) -> u64 {
    let mut decoder = Decoder::new(2000);
    let mut rest = &notice[..];
    let name = decoder.next(&mut rest).unwrap();
    assert_eq!(name, Some(SERVER_NAME.as_bytes()));
    let text = decoder.next(&mut rest).unwrap().unwrap();
    match Presence::parse(str::from_utf8(text).unwrap()) {
        Some(Presence::Joined(_)) => here + 1,
        Some(Presence::Left(_)) => here
            .checked_sub(1)
            .expect("nobody leaves who was not there"),
        Some(Presence::Herd {
            joined,
            left,
            here: told,
        }) => {
            assert_eq!(here + joined - left, told, "the numbers go together");
            told
        }
        other => panic!("nobody says {other:?} to everyone"),
    }
}

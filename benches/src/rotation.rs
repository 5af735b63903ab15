//! Rotation: machines drift, so what is compared is measured in turn, and none is always the first.

/// `candidates` in the order of a repeat: each comes first in turn.
#[must_use]
pub fn rotated<T: Clone>(candidates: &[T], repeat: u32) -> Vec<T> {
    let mut candidates = candidates.to_vec();
    let count = candidates.len().max(1);
    candidates.rotate_left(repeat as usize % count);
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_first_in_turn_and_none_is_left_out() {
        let orders: Vec<_> = (0..4).map(|repeat| rotated(&[1, 2, 3], repeat)).collect();
        assert_eq!(orders, [[1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 2, 3]]);
        assert!(rotated::<u8>(&[], 1).is_empty());
    }
}

//! What is random but the same every time: numbers that are made from a seed and a name, never from the order of events.

/// Mixes a seed with what names the occasion; splitmix64's finish after each part.
pub(crate) fn mix(seed: u64, name: &[u64]) -> u64 {
    name.iter().fold(scramble(seed), |mixed, part| scramble(mixed ^ part.wrapping_mul(0xd6e8_feb8_6659_fd93)))
}

/// A number in `0.0..1.0`.
pub(crate) fn unit(seed: u64, name: &[u64]) -> f64 {
    (mix(seed, name) >> 11) as f64 / (1u64 << 53) as f64
}

fn scramble(from: u64) -> u64 {
    let mut z = from.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Appends bytes that no compression makes smaller.
pub(crate) fn noise(into: &mut Vec<u8>, seed: u64, bytes: usize) {
    let end = into.len() + bytes;
    into.reserve(bytes + 8);
    let mut state = seed;
    while into.len() < end {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        into.extend_from_slice(&scramble(state).to_le_bytes());
    }
    into.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_name_counts_and_the_numbers_spread_evenly() {
        assert_eq!(mix(1, &[2, 3]), mix(1, &[2, 3]));
        let others = [mix(2, &[2, 3]), mix(1, &[3, 2]), mix(1, &[2, 4]), mix(1, &[2]), mix(1, &[2, 3, 0])];
        assert!(others.iter().all(|other| *other != mix(1, &[2, 3])), "{others:?}");

        let below = (0..100_000).filter(|n| unit(9, &[*n]) < 0.3).count();
        assert!((29_000..31_000).contains(&below), "{below} of 100000 below 0.3");
    }

    #[test]
    fn noise_has_the_length_that_was_asked_for() {
        let mut bytes = vec![1];
        noise(&mut bytes, 5, 13);
        assert_eq!(bytes.len(), 14);
    }
}

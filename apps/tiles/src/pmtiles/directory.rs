//! Lists of tiles, or of other such lists. Pure.

/// A run of tiles with one body, or a directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Of the first tile.
    pub(super) id: u64,
    /// Among the bodies or, of a directory, among the leaves.
    pub(super) offset: u64,
    /// In bytes; not 0.
    pub(super) length: u32,
    /// How many tiles; 0 for a directory.
    pub(super) run: u32,
}

/// As columns of numbers: how many, ids as steps, runs, lengths, offsets (0 where it follows on the one before).
pub(super) fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.len() * 8);
    put(&mut bytes, entries.len() as u64);
    let mut last = 0;
    for entry in entries {
        put(&mut bytes, entry.id - last);
        last = entry.id;
    }
    entries.iter().for_each(|entry| put(&mut bytes, u64::from(entry.run)));
    entries.iter().for_each(|entry| put(&mut bytes, u64::from(entry.length)));
    let mut behind = None;
    for entry in entries {
        put(&mut bytes, if Some(entry.offset) == behind { 0 } else { entry.offset + 1 });
        behind = Some(entry.offset + u64::from(entry.length));
    }
    bytes
}

/// Nothing where it is no directory: ids that do not ascend, lengths of 0, numbers too big, too few or too many.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<Entry>> {
    let mut bytes = bytes;
    let bytes = &mut bytes;
    // Each entry has four numbers of a byte or more.
    let count = usize::try_from(take(bytes)?).ok().filter(|count| *count <= bytes.len() / 4)?;
    let mut entries = vec![Entry::default(); count];
    let mut next = 0_u64;
    for (at, entry) in entries.iter_mut().enumerate() {
        let step = take(bytes)?;
        if at > 0 && step == 0 {
            return None;
        }
        next = next.checked_add(step)?;
        entry.id = next;
    }
    for entry in &mut entries {
        entry.run = u32::try_from(take(bytes)?).ok()?;
    }
    for entry in &mut entries {
        entry.length = u32::try_from(take(bytes)?).ok().filter(|length| *length > 0)?;
    }
    let mut behind = None;
    for entry in &mut entries {
        entry.offset = match take(bytes)? {
            0 => behind?,
            offset => offset - 1,
        };
        behind = Some(entry.offset.checked_add(u64::from(entry.length))?);
    }
    let apart = entries.is_sorted_by(|a, b| a.id.checked_add(u64::from(a.run)).is_some_and(|end| end <= b.id));
    (bytes.is_empty() && apart).then_some(entries)
}

/// The entry that has a tile, or the directory that may have it.
pub(super) fn find(entries: &[Entry], id: u64) -> Option<Entry> {
    let entry = *entries[..entries.partition_point(|entry| entry.id <= id)].last()?;
    (entry.run == 0 || id - entry.id < u64::from(entry.run)).then_some(entry)
}

/// Seven bits in each byte, the lowest first.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7F);
        // The tenth byte has room for one bit.
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_example_by_hand() {
        let entries = [
            Entry { id: 0, offset: 0, length: 10, run: 1 },
            Entry { id: 5, offset: 10, length: 300, run: 2 },
            Entry { id: 200, offset: 0, length: 10, run: 1 },
        ];

        let bytes = encode(&entries);

        assert_eq!(bytes, [3, 0, 5, 0xC3, 1, 1, 2, 1, 10, 0xAC, 2, 10, 1, 0, 1]);
        assert_eq!(decode(&bytes).unwrap(), entries);
        let found = |id| find(&entries, id).map(|entry| entry.offset);
        assert_eq!(
            [0, 1, 5, 6, 7, 199, 200, 201].map(found),
            [Some(0), None, Some(10), Some(10), None, None, Some(0), None]
        );
        assert_eq!((encode(&[]), decode(&[0])), (vec![0], Some(vec![])));
    }

    #[test]
    fn what_is_no_directory_is_none() {
        let good =
            encode(&[Entry { id: 1, offset: 0, length: 1, run: 2 }, Entry { id: 3, offset: 1, length: 1, run: 1 }]);
        assert_eq!(good, [2, 1, 2, 2, 1, 1, 1, 1, 0]);
        let with = |at: usize, value| {
            let mut bytes = good.clone();
            bytes[at] = value;
            decode(&bytes)
        };

        assert!(decode(&good).is_some());
        for (at, value, why) in [
            (0, 1, "more behind it"),
            (0, 3, "too few"),
            (0, 127, "far too few"),
            (2, 0, "no step"),
            (3, 3, "a run into the next"),
            (5, 0, "no length"),
            (7, 0, "the first follows on nothing"),
            (8, 0x80, "an unfinished number"),
        ] {
            assert_eq!(with(at, value), None, "{why}");
        }
        let mut long = vec![1];
        long.extend([0xFF; 9]);
        assert_eq!(decode(&[&long[..], &[1, 1, 1, 1]].concat()).unwrap()[0].id, u64::MAX);
        assert_eq!(decode(&[&long[..], &[2, 1, 1, 1]].concat()), None, "more than 64 bits");
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            parts in prop::collection::vec((1..1_u64 << 40, 0..1_u64 << 40, 1..u32::MAX, 0..1_u32 << 20, any::<bool>()), 0..100),
        ) {
            let (mut id, mut entries) = (0, Vec::<Entry>::new());
            for (step, offset, length, run, follows) in parts {
                let last = entries.last().copied().unwrap_or_default();
                let offset = if follows { last.offset + u64::from(last.length) } else { offset };
                id += step + u64::from(last.run);
                entries.push(Entry { id, offset, length, run });
            }
            let bytes = encode(&entries);
            prop_assert_eq!(decode(&bytes).unwrap(), entries);
            for end in (0..bytes.len()).step_by(7) {
                prop_assert!(decode(&bytes[..end]).is_none());
            }
        }

        #[test]
        fn nothing_makes_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(entries) = decode(&bytes) {
                prop_assert_eq!(decode(&encode(&entries)).unwrap(), entries);
            }
        }
    }
}

//! What a stopped process has in its memory, and where it came from to a call.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash, Hasher},
    io::IoSliceMut,
    ops::Range,
};

use nix::{
    sys::uio::{RemoteIoVec, process_vm_readv},
    unistd::Pid,
};

/// How much of the top of a stack is searched for return addresses.
const STACK: usize = 512;
/// The longest path that the kernel takes (`PATH_MAX`).
const PATH: usize = 4096;
/// Memory is mapped in pages of at least this size, so a read within one succeeds whole.
const PAGE: usize = 4096;

/// As much as there is from `address` on, `length` at most.
pub(super) fn read(pid: Pid, address: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let Ok(base) = usize::try_from(address) else { return Vec::new() };
    // Apart at the ends of pages: a part that cannot be read ends the reading, and does not spoil what comes before.
    let mut parts = Vec::new();
    let mut at = base;
    let end = base.saturating_add(length);
    while at < end {
        let next = (at / PAGE + 1).saturating_mul(PAGE).min(end);
        parts.push(RemoteIoVec { base: at, len: next - at });
        at = next;
    }
    let got = process_vm_readv(pid, &mut [IoSliceMut::new(&mut bytes)], &parts).unwrap_or_default();
    bytes.truncate(got);
    bytes
}

/// A number of 64 bits.
pub(super) fn word(pid: Pid, address: u64) -> Option<u64> {
    read(pid, address, 8).first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
}

/// The bytes up to the next zero.
pub(super) fn text(pid: Pid, address: u64) -> Vec<u8> {
    let mut bytes = read(pid, address, PATH);
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

/// The sum of the lengths in a list of buffers (readv(2)).
pub(super) fn total(pid: Pid, buffers: u64, count: u64) -> u64 {
    /// The kernel takes no more (`IOV_MAX`).
    const MOST: usize = 1024;
    let count = usize::try_from(count).unwrap_or(MOST).min(MOST);
    let list = read(pid, buffers, count * 16);
    let lengths = list.chunks_exact(16).filter_map(|entry| entry.last_chunk::<8>());
    lengths.map(|length| u64::from_ne_bytes(*length)).sum()
}

/// The code of a process.
#[derive(Default)]
pub(super) struct Code(Vec<Range<u64>>);

impl Code {
    pub(super) fn of(pid: Pid) -> Self {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        let range = |line: &str| {
            let (range, rest) = line.split_once(' ')?;
            let (from, to) = range.split_once('-')?;
            let executable = rest.as_bytes().get(2) == Some(&b'x');
            executable.then_some(u64::from_str_radix(from, 16).ok()?..u64::from_str_radix(to, 16).ok()?)
        };
        Self(maps.lines().filter_map(range).collect())
    }

    /// The instruction and what looks like return addresses, as one number. What the stack holds from earlier calls is among these, which
    /// makes one place look like several now and then.
    pub(super) fn place(&self, pid: Pid, (instruction, stack): (u64, u64)) -> u64 {
        let mut hash = DefaultHasher::new();
        instruction.hash(&mut hash);
        for word in read(pid, stack, STACK).chunks_exact(8) {
            let word = word.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
            if self.0.iter().any(|range| range.contains(&word)) {
                word.hash(&mut hash);
            }
        }
        hash.finish()
    }
}

//! New inputs from old ones: flipped bits, pieces of other seeds, cuts, repetitions, numbers at
//! which integers end.

use lxcri_testkit::random::Random;

/// Longest input made: enough for every format, and little enough for thousands in a second.
pub const LONGEST: usize = 8 * 1024;

/// Numbers at the edges of integer types and of what the formats allow.
const NUMBERS: [&[u8]; 14] = [
    b"0",
    b"-1",
    b"-0",
    b"255",
    b"256",
    b"65535",
    b"2147483647",
    b"-2147483648",
    b"4294967296",
    b"9223372036854775807",
    b"-9223372036854775809",
    b"18446744073709551615",
    b"18446744073709551616",
    b"1e999",
];

/// Pieces that mean something to one parser or another.
const PIECES: [&[u8]; 18] = [
    b"/",
    b"/../",
    b"..",
    b".",
    b"\0",
    b"\n",
    b"\n\n",
    b" ",
    b",",
    b":",
    b"=",
    b"\"",
    b"\\",
    b"\\u0000",
    b"null",
    b"[[[[[[[[",
    b"\xff",
    "\u{2028}".as_bytes(),
];

/// An input made of the seeds by one to eight changes.
pub fn input(random: &mut Random, seeds: &[&[u8]]) -> Vec<u8> {
    let mut bytes = random.choose(seeds).map(|seed| seed.to_vec()).unwrap_or_default();
    for _ in 0..=random.below(8) {
        change(random, &mut bytes, seeds);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, seeds: &[&[u8]]) {
    match random.below(9) {
        0 => flip(random, bytes),
        1 => overwrite(random, bytes),
        2 => drop(bytes.drain(range(random, bytes))),
        3 => bytes.truncate(random.below(bytes.len() + 1)),
        4 => repeat(random, bytes),
        5 => replace_number(random, bytes),
        6 => replace_range(random, bytes, &PIECES),
        7 => splice(random, bytes, seeds),
        _ => swap_lines(random, bytes),
    }
}

/// A short range, at most 64 long.
fn range(random: &mut Random, bytes: &[u8]) -> std::ops::Range<usize> {
    let start = random.below(bytes.len() + 1);
    start..start + random.below((bytes.len() - start).min(64) + 1)
}

fn flip(random: &mut Random, bytes: &mut [u8]) {
    let at = random.below(bytes.len());
    let bit = 1 << random.below(8);
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= bit;
    }
}

fn overwrite(random: &mut Random, bytes: &mut [u8]) {
    let (at, value) = (random.below(bytes.len()), random.number().to_le_bytes()[0]);
    if let Some(byte) = bytes.get_mut(at) {
        *byte = value;
    }
}

fn repeat(random: &mut Random, bytes: &mut Vec<u8>) {
    let range = range(random, bytes);
    let times = 1 << random.below(9);
    let piece = bytes[range.clone()].repeat(times);
    if piece.len() <= LONGEST {
        bytes.splice(range.end..range.end, piece);
    }
}

/// A run of digits becomes another number, or a number comes in where there are none.
fn replace_number(random: &mut Random, bytes: &mut Vec<u8>) {
    let from = random.below(bytes.len());
    let digit = |byte: &u8| byte.is_ascii_digit();
    let Some(start) = bytes.iter().skip(from).position(digit).map(|at| at + from) else {
        return replace_range(random, bytes, &NUMBERS);
    };
    let end = start + bytes[start..].iter().take_while(|byte| digit(byte)).count();
    if let Some(number) = random.choose(&NUMBERS) {
        bytes.splice(start..end, number.iter().copied());
    }
}

fn replace_range(random: &mut Random, bytes: &mut Vec<u8>, pieces: &[&[u8]]) {
    let start = random.below(bytes.len() + 1);
    let end = if random.below(2) == 0 { start } else { range_end(random, bytes, start) };
    if let Some(piece) = random.choose(pieces) {
        bytes.splice(start..end, piece.iter().copied());
    }
}

fn range_end(random: &mut Random, bytes: &[u8], start: usize) -> usize {
    start + random.below((bytes.len() - start).min(16) + 1)
}

/// Puts a piece of a seed into the input.
fn splice(random: &mut Random, bytes: &mut Vec<u8>, seeds: &[&[u8]]) {
    let Some(seed) = random.choose(seeds) else { return };
    let from = random.below(seed.len() + 1);
    let piece = &seed[from..from + random.below(seed.len() - from + 1)];
    let target = range(random, bytes);
    bytes.splice(target, piece.iter().copied());
}

fn swap_lines(random: &mut Random, bytes: &mut Vec<u8>) {
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let (one, other) = (random.below(lines.len()), random.below(lines.len()));
    lines.swap(one, other);
    *bytes = lines.join(&b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_inputs_again() {
        let seeds: [&[u8]; 3] = [b"{\"a\": 1}\n\n", b"", b"x=12,y"];
        let inputs = |seed| {
            let mut random = Random::new(seed);
            (0..2000).map(|_| input(&mut random, &seeds)).collect::<Vec<_>>()
        };
        assert_eq!(inputs(7), inputs(7));
        assert_ne!(inputs(7), inputs(8));
        assert!(inputs(7).iter().all(|bytes| bytes.len() <= LONGEST));
    }

    #[test]
    fn most_inputs_are_new() {
        let seeds: [&[u8]; 2] = [b"31 23 0:28 / /sys rw - cgroup2 cgroup2 rw", b"0::/\n"];
        let mut random = Random::new(1);
        let made: std::collections::BTreeSet<_> =
            (0..1000).map(|_| input(&mut random, &seeds)).collect();
        assert!(made.len() > 800, "{}", made.len());
    }

    #[test]
    fn no_seeds_are_no_danger() {
        let mut random = Random::new(3);
        for _ in 0..1000 {
            input(&mut random, &[]);
        }
    }
}

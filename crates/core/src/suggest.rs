//! The nearest valid name for a misspelt one: what a hint proposes.

/// Names longer than this many bytes get no proposal: nobody misspells that much, and comparing
/// costs the product of both lengths.
const LONGEST: usize = 64;

/// The candidate that `name` was most likely meant to be, if one is near enough.
///
/// Case and the difference between `-` and `_` do not count. Up to a third of the letters (at least
/// one) may be wrong, missing, doubled or swapped with their neighbour; of equally near candidates
/// the first wins.
///
/// ```
/// use lxcri_core::suggest::nearest;
/// assert_eq!(nearest("naitve", ["crun", "native"]), Some("native"));
/// assert_eq!(nearest("docker", ["crun", "native"]), None);
/// ```
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.is_empty() || name.len() > LONGEST {
        return None;
    }
    let wanted = plain(name);
    let allowed = (wanted.chars().count() / 3).max(1);
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        if candidate.len() > LONGEST {
            continue;
        }
        let known = plain(candidate);
        let distance = strsim::osa_distance(&wanted, &known);
        // A change of every letter is no likeness, however short the name is.
        let likeness = distance < wanted.chars().count().max(known.chars().count());
        if likeness && distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// The name without what people mix up freely.
fn plain(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn proposes_the_nearest_name() {
        let known = ["root", "default_backend", "backend_annotation", "proxmox-lxc", "ok"];
        let cases = [
            ("rot", Some("root")),
            ("rooot", Some("root")),
            ("orot", Some("root")),
            ("ROOT", Some("root")),
            ("default-backend", Some("default_backend")),
            ("defualt_backend", Some("default_backend")),
            ("proxmox_lxc", Some("proxmox-lxc")),
            ("x", None),
            ("", None),
            ("kubernetes", None),
            ("o", Some("ok")),
        ];
        for (name, expected) in cases {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }

    #[test]
    fn gives_up_on_absurd_lengths() {
        let long = "r".repeat(1 << 20);
        assert_eq!(nearest(&long, ["root"]), None);
        assert_eq!(nearest("root", [long.as_str()]), None);
    }
}

//! The name of a stack of layers (image-spec config.md, "Layer ChainID").

use crate::digest::Digest;

/// The chain id of layers by their diff ids, lowest first. No layers have the digest of nothing.
pub fn chain_id<'d>(diff_ids: impl IntoIterator<Item = &'d Digest>) -> Digest {
    let mut diff_ids = diff_ids.into_iter();
    let Some(first) = diff_ids.next() else { return Digest::of(b"") };
    diff_ids
        .fold(first.clone(), |chain, diff_id| Digest::of(format!("{chain} {diff_id}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains() {
        let [a, b, c] = [&b"a"[..], b"b", b"c"].map(Digest::of);
        assert_eq!(chain_id([&a]), a);
        let ab = Digest::of(format!("{a} {b}").as_bytes());
        assert_eq!(chain_id([&a, &b]), ab);
        assert_eq!(chain_id([&a, &b, &c]), Digest::of(format!("{ab} {c}").as_bytes()));
        assert_ne!(chain_id([&a, &b]), chain_id([&b, &a]));
        assert_eq!(chain_id([]), Digest::of(b""));
    }
}

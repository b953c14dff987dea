//! How rules, implementations, remedies and entries of the ledger name their sources: a citation
//! that can be opened as it stands, and after it, in brackets, the facts that it rests on: `2.6.30
//! mm/memory.c: do_wp_page [locked-return]`.

/// The document with the facts, and all sources of each.
pub const DOCUMENT: &str = "docs/sources.md";

/// The facts that a text names: headings of [`DOCUMENT`].
pub fn anchors(text: &str) -> impl Iterator<Item = &str> {
    let brackets = text.split('[').skip(1).filter_map(|rest| Some(rest.split_once(']')?.0));
    brackets.flat_map(|names| names.split(", ")).filter(|name| is_anchor(name))
}

/// Whether a fact can have this name: words of lowercase letters and digits with hyphens between
/// them.
pub fn is_anchor(name: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.split('-').all(is_word)
}

/// Where the facts stand that a text names: `docs/sources.md#locked-return, ..`.
pub fn places(text: &str) -> String {
    anchors(text).map(|anchor| format!("{DOCUMENT}#{anchor}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_stand_in_brackets() {
        let text = "2.6.30 mm/memory.c: do_wp_page [locked-return, tags]; bitmap[3] [nfs-bug-12913";
        assert_eq!(anchors(text).collect::<Vec<_>>(), ["locked-return", "tags"]);
        assert_eq!(places("x [tags] y [mkclean]"), "docs/sources.md#tags, docs/sources.md#mkclean");
        for name in ["", "-", "a-", "A", "3", "a--b", "a b", "a_b"] {
            assert!(!is_anchor(name), "{name}");
        }
        assert!(is_anchor("nfs-bug-12913"));
    }
}

//! What a document runs on, by the names that stand in it, and how a target is called in output.

use mkwrite_model::Target;
use mkwrite_model::implementation::{Filesystem, Pair, PairError};
use mkwrite_model::text::Document;

/// The caller of a target in reports, and whether remedies are on there.
pub fn caller_label<F: Filesystem>(target: Target<F>) -> String {
    format!("{}{}", target.pair.caller.name(), remedied_label(target))
}

/// A target in a headline, which has no room for the names of the remedies.
pub fn headline<F: Filesystem>(target: Target<F>) -> String {
    let planted: String =
        target.plants.iter().map(|plant| format!(" planted {}", plant.name())).collect();
    format!("{}{}{planted}", target.pair, remedied_label(target))
}

fn remedied_label<F: Filesystem>(target: Target<F>) -> &'static str {
    if target.remedies.is_empty() { "" } else { " remedied" }
}

/// What a document runs on: the pairs that it names, with the bug and the remedies that it names.
pub fn targets_of<F: Filesystem>(document: &Document) -> Result<Vec<Target<F>>, PairError> {
    let target = |(fs, caller): &(String, String)| Ok(switched(document, Pair::named(fs, caller)?));
    document.runs.iter().map(target).collect()
}

/// A pair with the bug and the remedies that a document names.
pub fn switched<F: Filesystem>(document: &Document, pair: Pair<F>) -> Target<F> {
    Target { plants: document.plant.into(), remedies: document.remedies, ..Target::from(pair) }
}

/// The pair that a document compares with.
pub fn compared<F: Filesystem>(document: &Document) -> Result<Option<Target<F>>, PairError> {
    let target = |(fs, caller): &(String, String)| Ok(Target::from(Pair::named(fs, caller)?));
    document.compare.as_ref().map(target).transpose()
}

//! The explanation of a filed case, as it stands beside it: plain text, one part per pair.

use mkwrite_model::implementation::{Filesystem, PairError};

use mkwrite_explain::explain::{explain, with_stops};
use mkwrite_model::text::Document;
use mkwrite_oracle::ledger::Ledger;
use mkwrite_oracle::run::{Runner, targets_of};

use crate::terminal;

/// The text for all pairs that the document names.
pub fn text<F: Filesystem>(document: &Document) -> Result<String, PairError> {
    let (ledger, mut runner, mut text) = (Ledger::<F>::own(), Runner::default(), String::new());
    for target in targets_of(document)? {
        let case = with_stops(&mut runner, target, &document.case);
        let document = Document { case, ..document.clone() };
        let explanation = explain(&mut runner, &ledger, target, &document, None);
        if !text.is_empty() {
            text.push('\n');
        }
        let shown = terminal::explanation(&explanation, false);
        for line in anstream::adapter::strip_str(&shown).to_string().lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    Ok(text)
}

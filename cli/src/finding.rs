//! A finding on disk: the case that shows a signature, with what it breaks, under a name that depends on the
//! signature alone, so that the same bug has the same file wherever it was found.
use mkwrite_model::Case;
use mkwrite_model::Target;
use mkwrite_model::implementation::Registry;
use mkwrite_model::point::Point;
use mkwrite_model::text::Document;
use mkwrite_oracle::Rule;
use mkwrite_oracle::judge::Breach;
use mkwrite_oracle::ledger::{Expected, Ledger, Signature};
use mkwrite_oracle::run::{How, Runner};
use mkwrite_oracle::verdict::expectations;

/// A signature on a target as one word.
pub fn name<R: Registry>(ledger: &Ledger<R>, target: Target<R>, signature: &Signature) -> String {
    let pair = target.pair;
    let Signature { expected, rule, point } = *signature;
    let entry = ledger.entry(expected).map(|entry| entry.name.as_str());
    let class = match expected {
        Expected::Root(_) => entry,
        Expected::Consequence(_) => Some("after"),
        Expected::No => Some("new"),
    };
    let after = entry.filter(|_| matches!(expected, Expected::Consequence(_)));
    let parts = [
        Some(pair.implementation.name()),
        Some(pair.caller.name()),
        (!target.remedies.is_empty()).then_some("remedied"),
        Some(rule.id()),
        point.map(Point::name),
        class,
        after,
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("-")
}

/// The name of its file.
pub fn file_name<R: Registry>(ledger: &Ledger<R>, target: Target<R>, signature: &Signature) -> String {
    name(ledger, target, signature) + ".mkw"
}

/// Makes the document name these targets, which differ in their pairs alone.
pub fn set_targets<R: Registry>(document: &mut Document, targets: &[Target<R>]) {
    let named =
        |target: &Target<R>| (target.pair.implementation.name().to_owned(), target.pair.caller.name().to_owned());
    document.runs = targets.iter().map(named).collect();
    if let Some(first) = targets.first() {
        (document.plant, document.remedies) = (first.plant, first.remedies);
    }
}

/// What its file says: the case, all that breaks there, and where it comes from.
pub fn document<R: Registry>(target: Target<R>, breach: &Breach, origin: String, case: Case) -> Document {
    let mut runner = Runner::default();
    runner.run(target, &case, How::Own);
    let mut document = Document::new(case);
    set_targets(&mut document, &[target]);
    // A difference takes two runs.
    if breach.rule != Rule::Differential {
        document.expects = expectations(&runner.judge);
    }
    let about = breach.rule.about();
    let comments = [format!("{} {}: {}", about.id, about.title, breach.what), origin];
    document.comments = comments.into_iter().map(|text| ("mkw".to_owned(), text)).collect();
    document
}

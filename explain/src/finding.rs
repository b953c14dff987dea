//! A finding on disk: the case that shows a signature, with what it breaks, under a name that
//! depends on the signature alone, so that the same bug has the same file wherever it was found.
//!
//! A [`Name`] is one word, `IMPLEMENTATION-CALLER[-remedied]-RULE[-POINT]-STANDING`, such as
//! `nfs@2.6.29-2.6.29-I20-wp.set_page_dirty-new`.

use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::str::FromStr;

use mkwrite_model::Case;
use mkwrite_model::Target;
use mkwrite_model::era::Era;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::point::Point;
use mkwrite_model::text::Document;
use mkwrite_oracle::Rule;
use mkwrite_oracle::judge::Breach;
use mkwrite_oracle::ledger::{Expected, Ledger, Signature};
use mkwrite_oracle::run::{Runner, ScheduledBy};
use mkwrite_oracle::verdict::expectations;

/// How a finding stands to the ledger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// This entry lists it.
    Expected(String),
    /// It follows from what this entry lists.
    Follows(String),
    /// Nothing explains it.
    New,
}

/// The name of a finding: a signature on a target as one word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    /// The implementation, by its name: a finding of filesystems that are not here has a name, too.
    pub implementation: String,
    /// The caller.
    pub caller: Era,
    /// It was found with remedies on.
    pub remedied: bool,
    /// The rule that breaks.
    pub rule: Rule,
    /// Where it breaks, if that is a part of the signature.
    pub point: Option<Point>,
    /// How it stands to the ledger.
    pub standing: Standing,
}

impl Name {
    /// The name of this signature on this target.
    pub fn of<F: Filesystem>(ledger: &Ledger<F>, target: Target<F>, signature: &Signature) -> Name {
        let Signature { expected, rule, point } = *signature;
        let entry = ledger.entry(expected).map(|entry| entry.name.clone());
        let standing = match (expected, entry) {
            (Expected::Root(_), Some(entry)) => Standing::Expected(entry),
            (Expected::Consequence(_), Some(entry)) => Standing::Follows(entry),
            _ => Standing::New,
        };
        Name {
            implementation: target.pair.implementation.name().to_owned(),
            caller: target.pair.caller,
            remedied: !target.remedies.is_empty(),
            rule,
            point,
            standing,
        }
    }

    /// The name that a file of a finding has.
    pub fn of_file(path: &Path) -> Option<Name> {
        let name = path.file_name()?.to_str()?;
        name.strip_suffix(SUFFIX)?.parse().ok()
    }

    /// The name of its file.
    pub fn file(&self) -> String {
        format!("{self}{SUFFIX}")
    }
}

/// How the names of files of cases end.
const SUFFIX: &str = ".mkw";

impl Display for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Name { implementation, caller, remedied, rule, point, standing } = self;
        let remedied = if *remedied { "-remedied" } else { "" };
        write!(f, "{implementation}-{}{remedied}-{}", caller.name(), rule.id())?;
        if let Some(point) = point {
            write!(f, "-{}", point.name())?;
        }
        match standing {
            Standing::Expected(entry) => write!(f, "-{entry}"),
            Standing::Follows(entry) => write!(f, "-after-{entry}"),
            Standing::New => f.write_str("-new"),
        }
    }
}

/// A text that is not the name of a finding.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is not the name of a finding")]
pub struct NoName(String);

impl FromStr for Name {
    type Err = NoName;

    /// Names of implementations, callers, rules and entries have dashes of their own, so that a
    /// name is cut at its rule.
    fn from_str(text: &str) -> Result<Name, NoName> {
        let cut = |rule: &Rule| {
            let mark = format!("-{}-", rule.id());
            let mut cuts =
                text.match_indices(&mark).map(|(at, mark)| (&text[..at], &text[at + mark.len()..]));
            cuts.find_map(|(pair, rest)| named(pair, *rule, rest))
        };
        Rule::ALL.iter().find_map(cut).ok_or_else(|| NoName(text.to_owned()))
    }
}

/// The name that consists of this pair, rule and rest.
fn named(pair: &str, rule: Rule, rest: &str) -> Option<Name> {
    let (pair, remedied) =
        pair.strip_suffix("-remedied").map_or((pair, false), |pair| (pair, true));
    let under =
        |caller: &Era| Some((*caller, pair.strip_suffix(caller.name())?.strip_suffix('-')?));
    let (caller, implementation) = Era::CALLERS.iter().find_map(under)?;
    let at = |point: &Point| Some((*point, rest.strip_prefix(point.name())?.strip_prefix('-')?));
    let (point, standing) =
        Point::ALL.iter().find_map(at).map_or((None, rest), |(point, rest)| (Some(point), rest));
    let standing = match standing.strip_prefix("after-") {
        Some(entry) => Standing::Follows(entry.to_owned()),
        None if standing == "new" => Standing::New,
        None => Standing::Expected(standing.to_owned()),
    };
    Some(Name {
        implementation: implementation.to_owned(),
        caller,
        remedied,
        rule,
        point,
        standing,
    })
}

/// The target without bug and remedies: what a document can compare with.
pub(crate) fn is_plain<F: Filesystem>(target: Target<F>) -> bool {
    Target::from(target.pair) == target
}

/// A pair, as documents name it.
pub(crate) fn pair_names<F: Filesystem>(target: &Target<F>) -> (String, String) {
    (target.pair.implementation.name().to_owned(), target.pair.caller.name().to_owned())
}

/// Makes the document name these targets, which differ in their pairs alone.
pub fn set_targets<F: Filesystem>(document: &mut Document, targets: &[Target<F>]) {
    document.runs = targets.iter().map(pair_names).collect();
    if let Some(first) = targets.first() {
        (document.plant, document.remedies) = (first.plants.first(), first.remedies);
    }
}

/// What its file says: the case, all that breaks there, and where it comes from. A difference is
/// one from the first of `others` that shows it.
pub fn document<F: Filesystem>(
    target: Target<F>,
    breach: &Breach,
    origin: String,
    case: Case,
    others: &[Target<F>],
) -> Document {
    let mut runner = Runner::default();
    let (mut document, about) = (Document::new(case), breach.about());
    set_targets(&mut document, &[target]);
    if breach.rule == Rule::Differential {
        let is_same = |other: &Breach| (other.rule, other.what) == (breach.rule, breach.what);
        let shows = |other: &Target<F>| {
            runner.compare_with(Some(*other));
            runner.run(target, &document.case, ScheduledBy::Own);
            runner.judge.breaches().any(|breach| is_same(&breach))
        };
        let other = others.iter().copied().filter(|other| is_plain(*other)).find(shows);
        document.compare = other.map(|other| pair_names(&other));
        runner.compare_with(other);
    }
    let mut comments = vec![format!("{} {}: {}", about.id, about.title, breach.what), origin];
    if breach.rule == Rule::Differential && document.compare.is_none() {
        comments
            .push("It differs from a pair with remedies on, which a file cannot name.".to_owned());
    } else {
        runner.run(target, &document.case, ScheduledBy::Own);
        document.expects = expectations(&runner.judge);
    }
    document.comments = comments.into_iter().map(|text| ("mkw".to_owned(), text)).collect();
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_impls::Builtin;

    #[test]
    fn every_name_is_read_back() {
        let ledger = Ledger::<Builtin>::own();
        let entries = 0..ledger.entries.len();
        let listed =
            entries.flat_map(|entry| [Expected::Root(entry), Expected::Consequence(entry)]);
        let all: Vec<Expected> = listed.chain([Expected::No]).collect();
        for target in ledger.default_targets() {
            for (expected, rule) in
                all.iter().flat_map(|expected| Rule::ALL.iter().map(move |rule| (*expected, *rule)))
            {
                for point in [None, Some(Point::ALL[rule as usize % Point::ALL.len()])] {
                    let name = Name::of(&ledger, target, &Signature { expected, rule, point });
                    assert_eq!(name.to_string().parse(), Ok(name));
                }
            }
        }
    }

    #[test]
    fn a_name_says_how_it_stands_and_other_files_have_none() {
        let standing = |file: &str| Name::of_file(Path::new(file)).map(|name| name.standing);
        let file = "out/nfs@2.6.29-2.6.30-rc-remedied-I20-wp.set_page_dirty-new.mkw";
        assert_eq!(standing(file), Some(Standing::New));
        assert_eq!(
            Name::of_file(Path::new(file)).map(|name| name.file()),
            Some(file["out/".len()..].to_owned())
        );
        assert_eq!(
            standing("my-fs@1-try3-left-dirty-after-a-b.mkw"),
            Some(Standing::Follows("a-b".to_owned()))
        );
        for other in ["nfs-new.mkw", "nfs@2.6.29-2.6.29-I20-new", "crash-1", "-new.mkw"] {
            assert_eq!(standing(other), None, "{other}");
        }
    }
}

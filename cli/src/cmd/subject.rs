//! A case, and the pair on which a command looks at it: arguments that several commands share.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use mkwrite_explain::shrink::{Goal, NoGoal, Wanted};
use mkwrite_model::Target;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::plant::{Plant, Plants};
use mkwrite_model::remedy::Remedies;
use mkwrite_model::text::Document;
use mkwrite_oracle::Rule;
use mkwrite_oracle::ledger::Ledger;
use mkwrite_oracle::run::{Runner, switched, targets_of};

use crate::files;
use crate::names::{self, callers, implementations, pairs, pairs_that_fit};
use crate::output::quoted;

/// See the file's head.
#[derive(clap::Args)]
pub(crate) struct Subject {
    /// A case: .mkw text, or bytes
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// On this implementation (without it: those that the file names)
    #[arg(long = "impl", value_name = "NAME")]
    pub implementation: Option<String>,
    /// Under this caller
    #[arg(long = "caller", value_name = "NAME")]
    pub caller: Option<String>,
    #[command(flatten)]
    pub switches: Switches,
}

/// Switches in the code that runs.
#[derive(clap::Args, Default)]
pub(crate) struct Switches {
    /// Plant this bug (see `list plants`)
    #[arg(long, value_name = "NAME")]
    pub plant: Option<String>,
    /// Switch these remedies on (see `list remedies`); `all` are those of the entries that the
    /// ledger has for the pair
    #[arg(long = "remedy", value_delimiter = ',', value_name = "NAME")]
    pub remedies: Vec<String>,
}

impl Switches {
    /// The bug that is planted.
    pub(crate) fn plant(&self) -> Result<Option<Plant>> {
        self.plant.as_deref().map(names::plant).transpose()
    }

    /// Nothing is switched.
    pub(crate) fn is_empty(&self) -> bool {
        self.plant.is_none() && self.remedies.is_empty()
    }

    /// The target with these switches; what is not named here stays as it is.
    pub(crate) fn apply<F: Filesystem>(
        &self,
        ledger: &Ledger<F>,
        target: Target<F>,
    ) -> Result<Target<F>> {
        let plants = self.plant()?.map_or(target.plants, Plants::from);
        let remedies = match self.remedies.as_slice() {
            [] => target.remedies,
            names => names.iter().try_fold(Remedies::NONE, |all, name| {
                anyhow::Ok(all.union(match name.as_str() {
                    "all" => ledger.remedies(target.pair),
                    name => Remedies::from_iter([names::remedy(name)?]),
                }))
            })?,
        };
        Ok(Target { plants, remedies, ..target })
    }
}

impl Subject {
    /// The case.
    pub(crate) fn read<F: Filesystem>(&self) -> Result<Document> {
        files::read::<F>(&self.file)
    }

    /// The file and the options as they were given, for commands to copy.
    pub(crate) fn in_words(&self) -> String {
        let named = |option: &str, name: &Option<String>| {
            name.as_ref().map_or(String::new(), |name| format!(" --{option} {name}"))
        };
        let Switches { plant, remedies } = &self.switches;
        let remedies = (!remedies.is_empty()).then(|| remedies.join(","));
        quoted(&self.file)
            + &named("impl", &self.implementation)
            + &named("caller", &self.caller)
            + &named("plant", plant)
            + &named("remedy", &remedies)
    }

    /// The command line names the pair, or a part of it.
    pub(crate) fn is_chosen(&self) -> bool {
        self.implementation.is_some() || self.caller.is_some() || !self.switches.is_empty()
    }

    /// What the case is to run on.
    pub(crate) fn targets<F: Filesystem>(
        &self,
        ledger: &Ledger<F>,
        document: &Document,
    ) -> Result<Vec<Target<F>>> {
        let list = |name: &Option<String>| name.iter().cloned().collect::<Vec<_>>();
        targets(ledger, &list(&self.implementation), &list(&self.caller), &self.switches, document)
    }

    /// What is held of the case while it shrinks: by name, or else all that the document expects,
    /// or else a breach. The document's case gets a schedule by stops.
    pub(crate) fn goal<F: Filesystem>(
        &self,
        rule: Option<Rule>,
        ledger: &Ledger<F>,
        runner: &mut Runner<F>,
        document: &mut Document,
    ) -> Result<Goal<F>> {
        let chosen = self.is_chosen() || rule.is_some();
        let wanted = if chosen { Wanted::Breach(rule) } else { Wanted::Expectations };
        let targets = self.targets(ledger, document)?;
        Goal::of(document, targets, wanted, ledger, runner).map_err(|error| match error {
            NoGoal::Missing(..) => {
                anyhow!(error).context("give --rule, --impl or --caller to hold something else")
            }
            NoGoal::Nothing => anyhow!("{}: {error}", self.file.display()),
            NoGoal::Unrepeatable => anyhow!(error).context("report this: it is a bug of mkwrite"),
        })
    }

    /// The first of these.
    pub(crate) fn target<F: Filesystem>(
        &self,
        ledger: &Ledger<F>,
        document: &Document,
    ) -> Result<Target<F>> {
        self.targets(ledger, document)?
            .first()
            .copied()
            .context("give a pair with --impl and --caller")
    }
}

/// What a document runs on: the pairs of the command line, those of the file, or those of a hunt.
pub(crate) fn targets<F: Filesystem>(
    ledger: &Ledger<F>,
    named: &[String],
    under: &[String],
    switches: &Switches,
    document: &Document,
) -> Result<Vec<Target<F>>> {
    let callers = callers(under)?;
    let found: Vec<Target<F>> = if !named.is_empty() {
        let pairs = pairs(&implementations(named)?, &callers)?;
        pairs.into_iter().map(|pair| switched(document, pair)).collect()
    } else if document.runs.is_empty() {
        // What engines and hunts run it on.
        let pairs =
            if callers.is_empty() { ledger.default_pairs() } else { pairs_that_fit(&callers) };
        pairs.into_iter().map(|pair| switched(document, pair)).collect()
    } else {
        let own = targets_of(document).map_err(|error| anyhow!(error))?;
        if callers.is_empty() {
            own
        } else {
            let fs: Vec<_> = own.iter().map(|target| target.pair.implementation).collect();
            pairs(&fs, &callers)?.into_iter().map(|pair| switched(document, pair)).collect()
        }
    };
    found.into_iter().map(|target| switches.apply(ledger, target)).collect()
}

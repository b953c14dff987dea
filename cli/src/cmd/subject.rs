//! A case, and the pair on which a command looks at it: arguments that several commands share.

use std::path::PathBuf;

use anyhow::{Context, Result};
use mkwrite_model::text::Document;
use mkwrite_oracle::run::Target;

use super::replay;
use crate::files;

/// See the file's head.
#[derive(clap::Args)]
pub struct Subject {
    /// A case: .mkw text, or bytes
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// On this implementation (without it: those that the file names)
    #[arg(long = "impl", value_name = "NAME")]
    pub implementation: Option<String>,
    /// Under this caller
    #[arg(long = "caller", value_name = "NAME")]
    pub caller: Option<String>,
}

impl Subject {
    /// The case.
    pub fn read(&self) -> Result<Document> {
        files::read(&self.file)
    }

    /// The command line names the pair, or a part of it.
    pub fn is_chosen(&self) -> bool {
        self.implementation.is_some() || self.caller.is_some()
    }

    /// What the case is to run on.
    pub fn targets(&self, document: &Document) -> Result<Vec<Target>> {
        let list = |name: &Option<String>| name.iter().cloned().collect::<Vec<_>>();
        let pairs = replay::targets(&list(&self.implementation), &list(&self.caller), document)?;
        Ok(pairs.into_iter().map(Target::from).collect())
    }

    /// The first of these.
    pub fn target(&self, document: &Document) -> Result<Target> {
        self.targets(document)?.first().copied().context("give a pair with --impl and --caller")
    }
}

//! An implementation under a caller: which fit, and what stands between them.

use super::{Convention, Filesystem};
use crate::era::Era;

/// What stands between an implementation and a caller of another convention.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Adapter {
    /// The conventions meet.
    None,
    /// Errno or length to fault code.
    Codes,
    /// A locked return is unlocked and becomes 0.
    Unlock,
}

impl Adapter {
    /// Its name, as it stands in the name of a pair.
    pub const fn name(self) -> &'static str {
        match self {
            Adapter::None => "",
            Adapter::Codes => "codes",
            Adapter::Unlock => "unlock",
        }
    }
}

/// An implementation under a caller: one of the pairs that a case runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair<F> {
    /// The filesystem.
    pub implementation: F,
    /// The VM's fault path.
    pub caller: Era,
    /// What stands between them.
    pub adapter: Adapter,
}

impl<F: Filesystem> Pair<F> {
    /// The pair, if the conventions meet or an adapter is known; else the reason.
    pub fn new(implementation: F, caller: Era) -> Result<Pair<F>, Refused> {
        use Convention as C;
        let declaration = implementation.declaration();
        let adapter = match (declaration.convention, caller.facts().accepts) {
            (C::Untracked | C::None, _)
            | (C::Errno, C::Errno)
            | (C::Codes, C::Codes | C::Locked)
            | (C::Locked, C::Locked) => Adapter::None,
            (C::Errno, C::Codes | C::Locked) => Adapter::Codes,
            (C::Locked, C::Codes) => Adapter::Unlock,
            (C::Codes, _) => {
                return Err(Refused::new(
                    implementation,
                    caller,
                    "a positive fault code would read as success",
                ));
            }
            (C::Locked, _) => {
                return Err(Refused::new(implementation, caller, "a locked return would deadlock"));
            }
            (C::Errno, C::Untracked | C::None) => unreachable!("every caller accepts something"),
        };
        Ok(Pair { implementation, caller, adapter })
    }

    /// The pair of these names.
    pub fn named(implementation: &str, caller: &str) -> Result<Pair<F>, PairError> {
        let fs = F::by_name(implementation)
            .ok_or_else(|| PairError::Implementation(implementation.to_owned()))?;
        let caller = Era::caller(caller).ok_or_else(|| PairError::Caller(caller.to_owned()))?;
        Ok(Pair::new(fs, caller)?)
    }

    /// The implementation under its natural caller.
    pub fn natural(implementation: F) -> Pair<F> {
        Pair::new(implementation, implementation.declaration().natural)
            .expect("a natural caller fits")
    }
}

impl<F: Filesystem> std::fmt::Display for Pair<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.implementation.name())?;
        if self.adapter != Adapter::None {
            write!(f, "+{}", self.adapter.name())?;
        }
        write!(f, " x {}", self.caller.name())
    }
}

impl<F: Filesystem> std::str::FromStr for Pair<F> {
    type Err = PairError;

    /// Reads what is displayed, such as `nfs@3.0 x 2.6.30`; the name of the adapter may be left
    /// out.
    fn from_str(text: &str) -> Result<Pair<F>, PairError> {
        let form = || PairError::Form(text.to_owned());
        let (implementation, caller) = text.split_once(" x ").ok_or_else(form)?;
        let Some((fs, adapter)) =
            implementation.rsplit_once('+').filter(|_| F::by_name(implementation).is_none())
        else {
            return Pair::named(implementation, caller);
        };
        let pair = Pair::named(fs, caller)?;
        if pair.adapter == Adapter::None || pair.adapter.name() != adapter {
            Err(form())
        } else {
            Ok(pair)
        }
    }
}

/// Why names give no pair.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PairError {
    /// The text has another form, or an adapter that does not stand between the two.
    #[error("`{0}` is no pair: IMPLEMENTATION x CALLER")]
    Form(String),
    /// There is no such implementation.
    #[error("unknown implementation `{0}`")]
    Implementation(String),
    /// There is no such caller.
    #[error("unknown caller `{0}`")]
    Caller(String),
    /// The two do not fit.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Why an implementation does not run under a caller.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{implementation} does not run under caller {caller}: {reason}")]
pub struct Refused {
    implementation: &'static str,
    caller: &'static str,
    reason: &'static str,
}

impl Refused {
    fn new<F: Filesystem>(implementation: F, caller: Era, reason: &'static str) -> Refused {
        Refused { implementation: implementation.name(), caller: caller.name(), reason }
    }
}

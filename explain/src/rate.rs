//! How often fresh schedules of the same operations break what the case's own schedule breaks, or
//! anything else.
use mkwrite_model::Target;
use mkwrite_model::case::Case;
use mkwrite_model::generate::random;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::point::Point;
use mkwrite_model::schedule::SchedulerKind;

use mkwrite_oracle::ledger::{Ledger, Signature};
use mkwrite_oracle::run::{Runner, ScheduledBy};

/// A signature and how often it came.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// What broke.
    pub signature: Signature,
    /// Where, the first time.
    pub point: Point,
    /// The case's own schedule breaks it.
    pub own: bool,
    /// Schedules that broke it.
    pub hits: u64,
    /// The first of them, counted from 1.
    pub first: Option<u64>,
    /// The last of them.
    last: u64,
}

/// Runs a case under `times` schedules by `kind`. Schedule `n` derives from (seed, n) alone.
pub fn rate<F: Filesystem>(
    runner: &mut Runner<F>,
    ledger: &Ledger<F>,
    target: Target<F>,
    case: &Case,
    kind: SchedulerKind,
    seed: u64,
    times: u64,
) -> Vec<Rate> {
    let mut rates: Vec<Rate> = Vec::new();
    for n in 0..=times {
        let how =
            if n == 0 { ScheduledBy::Own } else { ScheduledBy::Random(kind, random(seed, n, 1)) };
        runner.run(target, case, how);
        for (breach, expected) in ledger.judged(target, &runner.judge) {
            let signature = ledger.signature(&breach, expected);
            let rate = match rates.iter().position(|rate| rate.signature == signature) {
                Some(known) => &mut rates[known],
                None => {
                    rates.push(Rate {
                        signature,
                        point: breach.point,
                        own: n == 0,
                        hits: 0,
                        first: None,
                        last: 0,
                    });
                    rates.last_mut().expect("just pushed")
                }
            };
            // Several breaches of one run count once.
            if n > 0 && rate.last != n {
                (rate.hits, rate.last) = (rate.hits + 1, n);
                rate.first.get_or_insert(n);
            }
        }
    }
    rates
}

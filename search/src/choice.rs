//! Which pairs a case of a hunt meets.
//!
//! There are many pairs, and more with every version that is modelled. If each case ran on all of
//! them, the cases of a minute would become fewer. So a hunt of the default targets draws, by (seed,
//! case): the newest version of each filesystem under its own caller always runs, each other pair
//! in one case of two. A pair has as many runs a second as before; they are of more different
//! cases. A pair and the same with remedies go together.

use mkwrite_model::Target;
use mkwrite_model::generate::random;
use mkwrite_model::implementation::{Filesystem, Pair};
use rand::Rng;

/// The stream that draws the pairs of a case.
const STREAM: u64 = 3;

/// The pairs of a list of targets.
pub(crate) struct Choice {
    /// The number of the pair of each target.
    pairs: Vec<u8>,
    /// The pairs that every case meets, one bit each.
    always: u64,
}

/// The pairs that a case meets.
#[derive(Clone, Copy)]
pub(crate) struct Chosen(u64);

impl Chosen {
    /// All of them.
    pub(crate) const ALL: Chosen = Chosen(u64::MAX);
}

impl Choice {
    pub(crate) fn new<F: Filesystem>(targets: &[Target<F>]) -> Choice {
        let mut known: Vec<Pair<F>> = Vec::new();
        let number = |target: &Target<F>| {
            let at = known.iter().position(|pair| *pair == target.pair);
            at.unwrap_or_else(|| {
                known.push(target.pair);
                known.len() - 1
            }) as u8
        };
        let pairs = targets.iter().map(number).collect();
        let is_newest = |pair: &Pair<F>| newest().any(|fs: F| *pair == Pair::natural(fs));
        // Pairs behind the 64th share the bits of the first.
        let always = known.iter().enumerate().filter(|(_, pair)| is_newest(pair));
        let always = always.fold(0, |bits, (n, _)| bits | 1 << (n % 64));
        Choice { pairs, always }
    }

    /// The pairs that case `index` of the hunt with this seed meets.
    pub(crate) fn draw(&self, seed: u64, index: u64) -> Chosen {
        Chosen(self.always | random(seed, index, STREAM).next_u64())
    }

    /// The case meets this target.
    pub(crate) fn has(&self, chosen: Chosen, target: usize) -> bool {
        chosen.0 >> (self.pairs[target] % 64) & 1 != 0
    }
}

/// The newest version of each filesystem: the last of its name, versions being listed oldest first.
fn newest<F: Filesystem>() -> impl Iterator<Item = F> {
    let name = |fs: &F| fs.name().split('@').next();
    let all = F::all();
    all.iter()
        .enumerate()
        .filter(move |(n, fs)| all[n + 1..].iter().all(|later| name(later) != name(fs)))
        .map(|(_, fs)| *fs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_impls::Builtin;
    use mkwrite_model::remedy::Remedies;
    use mkwrite_oracle::ledger::Ledger;

    #[test]
    fn the_newest_versions_meet_every_case_and_the_others_one_of_two() {
        let targets = Ledger::<Builtin>::own().default_targets();
        let choice = Choice::new(&targets);
        let mut runs = vec![0; targets.len()];
        for index in 0..1000 {
            let chosen = choice.draw(7, index);
            for (n, target) in targets.iter().enumerate() {
                runs[n] += u32::from(choice.has(chosen, n));
                let plain = Target { remedies: Remedies::NONE, ..*target };
                let plain = targets.iter().position(|other| *other == plain);
                assert!(plain.is_none_or(|p| choice.has(chosen, p) == choice.has(chosen, n)));
            }
        }
        let of = |name: &str| {
            let n = targets.iter().position(|target| target.to_string() == name);
            runs[n.unwrap_or_else(|| panic!("{name}"))]
        };
        assert_eq!(of("nfs@6.12 x 6.12"), 1000);
        assert_eq!(of("driver@2.6.30 x 2.6.30"), 1000);
        assert!((400..600).contains(&of("nfs@2.6.29 x 2.6.29")), "{runs:?}");
        assert!((400..600).contains(&of("nfs@3.0 x 2.6.30")), "{runs:?}");
    }
}

//! The corpus of a hunt, or of a process under an engine, in memory: cases that reached a feature
//! that none before had, for the next ones to be mutated from.
//!
//! A hunt goes on in generations. While one runs, the corpus stands still; at its end the cases
//! that reached something new are taken in the order of their numbers. So a case is a function of
//! (seed, number) and of the generations before, and the number of threads does not matter.

use mkwrite_model::Case;
use mkwrite_model::generate::{Generator, Random, random};
use mkwrite_model::mutate;
use rand::RngExt;

use crate::feedback::{FEATURES, FeatureSet};

/// One case in so many is generated from scratch.
const FRESH_ONE_IN: u32 = 4;
/// One mutated case in so many also has parts of another.
const CROSSED_ONE_IN: u32 = 8;
/// Of a hundred cases so many keep their program and get another schedule.
const RESCHEDULED: u32 = 40;
/// Of so many kept cases the one with the rarest feature is mutated.
const TOURNAMENT: usize = 8;

/// A case that reached features which nobody had seen.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its number.
    pub index: u64,
    /// The case.
    pub case: Case,
    /// Its features that were new.
    pub features: Vec<u16>,
}

/// See the file's head.
pub struct Corpus {
    seen: FeatureSet,
    kept: Vec<Kept>,
    /// How often each feature came up.
    hits: Box<[u32; FEATURES]>,
}

impl Default for Corpus {
    fn default() -> Corpus {
        let hits = vec![0; FEATURES].into_boxed_slice().try_into().expect("the length is right");
        Corpus { seen: FeatureSet::default(), kept: Vec::new(), hits }
    }
}

impl Corpus {
    /// Cases in it.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Its cases, in the order in which they came.
    pub fn into_kept(self) -> Vec<Kept> {
        self.kept
    }

    /// Features that were seen.
    pub fn features(&self) -> usize {
        self.seen.len()
    }

    /// Draws case `index` into `case`, reusing its memory: one from nothing, or a mutation of one
    /// that was kept. Whoever runs it settles it first, whatever way it came.
    pub fn draw(&self, generator: Generator, seed: u64, index: u64, case: &mut Case) {
        let r = &mut random(seed, index, 3);
        if self.is_empty() || r.random_range(0..FRESH_ONE_IN) == 0 {
            return generator.generate(seed, index, case);
        }
        case.clone_from(self.pick(r));
        if r.random_range(0..CROSSED_ONE_IN) == 0 {
            mutate::cross(case, self.pick(r), r);
        }
        if r.random_range(0..100) < RESCHEDULED {
            mutate::reseed(case, r);
        } else {
            mutate::mutate(case, r);
        }
    }

    /// The features that were not seen before this generation.
    pub fn unseen<'a>(&'a self, features: &'a [u16]) -> impl Iterator<Item = u16> + 'a {
        features.iter().copied().filter(|feature| !self.seen.contains(*feature))
    }

    /// A case that reached something rare.
    pub fn pick(&self, r: &mut Random) -> &Case {
        let drawn = (0..TOURNAMENT).map(|_| &self.kept[r.random_range(0..self.kept.len())]);
        let rarest = |kept: &&Kept| {
            kept.features.iter().map(|feature| self.hits[usize::from(*feature)]).min()
        };
        &drawn.min_by_key(rarest).expect("somebody is drawn").case
    }

    /// Counts how often each feature came up.
    pub fn count(&mut self, hits: &mut [u32; FEATURES]) {
        for (sum, n) in self.hits.iter_mut().zip(hits) {
            *sum += std::mem::take(n);
        }
    }

    /// Takes a case at once, for searches that have no generations, if it reached something new.
    pub fn add(&mut self, case: &Case, features: &[u16]) {
        for feature in features {
            self.hits[usize::from(*feature)] += 1;
        }
        if features.iter().any(|feature| !self.seen.contains(*feature)) {
            self.grow(vec![Kept {
                index: self.len() as u64,
                case: case.clone(),
                features: features.to_vec(),
            }]);
        }
    }

    /// Ends a generation: takes what it kept, in the order of the numbers, as far as it still is
    /// new. Returns that.
    pub fn grow(&mut self, mut kept: Vec<Kept>) -> &[Kept] {
        let before = self.kept.len();
        kept.sort_by_key(|kept| kept.index);
        for mut one in kept {
            one.features.retain(|feature| self.seen.insert(*feature));
            if !one.features.is_empty() {
                self.kept.push(one);
            }
        }
        &self.kept[before..]
    }
}

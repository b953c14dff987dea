//! Feedback: what a run reached, as features that a search can collect.
//!
//! Edges of our own code say little about a model whose state is data. Features do: which point
//! follows which at the same object, in which states pages are seen, which rules are nearly broken.
//! A feature is a number below [`FEATURES`], a hash of what it stands for; two that collide are
//! one.

use mkwrite_model::case::{Case, Operation};
use mkwrite_model::exec::{CLOSER, TaskId, bits};
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::event::Step;
use mkwrite_model::kernel::{Event, Frame, Kernel, Mm, object};
use mkwrite_model::{End, Observer, Target};

use mkwrite_oracle::Judge;
use mkwrite_oracle::run::{Runner, ScheduledBy, observe};

/// Features that can be told apart.
pub const FEATURES: usize = 1 << 16;

/// Spreads the bits of a mask over a word (the increment of MurmurHash3's generator).
const SPREAD: u64 = 0x94D0_49BB_1331_11EB;

macro_rules! signals {
    ($($variant:ident $name:literal $help:literal;)*) => {
        /// A kind of feature.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Signal { $(#[doc = $help] $variant,)* }

        impl Signal {
            /// All of them.
            pub const ALL: &'static [Signal] = &[$(Signal::$variant),*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Signal::$variant => $name,)* }
            }

            /// The signal with this name.
            pub fn from_name(name: &str) -> Option<Signal> {
                match name { $($name => Some(Signal::$variant),)* _ => None }
            }

            /// One line of help.
            pub const fn help(self) -> &'static str {
                match self { $(Signal::$variant => $help,)* }
            }
        }
    };
}

signals! {
    Order   "order"   "two tasks at the same object: the point of the one, then that of the other";
    State   "state"   "flags of a page, its ptes and its record";
    At      "at"      "the same, with the point that made it so";
    Near    "near"    "rules that do not hold for a page just now, and the point";
    Kind    "kind"    "the same, with the kind of call and the number of tasks, for the point";
    Context "context" "the same, with the kinds of all calls under way, for the point";
    Calls   "calls"   "a call that begins or ends while rules do not hold somewhere";
    Broken  "broken"  "a rule that broke, and where";
}

/// Which signals count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signals(u16);

impl Signals {
    /// All of them.
    pub const ALL: Signals = Signals(u16::MAX);

    /// These signals.
    pub const fn of(list: &[Signal]) -> Signals {
        let (mut mask, mut n) = (0, 0);
        while n < list.len() {
            mask |= 1 << list[n] as u8;
            n += 1;
        }
        Signals(mask)
    }

    /// Their names.
    pub fn names(self) -> Vec<String> {
        Signal::ALL
            .iter()
            .filter(|signal| self.has(**signal))
            .map(|signal| signal.name().to_owned())
            .collect()
    }

    const fn has(self, signal: Signal) -> bool {
        self.0 & 1 << signal as u8 != 0
    }
}

/// The ones that help (docs/engines.md).
impl Default for Signals {
    fn default() -> Signals {
        Signals::of(&[Signal::Near, Signal::Kind, Signal::Calls, Signal::Broken])
    }
}

/// A set of features.
pub struct FeatureSet {
    has: Box<[bool; FEATURES]>,
    len: usize,
}

impl Default for FeatureSet {
    fn default() -> FeatureSet {
        FeatureSet {
            has: vec![false; FEATURES].into_boxed_slice().try_into().expect("the length is right"),
            len: 0,
        }
    }
}

impl FeatureSet {
    /// Adds a feature. Returns whether it is new.
    #[inline]
    pub fn insert(&mut self, feature: u16) -> bool {
        let is_new = !std::mem::replace(&mut self.has[usize::from(feature)], true);
        self.len += usize::from(is_new);
        is_new
    }

    /// The feature is in it.
    pub fn contains(&self, feature: u16) -> bool {
        self.has[usize::from(feature)]
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// None is.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn remove(&mut self, feature: u16) {
        self.len -= usize::from(std::mem::take(&mut self.has[usize::from(feature)]));
    }
}

/// The features of the runs since it was cleared.
pub struct Feedback {
    signals: Signals,
    /// Features of different targets differ.
    salt: u64,
    hit: FeatureSet,
    list: Vec<u16>,
    /// Who touched an object last, and at which point.
    last: [(TaskId, u16); object::COUNT],
}

impl Feedback {
    /// Collects these signals.
    pub fn new(signals: Signals) -> Feedback {
        Feedback {
            signals,
            salt: 0,
            hit: FeatureSet::default(),
            list: Vec::with_capacity(FEATURES),
            last: [(CLOSER, 0); object::COUNT],
        }
    }

    /// The features, in the order in which they came up, each once.
    pub fn features(&self) -> &[u16] {
        &self.list
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        for feature in self.list.drain(..) {
            self.hit.remove(feature);
        }
    }

    #[inline]
    fn note(&mut self, signal: Signal, what: u64) {
        if !self.signals.has(signal) {
            return;
        }
        // The top bits of a product depend on all bits of its factors (Fibonacci hashing).
        let mixed = (what.rotate_left(8) ^ (signal as u64) << 56 ^ self.salt)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let feature = ((mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 48) as u16;
        if self.hit.insert(feature) {
            self.list.push(feature);
        }
    }

    fn begin(&mut self, target: usize) {
        self.salt = (target as u64).wrapping_mul(SPREAD);
        self.last = [(CLOSER, 0); object::COUNT];
    }

    fn order(&mut self, step: Step) {
        if step.object == 0 {
            return;
        }
        let last = &mut self.last[usize::from(step.object)];
        let (task, point) = std::mem::replace(last, (step.task, step.point.code()));
        if task != step.task {
            self.note(Signal::Order, u64::from(point) << 16 | code(step));
        }
    }

    fn page<F: Filesystem>(&mut self, k: &Kernel<F>, step: Step, page: Frame) {
        if self.signals.has(Signal::State) || self.signals.has(Signal::At) {
            let state = state(k, page);
            self.note(Signal::State, state);
            self.note(Signal::At, state << 16 | code(step));
        }
    }

    /// `near` are the rules that do not hold for the page, one bit each.
    fn near<F: Filesystem>(&mut self, k: &Kernel<F>, step: Step, page: Frame, near: u64) {
        let near = near.wrapping_mul(SPREAD);
        self.note(Signal::Near, near ^ code(step));
        self.note(
            Signal::Kind,
            near ^ kind(k, step.task) << 8 ^ u64::from(k.tasks.live().count_ones()),
        );
        if self.signals.has(Signal::Context) {
            let kinds = bits(k.tasks.live()).fold(0, |kinds, task| kinds | 1 << kind(k, task));
            let g = k.geometry();
            let is_cut =
                !k.i_size().is_multiple_of(g.cells) && g.page_of(k.i_size()) == k.index(page);
            self.note(Signal::Context, near ^ kinds << 1 ^ u64::from(is_cut));
        }
    }

    fn call<F: Filesystem>(&mut self, k: &Kernel<F>, judge: &Judge, step: Step, returns: bool) {
        let near = k.frames_in_use().fold(0, |near, page| near | judge.near(page));
        if near != 0 {
            self.note(
                Signal::Calls,
                near.wrapping_mul(SPREAD) ^ kind(k, step.task) << 1 ^ u64::from(returns),
            );
        }
    }
}

/// What [`kind`] says of I/O. Features are numbers that searches keep: it stays what it is.
const IO_KIND: u8 = 31;

const _: () = {
    assert!(Signal::ALL.len() <= u16::BITS as usize, "sets of signals are masks of 16 bits");
    let mut n = 0;
    while n < Operation::KINDS.len() {
        assert!(Operation::KINDS[n].code < IO_KIND, "kinds of operations are below that of I/O");
        n += 1;
    }
};

/// The kind of call that a task is at; I/O has one of its own.
fn kind<F: Filesystem>(k: &Kernel<F>, task: TaskId) -> u64 {
    u64::from(if task.io_slot().is_some() {
        IO_KIND
    } else {
        k.state(task).operation().kind().code
    })
}

/// The code of a step's point: features are kept, so numbers of points are no part of them.
fn code(step: Step) -> u64 {
    step.point.code().into()
}

/// A page's flags, ptes and record as a number.
fn state<F: Filesystem>(k: &Kernel<F>, page: Frame) -> u64 {
    if k.is_free(page) {
        return 0;
    }
    let index = k.index(page);
    let mut ptes = 0;
    for mm in Mm::all() {
        let pte = k.pte(mm, index);
        if pte.page() == Some(page) {
            ptes |= 1 | u64::from(pte.is_writable()) << 1 | u64::from(pte.is_dirty()) << 2;
        }
    }
    let record = k.fs().record(k, page);
    let some = |cells: u8| u64::from(cells != 0);
    let bits = [
        u64::from(k.is_locked(page)),
        u64::from(k.is_writeback(page)),
        u64::from(k.is_tagged_dirty(index)),
        u64::from(k.slot(index) == Some(page)),
        some(record.missing),
        some(record.uncovered),
        u64::from(record.claims_dirty),
        u64::from(index == k.pages_in_file()),
        u64::from(index > k.pages_in_file()),
    ];
    let bits = bits.iter().fold(0, |all, bit| all << 1 | bit);
    u64::from(k.flags(page)) << 16 | bits << 4 | ptes | 1 << 30
}

impl Feedback {
    /// Runs a case on target number `number`, judged, and collects the features of the run. Returns
    /// the steps.
    pub fn run<F: Filesystem>(
        &mut self,
        runner: &mut Runner<F>,
        target: Target<F>,
        case: &Case,
        how: ScheduledBy,
        number: usize,
    ) -> u32 {
        let mut watched = Watched { judge: &mut runner.judge, feedback: self, target: number };
        observe(&mut runner.machine, target, case, how, &mut watched).1
    }
}

/// A judge, and the feedback of what it watches.
struct Watched<'a> {
    judge: &'a mut Judge,
    feedback: &'a mut Feedback,
    target: usize,
}

impl<F: Filesystem> Observer<F> for Watched<'_> {
    fn begin(&mut self, k: &Kernel<F>, case: &Case) {
        self.judge.begin(k, case);
        self.feedback.begin(self.target);
    }

    fn step(&mut self, k: &Kernel<F>, step: Step) {
        self.judge.step(k, step);
        let Watched { judge, feedback, .. } = self;
        if feedback.signals.has(Signal::Order) {
            feedback.order(step);
        }
        for page in Frame::all(k.touched()) {
            feedback.page(k, step, page);
            match judge.near(page) {
                0 => {}
                near => feedback.near(k, step, page, near),
            }
        }
        if feedback.signals.has(Signal::Calls) {
            for event in k.events() {
                if event == Event::Call || event == Event::Return {
                    feedback.call(k, judge, step, event == Event::Return);
                }
            }
        }
    }

    fn quiescent(&mut self, k: &Kernel<F>) {
        self.judge.quiescent(k);
    }

    fn end(&mut self, k: &Kernel<F>, end: End) {
        self.judge.end(k, end);
        if self.feedback.signals.has(Signal::Broken) {
            for breach in self.judge.breaches() {
                self.feedback.note(
                    Signal::Broken,
                    (breach.rule as u64) << 16 | u64::from(breach.point.code()),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_impls::Builtin;
    use mkwrite_model::generate::Generator;
    use mkwrite_oracle::ledger::Ledger;
    use mkwrite_oracle::run::{Runner, ScheduledBy};

    /// The features of one case on one pair.
    fn features(signals: Signals, index: u64, number: usize) -> Vec<u16> {
        let ledger = Ledger::<Builtin>::own();
        let target = Target::from(ledger.default_pairs()[number]);
        let mut case = Case::default();
        Generator::new(false).generate(9, index, &mut case);
        let (mut feedback, mut runner) = (Feedback::new(signals), Runner::default());
        feedback.run(&mut runner, target, &case, ScheduledBy::Own, number);
        let features = feedback.features().to_vec();
        feedback.clear();
        assert!(
            feedback.features().is_empty() && feedback.hit.is_empty(),
            "nothing is left behind"
        );
        assert!(!feedback.hit.has.contains(&true), "nothing is left behind");
        features
    }

    #[test]
    fn every_signal_gives_features_of_its_own() {
        for &signal in Signal::ALL {
            let signals = Signals::of(&[signal]);
            let all: std::collections::BTreeSet<u16> = (0..120)
                .flat_map(|index| (0..4).flat_map(move |n| features(signals, index, n)))
                .collect();
            assert!(all.len() >= 5, "{} gives {} features", signal.name(), all.len());
            assert_eq!(signals.names(), [signal.name()]);
            assert_eq!(Signal::from_name(signal.name()), Some(signal));
        }
    }

    #[test]
    fn features_repeat_and_are_those_of_their_target() {
        assert_eq!(features(Signals::ALL, 3, 0), features(Signals::ALL, 3, 0));
        let (one, other) = (features(Signals::ALL, 3, 0), features(Signals::ALL, 3, 1));
        let shared = one.iter().filter(|feature| other.contains(feature)).count();
        assert!(shared * 10 < one.len(), "{shared} of {} are shared by accident alone", one.len());
    }
}

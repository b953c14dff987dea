//! The rules of the judge: one file each, and the one list of them.
//!
//! A rule names the kernel rule that it comes from, says for which pairs it holds, and owns a
//! planted bug that a hunt finds under its name. Adding one is its file and a line of the list
//! below. There are planted bugs that no rule owns.
//!
//! A rule looks at the events of a step, at a page that the step touched, at the state at
//! quiescence, at the end of the run, or claims a flaw that the history checker found. A page rule
//! that is broken is reported when it becomes so, not again while it stays so.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::{Event, Frame, Kernel};
use mkwrite_model::plant::Plant;
use mkwrite_model::{End, Target};

use crate::conditions::Marks;
use crate::history::Flaw;
use crate::judge::{Cx, PageStates};

pub(crate) mod prelude {
    pub(crate) use super::{About, Check, Part, has_page_cache, tracks_dirty};
    #[allow(unused_imports)]
    pub(crate) use crate::conditions::Marks;
    #[allow(unused_imports)]
    pub(crate) use crate::history::Flaw;
    #[allow(unused_imports)]
    pub(crate) use crate::judge::Cx;
    #[allow(unused_imports)]
    pub(crate) use mkwrite_model::Target;
}

/// What a rule says of itself.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Its name: I1 to I37 and O4, numbers with gaps that stay what they are, or a word.
    pub id: &'static str,
    /// The rule in one line.
    pub title: &'static str,
    /// What goes wrong where it is broken, for titles.
    pub harm: &'static str,
    /// Where the kernel has it from, with facts of docs/sources.md in brackets.
    pub source: &'static str,
    /// The planted bug that it must find.
    pub plant: Plant,
}

/// One thing of several that a rule demands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// What a breach of it says.
    pub(crate) what: &'static str,
    /// The rule in one line, as far as it is about this.
    pub(crate) title: &'static str,
    /// What goes wrong where this is broken.
    pub(crate) harm: &'static str,
}

/// A rule.
pub(crate) trait Check {
    /// What it says of itself.
    const ABOUT: About;

    /// What it consists of, if it demands several things that do different harm.
    const PARTS: &'static [Part] = &[];

    /// Whether it holds for this target.
    fn applies<F: Filesystem>(_target: &Target<F>) -> bool {
        true
    }

    /// Looks at an event of a step. Always inlined: the judge calls it in an arm for each kind of
    /// event, and there what is about other kinds falls away.
    fn event<F: Filesystem>(_cx: &mut Cx<'_, F>, _event: Event) {}

    /// Looks at a page that a step touched. Says what is wrong with it.
    fn page<F: Filesystem>(_k: &Kernel<F>, _page: Frame) -> Option<&'static str> {
        None
    }

    /// Whether the page breaks the rule is judged later: it is in the middle of a change.
    fn deferred<F: Filesystem>(_k: &Kernel<F>, _page: Frame) -> bool {
        false
    }

    /// The cells of the page that this is about, one bit each.
    fn cells<F: Filesystem>(_k: &Kernel<F>, _page: Frame) -> u8 {
        u8::MAX
    }

    /// A fault under way excuses what [`Check::page`] found.
    fn excused(_marks: &Marks, _page: Frame) -> bool {
        false
    }

    /// Cells of the file that [`Check::quiescent`] does not judge.
    fn excused_cells(_marks: &Marks) -> u64 {
        0
    }

    /// Looks at a page when no task is in the kernel and no I/O in flight.
    fn quiescent<F: Filesystem>(_k: &Kernel<F>, _page: Frame) -> Option<&'static str> {
        None
    }

    /// Looks at the whole state at that time.
    fn quiescent_all<F: Filesystem>(_k: &Kernel<F>, _marks: &Marks) -> Option<&'static str> {
        None
    }

    /// Looks at how the run ended.
    fn end<F: Filesystem>(_cx: &mut Cx<'_, F>, _end: End) {}

    /// Claims a flaw of the history.
    fn claims(_flaw: Flaw) -> Option<&'static str> {
        None
    }
}

pub(crate) fn has_page_cache<F: Filesystem>(target: &Target<F>) -> bool {
    target.pair.implementation.declaration().page_cache
}

/// Its page cache is written back: stores are noticed, dirty pages are tagged and counted.
pub(crate) fn tracks_dirty<F: Filesystem>(target: &Target<F>) -> bool {
    has_page_cache(target) && target.pair.implementation.declaration().tracks_dirty()
}

macro_rules! rules {
    ($($variant:ident $module:ident;)*) => {
        $(mod $module;)*

        /// A rule of the judge.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[allow(missing_docs)] // each is documented in its file
        pub enum Rule { $($variant,)* Differential }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Rule] = &[$(Rule::$variant,)* Rule::Differential];

            /// What it says of itself.
            pub const fn about(self) -> About {
                match self {
                    $(Rule::$variant => $module::$variant::ABOUT,)*
                    Rule::Differential => crate::differential::ABOUT,
                }
            }

            const fn parts(self) -> &'static [Part] {
                match self {
                    $(Rule::$variant => $module::$variant::PARTS,)*
                    Rule::Differential => &[],
                }
            }

            /// Fails with a stack that names the rule, so that fuzzers can tell the crashes of
            /// rules apart.
            pub fn crash(self, text: &str) -> ! {
                match self {
                    $(Rule::$variant => crash::$module(text),)*
                    Rule::Differential => crash::differential(text),
                }
            }

            /// It judges the history of calls: it fires wherever somebody notices, not where it
            /// goes wrong.
            pub fn reads_history(self) -> bool {
                match self {
                    $(Rule::$variant => Flaw::ALL.iter().any(|flaw| $module::$variant::claims(*flaw).is_some()),)*
                    Rule::Differential => true,
                }
            }
        }

        /// One function per rule, never inlined, and each of its own.
        mod crash {
            $(#[inline(never)]
            pub(super) fn $module(text: &str) -> ! {
                panic!(concat!(stringify!($module), ": {}"), text)
            })*

            #[inline(never)]
            pub(super) fn differential(text: &str) -> ! {
                panic!("differential: {text}")
            }
        }

        /// The rules that hold for a target, one bit each.
        pub(crate) fn applicable<F: Filesystem>(target: &Target<F>) -> u64 {
            0 $(| u64::from($module::$variant::applies(target)) << Rule::$variant as u8)*
        }

        #[inline(always)] // the kind of the event is known where it is called
        pub(crate) fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
            $(if cx.applies(Rule::$variant) {
                cx.rule = Rule::$variant;
                $module::$variant::event(cx, event);
            })*
        }

        /// Returns the page rules that are broken.
        #[inline]
        pub(crate) fn page<F: Filesystem>(cx: &mut Cx<'_, F>, states: &mut PageStates, page: Frame) -> u64 {
            let mut broken = 0;
            $(if let Some(what) = $module::$variant::page(cx.k, page)
                && cx.applies(Rule::$variant)
            {
                let off = $module::$variant::deferred(cx.k, page) || $module::$variant::excused(cx.marks, page);
                cx.rule = Rule::$variant;
                cx.broken_page(states, page, $module::$variant::cells(cx.k, page), !off, what);
                broken |= Rule::$variant.bit();
            })*
            broken
        }

        pub(crate) fn quiescent<F: Filesystem>(cx: &mut Cx<'_, F>) {
            let k = cx.k;
            $(if cx.applies(Rule::$variant) {
                cx.rule = Rule::$variant;
                for page in Frame::all(k.frames_of_file()) {
                    if let Some(what) = $module::$variant::quiescent(k, page) {
                        let cells = cx.cells_of(page, $module::$variant::cells(k, page));
                        let excused = cells & $module::$variant::excused_cells(cx.marks);
                        if excused == 0 || cells != excused {
                            cx.file_cells_breach(page, cells & !excused, what);
                        }
                    }
                }
                if let Some(what) = $module::$variant::quiescent_all(k, cx.marks) {
                    cx.breach(what);
                }
            })*
        }

        pub(crate) fn end<F: Filesystem>(cx: &mut Cx<'_, F>, end: End) {
            $(if cx.applies(Rule::$variant) {
                cx.rule = Rule::$variant;
                $module::$variant::end(cx, end);
            })*
        }

        pub(crate) fn finding<F: Filesystem>(cx: &mut Cx<'_, F>, flaw: Flaw, cell: u8) {
            $(if let Some(what) = $module::$variant::claims(flaw) && cx.applies(Rule::$variant) {
                cx.rule = Rule::$variant;
                cx.cell_breach(cell, what);
            })*
        }
    };
}

const _: () = assert!(Rule::ALL.len() <= u64::BITS as usize, "sets of rules are masks of 64 bits");

impl Rule {
    #[inline]
    pub(crate) const fn bit(self) -> u64 {
        1 << self as u8
    }

    /// What it says of itself where a breach says this: of a rule that demands several things, the
    /// one that was broken.
    pub fn about_breach(self, what: &str) -> About {
        let part = self.parts().iter().find(|part| part.what == what);
        match part {
            Some(Part { title, harm, .. }) => About { title, harm, ..self.about() },
            None => self.about(),
        }
    }

    /// Its name.
    pub const fn id(self) -> &'static str {
        self.about().id
    }

    /// The rule with this name.
    pub fn by_id(id: &str) -> Option<Rule> {
        Rule::ALL.iter().copied().find(|rule| rule.id() == id)
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.id())
    }
}

rules! {
    MkwriteLock         i01_mkwrite_lock;
    LockLeak            i02_lock_leak;
    ReferenceLeak       i03_reference_leak;
    FreedInUse          i04_freed_in_use;
    MappingSlot         i05_mapping_slot;
    WritebackLocked     i06_writeback_locked;
    MapLocked           i07_map_locked;
    LockOrder           i08_lock_order;
    Livelock            i09_livelock;
    WritableClean       i10_writable_clean;
    DirtyPteClean       i11_dirty_pte_clean;
    MkcleanComplete     i12_mkclean_complete;
    StablePages         i13_stable_pages;
    DirtyUntagged       i14_dirty_untagged;
    StaleDirtyTag       i15_stale_dirty_tag;
    WritebackTag        i16_writeback_tag;
    WritepageContract   i17_writepage_contract;
    WritebackBalance    i18_writeback_balance;
    DirtyCount          i19_dirty_count;
    DirtyWithoutRecord  i20_dirty_without_record;
    RecordOnClean       i21_record_on_clean;
    MapOrphan           i27_map_orphan;
    OrphanMapped        i28_orphan_mapped;
    PageBeyondEof       i29_page_beyond_eof;
    TailWritten         i30_tail_written;
    Exposed             i31_exposed;
    Sigbus              i32_sigbus;
    Errno               errno;
    OwnerOfChange       i33_owner_of_change;
    CalledLocked        called_locked;
    NotDurable          i34_not_durable;
    Lost                i35_lost;
    Unreported          i36_unreported;
    Stale               i37_stale;
    Size                o4_size;
    BlockOwners         block_owners;
    LeftDirty           left_dirty;
    NotFreeable         not_freeable;
    KeptIdle            kept_idle;
    Frozen              frozen;
    Untracked           untracked;
    StrayWrite          stray_write;
    SizeChange          size_change;
    GrownBack           grown_back;
    DurableSize         durable_size;
    Regrown             regrown;
    NullMapping         null_mapping;
    KernelBug           kernel_bug;
    Deadlock            deadlock;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use mkwrite_impls::Builtin;
    use mkwrite_model::implementation::Pair;

    #[test]
    fn every_rule_has_a_name_and_a_plant_of_its_own() {
        let names: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.id()).collect();
        let plants: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.about().plant.name()).collect();
        assert_eq!((names.len(), plants.len()), (Rule::ALL.len(), Rule::ALL.len()));
        for &rule in Rule::ALL {
            assert_eq!(Rule::by_id(rule.id()), Some(rule));
        }
    }

    /// mkclean promises nothing where a fault makes a pte writable without the page lock: before
    /// the patch, and always on the WP path of a mapping without page_mkwrite.
    #[test]
    fn i12_holds_only_where_the_page_is_locked_until_it_is_dirty() {
        let holds = |name: &str| {
            let target = Target::from(Pair::natural(Builtin::by_name(name).unwrap()));
            (target.dirties_late(), applicable(&target) & Rule::MkcleanComplete.bit() != 0)
        };
        assert!(holds("block@2.6.30").1 && !holds("block@2.6.29").1);
        let (late, applies) = holds("driver@2.6.30");
        assert!(late.wp && !late.miss && !applies, "a mapping without page_mkwrite");
    }
}

//! Shapes: situations that correct code can reach and that some kind of bug needs, such as a
//! truncate inside a page under I/O. Each is a predicate on runs.
//!
//! An observer says which shapes a run reached; [`measure`] counts them over the cases that a hunt
//! without feedback draws, and `docs/reach.md` is its table. A test holds each shape above its
//! bound, so that a change of the generator cannot make one rare unseen.

use mkwrite_model::case::{Case, Effect, Geometry, Operation, PAGES_MAX, Range};
use mkwrite_model::exec::{TASKS, TaskId, bits};
use mkwrite_model::generate::Generator;
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_model::kernel::event::Step;
use mkwrite_model::kernel::{Event, Frame, Kernel, NO_BLOCK, Request, Status, object};
use mkwrite_model::point::Point as P;
use mkwrite_model::{Machine, Observer, Target};

use crate::hunt::{Plan, how};
use mkwrite_oracle::ledger::Ledger;
use mkwrite_oracle::run::observe;

/// The implementations that shapes are counted on, each under its natural caller.
pub const SUBJECTS: [&str; 3] = ["block@2.6.30", "filemap@3.10", "nfs@3.0"];

macro_rules! shapes {
    ($($variant:ident $name:literal [$block:literal $filemap:literal $nfs:literal] $help:literal;)*) => {
        /// A shape.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Shape { $(#[doc = $help] $variant,)* }

        impl Shape {
            /// All of them.
            pub const ALL: &'static [Shape] = &[$(Shape::$variant),*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Shape::$variant => $name,)* }
            }

            /// One line of help.
            pub const fn help(self) -> &'static str {
                match self { $(Shape::$variant => $help,)* }
            }

            /// Of 100,000 cases at least so many must reach it, on each of [`SUBJECTS`]; 0 where it
            /// cannot come, or means nothing (NFS has no blocks, and its setattr flushes first).
            pub const fn bounds(self) -> [u64; 3] {
                match self { $(Shape::$variant => [$block, $filemap, $nfs],)* }
            }
        }
    };
}

shapes! {
    EofInBlock       "eof-in-block"       [10000 10000 10000] "i_size inside a block";
    EofInPage        "eof-in-page"        [12000 12000  8000] "i_size inside a page that is dirty";
    HoleBesideBlock  "hole-beside-block"  [ 4500  6000     0] "a dirty page with a hole below i_size, and a block on the device";
    MixedBlocks      "mixed-blocks"       [15000 13000     0] "a dirty page with one block as on the device, and one that differs";
    StoreBesideIo    "store-beside-io"    [   40     0     0] "a store to a page whose I/O in flight carries other blocks only";
    WriteBesideIo    "write-beside-io"    [  140     0    15] "write(2) to a page whose I/O in flight carries other blocks only";
    CutBesideIo      "cut-beside-io"      [   70    60     0] "truncate cuts off blocks of a page whose I/O in flight carries others only";
    CutUnderIo       "cut-under-io"       [  350   350     0] "truncate inside a page cuts off blocks that its I/O in flight carries";
    CutReused        "cut-reused"         [  100   100     0] "the same, and such a block is used anew in another place";
    CutAndGrown      "cut-and-grown"      [ 1000  1000  1000] "truncate inside a block, growth over it, with the page cached all the time";
    CutBeforeLock    "cut-before-lock"    [   50    45    55] "page_mkwrite is before lock_page while truncate cuts inside the page; then growth";
    GapWrite         "gap-write"          [ 1500  1500  1500] "write(2) that begins beyond i_size, where that is inside a block";
    TwoHolesWrite    "two-holes-write"    [  350   350     0] "write(2) over two pages, each with a hole below i_size";
    SpaceInWritepage "space-in-writepage" [   40   400     0] "the first that lacks space is writepage";
    NothingToSend    "nothing-to-send"    [    0   180     0] "writepage lacks space, and has no other block to send";
}

/// Cells of the file that truncate has cut off, and who has seen them.
#[derive(Clone, Copy, Default)]
struct Cut {
    /// The page is cached since, and was cut here, inside a block.
    in_block: Option<u8>,
    /// page_mkwrite stood before lock_page of the page when it was cut here.
    before_lock: Option<u8>,
}

/// Which shapes a run reached.
#[derive(Default)]
pub struct Shapes {
    seen: u32,
    cuts: [Cut; PAGES_MAX],
    /// Device blocks that were cut off while I/O carried them, each with its block of the file.
    carried: Vec<(u8, u8)>,
    /// Somebody lacked space before.
    lacked: bool,
    /// Whose writepage lacked space.
    lacking: [bool; TASKS],
}

impl Shapes {
    /// The last run reached this shape.
    pub fn has(&self, shape: Shape) -> bool {
        self.seen >> shape as u32 & 1 != 0
    }

    fn see(&mut self, shape: Shape) {
        self.seen |= 1 << shape as u32;
    }

    fn see_if(&mut self, shape: Shape, came: bool) {
        self.seen |= u32::from(came) << shape as u32;
    }

    /// The states of a page that a step touched.
    fn page<F: Filesystem>(&mut self, k: &Kernel<F>, page: Frame) {
        if k.is_free(page) || !k.is_dirty(page) || !k.in_mapping(page) {
            return;
        }
        let (g, index) = (k.geometry(), k.index(page));
        let end = k.i_size().saturating_sub(g.cells_of(index).start).min(g.cells);
        self.see_if(Shape::EofInPage, (1..g.cells).contains(&end));
        let (mut same, mut differs, mut hole, mut block) = (false, false, false, false);
        for b in 0..end.div_ceil(g.block_cells()) {
            let file_block = index * g.blocks + b;
            let cells =
                Range::new(b * g.block_cells(), (b + 1) * g.block_cells()).clip(Range::new(0, end));
            let durable = |cell: u8| k.block_durable(file_block, cell % g.block_cells());
            match k.block(file_block) {
                None => hole = true,
                Some(_) => {
                    block = true;
                    let is_same = cells.iter().all(|cell| k.cell(page, cell) == durable(cell));
                    (same, differs) = (same | is_same, differs | !is_same);
                }
            }
        }
        self.see_if(Shape::HoleBesideBlock, hole && block);
        self.see_if(Shape::MixedBlocks, same && differs);
    }

    /// Somebody changes these cells of the file.
    fn changes<F: Filesystem>(&mut self, k: &Kernel<F>, shape: Shape, cells: Range) {
        let g = k.geometry();
        for request in requests(k) {
            let here = cells.clip(g.cells_of(k.index_of(&request)));
            let block = |cell: u8| 1u8 << (cell % g.cells / g.block_cells());
            let blocks = here.iter().fold(0, |mask, cell| mask | block(cell));
            let is_beside = blocks != 0 && blocks & carried(k, request) == 0;
            self.see_if(shape, is_beside && k.in_mapping(request.page));
        }
    }

    fn size<F: Filesystem>(&mut self, k: &Kernel<F>, from: u8, to: u8) {
        let g = k.geometry();
        if to > from {
            for (index, cut) in self.cuts.iter_mut().enumerate() {
                let over = |at: Option<u8>| {
                    at.is_some_and(|at| from >= at && to > at && from < (index as u8 + 1) * g.cells)
                };
                let (in_block, before_lock) = (over(cut.in_block), over(cut.before_lock));
                self.seen |= u32::from(in_block) << Shape::CutAndGrown as u32;
                self.seen |= u32::from(before_lock) << Shape::CutBeforeLock as u32;
            }
            return;
        }
        if to.is_multiple_of(g.cells) || to == from {
            return;
        }
        let index = g.page_of(to);
        let Some(page) = k.slot(index) else { return };
        let cut = &mut self.cuts[usize::from(index)];
        if !to.is_multiple_of(g.block_cells()) {
            cut.in_block = Some(to);
        }
        let stands = |task: TaskId| {
            let at = k.tasks.at(task);
            at.point == P::MkwriteLock.number() && at.object == object::PAGE_LOCK + page.0
        };
        if bits(k.tasks.live()).any(stands) {
            cut.before_lock = Some(to);
        }
        self.cut_io(k, page, to);
    }

    /// Truncate cuts inside this page: what does its I/O in flight carry?
    fn cut_io<F: Filesystem>(&mut self, k: &Kernel<F>, page: Frame, size: u8) {
        let g = k.geometry();
        let first = g.blocks_of(size) - k.index(page) * g.blocks;
        let cut = (first..g.blocks).fold(0u8, |mask, b| mask | 1 << b);
        for request in requests(k).filter(|request| request.page == page) {
            let both = carried(k, request) & cut;
            self.see_if(Shape::CutUnderIo, both != 0);
            self.see_if(Shape::CutBesideIo, both == 0 && cut != 0);
            let blocks = (first..g.blocks)
                .map(|b| (request.blocks[usize::from(b)], k.index(page) * g.blocks + b));
            self.carried.extend(blocks.filter(|(block, _)| *block != NO_BLOCK));
        }
    }

    fn called(&mut self, geometry: Geometry, size: u8, allocated: u32, operation: Operation) {
        let (Effect::Writes(range), g) = (operation.effect(), geometry) else { return };
        self.see_if(Shape::GapWrite, range.start > size && !size.is_multiple_of(g.block_cells()));
        let has_hole = |page: u8| {
            let blocks = page * g.blocks..((page + 1) * g.blocks).min(g.blocks_of(size));
            blocks.into_iter().any(|block| allocated >> block & 1 == 0)
        };
        let pages = g.page_of(range.start)..g.pages_of(range.end);
        self.see_if(Shape::TwoHolesWrite, pages.filter(|page| has_hole(*page)).count() >= 2);
    }

    /// Space has run out: in writepage, or in a call that says so.
    fn space(&mut self, in_writepage: bool) {
        self.see_if(Shape::SpaceInWritepage, in_writepage && !self.lacked);
        self.lacked = true;
    }
}

/// The requests in flight.
fn requests<F: Filesystem>(k: &Kernel<F>) -> impl Iterator<Item = Request> + '_ {
    (0..PAGES_MAX as u8).filter_map(|slot| k.request(slot))
}

/// The blocks of its page that a request carries, one bit each.
fn carried<F: Filesystem>(k: &Kernel<F>, request: Request) -> u8 {
    let block_cells = k.geometry().block_cells();
    let sent = request.cells.iter().fold(0, |mask, cell| mask | 1 << (cell / block_cells));
    let written = request.blocks.iter().enumerate().filter(|(_, block)| **block != NO_BLOCK);
    written.fold(sent, |mask, (b, _)| mask | 1 << b)
}

impl<F: Filesystem> Observer<F> for Shapes {
    fn begin(&mut self, _: &Kernel<F>, _: &Case) {
        let mut carried = std::mem::take(&mut self.carried);
        carried.clear();
        *self = Shapes { carried, ..Shapes::default() };
    }

    fn step(&mut self, k: &Kernel<F>, step: Step) {
        let (g, size) = (k.geometry(), k.i_size());
        self.see_if(Shape::EofInBlock, !size.is_multiple_of(g.block_cells()));
        for event in k.events() {
            match event {
                Event::Call => self.called(
                    g,
                    size,
                    k.file().extents.allocated(),
                    k.state(step.task).operation(),
                ),
                Event::Stored { cells } => self.changes(k, Shape::StoreBesideIo, cells),
                Event::SizeWritten { from, to, .. } => self.size(k, from, to),
                Event::Removed { page, .. } => {
                    self.cuts[usize::from(k.index(page))].in_block = None
                }
                Event::WriteFailed { io: false, .. } => {
                    self.lacking[step.task.index()] = true;
                    self.space(true);
                }
                Event::Return
                    if matches!(
                        k.outcome(step.task).status(),
                        Status::NoSpace | Status::Sigbus
                    ) =>
                {
                    self.space(false);
                }
                _ => {}
            }
        }
        match (step.point, k.state(step.task).operation().effect()) {
            (P::WriteCopy, Effect::Writes(range)) => self.changes(k, Shape::WriteBesideIo, range),
            (P::WritepageSubmit, _) => self.lacking[step.task.index()] = false,
            (P::WritepageEnd, _) if self.lacking[step.task.index()] => {
                self.see(Shape::NothingToSend)
            }
            _ => {}
        }
        for page in Frame::all(k.touched()) {
            self.page(k, page);
        }
        let is_reused = |(block, was): &(u8, u8)| {
            (0..g.pages * g.blocks)
                .any(|file_block| file_block != *was && k.block(file_block) == Some(*block))
        };
        let came = self.carried.iter().any(is_reused);
        self.see_if(Shape::CutReused, came);
    }
}

/// How often shapes came up.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Cases that were run.
    pub cases: u64,
    /// Cases that reached each shape, by its number, on each of [`SUBJECTS`].
    pub counts: Vec<[u64; SUBJECTS.len()]>,
    /// Steps of all runs.
    pub steps: u64,
}

impl Reach {
    /// The bound of a shape on a subject, for so many cases.
    pub fn bound(&self, shape: Shape, subject: usize) -> u64 {
        shape.bounds()[subject] * self.cases / 100_000
    }

    /// What comes up too rarely: the shapes, and the number of the subject.
    pub fn rare(&self) -> impl Iterator<Item = (Shape, usize)> + '_ {
        let all = Shape::ALL
            .iter()
            .flat_map(|shape| (0..SUBJECTS.len()).map(|subject| (*shape, subject)));
        all.filter(|(shape, subject)| {
            self.counts[*shape as usize][*subject] < self.bound(*shape, *subject)
        })
    }
}

/// Counts shapes over the first cases that a hunt with this seed and without feedback runs. None:
/// one of [`SUBJECTS`] is not there.
pub fn measure<F: Filesystem>(seed: u64, cases: u64) -> Option<Reach> {
    let subject = |name: &&str| F::by_name(name).map(|fs| Target::from(Pair::natural(fs)));
    let targets: Vec<Target<F>> = SUBJECTS.iter().map(subject).collect::<Option<_>>()?;
    let plan = Plan::new(targets, seed, cases, Ledger::default());
    let (mut machine, mut shapes, mut case) =
        (Machine::default(), Shapes::default(), Case::default());
    let mut reach = Reach { cases, counts: vec![[0; SUBJECTS.len()]; Shape::ALL.len()], steps: 0 };
    for index in 0..cases {
        Generator::new(false).generate(seed, index, &mut case);
        for (subject, target) in plan.targets.iter().enumerate() {
            reach.steps +=
                u64::from(observe(&mut machine, *target, &case, how(&plan, index), &mut shapes).1);
            for shape in Shape::ALL.iter().filter(|shape| shapes.has(**shape)) {
                reach.counts[*shape as usize][subject] += 1;
            }
        }
    }
    Some(reach)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_impls::Builtin;
    use mkwrite_model::text::parse;
    use mkwrite_oracle::run::ScheduledBy;

    /// The shapes of a run: the file, the actors' programs, and the order.
    fn shapes(subject: usize, file: &str, actors: &[&[&str]], order: &[&str]) -> Vec<&'static str> {
        let mut text = format!("mkw 1\nfile {file}\n");
        for (name, operations) in ["A", "B"].iter().zip(actors) {
            text.push_str(&format!("actor {name} mm 0\n"));
            for (slot, operation) in operations.iter().enumerate() {
                text.push_str(&format!("{name}.{slot} {operation}\n"));
            }
        }
        order.iter().for_each(|stop| text.push_str(&format!("order {stop}\n")));
        let case = parse(&text).unwrap_or_else(|error| panic!("{error}: {text}")).case;
        let target = Target::from(Pair::natural(Builtin::by_name(SUBJECTS[subject]).unwrap()));
        let mut shapes = Shapes::default();
        observe(&mut Machine::default(), target, &case, ScheduledBy::Own, &mut shapes);
        Shape::ALL.iter().filter(|shape| shapes.has(**shape)).map(|shape| shape.name()).collect()
    }

    #[test]
    fn each_shape_is_seen_and_its_neighbour_is_not() {
        let two = "pages 1 cells 4 blocks 2";
        let sees = |name: &str, subject, file, program: &[&str]| {
            let all: Vec<String> = (0..program.len()).map(|slot| format!("A.{slot} *")).collect();
            let order: Vec<&str> = all.iter().map(String::as_str).collect();
            shapes(subject, file, &[program], &order).contains(&name)
        };
        let beside =
            |name, operation| sees(name, 0, two, &["write 0..2", "writeback 0..1", operation]);
        assert!(
            beside("store-beside-io", "store 2..4") && !beside("store-beside-io", "store 0..2")
        );
        assert!(
            beside("write-beside-io", "write 2..4") && !beside("write-beside-io", "write 0..2")
        );
        assert!(beside("cut-beside-io", "truncate 2") && !beside("cut-under-io", "truncate 2"));
        assert!(
            beside("mixed-blocks", "load 0..1") && !sees("mixed-blocks", 0, two, &["write 0..4"])
        );

        let cut = |size| sees("cut-under-io", 0, two, &["store 0..4", "writeback 0..1", size]);
        assert!(cut("truncate 2") && !cut("truncate 3"));
        let reused = |file| {
            let program = ["store 0..4", "writeback 0..1", "truncate 2", "write 4..8"];
            sees("cut-reused", 0, file, &program)
        };
        assert!(
            reused("pages 2 cells 4 blocks 2 size 8 mms 1")
                && !reused("pages 2 cells 4 blocks 1 size 8 mms 1")
        );
        let grown =
            |file| sees("cut-and-grown", 0, file, &["load 0..1", "truncate 2", "truncate 4"]);
        assert!(
            grown("pages 1 cells 4 blocks 1") && !grown(two),
            "2 is inside a block, or between two"
        );
        let race = |stop| {
            let order = [stop, "B.0 *", "B.1 *"];
            shapes(0, two, &[&["store 0..4"], &["truncate 2", "truncate 4"]], &order)
                .contains(&"cut-before-lock")
        };
        assert!(race("A.0 mkwrite.lock_page") && !race("A.0 user.store"));

        assert!(
            sees("eof-in-block", 0, "size 1", &["fsync"])
                && !sees("eof-in-block", 0, "size 4", &["fsync"])
        );
        let eof = |file| sees("eof-in-page", 0, file, &["store 0..1"]);
        assert!(eof("size 2") && !eof("size 4"));
        let gap = |program: &[&str]| sees("gap-write", 0, "size 1", program);
        assert!(gap(&["write 3..4"]) && !gap(&["write 1..4"]));
        let holes = |file| sees("two-holes-write", 0, file, &["write 3..5"]);
        assert!(
            holes("pages 2 blocks 2 size 8 holes 0.1,1.0")
                && !holes("pages 2 blocks 2 size 8 holes 0.1")
        );
        let hole = |file| sees("hole-beside-block", 1, file, &["store 0..1"]);
        assert!(hole("blocks 2 holes 0.1") && !hole("blocks 2 holes 0"));
        let space = |name, file| sees(name, 1, file, &["store 0..4", "fsync"]);
        assert!(
            space("space-in-writepage", "holes 0 free 0")
                && space("nothing-to-send", "holes 0 free 0")
        );
        assert!(
            space("space-in-writepage", "blocks 2 holes 0 free 1")
                && !space("nothing-to-send", "blocks 2 holes 0 free 1")
        );
        assert!(
            !sees("space-in-writepage", 0, "holes 0 free 0", &["store 0..4", "fsync"]),
            "page_mkwrite allocates"
        );
    }

    #[test]
    fn no_shape_comes_up_too_rarely() {
        let reach = measure::<Builtin>(1, 20_000).expect("they are there");
        for (shape, subject) in reach.rare() {
            let (count, bound) =
                (reach.counts[shape as usize][subject], reach.bound(shape, subject));
            println!(
                "{} on {}: {count} of 20,000 cases; the bound is {bound}",
                shape.name(),
                SUBJECTS[subject]
            );
        }
        assert_eq!(reach.rare().count(), 0, "the generator makes them too rare");
    }
}

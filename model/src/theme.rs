//! Themes: short programs for two actors that bring about what random operations hardly ever do,
//! because it takes three or four of them, on the same page, at matching offsets. A theme is put in
//! front of a case's own operations; which ways its actors interleave is left to the schedule.
//! Adding one is a line of the table and its function.

use rand::RngExt;

use crate::case::{Actor, Case, Geometry, Operation as Op, Range, Site};
use crate::generate::{Random, by_weight, one_in, pick};

/// What a theme is made of: the shape of the file, and the page that all of it is about.
struct Stage<'a> {
    r: &'a mut Random,
    g: Geometry,
    page: u8,
    /// The first copy of a write(2) is short.
    short: bool,
    /// All actors are threads of one address space.
    threads: bool,
}

/// The programs of its two actors.
type Parts = [Vec<Op>; 2];

type Theme = fn(&mut Stage<'_>) -> Parts;

/// The themes, each with its share.
const THEMES: &[(Theme, u32)] = &[(cut, 6), (beside, 8), (shortage, 2), (holes, 1)];

/// Those of cases that have later kinds of operations: about space that is reserved, mappings that
/// go stale, pinned pages, and ptes that change.
const LATER: &[(Theme, u32)] = &[(remapped, 6), (released, 3), (pinned, 5), (late, 2)];

/// Puts a theme about this page in front of a case.
pub(crate) fn begin(case: &mut Case, r: &mut Random, page: u8) {
    put(case, r, page, THEMES);
}

/// The same of a case that has later kinds of operations.
pub(crate) fn begin_later(case: &mut Case, r: &mut Random, page: u8) {
    put(case, r, page, LATER);
}

fn put(case: &mut Case, r: &mut Random, page: u8, themes: &[(Theme, u32)]) {
    let draw = r.random_range(0..themes.iter().map(|(_, share)| share).sum());
    let theme = by_weight(themes.iter().copied(), draw);
    let mut stage = Stage { r, g: case.geometry, page, short: false, threads: false };
    stage.settle();
    let parts = theme(&mut stage);
    case.geometry = stage.g;
    if stage.short {
        case.faults.set(Site::Copy, 1);
    }
    while case.actors.len() < parts.len() {
        case.actors.push(Actor::default());
    }
    if stage.threads {
        case.actors.iter_mut().for_each(|actor| actor.mm = 0);
    }
    for actor in &mut case.actors {
        actor.operations.truncate(r.random_range(0..2));
    }
    let (first, count) = (r.random_range(0..case.actors.len()), case.actors.len());
    for (n, part) in parts.into_iter().enumerate() {
        case.actors[(first + n) % count].operations.splice(0..0, part);
    }
}

impl Stage<'_> {
    /// A file with the page in it, of two blocks at least; often with another page behind.
    fn settle(&mut self) {
        let g = &mut self.g;
        if one_in(self.r, 2) {
            g.pages = g.pages.max(2);
            self.page = self.page.min(g.pages - 2);
        }
        g.cells = g.cells.max(2);
        if g.blocks == 1 {
            g.set_blocks(2);
        }
        g.size =
            if one_in(self.r, 4) { g.size.max(self.page * g.cells + 1) } else { g.file_cells() };
    }

    /// A page behind the page, in a file of holes. Returns its cells.
    fn two_pages_of_holes(&mut self) -> Range {
        let g = &mut self.g;
        g.pages = g.pages.max(2);
        g.size = g.file_cells();
        g.holes = g.all_blocks();
        self.page = self.page.min(g.pages - 2);
        g.cells_of(self.page + 1)
    }

    fn first(&self) -> u8 {
        self.page * self.g.cells
    }

    fn any_block(&mut self) -> u8 {
        self.r.random_range(0..self.g.blocks)
    }

    /// The cells of a block of the page.
    fn cells(&self, block: u8) -> Range {
        let (first, in_page) = (self.first(), self.g.cells_of_block(block));
        Range::new(first + in_page.start, first + in_page.end)
    }

    fn dirty(&mut self, cells: Range) -> Op {
        if one_in(self.r, 2) { Op::Store(cells) } else { Op::Write(cells) }
    }

    fn flush(&mut self) -> Op {
        match pick(self.r, &[(0, 3), (1, 2), (2, 2)]) {
            0 => self.background(),
            1 => Op::Integrity(Range::new(self.page, self.page + 1)),
            _ => Op::Fsync,
        }
    }

    /// Starts I/O and does not wait for it: what comes next finds it in flight.
    fn background(&self) -> Op {
        Op::Background(Range::new(self.page, self.page + 1))
    }

    /// Truncate to some cell inside the page.
    fn cut(&mut self) -> Op {
        Op::Truncate(self.first() + self.r.random_range(1..self.g.cells))
    }

    /// The file grows over the rest of the page: by truncate, by a write behind it, or by one that
    /// leaves a gap.
    fn grow(&mut self) -> Op {
        let (end, all) = (self.first() + self.g.cells, self.g.file_cells());
        match self.r.random_range(0..4) {
            0 => Op::Truncate(self.r.random_range(end..=all)),
            1 | 2 if end < all => Op::Write(Range::new(end, self.r.random_range(end..all) + 1)),
            _ => Op::Write(Range::new(end - 1, end)),
        }
    }
}

/// The page is cut inside while it is dirty, under I/O or about to become writable, and the file
/// grows again.
fn cut(stage: &mut Stage<'_>) -> Parts {
    let all = stage.g.cells_of(stage.page);
    let mut cut = vec![stage.cut(), stage.grow()];
    if one_in(stage.r, 2) {
        cut.push(stage.flush());
    }
    match stage.r.random_range(0..9) {
        0 => [vec![stage.dirty(all), stage.flush()], cut],
        1 => [vec![stage.dirty(all), stage.flush(), Op::Store(all)], cut],
        2..6 => [vec![Op::Store(all)], cut],
        _ => [[vec![stage.dirty(all), stage.background()], cut].concat(), vec![Op::Store(all)]],
    }
}

/// One block of the page is written back, and something happens to another one.
fn beside(stage: &mut Stage<'_>) -> Parts {
    let written = stage.any_block();
    let other = (written + stage.r.random_range(1..stage.g.blocks)) % stage.g.blocks;
    let (written, beside) = (stage.cells(written), stage.cells(other));
    let operation = match stage.r.random_range(0..5) {
        0..3 => Op::Store(beside),
        3 => Op::Truncate(beside.start.max(stage.first() + 1)),
        _ => Op::Write(beside),
    };
    if one_in(stage.r, 2) {
        return [vec![Op::Write(written), stage.background(), operation], vec![]];
    }
    [vec![Op::Write(written), stage.flush()], vec![operation]]
}

/// Too few free blocks; the file grows inside a page that may be dirty before.
fn shortage(stage: &mut Stage<'_>) -> Parts {
    stage.g.free = stage.r.random_range(0..3);
    stage.g.size = stage.first() + stage.r.random_range(1..stage.g.cells);
    let all = stage.g.cells_of(stage.page);
    let below = Range::new(all.start, stage.g.size);
    [vec![Op::Store(below), stage.flush()], vec![stage.grow(), Op::Store(all), stage.flush()]]
}

/// Holes among blocks, and writes that go from one page to the next.
fn holes(stage: &mut Stage<'_>) -> Parts {
    let (r, g) = (&mut *stage.r, &mut stage.g);
    g.pages = g.pages.max(2);
    g.size = g.file_cells() - r.random_range(0..g.cells);
    g.holes = r.random();
    stage.page = stage.page.min(g.pages - 2);
    let (first, all) = (stage.first(), 2 * stage.g.cells);
    let from = stage.r.random_range(0..stage.g.cells);
    let to = stage.r.random_range(stage.g.cells..all) + 1;
    let write = Op::Write(Range::new(first + from, first + to));
    let block = stage.any_block();
    let cells = stage.cells(block);
    [vec![write], vec![stage.dirty(cells), stage.flush()]]
}

/// A write(2) over two pages that were never written fills the second in part, which is dirty, and
/// is written back and dropped meanwhile.
fn remapped(stage: &mut Stage<'_>) -> Parts {
    let second = stage.two_pages_of_holes();
    stage.g.set_blocks(if stage.g.cells < 4 { 1 } else { 2 });
    let (first, page) = (stage.first(), Range::new(stage.page + 1, stage.page + 2));
    let end = second.start + if one_in(stage.r, 2) { 1 } else { stage.g.cells - 1 };
    let all = Range::new(first, second.end);
    let mut writer = if one_in(stage.r, 2) {
        vec![Op::Write(all)]
    } else {
        vec![Op::Prealloc(all), Op::Store(second)]
    };
    writer.push(Op::Write(Range::new(first, end)));
    let flush = if one_in(stage.r, 2) { Op::Fsync } else { Op::Integrity(page) };
    let drop = if one_in(stage.r, 2) { Op::Reclaim(page) } else { Op::Invalidate(page) };
    [writer, vec![flush, drop]]
}

/// A write(2) over two pages of holes ends in the first; somebody stores to the second.
fn released(stage: &mut Stage<'_>) -> Parts {
    let second = stage.two_pages_of_holes();
    stage.short = true;
    let write = Op::Write(Range::new(stage.first(), second.end));
    let store = Op::Store(second);
    [vec![write], vec![Op::Load(second), store, stage.flush()]]
}

/// A device writes to the page while it is written back, and perhaps stripped; then it is synced.
fn pinned(stage: &mut Stage<'_>) -> Parts {
    let (all, page) = (stage.g.cells_of(stage.page), Range::new(stage.page, stage.page + 1));
    let others = match stage.r.random_range(0..4) {
        0..3 => vec![Op::Fsync, Op::Reclaim(page)],
        _ => vec![stage.flush()],
    };
    // Once the page is mapped most of a pin is the device.
    [vec![Op::Pin(all), Op::Pin(all), Op::Fsync], others]
}

/// Two threads store to the page; one takes its pte away or changes it, while the other goes on
/// storing and the page is written back.
fn late(stage: &mut Stage<'_>) -> Parts {
    stage.threads = true;
    let all = stage.g.cells_of(stage.page);
    let change = match stage.r.random_range(0..3) {
        0 => Op::Munmap,
        1 => Op::Mremap,
        _ => Op::Mprotect,
    };
    [vec![Op::Store(all), change], vec![stage.flush(), Op::Store(all), stage.flush()]]
}

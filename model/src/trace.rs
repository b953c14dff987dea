//! What a run did: one line per step, and a hash of it all.
//!
//! A line shows the step (actor, operation, point) and the state that it left behind: the locks
//! that the actor holds, and for each page that it touched the flags, tags, references, ptes,
//! record and cells. The hash chains XXH3-64 over the same facts in a fixed binary form, so that
//! the same case has the same hash on every machine and build.

use std::fmt::Write;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::case::Case;
use crate::exec::TaskId;
use crate::implementation::{Code, Convention, Filesystem};
use crate::kernel::event::Step;
use crate::kernel::page::{CACHED, ERROR};
use crate::kernel::{Class, Event, Frame, InodeId, Kernel, Mm};
use crate::machine::{End, Observer};

/// The hash of a run, in the making.
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceHash(pub u64);

impl TraceHash {
    fn add(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }
}

impl<F: Filesystem> Observer<F> for TraceHash {
    fn begin(&mut self, _: &Kernel<F>, _: &Case) {
        self.0 = 0;
    }

    fn step(&mut self, k: &Kernel<F>, step: Step) {
        let [code, high] = step.point.code().to_le_bytes();
        let runnable = k.tasks.runnable().count_ones() as u8;
        let facts = [step.task.0, step.slot, code, k.i_size(), runnable, high];
        // Codes of one byte stand in hashes as they always did.
        self.add(if high == 0 { &facts[..5] } else { &facts });
        for page in Frame::all(k.touched()) {
            let [dirty, writeback] = k.tags_of(page);
            let tags = u8::from(dirty) | u8::from(writeback) << 1;
            let owner = k.page_lock_owner(page).map_or(u8::MAX, |task| task.0);
            let state = [
                page.0,
                k.index(page),
                k.flags(page),
                k.refcount(page) as u8,
                k.mapcount(page),
                tags,
                owner,
            ];
            self.add(&state);
            let mut cells = [0; 2 * crate::case::CELLS_PER_PAGE_MAX];
            for cell in 0..k.geometry().cells {
                let at = 2 * usize::from(cell);
                cells[at..at + 2].copy_from_slice(&k.cell(page, cell).0.to_le_bytes());
            }
            self.add(&cells);
            for mm in Mm::all() {
                let pte = k.pte(mm, k.index(page));
                let frame = pte.page().map_or(u8::MAX, |page| page.0);
                self.add(&[frame, u8::from(pte.is_writable()) | u8::from(pte.is_dirty()) << 1]);
            }
        }
    }

    fn end(&mut self, _: &Kernel<F>, end: End) {
        self.add(&[end as u8]);
    }
}

/// Collects the lines of a run.
#[derive(Clone, Debug, Default)]
pub struct Lines(pub Vec<String>);

impl<F: Filesystem> Observer<F> for Lines {
    fn step(&mut self, k: &Kernel<F>, step: Step) {
        self.0.push(line(k, step));
    }
}

/// The line of a step, as the state is right after it.
pub fn line<F: Filesystem>(k: &Kernel<F>, step: Step) -> String {
    let Step { task, point, slot, number, .. } = step;
    let operation = match task.io_slot() {
        Some(_) => "io".to_owned(),
        None => k.state(task).operation().to_string(),
    };
    let mut line =
        format!("{number:4} {:8} {operation:16} {:24}", format!("{task}.{slot}"), point.name());
    let _ = write!(line, " size {} held {}", k.i_size(), held(k, task));
    for event in k.events() {
        match event {
            Event::MkwriteReturned { code, .. } => {
                let code = code_name(k.fs().declaration().convention, code);
                let _ = write!(line, " | page_mkwrite = {code}");
            }
            Event::Return => {
                let outcome = k.outcome(task);
                let _ = write!(
                    line,
                    " | returns {} after {} cells",
                    outcome.status().name(),
                    outcome.done()
                );
            }
            Event::Failed { site } => _ = write!(line, " | the {} fails", site.row().what),
            Event::Bug { what } | Event::NullMapping { what } => {
                _ = write!(line, " | CRASH {what}")
            }
            _ => {}
        }
    }
    for page in Frame::all(k.touched()) {
        line.push_str(" | ");
        line.push_str(&describe(k, page));
    }
    line
}

/// A page in one line.
pub fn describe<F: Filesystem>(k: &Kernel<F>, page: Frame) -> String {
    let index = k.index(page);
    let file = if k.host(page).id() == InodeId::FIRST { "" } else { "file 1 " };
    let mut s = format!("{file}page {index} frame {}", page.0);
    if k.is_free(page) {
        s.push_str(" free");
        return s;
    }
    match k.page_lock_owner(page) {
        Some(owner) => _ = write!(s, " locked by {owner}"),
        None => s.push_str(" unlocked"),
    }
    let flags = [
        (k.is_uptodate(page), "uptodate"),
        (k.is_dirty(page), "DIRTY"),
        (k.is_writeback(page), "WRITEBACK"),
        (k.has(page, ERROR), "error"),
        (!k.in_mapping(page), "no-mapping"),
    ];
    for (_, name) in flags.iter().filter(|(set, _)| *set) {
        let _ = write!(s, " {name}");
    }
    if k.has(page, CACHED) {
        let tags = k.tags_of(page).into_iter().zip(['D', 'W']);
        let tags: String = tags.filter(|(set, _)| *set).map(|(_, tag)| tag).collect();
        let _ = write!(s, " tags [{tags}]");
    }
    let _ = write!(s, " refs {}", k.refcount(page));
    for mm in Mm::all() {
        let pte = k.pte(mm, index);
        if pte.page() == Some(page) {
            let write = if pte.is_writable() { "rw" } else { "ro" };
            let _ = write!(s, " pte{}:{write}{}", mm.0, if pte.is_dirty() { "+dirty" } else { "" });
        }
    }
    if let Some(private) = k.private(page) {
        let _ = write!(s, " <{private}>");
    }
    s.push_str(" [");
    for cell in 0..k.geometry().cells {
        let _ = write!(s, "{}{}", if cell == 0 { "" } else { " " }, k.cell(page, cell));
    }
    s.push(']');
    s
}

fn held<F: Filesystem>(k: &Kernel<F>, task: TaskId) -> String {
    let classes = [Class::Inode, Class::Mmap, Class::Flush, Class::Page, Class::IMmap, Class::Pte]
        .map(|c| (c, c as u8));
    let held = k.state(task).held();
    let names: Vec<&str> =
        classes.iter().filter(|(_, n)| held >> n & 1 != 0).map(|(c, _)| c.name()).collect();
    if names.is_empty() { "-".to_owned() } else { names.join("+") }
}

/// A return of page_mkwrite in words.
pub fn code_name(convention: Convention, code: Code) -> String {
    use crate::implementation::{EINVAL, ENOSPC, LOCKED, NOPAGE, OOM, SIGBUS, SIGSEGV};
    match code {
        EINVAL => "-EINVAL".to_owned(),
        ENOSPC => "-ENOSPC".to_owned(),
        count if convention == Convention::Errno => count.0.to_string(),
        LOCKED => "VM_FAULT_LOCKED".to_owned(),
        NOPAGE => "VM_FAULT_NOPAGE".to_owned(),
        OOM => "VM_FAULT_OOM".to_owned(),
        SIGBUS => "VM_FAULT_SIGBUS".to_owned(),
        SIGSEGV => "VM_FAULT_SIGSEGV".to_owned(),
        other => other.0.to_string(),
    }
}

//! TLB entries that outlive their pte (`[tlb-flush]`).
//!
//! Whoever takes a pte away or write-protects it flushes the TLBs of the other CPUs before anybody
//! can rely on it: then no step sees an entry that is not as its pte is, and there is nothing to
//! keep. An entry is kept here only where the flush comes late, or never: the pte as it was. Every
//! CPU that runs the address space may have it. If it is writable and dirty, stores go through it
//! and tell nobody; others are looked up again, so they are not kept.

use std::cell::Cell;

use super::page::Frame;
use super::{Kernel, Mm, Pte};
use crate::bit_set::ones;
use crate::case::PAGES_MAX;
use crate::implementation::Filesystem;

/// The entries of an address space.
pub(crate) struct Tlb {
    /// For which pages there is one, one bit each.
    stale: Cell<u8>,
    /// Their ptes were moved by mremap.
    moved: Cell<bool>,
    entries: [Cell<Pte>; PAGES_MAX],
}

impl Default for Tlb {
    fn default() -> Self {
        Tlb {
            stale: Cell::new(0),
            moved: Cell::new(false),
            entries: [const { Cell::new(Pte::NONE) }; PAGES_MAX],
        }
    }
}

impl Tlb {
    pub(super) fn reset(&self) {
        self.stale.set(0);
    }

    #[inline]
    fn has(&self, index: u8) -> bool {
        self.stale.get() >> index & 1 != 0
    }
}

impl<F: Filesystem> Kernel<F> {
    fn tlb(&self, mm: Mm) -> &Tlb {
        &self.space(mm).tlb
    }

    /// The pte of page `index` is about to change, and no CPU is told.
    pub(crate) fn leave_stale(&self, mm: Mm, index: u8) {
        let (tlb, pte) = (self.tlb(mm), self.pte(mm, index));
        if pte.is_writable() && pte.is_dirty() {
            tlb.entries[usize::from(index)].set(pte);
            tlb.stale.set(tlb.stale.get() | 1 << index);
        }
    }

    /// The same for all ptes of the address space, which are taken away or moved.
    pub(crate) fn leave_all_stale(&self, mm: Mm, moved: bool) {
        self.tlb(mm).moved.set(moved);
        (0..PAGES_MAX as u8).for_each(|index| self.leave_stale(mm, index));
    }

    /// flush_tlb_mm.
    pub(crate) fn flush_tlb(&self, mm: Mm) {
        self.stale_pages(mm).for_each(|page| self.touch(page));
        self.tlb(mm).stale.set(0);
    }

    /// The pages of those entries get a reference each, which the caller drops when it has flushed.
    /// One bit each.
    pub(crate) fn gather_stale(&self, mm: Mm) -> u32 {
        if !self.has_stale(mm) {
            return 0;
        }
        let pages = self.stale_pages(mm).fold(0, |mask, page| mask | page.bit());
        Frame::all(pages).for_each(|page| self.get_page(page));
        pages
    }

    /// The pages of the entries that have outlived their ptes.
    fn stale_pages(&self, mm: Mm) -> impl Iterator<Item = Frame> + '_ {
        let tlb = self.tlb(mm);
        ones(tlb.stale.get().into())
            .filter_map(|index| tlb.entries[usize::from(index)].get().page())
    }

    /// Some entry of the address space has outlived its pte.
    pub(crate) fn has_stale(&self, mm: Mm) -> bool {
        self.tlb(mm).stale.get() != 0
    }

    /// What a CPU that runs the address space translates by: an entry that has outlived its pte,
    /// and then stores set no dirty bit, or the pte.
    #[inline]
    pub(crate) fn translation(&self, mm: Mm, index: u8) -> (Pte, bool) {
        let tlb = self.tlb(mm);
        let is_stale = tlb.has(index);
        let pte =
            if is_stale { tlb.entries[usize::from(index)].get() } else { self.pte(mm, index) };
        (pte, is_stale)
    }

    /// Some CPU still goes by a pte of page `index` of the file that was moved, or taken away.
    pub fn is_stale(&self, index: u8, moved: bool) -> bool {
        Mm::all().map(|mm| self.tlb(mm)).any(|tlb| tlb.has(index) && tlb.moved.get() == moved)
    }

    /// Stores to the page can tell nobody: a pte is writable, or was, and some CPU still goes by
    /// it.
    #[inline]
    pub fn lets_stores_through(&self, page: Frame) -> bool {
        let stale = |mm: Mm| self.has_stale(mm) && self.stale_pages(mm).any(|of| of == page);
        self.is_writably_mapped(page) || Mm::all().any(stale)
    }
}

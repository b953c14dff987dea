//! Page tables: one vma that maps the whole file, shared and writable, in each of up to three
//! address spaces (`[write-notify]`, `[pte-dirty-bit]`).
//!
//! A vma wants write-notify if page_mkwrite exists or the mapping is dirty-tracked: then a pte is
//! made writable only by a write fault. In others (tmpfs) a read fault makes it writable too, and
//! clean. Left out: private mappings, fork, the accessed bit. TLB entries: `tlb.rs`.

use std::cell::Cell;

use super::event::Event;
use super::lock::Mm;
use super::page::{Frame, MAPPING};
use super::tlb::Tlb;
use super::{Inode, InodeId, Kernel};
use crate::case::PAGES_MAX;
use crate::implementation::Filesystem;
use crate::plant::Plant;

/// A page table entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pte {
    frame: u8,
    flags: u8,
}

const PRESENT: u8 = 1;
const WRITE: u8 = 2;
const DIRTY: u8 = 4;

impl Pte {
    /// Nothing is mapped.
    pub const NONE: Pte = Pte { frame: 0, flags: 0 };

    /// The page that it maps.
    #[inline]
    pub fn page(self) -> Option<Frame> {
        (self.flags & PRESENT != 0).then_some(Frame(self.frame))
    }

    /// Stores go through.
    #[inline]
    pub const fn is_writable(self) -> bool {
        self.flags & WRITE != 0
    }

    /// A store went through since it was cleaned.
    #[inline]
    pub const fn is_dirty(self) -> bool {
        self.flags & DIRTY != 0
    }
}

/// An address space.
pub struct AddressSpace {
    pub(crate) mapped: Cell<bool>,
    /// The file of the vma.
    pub(crate) file: Cell<InodeId>,
    /// The vma may be written to (VM_WRITE).
    pub(crate) writable: Cell<bool>,
    /// The actors that run in it.
    pub(crate) users: Cell<u8>,
    pub(super) tlb: Tlb,
    pub(crate) ptes: [Cell<Pte>; PAGES_MAX],
}

impl Default for AddressSpace {
    fn default() -> Self {
        AddressSpace {
            mapped: Cell::new(false),
            file: Cell::new(InodeId::FIRST),
            writable: Cell::new(true),
            users: Cell::new(0),
            tlb: Tlb::default(),
            ptes: [const { Cell::new(Pte::NONE) }; PAGES_MAX],
        }
    }
}

impl AddressSpace {
    /// A run begins, in which it maps this file and so many actors run in it.
    pub(super) fn reset(&self, file: InodeId, users: u8) {
        self.file.set(file);
        self.writable.set(true);
        self.users.set(users);
        self.tlb.reset();
        self.ptes.iter().for_each(|pte| pte.set(Pte::NONE));
    }
}

impl<F: Filesystem> Kernel<F> {
    #[inline]
    pub(super) fn space(&self, mm: Mm) -> &AddressSpace {
        &self.mms[usize::from(mm.0)]
    }

    /// An actor of this address space is done.
    pub(crate) fn exit_mm(&self, mm: Mm) {
        let users = &self.space(mm).users;
        users.set(users.get().saturating_sub(1));
    }

    /// More than one actor runs in it, so that there are other CPUs to tell of what changes.
    pub(crate) fn is_shared(&self, mm: Mm) -> bool {
        self.space(mm).users.get() > 1
    }

    /// Its vma may be written to.
    pub(crate) fn is_vma_writable(&self, mm: Mm) -> bool {
        self.space(mm).writable.get()
    }

    pub(crate) fn set_vma_writable(&self, mm: Mm, writable: bool) {
        self.space(mm).writable.set(writable);
    }

    /// change_protection: no pte lets stores through any more; dirty bits stay.
    pub(crate) fn protect_ptes(&self, mm: Mm) {
        self.change_ptes(mm, |pte| Pte { flags: pte.flags & !WRITE, ..pte });
    }

    /// change_protection, when the vma has become writable: a pte that is dirty becomes writable,
    /// for its page is known to be dirty. Others ask page_mkwrite first, where somebody wants to
    /// know of stores.
    pub(crate) fn unprotect_ptes(&self, mm: Mm) {
        let all = !self.tracks_dirty() || self.reaches_plant(Plant::MprotectForgetsNotify);
        self.change_ptes(mm, |pte| match all || pte.is_dirty() {
            true => Pte { flags: pte.flags | WRITE, ..pte },
            false => pte,
        });
    }

    fn change_ptes(&self, mm: Mm, change: impl Fn(Pte) -> Pte) {
        for cell in &self.space(mm).ptes {
            if let Some(page) = cell.get().page() {
                cell.set(change(cell.get()));
                self.touch(page);
            }
        }
    }

    /// The pte of page `index` of the file.
    #[inline]
    pub fn pte(&self, mm: Mm, index: u8) -> Pte {
        self.space(mm).ptes[usize::from(index)].get()
    }

    fn set_pte(&self, mm: Mm, index: u8, pte: Pte) {
        self.space(mm).ptes[usize::from(index)].set(pte);
    }

    /// The file of the vma of this address space, if there is one.
    pub fn file_of(&self, mm: Mm) -> InodeId {
        self.space(mm).file.get()
    }

    /// The file is mapped in this address space.
    pub fn is_file_mapped(&self, mm: Mm) -> bool {
        self.space(mm).mapped.get()
    }

    /// The address space has a vma of this inode: it is in its i_mmap.
    pub(crate) fn maps(&self, mm: Mm, inode: &Inode<F::Inode>) -> bool {
        let space = self.space(mm);
        space.mapped.get() && space.file.get() == inode.id()
    }

    /// The vma is inserted, or removed.
    pub(crate) fn set_file_mapped(&self, mm: Mm, mapped: bool) {
        self.space(mm).mapped.set(mapped);
    }

    /// The ptes that map `page`.
    pub fn ptes_of(&self, page: Frame) -> impl Iterator<Item = Pte> + '_ {
        let index = self.index(page);
        Mm::all().map(move |mm| self.pte(mm, index)).filter(move |pte| pte.page() == Some(page))
    }

    /// The CPU stores by a writable pte: the hardware sets the dirty bit and tells nobody.
    pub(crate) fn hardware_dirty(&self, mm: Mm, index: u8) {
        let pte = self.pte(mm, index);
        self.set_pte(mm, index, Pte { flags: pte.flags | DIRTY, ..pte });
    }

    /// WP: the present pte becomes young, dirty and writable.
    pub fn make_pte_writable(&self, mm: Mm, index: u8) {
        let pte = self.pte(mm, index);
        self.set_pte(mm, index, Pte { flags: PRESENT | WRITE | DIRTY, ..pte });
        if let Some(page) = pte.page() {
            self.pte_changed(page, true, false);
        }
    }

    /// MISS: installs a pte, writable and dirty for a write; the task's reference becomes the
    /// pte's.
    pub fn install_pte(&self, mm: Mm, index: u8, page: Frame, write: bool) {
        let flags = match write {
            true => PRESENT | WRITE | DIRTY,
            false if self.tracks_dirty() => PRESENT,
            false => PRESENT | WRITE,
        };
        self.set_pte(mm, index, Pte { frame: page.0, flags });
        self.forget_transient(page);
        let p = self.page(page);
        p.mapcount.set(p.mapcount.get() + 1);
        self.pte_changed(page, flags & WRITE != 0, true);
    }

    fn pte_changed(&self, page: Frame, write: bool, new: bool) {
        self.touch(page);
        let (locked_by_us, mapping) = (self.is_locked_by_us(page), self.has(page, MAPPING));
        self.event(Event::PteSet { page, write, new, locked_by_us, mapping });
    }

    /// Some pte lets its owner store to the page.
    pub fn is_writably_mapped(&self, page: Frame) -> bool {
        let pte = |mm: Mm| self.pte(mm, self.index(page));
        Mm::all().map(pte).any(|pte| pte.page() == Some(page) && pte.is_writable())
    }

    /// page_mkclean_one: if the pte maps `page` writable or dirty, makes it read-only and clean.
    pub(crate) fn clean_pte(&self, mm: Mm, page: Frame, keep_dirty: bool) -> bool {
        let index = self.index(page);
        let pte = self.pte(mm, index);
        let cleans = pte.page() == Some(page) && (pte.is_writable() || pte.is_dirty());
        if cleans {
            let kept = if keep_dirty { pte.flags & DIRTY } else { 0 };
            self.set_pte(mm, index, Pte { flags: PRESENT | kept, ..pte });
            self.touch(page);
        }
        cleans
    }

    /// Clears a pte; the caller moves the dirty bit, then calls [`Kernel::page_remove_rmap`].
    pub(crate) fn clear_pte(&self, mm: Mm, index: u8) -> Option<(Frame, bool)> {
        let pte = self.pte(mm, index);
        let page = pte.page()?;
        self.set_pte(mm, index, Pte::NONE);
        self.touch(page);
        Some((page, pte.is_dirty()))
    }

    /// The mapcount and the reference of a pte that was cleared.
    pub(crate) fn page_remove_rmap(&self, page: Frame) {
        let mapcount = &self.page(page).mapcount;
        mapcount.set(mapcount.get().saturating_sub(1));
        self.drop_reference(page);
    }
}

//! Reverse mapping: page_mkclean, unmap_mapping_range, try_to_unmap; 2.6.30 mm/rmap.c and
//! mm/memory.c (`[mkclean]`, `[pte-dirty-bit]`).
//!
//! Each pte is one step under its pte lock, with other actors in between. Clearing a pte and moving
//! its dirty bit to PG_dirty is one step; the tag follows in a step of its own, with the pte lock
//! still held.

use super::lock::Mm;
use super::page::Frame;
use super::{Kernel, Pte};
use crate::case::{PAGES_MAX, Range};
use crate::era::Mkclean;
use crate::implementation::Filesystem;
use crate::plant::Plant;
use crate::point::{Point, points};

points! {
    52  MkcleanLock "mkclean.i_mmap_lock" "page_mkclean: take the i_mmap lock";
    53  MkcleanPte  "mkclean.pte"         "page_mkclean: under the pte lock, write-protect and clean one pte";
    56  UnmapLock   "unmap.i_mmap_lock"   "unmap_mapping_range or try_to_unmap: take the i_mmap lock";
    57  UnmapPte    "unmap.pte"           "under the pte lock, zap the ptes of one address space";
}

impl<F: Filesystem> Kernel<F> {
    /// page_mkclean: write-protects and cleans every pte of the page. Returns whether there was
    /// one.
    pub async fn page_mkclean(&self, page: Frame) -> bool {
        let mut cleaned = false;
        if self.is_mapped(page) {
            self.i_mmap_lock(Point::MkcleanLock).await;
            for mm in Mm::all() {
                if !self.maps(mm, self.host(page)) {
                    continue;
                }
                if self.facts().mkclean == Mkclean::Peeks {
                    self.at(Point::MkcleanPte).await;
                    if self.pte(mm, self.index(page)) == Pte::NONE {
                        continue;
                    }
                }
                self.pte_lock(mm, Point::MkcleanPte).await;
                let index = self.index(page);
                if self.pte(mm, index).page() == Some(page)
                    && self.reaches_plant(Plant::MkcleanNoFlush)
                {
                    self.leave_stale(mm, index);
                }
                let cleans = self.clean_pte(mm, page, self.reaches_plant(Plant::MkcleanKeepsDirty));
                self.pte_unlock(mm);
                cleaned |= cleans;
                if cleans && self.reaches_plant(Plant::MkcleanOneMm) {
                    break;
                }
            }
            self.i_mmap_unlock();
        }
        self.mkcleaned(page);
        cleaned
    }

    /// unmap_mapping_range: zaps the ptes of these pages in every address space.
    pub async fn unmap_mapping_range(&self, pages: Range) {
        self.i_mmap_lock(Point::UnmapLock).await;
        for mm in Mm::all() {
            if !self.maps(mm, self.file()) {
                continue;
            }
            if mm.0 == 1 && self.reaches_plant(Plant::SkipUnmap) {
                continue;
            }
            self.pte_lock(mm, Point::UnmapPte).await;
            if self.reaches_plant(Plant::UnmapNoFlush) {
                pages.iter().for_each(|index| self.leave_stale(mm, index));
            }
            self.zap_range(mm, pages).await;
            self.pte_unlock(mm);
        }
        self.i_mmap_unlock();
    }

    /// Every page from `first` to the end of what can be mapped.
    pub async fn unmap_mapping_from(&self, first: u8) {
        self.unmap_mapping_range(Range::new(first, PAGES_MAX as u8)).await;
    }

    /// try_to_unmap: as unmap_mapping_range, for one locked page.
    pub async fn try_to_unmap(&self, page: Frame) {
        let index = self.index(page);
        self.i_mmap_lock(Point::UnmapLock).await;
        for mm in Mm::all() {
            if !self.maps(mm, self.host(page)) {
                continue;
            }
            self.pte_lock(mm, Point::UnmapPte).await;
            if self.pte(mm, index).page() == Some(page) {
                self.zap_pte(mm, index).await;
            }
            self.pte_unlock(mm);
        }
        self.i_mmap_unlock();
    }

    /// zap_pte_range, with the pte lock held.
    pub(crate) async fn zap_range(&self, mm: Mm, pages: Range) {
        for index in pages.iter() {
            self.zap_pte(mm, index).await;
        }
    }

    async fn zap_pte(&self, mm: Mm, index: u8) {
        if let Some((page, dirty)) = self.clear_pte(mm, index) {
            if dirty {
                self.set_page_dirty(page).await;
            }
            self.page_remove_rmap(page);
        }
    }
}

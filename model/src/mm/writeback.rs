//! Writeback: the flusher and write_cache_pages; fs/fs-writeback.c and mm/page-writeback.c of
//! 2.6.29 to 6.12 (`[flusher]`, `[write-cache-pages]`).
//!
//! write_cache_pages looks up pages by the tag DIRTY, locks each, tests that it is still in the
//! mapping and dirty, waits for or skips earlier writeback, cleans it for I/O and calls writepage.
//! For integrity later eras tag all pages first, and write those (`[towrite]`), and go on after an
//! error (`[writeback-errors]`). Left out: the page budget (nr_to_write), cyclic ranges.

use crate::case::Range;
use crate::implementation::{Filesystem, WbSync};
use crate::kernel::{Call, Event, Frame, Kernel, Status, Written};
use crate::plant::Plant;
use crate::point::{Point as P, points};

points! {
    266 WbTag    "wb.tag"            "write_cache_pages for integrity: tag TOWRITE what is tagged DIRTY (since 2.6.36)";
    60  WbInode  "wb.inode"          "background writeback looks whether the inode is dirty";
    61  WbLookup "wb.lookup"         "write_cache_pages: look up pages tagged DIRTY, take references";
    62  WbLock   "wb.lock_page"      "write_cache_pages: lock the page, test mapping and PG_dirty";
    63  WbWait   "wb.wait_writeback" "write_cache_pages: wait for writeback with the page locked";
}

/// The flusher on this inode: its pages, then the inode itself.
pub(crate) async fn background<F: Filesystem>(k: &Kernel<F>, pages: Range) -> Status {
    k.at_tree(P::WbInode).await;
    if !k.is_inode_dirty() {
        return Status::Ok; // not on the list that the flusher walks
    }
    k.set_inode_dirty(false);
    k.fs().writepages(k, pages, WbSync::Background).await;
    k.fs().write_inode(k).await;
    if k.any_tagged_dirty() {
        k.set_inode_dirty(true);
    }
    Status::Ok
}

/// write_cache_pages. Returns the first error of writepage.
pub async fn write_cache_pages<F: Filesystem>(k: &Kernel<F>, pages: Range, sync: WbSync) -> Status {
    let integrity = sync == WbSync::Integrity;
    let tags = integrity && k.facts().tags_towrite;
    if tags {
        k.at_tree(P::WbTag).await;
        k.tag_pages_for_writeback(pages);
    }
    let goes_on = integrity && k.facts().writes_past_errors;
    let mut result = Status::Ok;
    let (mut next, mut written) = (pages.start, 0u8);
    loop {
        k.at_tree(P::WbLookup).await;
        let rest = Range::new(next, pages.end);
        let batch =
            if tags { k.pagevec_lookup_towrite(rest) } else { k.pagevec_lookup_dirty(rest) };
        if batch.is_empty() {
            return result;
        }
        for (n, page) in batch.iter().enumerate() {
            next = k.index(page) + 1;
            if result != Status::Ok && !goes_on {
                k.put_page(page);
                continue;
            }
            if integrity && written >= BUDGET && k.reaches_plant(Plant::IntegrityBudget) {
                k.put_page(page);
                continue;
            }
            written += 1;
            if n != 0
                && k.index(page).is_multiple_of(2)
                && k.reaches_plant(Plant::WritebackSkipsPage)
            {
                k.put_page(page);
                continue;
            }
            k.lock_page(page, P::WbLock).await;
            let status = write_one(k, page, sync).await;
            result = result.or(status);
            k.put_page(page);
        }
        if result != Status::Ok && !goes_on {
            return result;
        }
    }
}

/// The pages that a pass writes which has a budget by mistake.
const BUDGET: u8 = 2;

/// One page of write_cache_pages, locked; unlocks it.
async fn write_one<F: Filesystem>(k: &Kernel<F>, page: Frame, sync: WbSync) -> Status {
    if !k.in_mapping(page) || !k.is_dirty(page) {
        k.unlock_page(page);
        return Status::Ok;
    }
    if k.is_writeback(page) {
        if sync != WbSync::Integrity || k.reaches_plant(Plant::IntegritySkipsWriteback) {
            k.unlock_page(page);
            return Status::Ok;
        }
        if !k.reaches_plant(Plant::WritebackNotAwaited) {
            k.wait_on_page_writeback(page, P::WbWait).await;
        }
    }
    if !k.clear_page_dirty_for_io(page).await {
        k.unlock_page(page);
        return Status::Ok;
    }
    k.writepage(page, sync).await
}

impl<F: Filesystem> Kernel<F> {
    /// ->writepage with the page locked and PG_dirty just cleared; the page comes back unlocked.
    /// Notes how the contract was met: redirtied, writeback started, or wholly beyond i_size.
    pub async fn writepage(&self, page: Frame, sync: WbSync) -> Status {
        self.calls_locked(Call::Writepage, page);
        self.task().written.set(Written::default());
        let status = if sync == WbSync::Reclaim && self.reaches_plant(Plant::SilentNoWrite) {
            self.unlock_page(page);
            Status::Ok
        } else {
            self.fs().writepage(self, page, sync).await
        };
        let written =
            Written { beyond_eof: self.length_below_eof(page) == 0, ..self.task().written.get() };
        self.event(Event::WritepageReturned { page, written });
        status
    }
}

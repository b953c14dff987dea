//! Writeback and completion: ext4_writepages and what it calls, ext4_bio_write_folio,
//! ext4_end_io_end (`[ext4-writepages]`, `[ext4-end-io]`).
//!
//! Page by page: start a handle, lock the page, map its delayed blocks to unwritten ones while it is
//! still writable; write-protect it, only then read i_size and zero the tail by it; take the dirty
//! blocks that are mapped, start writeback, unlock, submit; raise the size in the inode to what was
//! mapped; end the handle. Otherwise than there: the kernel maps an extent of several pages, all of
//! them locked, submits when it has ended the handle, and takes no handle for pages that have
//! nothing to map; a page wholly beyond i_size is not submitted.

use mkwrite_model::bit_set::ones;
use mkwrite_model::case::Range;
use mkwrite_model::implementation::WbSync;
use mkwrite_model::kernel::{Extent, Frame, Kernel, Request, Status};
use mkwrite_model::plant::Plant;
use mkwrite_model::point::Point as P;
use mkwrite_model::remedy::Remedy;

use super::journal::journal;
use super::{Ext4, Journaled};
use crate::buffer::{self, Buffers};

impl Ext4 {
    /// ext4_writepages.
    pub(super) async fn map_and_write<F: Journaled>(
        self,
        k: &Kernel<F>,
        pages: Range,
        sync: WbSync,
    ) -> Status {
        let tags = sync == WbSync::Integrity;
        if tags {
            k.at_tree(P::WbTag).await;
            k.tag_pages_for_writeback(pages);
        }
        let mut next = pages.start;
        loop {
            k.journal_start(P::JournalStart).await;
            k.at_tree(P::WbLookup).await;
            let Some(page) = k.find_tagged(Range::new(next, pages.end), tags) else {
                k.journal_stop();
                return Status::Ok;
            };
            next = k.index(page) + 1;
            k.lock_page(page, P::WbLock).await;
            let status = self.map_and_write_page(k, page, sync).await;
            k.journal_stop();
            k.put_page(page);
            if status != Status::Ok {
                return status;
            }
        }
    }

    /// One page of it, locked, within a handle; unlocks it.
    async fn map_and_write_page<F: Journaled>(
        self,
        k: &Kernel<F>,
        page: Frame,
        sync: WbSync,
    ) -> Status {
        let is_writeback = k.is_writeback(page);
        if !k.in_mapping(page) || is_writeback && sync != WbSync::Integrity {
            k.unlock_page(page);
            return Status::Ok;
        }
        if is_writeback && k.is_dirty(page) {
            k.wait_on_page_writeback(page, P::WbWait).await;
        }
        if !k.is_dirty(page) {
            if self == Ext4::V6_12 && !k.is_writeback(page) {
                // Takes off tags that were left.
                k.set_page_writeback(page);
                k.end_page_writeback(page);
            }
            k.unlock_page(page);
            return Status::Ok;
        }
        let maps = self.to_map(k, page);
        let mut status = Status::Ok;
        if maps != 0 {
            k.at_page(P::WritepageMap, page).await;
            status = map_blocks(k, page, maps);
        }
        let early = k.i_size();
        k.clear_page_dirty_for_io(page).await;
        k.begin_writepage();
        let early = k.reaches_plant(Plant::SizeBeforeMkclean).then_some(early);
        self.submit(k, page, early).await;
        k.end_writepage(page);
        if maps != 0 {
            k.at_size(P::WritepageDisksize).await;
            let end = (k.index(page) + 1) * k.geometry().cells;
            journal(k).raise_size(end.min(k.i_size()));
        }
        status
    }

    /// The blocks of the page that need a handle to be written, one bit each: dirty, below i_size,
    /// and delayed or unwritten.
    fn to_map<F: Journaled>(self, k: &Kernel<F>, page: Frame) -> u8 {
        let below_eof = buffer::blocks_below_eof(k, page);
        buffer::buffers(k, page).map_or(0, |b| b.dirty & (b.delayed | b.unwritten) & below_eof)
    }

    /// ext4_writepage of 6.1, with PG_dirty just cleared: redirties a page that it would have to map
    /// blocks of, and writes the others of its blocks if there are any and it is worth while.
    pub(super) async fn write_mapped<F: Journaled>(
        self,
        k: &Kernel<F>,
        page: Frame,
        sync: WbSync,
    ) -> Status {
        let alone = k.geometry().blocks == 1 || sync == WbSync::Reclaim;
        let lost = k.reaches_plant(Plant::TowriteLost);
        if self == Ext4::V6_1 && alone && self.to_map(k, page) != 0 && !lost {
            k.redirty_page_for_writepage(page).await;
            k.unlock_page(page);
        } else {
            self.submit(k, page, None).await;
        }
        Status::Ok
    }

    /// mpage_submit_folio and ext4_bio_write_folio, with PG_dirty just cleared.
    async fn submit<F: Journaled>(self, k: &Kernel<F>, page: Frame, early: Option<u8>) {
        k.at_size(P::WritepageSize).await;
        let size = early.unwrap_or(k.i_size());
        let length = size.saturating_sub(k.first_cell(page)).min(k.geometry().cells);
        if length < k.geometry().cells && length != 0 {
            k.at_page(P::WritepageZero, page).await;
            if !k.reaches_plant(Plant::NoTailZero) {
                k.zero(page, Range::new(length, k.geometry().cells));
            }
        }
        let Some(b) = buffer::buffers(k, page) else {
            // "does not have buffers attached": the page is clean now.
            k.unlock_page(page);
            return;
        };
        let below_eof = buffer::blocks_touched(k, Range::new(0, length));
        let dirty = b.dirty & b.mapped & below_eof;
        let kept = dirty & (b.delayed | b.unwritten);
        let out = dirty & !kept;
        buffer::set(k, page, Buffers { dirty: kept, io: out, ..b });
        if kept != 0 {
            k.redirty_page_for_writepage(page).await;
        }
        if out == 0 && k.reaches_plant(Plant::StaleTag) {
            k.unlock_page(page);
            return;
        }
        let keeps_towrite = kept != 0 && !k.reaches_plant(Plant::TowriteLost);
        let again = buffer::start_writeback_of_part(k, page, keeps_towrite).await;
        k.bug_on(again, "BUG_ON(folio_test_writeback(folio)) in ext4_bio_write_folio");
        if out != 0 {
            k.note_submitted(page, size);
        }
        buffer::unlock_started(k, page).await;
        if out == 0 {
            k.at_page(P::WritepageEnd, page).await;
            k.end_page_writeback(page);
        } else {
            k.at_page(P::WritepageSubmit, page).await;
            k.submit(buffer::request(page, out, &b.block));
        }
    }

    /// ext4_end_bio, ext4_end_io_end, ext4_finish_bio: blocks are converted before writeback ends.
    pub(super) async fn end_io<F: Journaled>(self, k: &Kernel<F>, request: Request) {
        let page = request.page;
        buffer::note_failure(k, request);
        let b = buffer::buffers(k, page);
        let first = buffer::file_block(k, page, 0);
        let converts = b.map_or(0, |b| b.converts);
        let early = k.reaches_plant(Plant::WritebackEndsFirst);
        if converts != 0 && !early {
            k.at_page(P::IoConvert, page).await;
            self.convert(k, first, converts, request);
        }
        k.at_page(P::IoRecord, page).await;
        if let Some(b) = buffer::buffers(k, page) {
            let dirty = b.dirty | u8::from(k.reaches_plant(Plant::RecordKept));
            let failed = request.fails && k.remedied(Remedy::FailedConverts);
            let unwritten = b.unwritten | if failed { b.converts & b.mapped } else { 0 };
            buffer::set(k, page, Buffers { io: 0, converts: 0, dirty, unwritten, ..b });
        }
        k.at_page(P::IoEnd, page).await;
        k.end_page_writeback(page);
        if converts != 0 && early {
            k.at(P::IoConvert).await;
            self.convert(k, first, converts, request);
        }
    }

    /// ext4_convert_unwritten_io_end_vec, of blocks of the page whose first one is `first` in the
    /// file.
    fn convert<F: Journaled>(self, k: &Kernel<F>, first: u8, blocks: u8, request: Request) {
        if request.fails && (self == Ext4::V6_12 || k.remedied(Remedy::FailedConverts)) {
            return;
        }
        for b in ones(blocks.into()) {
            if k.extent(first + b) == Extent::Unwritten(request.blocks[usize::from(b)]) {
                k.convert_block(first + b);
            }
        }
    }
}

/// mpage_map_one_extent and mpage_process_folio: these blocks of the page get unwritten blocks. What
/// was reserved is there sooner or later: where nothing is, the data is lost.
fn map_blocks<F: Journaled>(k: &Kernel<F>, page: Frame, blocks: u8) -> Status {
    let mut b = buffer::get_or_create(k, page);
    let mut lost = 0;
    for n in ones(blocks.into()) {
        let file_block = buffer::file_block(k, page, n);
        let block = loop {
            let is_reserved = k.extent(file_block) != Extent::Hole;
            match k.get_block_unwritten(file_block) {
                None if is_reserved || !k.device.is_full() => {} // a commit frees some
                found => break found,
            }
        };
        match block {
            Some(block) => b.block[usize::from(n)] = block,
            None => lost |= 1 << n,
        }
    }
    let mapped = blocks & !lost;
    b.delayed &= !blocks;
    b.unwritten &= !blocks;
    b.converts |= mapped;
    b.mapped &= !lost;
    buffer::set(k, page, b);
    if lost == 0 {
        return Status::Ok;
    }
    buffer::note_shortage(k, page, lost);
    Status::NoSpace
}

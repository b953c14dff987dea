//! read(2) and write(2) through the page cache: 2.6.30 mm/filemap.c; fs/buffer.c,
//! generic_write_end.
//!
//! read looks the page up, reads i_size after the page is uptodate, and copies without the page
//! lock. write holds the inode lock, and per page: write_begin locks it, reads it if needed and
//! gets space; the copy; write_end dirties it and raises i_size while it is still locked. Left out:
//! readahead; reading only the blocks that a partial write needs (the whole page is read); faults
//! on the user's buffer (it is never a mapping of the same file).
//!
//! Here is also the generic page_mkwrite of 3.10, which mappings that have none get as a remedy,
//! too.

use super::by_page;
use super::truncate::{extend, treats_eof_page, vmtruncate};
use crate::case::Range;
use crate::implementation::{Code, Filesystem, LOCKED, NOPAGE};
use crate::kernel::{Frame, Kernel, Stamp, Status};
use crate::plant::Plant;
use crate::point::Point as P;

/// read(2): the cells below i_size, page by page.
pub(crate) async fn read<F: Filesystem>(k: &Kernel<F>, cells: Range) -> Status {
    for (index, cells) in by_page(k, cells) {
        let page = match find_uptodate_page(k, index).await {
            Ok(page) => page,
            Err(status) => return status,
        };
        k.at_size(P::ReadSize).await;
        let below_eof = k.length_below_eof(page);
        if below_eof > cells.start {
            k.at_page(P::ReadCopy, page).await;
            for cell in cells.clip(Range::new(0, below_eof)).iter() {
                k.task().outcome.push(k.cell(page, cell));
            }
        }
        k.put_page(page);
        if below_eof < cells.end {
            break;
        }
    }
    Status::Ok
}

/// The page at `index`, uptodate, with a reference.
async fn find_uptodate_page<F: Filesystem>(k: &Kernel<F>, index: u8) -> Result<Frame, Status> {
    loop {
        k.at_slot(P::ReadFind, index).await;
        match k.find_get_page(index) {
            Some(page) if k.is_uptodate(page) => {
                if k.is_dirty(page) && k.reaches_plant(Plant::ReadRereadsDirty) {
                    k.read_page(page).await;
                }
                return Ok(page);
            }
            Some(page) => {
                k.lock_page(page, P::ReadLock).await;
                let gone = !k.in_mapping(page);
                if !gone && !k.is_uptodate(page) {
                    k.at_page(P::ReadPage, page).await;
                    k.read_page(page).await;
                }
                k.unlock_page(page);
                if !gone {
                    return Ok(page);
                }
                k.put_page(page);
            }
            None => {
                let page = k.add_to_page_cache(index).ok_or(Status::NoMemory)?;
                k.at_page(P::ReadPage, page).await;
                k.read_page(page).await;
                k.unlock_page(page);
                return Ok(page);
            }
        }
    }
}

/// filemap_page_mkwrite of 3.10: the least that closes the window; and wait_for_stable_page.
pub async fn filemap_page_mkwrite<F: Filesystem>(k: &Kernel<F>, page: Frame) -> Code {
    k.lock_page(page, P::MkwriteLock).await;
    if !k.still_in_mapping(page) {
        k.unlock_page(page);
        return NOPAGE;
    }
    k.at_page(P::MkwriteDirty, page).await;
    k.set_page_dirty(page).await;
    if k.fs().declaration().stable_pages && !k.reaches_plant(Plant::NoStableWait) {
        k.wait_on_page_writeback(page, P::MkwriteWait).await;
    }
    LOCKED
}

/// write(2): generic_file_aio_write and generic_perform_write.
pub(crate) async fn write<F: Filesystem>(k: &Kernel<F>, slot: u8, cells: Range) -> Status {
    k.inode_lock(P::WriteInode).await;
    let size = k.i_size();
    let fills_gap =
        treats_eof_page(k) && cells.start > size && !size.is_multiple_of(k.geometry().cells);
    if fills_gap {
        // The rest of the last page becomes part of the file first, as cont_write_begin has it
        // (2.6.30 fs/buffer.c).
        extend(k, cells.start.min(size.next_multiple_of(k.geometry().cells))).await;
    }
    let mut status = Status::Ok;
    for (index, cells) in by_page(k, cells) {
        status = write_page(k, slot, index, cells).await;
        if status != Status::Ok {
            // write_begin may have got blocks beyond the end: trim them off again.
            let size = if fills_gap && k.task().outcome.done() == 0 { size } else { k.i_size() };
            let end = index * k.geometry().cells + cells.end;
            if status != Status::NoMemory && end > size {
                vmtruncate(k, size).await;
                k.fs().truncate(k, size).await;
            }
            break;
        }
        k.at(P::WriteThrottle).await;
        k.balance_dirty_pages(true);
    }
    k.inode_unlock();
    status
}

/// One page of it: write_begin, the copy, write_end.
async fn write_page<F: Filesystem>(k: &Kernel<F>, slot: u8, index: u8, cells: Range) -> Status {
    let page = match k.fs().write_begin(k, index, cells).await {
        Ok(page) => page,
        Err(status) => return status,
    };
    k.at_page(P::WriteCopy, page).await;
    for cell in cells.iter() {
        let stamp = Stamp::new(k.tasks.current(), slot, k.first_cell(page) + cell);
        k.set_cell(page, cell, stamp);
        k.task().outcome.push(stamp);
    }
    k.fs().write_end(k, page, cells).await;
    k.at_page(P::WriteUnlock, page).await;
    k.unlock_page(page);
    let end = k.first_cell(page) + cells.end;
    if end > k.i_size() && k.reaches_plant(Plant::SizeAfterUnlock) {
        k.at_size(P::WriteSize).await;
        k.i_size_write(end);
    }
    k.put_page(page);
    Status::Ok
}

/// The i_size part of generic_write_end: with the page still locked.
pub async fn raise_size<F: Filesystem>(k: &Kernel<F>, page: Frame, cells: Range, was_dirty: bool) {
    let end = k.first_cell(page) + cells.end;
    if end <= k.i_size()
        || (was_dirty && k.reaches_plant(Plant::ShortExtend))
        || k.reaches_plant(Plant::SizeAfterUnlock)
    {
        return;
    }
    k.at_size(P::WriteSize).await;
    if k.reaches_plant(Plant::SizeWithoutLock) {
        k.inode_unlock();
    }
    k.i_size_write(end);
    if k.reaches_plant(Plant::SizeWithoutLock) {
        k.inode_lock(P::WriteInode).await;
    }
}

/// grab_cache_page_write_begin: the page at `index`, locked, uptodate, with a reference.
pub async fn grab_page<F: Filesystem>(k: &Kernel<F>, index: u8) -> Result<Frame, Status> {
    loop {
        k.at_slot(P::WriteFind, index).await;
        let page = match k.find_get_page(index) {
            None => k.add_to_page_cache(index).ok_or(Status::NoMemory)?,
            Some(page) => {
                k.lock_page(page, P::WriteLock).await;
                if !k.in_mapping(page) {
                    k.unlock_page(page);
                    k.put_page(page);
                    continue;
                }
                page
            }
        };
        if !k.is_uptodate(page) {
            k.at_page(P::WriteRead, page).await;
            k.read_page(page).await;
        }
        return Ok(page);
    }
}

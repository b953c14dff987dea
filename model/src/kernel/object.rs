//! Numbers of the objects that tasks wait for, or announce. 0 is none.

use super::{FRAMES, Frame, INODES, InodeId};
use crate::case::{MMS_MAX, PAGES_MAX};
use crate::exec::IO_MAX;

/// The page locks, by frame.
pub const PAGE_LOCK: u8 = 1;
pub(crate) const WRITEBACK: u8 = PAGE_LOCK + FRAMES as u8;
pub(crate) const RECORD: u8 = WRITEBACK + FRAMES as u8;
pub(crate) const MMAP: u8 = RECORD + FRAMES as u8;
pub(crate) const PTE: u8 = MMAP + MMS_MAX as u8;
pub(crate) const INODE: u8 = PTE + MMS_MAX as u8;
pub(crate) const I_MMAP: u8 = INODE + INODES as u8;
pub(crate) const FLUSH: u8 = I_MMAP + INODES as u8;
pub(crate) const COMMIT: u8 = FLUSH + INODES as u8;
/// invalidate_lock, by inode.
pub(crate) const INVALIDATE: u8 = COMMIT + INODES as u8;
/// The first level of freezing: who writes by a system call.
pub(crate) const FREEZE_WRITE: u8 = INVALIDATE + INODES as u8;
/// The second: page_mkwrite.
pub(crate) const FREEZE_FAULT: u8 = FREEZE_WRITE + 1;
pub(crate) const IO: u8 = FREEZE_FAULT + 1;
/// The slots of the page trees, by inode and index.
pub(crate) const SLOT: u8 = IO + IO_MAX as u8;
/// i_size, by inode.
pub(crate) const SIZE: u8 = SLOT + (INODES * PAGES_MAX) as u8;
/// A tree and its tags as a whole, by inode.
pub(crate) const TREE: u8 = SIZE + INODES as u8;
/// The handles of a journal that are open.
pub(crate) const JOURNAL: u8 = TREE + INODES as u8;
/// How many there are.
pub const COUNT: usize = JOURNAL as usize + 1;

/// What an object is, in words.
pub fn name(object: u8) -> String {
    let nth = |base: u8| object - base;
    match object {
        0 => "nothing".to_owned(),
        o if o < WRITEBACK => format!("lock of frame {}", nth(PAGE_LOCK)),
        o if o < RECORD => format!("writeback of frame {}", nth(WRITEBACK)),
        o if o < MMAP => format!("record of frame {}", nth(RECORD)),
        o if o < PTE => format!("mmap_lock of mm {}", nth(MMAP)),
        o if o < INODE => format!("pte lock of mm {}", nth(PTE)),
        o if o < I_MMAP => "inode lock".to_owned(),
        o if o < FLUSH => "i_mmap lock".to_owned(),
        o if o < COMMIT => "flush lock".to_owned(),
        o if o < INVALIDATE => "commit lock".to_owned(),
        o if o < FREEZE_WRITE => "invalidate_lock".to_owned(),
        FREEZE_WRITE => "freezing of writers".to_owned(),
        FREEZE_FAULT => "freezing of faults".to_owned(),
        o if o < SLOT => format!("request of io{}", nth(IO)),
        o if o < SIZE => format!("page {}", nth(SLOT) % PAGES_MAX as u8),
        o if o < TREE => "i_size".to_owned(),
        JOURNAL => "handles of the journal".to_owned(),
        _ => "the page tree".to_owned(),
    }
}

const _: () = assert!(COUNT <= u8::MAX as usize, "objects have numbers of 8 bits");

/// A slot of the page tree of an inode.
pub(crate) const fn slot(inode: InodeId, index: u8) -> u8 {
    SLOT + inode.number() * PAGES_MAX as u8 + index
}

pub(crate) const fn page_lock(page: Frame) -> u8 {
    PAGE_LOCK + page.0
}

pub(crate) const fn writeback(page: Frame) -> u8 {
    WRITEBACK + page.0
}

pub(crate) const fn record_lock(page: Frame) -> u8 {
    RECORD + page.0
}

//! How page_mkwrite is called: through the adapter of the pair, and past the bugs that are planted
//! at its way in and out.

use super::{Adapter, Code, Convention, EINVAL, ENOSPC, Filesystem, LOCKED, NOPAGE, OK, SIGBUS};
use crate::kernel::{Call, Event, Frame, Kernel};
use crate::mm;
use crate::plant::Plant;
use crate::point::Point;
use crate::remedy::Remedy;

impl<F: Filesystem> Kernel<F> {
    /// Calls page_mkwrite through the adapter of the pair.
    ///
    /// While it runs nobody freezes the filesystem; what it returns is dirty by then, or locked.
    pub(crate) async fn page_mkwrite(&self, page: Frame) -> Code {
        let waits = self.freezes() && !self.reaches_plant(Plant::MkwriteIgnoresFreeze);
        if waits {
            self.start_fault(Point::StartFault).await;
        }
        self.calls_with_mmap(Call::PageMkwrite);
        let code = match (self.spoilt_entry(page), self.fs().declaration().convention) {
            (Some(code), _) => code,
            (None, Convention::None) => mm::filemap_page_mkwrite(self, page).await,
            (None, _) => {
                let size = self.i_size();
                let code = self.fs().page_mkwrite(self, page).await;
                self.spoilt_return(page, size, code)
            }
        };
        if waits {
            self.end_fault();
        }
        let locked = self.is_locked_by_us(page);
        self.event(Event::MkwriteReturned { page, code, locked });
        match self.adapters() {
            Adapter::None => code,
            Adapter::Codes if code.is_errno() => SIGBUS,
            // A remedy lets an implementation answer as one of the new convention does.
            Adapter::Codes if code == LOCKED || code == NOPAGE => code,
            Adapter::Codes => OK,
            Adapter::Unlock if code.has(LOCKED) && !self.remedied(Remedy::LockedReturn) => {
                self.unlock_page(page);
                code.without(LOCKED)
            }
            Adapter::Unlock => code,
        }
    }

    /// Bugs planted at the way into every page_mkwrite: what it returns, having done nothing.
    fn spoilt_entry(&self, page: Frame) -> Option<Code> {
        let errno = self.fs().declaration().convention == Convention::Errno;
        if self.is_writeback(page) && self.reaches_plant(Plant::MkwriteFailsUnderWriteback) {
            return Some(if errno { EINVAL } else { SIGBUS });
        }
        if self.is_dirty(page) && !self.device.is_full() && self.reaches_plant(Plant::FalseShortage)
        {
            return Some(if errno { ENOSPC } else { SIGBUS });
        }
        (!errno && self.is_dirty(page) && self.reaches_plant(Plant::RetryForever)).then_some(NOPAGE)
    }

    /// Bugs planted at the way out of it: what it returns instead of `code`. `size` was i_size when
    /// it began.
    fn spoilt_return(&self, page: Frame, size: u8, code: Code) -> Code {
        let convention = self.fs().declaration().convention;
        if code == NOPAGE && !self.in_mapping(page) && self.reaches_plant(Plant::SigbusOnRace) {
            return if convention == Convention::Errno { EINVAL } else { SIGBUS };
        }
        if !convention.is_failure(code) {
            if self.in_mapping(page) && self.reaches_plant(Plant::MkwriteWritesSize) {
                self.i_size_write(self.first_cell(page) + self.length_below_eof(page));
            }
            if size > self.i_size() && self.reaches_plant(Plant::MkwriteGrowsBack) {
                self.i_size_write(size);
            }
        }
        if code == LOCKED && self.reaches_plant(Plant::LockedWithoutLock) {
            self.unlock_page(page);
        }
        code
    }

    /// The vma has a page_mkwrite.
    pub(crate) fn has_page_mkwrite(&self) -> bool {
        self.fs().declaration().has_page_mkwrite(self.target().remedies)
    }

    /// Dirty pages are tagged, counted and written back.
    #[inline]
    pub(crate) fn tracks_dirty(&self) -> bool {
        self.fs().declaration().tracks_dirty()
    }
}

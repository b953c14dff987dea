//! A device driver's mapping: dirty-tracked, without page_mkwrite, its pages have a NULL mapping,
//! as those of some device drivers do (2.6.30 mm/memory.c: do_wp_page; `[null-mapping]`).
//!
//! There is no page cache and no store behind it: only stores, loads, munmap and mmap mean
//! anything, and the rules about page cache and file content do not apply. The operations of the
//! page cache are the defaults; nobody calls them.

use mkwrite_model::era::Era;
use mkwrite_model::implementation::{
    AddressSpaceOperations, Code, Convention, Declaration, Filesystem, Holds, Implementation,
    InodeOperations, RequestOperations, SIGBUS, SizeGuard, Store, VmOperations,
};
use mkwrite_model::kernel::page::CACHED;
use mkwrite_model::kernel::{Frame, Kernel};
use mkwrite_model::point::Point as P;

/// page->private of a driver's page.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct DriverPage;

impl std::fmt::Display for DriverPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("driver")
    }
}

/// Filesystems whose pages can be a driver's.
pub trait DriverPages: Filesystem<Private: Holds<DriverPage>> {}

impl<F: Filesystem<Private: Holds<DriverPage>>> DriverPages for F {}

/// The versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Driver {
    /// 2.6.30.
    V2_6_30,
}

impl Driver {
    /// All of them, oldest first.
    pub const VERSIONS: &[Driver] = &[Driver::V2_6_30];
}

impl<F: DriverPages> Implementation<F> for Driver {
    fn declaration(self) -> &'static Declaration {
        &Declaration {
            name: "driver@2.6.30",
            convention: Convention::None,
            natural: Era::V2_6_30,
            era: Era::V2_6_30,
            page_cache: false,
            stable_pages: false,
            freezes: false,
            size_guard: SizeGuard::InodeLock,
            may_differ: &[],
            record: "nothing",
            source: "2.6.30 mm/memory.c: do_wp_page, __do_fault; commit b827e496c893 [null-mapping]",
        }
    }

    fn mount(self, k: &Kernel<F>) {
        for index in 0..k.geometry().pages {
            k.new_uncached_page(index, Holds::put(DriverPage));
        }
    }
}

impl<F: DriverPages> VmOperations<F> for Driver {
    /// The driver's page, whatever page it is; the VM locks it.
    async fn fault(self, k: &Kernel<F>, index: u8) -> Result<Frame, Code> {
        let file = k.file_id();
        let is_at = |page: &Frame| {
            k.index(*page) == index && k.host(*page).id() == file && !k.has(*page, CACHED)
        };
        let page = k.frames_in_use().find(is_at).ok_or(SIGBUS)?;
        k.get_page(page);
        k.lock_page(page, P::FaultLock).await;
        Ok(page)
    }
}

impl<F: DriverPages> AddressSpaceOperations<F> for Driver {}
impl<F: DriverPages> InodeOperations<F> for Driver {}
impl<F: DriverPages> RequestOperations<F> for Driver {}
impl<F: DriverPages> Store<F> for Driver {}

//! A device driver's mapping: dirty-tracked, without page_mkwrite, its pages have a NULL mapping,
//! as those of some device drivers do (2.6.30 mm/memory.c: do_wp_page; `[null-mapping]`).
//!
//! There is no page cache and no store behind it: only stores, loads, munmap and mmap mean
//! anything, and the rules about page cache and file content do not apply.

use mkwrite_model::case::Range;
use mkwrite_model::era::Era;
use mkwrite_model::implementation::{
    Convention, Declaration, Filesystem, Holds, Implementation, Record, SizeGuard, WbSync,
};
use mkwrite_model::kernel::page::CACHED;
use mkwrite_model::kernel::{Frame, Kernel, Request, Stamp, Status};

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

const NO_STORE: &str = "a device mapping has no page cache and no store";

impl<F: DriverPages> Implementation<F> for Driver {
    fn declaration(self) -> &'static Declaration {
        &Declaration {
            name: "driver@2.6.30",
            convention: Convention::None,
            natural: Era::V2_6_30,
            era: Era::V2_6_30,
            page_cache: false,
            stable_pages: false,
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

    fn own_page(self, k: &Kernel<F>, index: u8) -> Option<Frame> {
        let page =
            k.frames_in_use().find(|page| k.index(*page) == index && !k.has(*page, CACHED))?;
        k.get_page(page);
        Some(page)
    }

    async fn page_mkwrite(self, _: &Kernel<F>, _: Frame) -> i32 {
        unreachable!("a mapping without page_mkwrite")
    }

    async fn writepage(self, _: &Kernel<F>, _: Frame, _: WbSync) -> Status {
        unreachable!("{NO_STORE}")
    }

    fn transfer(self, _: &Kernel<F>, _: Request) {
        unreachable!("{NO_STORE}")
    }

    async fn complete(self, _: &Kernel<F>, _: Request) {
        unreachable!("{NO_STORE}")
    }

    fn readpage(self, _: &Kernel<F>, _: Frame) {
        unreachable!("{NO_STORE}")
    }

    async fn write_begin(self, _: &Kernel<F>, _: Frame, _: Range) -> Status {
        unreachable!("{NO_STORE}")
    }

    async fn write_end(self, _: &Kernel<F>, _: Frame, _: Range) {
        unreachable!("{NO_STORE}")
    }

    async fn invalidatepage(self, _: &Kernel<F>, _: Frame, _: u8) {
        unreachable!("{NO_STORE}")
    }

    async fn releasepage(self, _: &Kernel<F>, _: Frame) -> bool {
        unreachable!("{NO_STORE}")
    }

    fn record(self, _: &Kernel<F>, _: Frame) -> Record {
        Record::NOT_NEEDED
    }

    fn durable(self, _: &Kernel<F>, _: u8) -> Stamp {
        Stamp::ZERO
    }
}

//! What is legal and looks like a breach: a filesystem of this test's own does it, and nobody
//! objects.
//!
//! It has buffer heads in spirit: set_page_dirty marks all of the page, writepage writes all of it
//! below i_size. It can go without page_mkwrite, and its writepage can redirty the page and write
//! it all the same, as __block_write_full_page does for a buffer that it cannot lock (2.6.30
//! fs/buffer.c).

use mkwrite_model::case::Range;
use mkwrite_model::era::Era;
use mkwrite_model::implementation::{
    AddressSpaceOperations, Code, Convention, Declaration, Filesystem, Implementation,
    InodeOperations, LOCKED, NOPAGE, Pair, RequestOperations, SizeGuard, Store, VmOperations,
    WbSync,
};
use mkwrite_model::kernel::{Frame, Kernel, Request, Stamp, Status};
use mkwrite_model::point::Point as P;
use mkwrite_model::schedule::Order;
use mkwrite_model::{Machine, Setup, Target};
use mkwrite_oracle::Judge;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Plain {
    Untold,
    Redirties,
    /// Redirties, and writes nothing.
    Idle,
}

#[derive(Clone, Copy, Default, PartialEq, Debug)]
struct Nothing;

impl std::fmt::Display for Nothing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("-")
    }
}

const REDIRTIES: Declaration = Declaration {
    name: "redirties",
    convention: Convention::Locked,
    natural: Era::V2_6_30,
    era: Era::V2_6_30,
    page_cache: true,
    stable_pages: false,
    freezes: false,
    size_guard: SizeGuard::InodeLock,
    may_differ: &[],
    record: "nothing",
    source: "this test",
};

impl Filesystem for Plain {
    type Private = Nothing;
    type Inode = ();

    fn all() -> &'static [Plain] {
        &[Plain::Untold, Plain::Redirties, Plain::Idle]
    }
}

impl Implementation<Plain> for Plain {
    fn declaration(self) -> &'static Declaration {
        match self {
            Plain::Untold => {
                &Declaration { name: "untold", convention: Convention::None, ..REDIRTIES }
            }
            Plain::Redirties => &REDIRTIES,
            Plain::Idle => &Declaration { name: "idle", ..REDIRTIES },
        }
    }
}

impl VmOperations<Plain> for Plain {
    async fn page_mkwrite(self, k: &Kernel<Plain>, page: Frame) -> Code {
        k.lock_page(page, P::MkwriteLock).await;
        if !k.in_mapping(page) {
            k.unlock_page(page);
            return NOPAGE;
        }
        k.set_page_dirty(page).await;
        LOCKED
    }
}

impl AddressSpaceOperations<Plain> for Plain {
    async fn writepage(self, k: &Kernel<Plain>, page: Frame, sync: WbSync) -> Status {
        k.at_size(P::WritepageSize).await;
        k.zero(page, Range::new(k.length_below_eof(page), k.geometry().cells));
        if self == Plain::Idle {
            k.unlock_page(page);
            return Status::Ok;
        }
        if self == Plain::Redirties && sync == WbSync::Background {
            k.redirty_page_for_writepage(page).await;
        }
        k.at_page(P::WritepageStart, page).await;
        k.set_page_writeback(page);
        let (mut request, per_page) = (Request::new(page), k.geometry().blocks);
        for (b, block) in request.blocks.iter_mut().enumerate().take(usize::from(per_page)) {
            *block = k.get_block(k.index(page) * per_page + b as u8).expect("an ample device");
        }
        k.submit(request);
        k.unlock_page(page);
        Status::Ok
    }

    async fn readpage(self, k: &Kernel<Plain>, page: Frame) {
        for cell in 0..k.geometry().cells {
            k.set_cell(page, cell, self.durable(k, k.first_cell(page) + cell));
        }
    }

    async fn write_end(self, k: &Kernel<Plain>, page: Frame, cells: Range) {
        k.set_page_dirty(page).await;
        k.i_size_write(k.i_size().max(k.first_cell(page) + cells.end));
    }
}

impl InodeOperations<Plain> for Plain {}
impl RequestOperations<Plain> for Plain {}

impl Store<Plain> for Plain {
    fn durable(self, k: &Kernel<Plain>, cell: u8) -> Stamp {
        let cells = k.geometry().block_cells();
        k.block_durable(cell / cells, cell % cells)
    }
}

/// The rules that a case breaks.
fn breaks(text: &str, fs: Plain) -> Vec<&'static str> {
    let case = mkwrite_model::text::parse(text).expect("a case").case;
    let mkwrite_model::case::Schedule::Order(stops) = &case.schedule else { panic!("an order") };
    let (mut machine, mut judge) = (Machine::default(), Judge::default());
    let setup = Setup { case: &case, target: Target::from(Pair::natural(fs)) };
    machine.run(setup, &mut Order::new(stops), &mut judge);
    judge.breaches().map(|breach| breach.rule.id()).collect()
}

#[test]
fn a_page_may_be_redirtied_and_written() {
    let text = include_str!("cases/redirtied-and-written.mkw");
    assert_eq!(breaks(text, Plain::Redirties), [""; 0]);
    assert!(breaks(text, Plain::Idle).contains(&"I17"), "neither is a breach");
}

#[test]
fn a_pte_may_become_writable_after_mkclean_without_page_mkwrite() {
    assert!(
        !breaks(include_str!("cases/mkclean-without-page-mkwrite.mkw"), Plain::Untold)
            .contains(&"I12")
    );
}

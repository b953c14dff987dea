//! The contract that an implementation fulfils, and how it meets its caller.
//!
//! An implementation is a filesystem's behaviour at a kernel version: page_mkwrite, and what it
//! ties to a dirty page (its *record*): writepage and completion, set_page_dirty, invalidatepage,
//! releasepage, launder_page, truncate, write_begin and write_end. The machine calls it, so the
//! trait is the machine's.
//!
//! A [`Filesystem`] is a set of implementations that share one type of private page data; the
//! kernel is generic over it. This repository has one; another crate can bring its own
//! implementation as a second instance without touching anything here.

use crate::callers::Caller;
use crate::case::Range;
use crate::facts::Era;
use crate::kernel::{Frame, Kernel, Request, Stamp, Status};
use crate::mm;
use crate::plant::Plant;
use crate::point::points;
use crate::remedy::{Remedies, Remedy};

points! {
    40  MkwriteLock     "mkwrite.lock_page"      "page_mkwrite: lock the page, check mapping and i_size";
    41  MkwriteAttach   "mkwrite.attach"         "page_mkwrite: allocate blocks, or attach the record";
    42  MkwriteDirty    "mkwrite.set_page_dirty" "page_mkwrite: mark the page dirty itself";
    43  MkwriteWait     "mkwrite.wait_writeback" "page_mkwrite: wait until PG_writeback is clear";
    44  MkwriteReturn   "mkwrite.return"         "page_mkwrite: unlock if its convention says so, return";
    45  RecordUpdate    "record.update"          "find the page's record, take it, extend or create it";
    46  RecordGrow      "record.grow_file"       "raise i_size to the end of the record's range if it is lower";
    47  RecordRelease   "record.release"         "let go of the record";
    64  WritepageSize   "writepage.i_size"       "writepage: read i_size";
    65  WritepageZero   "writepage.zero_tail"    "writepage: zero the part of the page beyond i_size";
    66  WritepageRecord "writepage.record"       "writepage: look the record up, take it";
    67  WritepageMap    "writepage.map"          "writepage: map or allocate blocks, take the dirty ones";
    68  WritepageStart  "writepage.start"        "writepage: set_page_writeback";
    69  WritepageSubmit "writepage.submit"       "writepage: submit the I/O";
    70  WritepageUnlock "writepage.unlock_page"  "writepage: unlock_page";
    71  WritepageEnd    "writepage.end"          "writepage: nothing was submitted; end_page_writeback";
    75  IoAttributes    "io.attributes"          "completion: look at the file's size in the server's reply";
    77  IoRecord        "io.record"              "completion: free or change the record";
    78  IoEnd           "io.end_writeback"       "completion: end_page_writeback";
    79  IoRelease       "io.release"             "completion: let go of the request";
    85  FlushLock       "flush.lock"             "writepages: take the filesystem's flush lock";
    86  CommitScan      "commit.scan"            "collect the records that are written but not committed";
    104 CommitLock      "commit.lock"            "one COMMIT at a time: wait for the other one";
    87  CommitSend      "commit.send"            "the server commits what it had only in its cache";
    88  CommitDone      "commit.done"            "the reply releases the committed records";
    89  CommitWait      "commit.wait_record"     "wait until a record is not in use";
    103 TruncateSetattr "truncate.setattr"       "setattr: the server cuts or extends its file";
    102 TruncateRefresh "truncate.refresh"       "setattr: take the size from the server's reply";
}

/// Success: the page is locked.
pub const LOCKED: i32 = 0x200;
/// Nothing installed: retry the fault.
pub const NOPAGE: i32 = 0x100;
/// Out of memory.
pub const OOM: i32 = 0x1;
/// Deliver SIGBUS.
pub const SIGBUS: i32 = 0x2;
/// Deliver SIGSEGV.
pub const SIGSEGV: i32 = 0x40;
/// The bits that are errors (VM_FAULT_ERROR).
pub const ERROR: i32 = OOM | SIGBUS | SIGSEGV;
/// -EINVAL, as the int-returning page_mkwrite uses it for "the page was truncated".
pub const EINVAL: i32 = -22;
/// -ENOSPC.
pub const ENOSPC: i32 = -28;

/// What page_mkwrite may return, and what that means for the page lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Convention {
    /// There is no page_mkwrite, and dirtiness is not tracked: a read fault already makes the pte
    /// writable.
    Untracked,
    /// There is no page_mkwrite; the vma is only dirty-tracked.
    None,
    /// A negative errno, or success; the page comes back unlocked (to 2.6.29).
    Errno,
    /// VM_FAULT codes; the page comes back unlocked (2.6.30-rc).
    Codes,
    /// VM_FAULT codes; with LOCKED the page comes back locked (2.6.30 and later).
    Locked,
}

impl Convention {
    /// page_mkwrite did not succeed, with this code: an errno, a fault code, or the wish for a
    /// retry.
    pub const fn is_failure(self, code: i32) -> bool {
        code < 0 || code & NOPAGE != 0 || !matches!(self, Convention::Errno) && code & ERROR != 0
    }

    /// Its name in lists.
    pub const fn name(self) -> &'static str {
        match self {
            Convention::Untracked => "untracked",
            Convention::None => "none",
            Convention::Errno => "errno",
            Convention::Codes => "codes",
            Convention::Locked => "locked",
        }
    }
}

/// What stands between an implementation and a caller of another convention.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Adapter {
    /// The conventions meet.
    None,
    /// Errno or length to fault code.
    Codes,
    /// A locked return is unlocked and becomes 0.
    Unlock,
}

impl Adapter {
    /// Its name, as it stands in the name of a pair.
    pub const fn name(self) -> &'static str {
        match self {
            Adapter::None => "",
            Adapter::Codes => "codes",
            Adapter::Unlock => "unlock",
        }
    }
}

/// What an implementation says of itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Declaration {
    /// `fs@version`.
    pub name: &'static str,
    /// What its page_mkwrite returns.
    pub convention: Convention,
    /// The caller that it lived with, or would have.
    pub natural: Caller,
    /// The kernel that it comes from: the facts of all that is not the fault path.
    pub era: Era,
    /// Its pages have a mapping and are in a page cache. Rules about those do not apply to others.
    pub page_cache: bool,
    /// It promises that no page changes while it is under writeback.
    pub stable_pages: bool,
    /// What i_size changes under.
    pub size_guard: SizeGuard,
    /// Results and block counts that may differ from other implementations; see the differential
    /// rule.
    pub may_differ: &'static [Aspect],
    /// What it ties to a dirty page.
    pub record: &'static str,
    /// Where its facts come from, with facts of docs/sources.md in brackets.
    pub source: &'static str,
}

impl Declaration {
    /// Stores to clean pages are noticed, and dirty pages are tagged, counted and written back
    /// (mapping_cap_account_dirty, later mapping_can_writeback).
    pub const fn tracks_dirty(&self) -> bool {
        !matches!(self.convention, Convention::Untracked)
    }

    /// The vma has a page_mkwrite: its own, or the generic one that a remedy gives it.
    pub const fn has_page_mkwrite(&self, remedies: Remedies) -> bool {
        match self.convention {
            Convention::Untracked => false,
            Convention::None => self.page_cache && remedies.has(Remedy::DirtyBeforePte),
            _ => true,
        }
    }
}

/// What guards changes of i_size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SizeGuard {
    /// The holder of the inode lock.
    InodeLock,
    /// The server has the last word: a reply may change it, under a lock of the filesystem's
    /// (i_lock in NFS).
    Server,
}

/// Something that a differential comparison looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aspect {
    /// Which blocks of the file are allocated.
    Blocks,
}

/// The state of a page's record, for the judge: what this filesystem needs to write back the page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// Cells of the page that are dirty and that this filesystem could not write back, one bit
    /// each.
    pub missing: u8,
    /// Cells below i_size where a store could not be written back.
    pub uncovered: u8,
    /// The record says that the page has something to write.
    pub claims_dirty: bool,
}

impl Record {
    /// There is none at all.
    pub const NONE: Record = Record { missing: u8::MAX, uncovered: u8::MAX, claims_dirty: false };
    /// This filesystem needs none.
    pub const NOT_NEEDED: Record = Record { missing: 0, uncovered: 0, claims_dirty: false };
}

/// The caller of writepage, and what it may wait for: what struct writeback_control says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WbSync {
    /// Memory cleansing by the flusher: should not wait (WB_SYNC_NONE).
    Background,
    /// Data integrity: must write (WB_SYNC_ALL).
    Integrity,
    /// Memory cleansing by reclaim (WB_SYNC_NONE, for_reclaim).
    Reclaim,
}

/// A filesystem's behaviour at a kernel version, within the registry `F`.
///
/// Methods with a default do what the generic kernel code of 2.6.30 does for a filesystem that has
/// none.
#[allow(async_fn_in_trait)] // one thread: no future needs to be Send
pub trait Implementation<F: Filesystem>: Copy + Eq + std::fmt::Debug {
    /// What it says of itself.
    fn declaration(self) -> &'static Declaration;

    /// A read-only pte of a shared mapping is about to become writable. Called without the page
    /// lock (`[page-mkwrite-added]`).
    async fn page_mkwrite(self, k: &Kernel<F>, page: Frame) -> i32;

    /// set_page_dirty's own step, for a page with a mapping: under private_lock, must not sleep or
    /// fail. Returns whether the page was clean; tag and inode follow in further steps.
    fn set_page_dirty(self, k: &Kernel<F>, page: Frame) -> bool {
        k.test_set_page_dirty(page)
    }

    /// Writes one page. Called with the page locked and PG_dirty just cleared; unlocks it.
    async fn writepage(self, k: &Kernel<F>, page: Frame, sync: WbSync) -> Status;

    /// Writes the dirty pages of a range.
    async fn writepages(self, k: &Kernel<F>, pages: Range, sync: WbSync) -> Status {
        mm::write_cache_pages(k, pages, sync).await
    }

    /// The flusher writes the inode itself, after its pages.
    async fn write_inode(self, k: &Kernel<F>) {
        k.write_inode();
    }

    /// The data of a request reaches the store. One step.
    fn transfer(self, k: &Kernel<F>, request: Request);

    /// The request is complete: release the record, end writeback.
    async fn complete(self, k: &Kernel<F>, request: Request);

    /// Fills a page from the store. One step, with the page locked.
    fn readpage(self, k: &Kernel<F>, page: Frame);

    /// write(2) is about to look up the page for these cells of the file.
    async fn before_write_begin(self, _k: &Kernel<F>, _cells: Range) {}

    /// write(2) is about to fill these cells of the page, which is locked and uptodate.
    async fn write_begin(self, k: &Kernel<F>, page: Frame, cells: Range) -> Status;

    /// write(2) has filled these cells: mark them dirty, raise i_size. The page stays locked.
    async fn write_end(self, k: &Kernel<F>, page: Frame, cells: Range);

    /// The cells of the page from `from` on go away. Called with the page locked.
    async fn invalidatepage(self, k: &Kernel<F>, page: Frame, from: u8);

    /// Gives up the private data of the page, if it can. Called with the page locked. The page may
    /// be dirty (invalidate_inode_pages2 without launder_page): then it keeps them and returns
    /// false.
    async fn releasepage(self, k: &Kernel<F>, page: Frame) -> bool;

    /// Writes a dirty page that is about to be invalidated, and waits. Called with the page locked.
    async fn launder_page(self, _k: &Kernel<F>, _page: Frame) {}

    /// ->fsync, with the inode lock held.
    async fn fsync(self, k: &Kernel<F>) -> Status {
        if !k.reaches_plant(Plant::FsyncNoInode) {
            k.write_inode();
        }
        Status::Ok
    }

    /// ->setattr with a new size, with the inode lock held (inode_setattr).
    async fn setattr(self, k: &Kernel<F>, size: u8) {
        mm::vmtruncate(k, size).await;
        self.after_truncate(k, size).await;
    }

    /// ->truncate, after the page cache was truncated to `size`.
    async fn after_truncate(self, _k: &Kernel<F>, _size: u8) {}

    /// mmap of a file without page cache: makes its pages.
    fn mount(self, _k: &Kernel<F>) {}

    /// ->fault of a mapping without page cache: the page, with a reference, not locked.
    fn own_page(self, _k: &Kernel<F>, _index: u8) -> Option<Frame> {
        None
    }

    /// The record of a page that is dirty, for the judge.
    fn record(self, k: &Kernel<F>, page: Frame) -> Record;

    /// The cells of a page that its next writepage will write, one bit each, for the judge. A
    /// filesystem that does not say so has all of a dirty page written.
    fn pending(self, k: &Kernel<F>, page: Frame) -> u8 {
        if k.is_dirty(page) { u8::MAX } else { 0 }
    }

    /// Nothing is left to do for the private data of this page, which is clean, for the judge.
    fn is_releasable(self, k: &Kernel<F>, page: Frame) -> bool {
        !self.record(k, page).claims_dirty
    }

    /// releasepage would succeed on this page, which is clean, also where it has to do I/O for
    /// that, for the judge.
    fn releases(self, k: &Kernel<F>, page: Frame) -> bool {
        self.is_releasable(k, page)
    }

    /// launder_page writes a dirty page, so that it can be invalidated, for the judge.
    fn launders(self) -> bool {
        false
    }

    /// What a cell of the store holds for good.
    fn durable(self, k: &Kernel<F>, cell: u8) -> Stamp;

    /// What a cell of the page cache would hold if it were read from the store now.
    fn stored(self, k: &Kernel<F>, cell: u8) -> Stamp {
        self.durable(k, cell)
    }

    /// The size of the file on the store, for good.
    fn durable_size(self, k: &Kernel<F>) -> u8 {
        k.disk_size()
    }

    /// What a cell of the store holds for good as far as an fsync has to answer for it that began
    /// at `since`: what was made dirty again after that is not its business.
    fn synced(self, k: &Kernel<F>, cell: u8, _since: u32) -> Stamp {
        self.durable(k, cell)
    }

    /// The same for the size.
    fn synced_size(self, k: &Kernel<F>, _since: u32) -> u8 {
        self.durable_size(k)
    }

    /// The blocks of the file that the store has, one bit each.
    fn allocated(self, k: &Kernel<F>) -> u32 {
        k.device.allocated()
    }
}

/// A set of implementations that the kernel can run, and the private data of their pages.
pub trait Filesystem: Implementation<Self> + Send + Sync + 'static {
    /// page->private.
    type Private: Copy + Default + PartialEq + Send + std::fmt::Debug + std::fmt::Display;

    /// Every implementation.
    fn all() -> &'static [Self];

    /// The ledger of what these are expected to break: names of files and their texts.
    fn ledger() -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// The pairs by their numbers in stored inputs of the fuzzing target `implementation`. Without
    /// a table such an input means another pair when an implementation joins.
    fn stored_pairs() -> StoredPairs {
        StoredPairs { names: &[], frozen: 0 }
    }

    /// The implementation with this name.
    fn by_name(name: &str) -> Option<Self> {
        Self::all().iter().copied().find(|fs| fs.name() == name)
    }

    /// Its name.
    fn name(self) -> &'static str {
        self.declaration().name
    }

    /// The filesystem, whatever the version.
    fn family(self) -> &'static str {
        self.name().split('@').next().unwrap_or_default()
    }
}

/// Private data of pages that can be a `T`, among other kinds: what the implementations of a
/// registry that tie a `T` to their pages ask of it.
pub trait Holds<T>: Sized {
    /// It, if it is one.
    fn get(&self) -> Option<T>;
    /// It as private data.
    fn put(data: T) -> Self;
}

/// Pairs by their numbers in stored inputs: see [`Filesystem::stored_pairs`].
#[derive(Clone, Copy, Debug)]
pub struct StoredPairs {
    /// Names of implementations and callers. Only ever add at the end.
    pub names: &'static [(&'static str, &'static str)],
    /// So many of them were there when version 1 of the byte form was frozen.
    pub frozen: usize,
}

/// An implementation under a caller: one of the pairs that a case runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair<F> {
    /// The filesystem.
    pub implementation: F,
    /// The VM's fault path.
    pub caller: Caller,
    /// What stands between them.
    pub adapter: Adapter,
}

impl<F: Filesystem> Pair<F> {
    /// The pair, if the conventions meet or an adapter is known; else the reason.
    pub fn new(implementation: F, caller: Caller) -> Result<Pair<F>, Refused> {
        use Convention as C;
        let declaration = implementation.declaration();
        let adapter = match (declaration.convention, caller.accepts()) {
            (C::Untracked | C::None, _)
            | (C::Errno, C::Errno)
            | (C::Codes, C::Codes | C::Locked)
            | (C::Locked, C::Locked) => Adapter::None,
            (C::Errno, C::Codes | C::Locked) => Adapter::Codes,
            (C::Locked, C::Codes) => Adapter::Unlock,
            (C::Codes, _) => {
                return Err(Refused::new(
                    implementation,
                    caller,
                    "a positive fault code would read as success",
                ));
            }
            (C::Locked, _) => {
                return Err(Refused::new(implementation, caller, "a locked return would deadlock"));
            }
            (C::Errno, C::Untracked | C::None) => unreachable!("every caller accepts something"),
        };
        Ok(Pair { implementation, caller, adapter })
    }

    /// The pair of these names.
    pub fn named(implementation: &str, caller: &str) -> Result<Pair<F>, PairError> {
        let fs = F::by_name(implementation)
            .ok_or_else(|| PairError::Implementation(implementation.to_owned()))?;
        let caller =
            Caller::from_name(caller).ok_or_else(|| PairError::Caller(caller.to_owned()))?;
        Ok(Pair::new(fs, caller)?)
    }

    /// The implementation under its natural caller.
    pub fn natural(implementation: F) -> Pair<F> {
        Pair::new(implementation, implementation.declaration().natural)
            .expect("a natural caller fits")
    }
}

impl<F: Filesystem> std::fmt::Display for Pair<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.implementation.name())?;
        if self.adapter != Adapter::None {
            write!(f, "+{}", self.adapter.name())?;
        }
        write!(f, " x {}", self.caller.name())
    }
}

impl<F: Filesystem> std::str::FromStr for Pair<F> {
    type Err = PairError;

    /// Reads what is displayed, such as `nfs@3.0 x 2.6.30`; the name of the adapter may be left
    /// out.
    fn from_str(text: &str) -> Result<Pair<F>, PairError> {
        let form = || PairError::Form(text.to_owned());
        let (implementation, caller) = text.split_once(" x ").ok_or_else(form)?;
        let Some((fs, adapter)) =
            implementation.rsplit_once('+').filter(|_| F::by_name(implementation).is_none())
        else {
            return Pair::named(implementation, caller);
        };
        let pair = Pair::named(fs, caller)?;
        if pair.adapter == Adapter::None || pair.adapter.name() != adapter {
            Err(form())
        } else {
            Ok(pair)
        }
    }
}

/// Why names give no pair.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PairError {
    /// The text has another form, or an adapter that does not stand between the two.
    #[error("`{0}` is no pair: IMPLEMENTATION x CALLER")]
    Form(String),
    /// There is no such implementation.
    #[error("unknown implementation `{0}`")]
    Implementation(String),
    /// There is no such caller.
    #[error("unknown caller `{0}`")]
    Caller(String),
    /// The two do not fit.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Why an implementation does not run under a caller.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{implementation} does not run under caller {caller}: {reason}")]
pub struct Refused {
    implementation: &'static str,
    caller: &'static str,
    reason: &'static str,
}

impl Refused {
    fn new<F: Filesystem>(implementation: F, caller: Caller, reason: &'static str) -> Refused {
        Refused { implementation: implementation.name(), caller: caller.name(), reason }
    }
}

impl<F: Filesystem> Kernel<F> {
    /// Calls page_mkwrite through the adapter of the pair.
    pub(crate) async fn page_mkwrite(&self, page: Frame) -> i32 {
        let code = match (self.spoilt_entry(page), self.fs().declaration().convention) {
            (Some(code), _) => code,
            (None, Convention::None) => mm::filemap_page_mkwrite(self, page).await,
            (None, _) => {
                let size = self.i_size();
                let code = self.fs().page_mkwrite(self, page).await;
                self.spoilt_return(page, size, code)
            }
        };
        let locked = self.is_locked_by_us(page);
        self.event(crate::kernel::Event::MkwriteReturned { page, code, locked });
        match self.adapters() {
            Adapter::None => code,
            Adapter::Codes if code < 0 => SIGBUS,
            // A remedy lets an implementation answer as one of the new convention does.
            Adapter::Codes if code == LOCKED || code == NOPAGE => code,
            Adapter::Codes => 0,
            Adapter::Unlock if code & LOCKED != 0 && !self.remedied(Remedy::LockedReturn) => {
                self.unlock_page(page);
                code & !LOCKED
            }
            Adapter::Unlock => code,
        }
    }

    /// Bugs planted at the way into every page_mkwrite: what it returns, having done nothing.
    fn spoilt_entry(&self, page: Frame) -> Option<i32> {
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
    fn spoilt_return(&self, page: Frame, size: u8, code: i32) -> i32 {
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

//! The contract that an implementation fulfils, and how it meets its caller.
//!
//! An implementation is a filesystem's behaviour at a kernel version: page_mkwrite, and what it
//! ties to a dirty page (its *record*). It says what it is ([`Implementation`]), and has the
//! operations that the kernel calls, in the parts that the kernel splits them into
//! (`operations.rs`). The machine calls them, so the traits are the machine's.
//!
//! A [`Filesystem`] is a set of implementations that share one type of private page data; the
//! kernel is generic over it. This repository has one; another crate can bring its own
//! implementation as a second instance without touching anything here.

mod code;
mod declaration;
mod mkwrite;
mod operations;
mod pair;

use crate::kernel::Kernel;
use crate::point::points;

pub use code::{
    COMPLETED, Code, Convention, EINVAL, ENOSPC, ERROR, LOCKED, NOPAGE, OK, OOM, SIGBUS, SIGSEGV,
};
pub use declaration::{Aspect, Declaration, SizeGuard};
#[doc(hidden)]
pub use operations::names;
pub use operations::{
    AddressSpaceOperations, InodeOperations, Record, RequestOperations, Store, VmOperations, WbSync,
};
pub use pair::{Adapter, Pair, PairError, Refused};

points! {
    265 MkwriteInvalidate "mkwrite.invalidate_lock" "page_mkwrite: take invalidate_lock, shared";
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
    71  WritepageEnd    "writepage.end"          "writepage: nothing was submitted, or a copy; end_page_writeback";
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
    280 JournalStart    "journal.start"          "start a handle of the journal: what follows is committed together";
    281 JournalCommit   "journal.commit"         "commit the journal, one commit at a time";
    282 JournalLocked   "journal.locked"         "commit: wait until no handle is open; what is done later is not part of it";
    283 JournalWrite    "journal.write"          "commit: the inode with its size is on the device";
    284 WritepageDisksize "writepage.disksize"   "writeback has mapped blocks: raise the size that the journal will write";
    285 IoConvert       "io.convert"             "completion: convert unwritten blocks; XFS raises the size on the device";
    300 WriteMap        "write.map"              "write(2) on iomap: look the mapping up, reserve space where there is a hole";
    301 WriteRelease    "write.release"          "a write(2) on iomap that ended early: take invalidate_lock, to give back what was reserved for the rest";
    302 WritePunch      "write.punch"            "the same: give back what no dirty page needs";
    303 ZeroCheck       "zero.check"             "zero_range: is a page of the range dirty, under writeback or locked?";
    304 ZeroMap         "zero.map"               "zero_range: look the mapping up";
    305 ZeroPage        "zero.page"              "zero_range: is the mapping still valid? Zero the part of the page, mark it dirty";
    307 TruncateFlush   "truncate.flush"         "setattr: write back what lies beyond the size on the device";
    103 TruncateSetattr "truncate.setattr"       "setattr: the server cuts or extends its file";
    102 TruncateRefresh "truncate.refresh"       "setattr: take the size from the server's reply";
    350 CopyWait        "copy.wait"              "FUSE: wait until no request carries a copy of the page";
    351 WriteSend       "write.send"             "write(2) on FUSE: the server takes a WRITE, and its data from the page";
    352 WriteServed     "write.served"           "write(2) on FUSE: the server has written it";
    353 ReadServed      "read.served"            "FUSE: the server answers a READ";
    354 ReadReply       "read.reply"             "FUSE: a READ that was short says where the file ends";
    355 NowriteSet      "nowrite.set"            "FUSE: from now on WRITEs of writeback are queued";
    356 NowriteWait     "nowrite.wait"           "FUSE: wait until none is in flight, then go on; the queue is sent";
}

/// A filesystem at a kernel version, within the registry `F`: what it says of itself. Its
/// operations are the other traits.
pub trait Implementation<F: Filesystem>: Copy + Eq + std::fmt::Debug {
    /// What it says of itself.
    fn declaration(self) -> &'static Declaration;

    /// Makes the pages that are there before the case begins: of a device, or of a file whose page
    /// cache is its store.
    fn mount(self, _k: &Kernel<F>) {}
}

/// A set of implementations that the kernel can run, and the private data of their pages.
pub trait Filesystem:
    AddressSpaceOperations<Self>
    + VmOperations<Self>
    + InodeOperations<Self>
    + RequestOperations<Self>
    + Store<Self>
    + Send
    + Sync
    + 'static
{
    /// page->private.
    type Private: Copy + Default + PartialEq + Send + std::fmt::Debug + std::fmt::Display;

    /// What the filesystems keep of an inode, beside what the kernel does.
    type Inode: InodeState;

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

/// What filesystems keep of an inode.
pub trait InodeState: Default + Send {
    /// A case begins.
    fn reset(&self);
}

/// Nothing.
impl InodeState for () {
    fn reset(&self) {}
}

/// The state of inodes that has a `T`, among others: what the implementations of a registry that
/// keep a `T` of each inode ask of it.
pub trait Keeps<T> {
    /// It.
    fn state(&self) -> &T;
}

/// Where a registry has its [`Filesystem::Inode`].
#[doc(hidden)]
pub trait HasInodeState {
    type State: InodeState;
}

/// Pairs by their numbers in stored inputs: see [`Filesystem::stored_pairs`].
#[derive(Clone, Copy, Debug)]
pub struct StoredPairs {
    /// Names of implementations and callers. Only ever add at the end.
    pub names: &'static [(&'static str, &'static str)],
    /// So many of them were there when version 1 of the byte form was frozen.
    pub frozen: usize,
}

//! The operations of an actor: one row each, from which the rest follows.
//!
//! A row says the code in byte records, the variant and its operands (up to two), how often the
//! generator draws it, whether its result is part of the contract between filesystems (the
//! differential rule compares it), what it does to the file in the judge's words, the kernel
//! function that runs it, the word in text files, and a line of help. The generator, the codec, the history, the
//! differential rule, the conditions of the ledger and every list read these; nobody else names an
//! operation without a reason of its own.
//!
//! Left out: operations on two files.

use crate::case::{Geometry, Range};
use crate::implementation::{Filesystem, WbSync};
use crate::kernel::{Kernel, Mm, Status};
use crate::mm::fallocate::{Fallocate, fallocate};
use crate::mm::filemap::{self, Source};
use crate::mm::freeze::freeze;
use crate::mm::user::{self, Access};
use crate::mm::{fsync, invalidate, mmap, mprotect, mremap, pin, reclaim, truncate, writeback};

/// What an operand of an operation means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operand {
    /// A range of cells.
    Cells,
    /// A range of pages.
    Pages,
    /// A file size in cells: the start of a range.
    Size,
}

impl Operand {
    /// How it looks in text.
    pub const fn form(self) -> &'static str {
        match self {
            Operand::Cells => "CELL..CELL",
            Operand::Pages => "PAGE..PAGE",
            Operand::Size => "CELLS",
        }
    }

    /// How many values its start can have in a file of this shape.
    pub const fn count(self, g: Geometry) -> u8 {
        match self {
            Operand::Cells => g.file_cells(),
            Operand::Pages => g.pages,
            Operand::Size => g.file_cells() + 1,
        }
    }

    /// The nearest operand that a file of this shape can have.
    fn fit(self, range: Range, g: Geometry) -> Range {
        let start = range.start.min(self.count(g) - 1);
        match self {
            Operand::Size => Range::new(start, 0),
            Operand::Cells | Operand::Pages => {
                Range::new(start, range.end.clamp(start + 1, self.count(g)))
            }
        }
    }
}

/// The operands of an operation, each as a range (a size is `size..0`); what it does not have is
/// empty.
pub type Operands = [Range; 2];

/// What an operation does to the file and its pages, for whoever need not know how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// Stores to these cells through the actor's mapping.
    Stores(Range),
    /// Loads these cells through the actor's mapping.
    Loads(Range),
    /// Has a device write these cells, by pages of the actor's mapping.
    Pins(Range),
    /// Reads these cells by a system call.
    Reads(Range),
    /// Writes these cells by a system call, which extends the file to the last of them.
    Writes(Range),
    /// Reads cells and writes them elsewhere, by one system call.
    Copies {
        /// What is read.
        from: Range,
        /// Where it goes; which of the two is longer does not matter.
        to: Range,
        /// It is read from the other file of the case.
        other: bool,
    },
    /// Writes cells by a system call whose buffer lies in the actor's mapping of the same file.
    WritesMapped {
        /// Where the buffer lies.
        from: Range,
        /// Where it goes, as many as there are in the buffer.
        to: Range,
    },
    /// Makes a hole of these cells of the file, which keeps its size.
    Discards(Range),
    /// Makes these cells of the file read as zero, and extends it to the last of them.
    Zeroes(Range),
    /// Gets space for these cells of the file, which keeps its size; what they hold stays.
    Reserves(Range),
    /// The same, and extends the file to the last of them.
    Extends(Range),
    /// Makes the file this long, in cells.
    Resizes(u8),
    /// Makes all that was written durable, and says what could not be.
    Syncs {
        /// It is about the actor's mapping, and fails without one.
        mapping: bool,
    },
    /// Writes these pages back, and promises nothing of when it is done.
    WritesBack {
        /// The pages.
        pages: Range,
        /// It waits for writeback under way rather than skip a page (WB_SYNC_ALL).
        integrity: bool,
    },
    /// Removes those of these pages from the page cache that can go.
    Drops {
        /// The pages.
        pages: Range,
        /// It takes the ptes away.
        unmaps: bool,
        /// It has dirty pages written.
        launders: bool,
    },
    /// Freezes the filesystem, and thaws it again.
    Freezes,
    /// Gives the actor's address space a mapping of the file.
    Maps,
    /// Takes it away.
    Unmaps,
    /// Moves it.
    Moves,
    /// Makes it read-only, and then writable again.
    Protects,
}

impl Effect {
    /// It goes through the actor's mapping, so that it can fault.
    pub fn is_through_mapping(self) -> bool {
        matches!(self, Effect::Stores(_) | Effect::Loads(_) | Effect::Pins(_))
    }

    /// What it returns is promised to its caller. What writeback and removal say of themselves is
    /// not, only what they do to the file.
    pub fn is_of_contract(self) -> bool {
        !matches!(self, Effect::WritesBack { .. } | Effect::Drops { .. } | Effect::Freezes)
    }

    /// It writes to the filesystem by a system call, so it waits while that is frozen.
    pub fn is_writing(self) -> bool {
        let changes =
            matches!(self, Effect::Discards(_) | Effect::Reserves(_) | Effect::Resizes(_));
        changes || self.extends_to().is_some()
    }

    /// The cells of its file whose values it returns.
    pub fn returns(self) -> Option<Range> {
        match self {
            Effect::Loads(cells) | Effect::Reads(cells) => Some(cells),
            Effect::Copies { from, other: false, .. } => Some(from),
            _ => None,
        }
    }

    /// The cells of its file that it reads by a system call: as many as lie in it.
    pub fn reads(self) -> Option<Range> {
        match self {
            Effect::Reads(cells) => Some(cells),
            Effect::Copies { from, other: false, .. } => Some(from),
            _ => None,
        }
    }

    /// The cells that it writes by a system call, which extends the file to the last of them.
    pub fn writes(self) -> Option<Range> {
        match self {
            Effect::Writes(cells) => Some(cells),
            Effect::Copies { to, .. } | Effect::WritesMapped { to, .. } => Some(to),
            _ => None,
        }
    }

    /// The cells of the file that it makes zero, wherever they are in the file.
    pub fn discards(self) -> Option<Range> {
        match self {
            Effect::Discards(cells) | Effect::Zeroes(cells) => Some(cells),
            _ => None,
        }
    }

    /// The size that the file has at least when it has succeeded, if it raises a smaller one.
    pub fn extends_to(self) -> Option<u8> {
        match self {
            Effect::Zeroes(cells) | Effect::Extends(cells) => Some(cells.end),
            _ => self.writes().map(|cells| cells.end),
        }
    }

    /// The cells that it puts into the file by the actor's mapping.
    pub fn stores(self) -> Option<Range> {
        match self {
            Effect::Stores(cells) | Effect::Pins(cells) => Some(cells),
            _ => None,
        }
    }

    /// It may take whole pages out of the page cache, whoever refers to them, and with them what a
    /// device writes there meanwhile.
    pub fn detaches(self) -> bool {
        matches!(
            self,
            Effect::Discards(_) | Effect::Zeroes(_) | Effect::Drops { launders: true, .. }
        )
    }

    /// The cells that it gives new values.
    pub fn gives(self) -> Option<Range> {
        self.stores().or(self.writes())
    }

    /// The cells of the other file that it reads.
    pub fn reads_other(self) -> Option<Range> {
        match self {
            Effect::Copies { from, to, other: true } => Some(from.no_longer_than(to)),
            _ => None,
        }
    }

    /// It is about the mapping, not about the file: a device mapping has it too.
    pub fn is_about_mapping(self) -> bool {
        self.is_through_mapping()
            || matches!(self, Effect::Maps | Effect::Unmaps | Effect::Moves | Effect::Protects)
    }
}

/// One line of the table of operations.
pub struct OperationKind {
    /// The word in text files and lists.
    pub name: &'static str,
    /// The code in byte records. Append-only.
    pub code: u8,
    /// What its operands mean.
    pub operands: &'static [Operand],
    /// How often it is drawn, beside the others, before a case's swarm changes that. 0: generated
    /// cases do not have it.
    pub weight: u32,
    /// Its result is the same on every filesystem, under the same schedule.
    pub is_compared: bool,
    /// One line of help.
    pub help: &'static str,
}

/// The line of an empty slot.
const EMPTY: OperationKind = OperationKind {
    name: "-",
    code: 0,
    operands: &[],
    weight: 0,
    is_compared: false,
    help: "an empty slot",
};

macro_rules! operations {
    (
        ($k:ident, $slot:ident, $mm:ident)
        $($code:literal $variant:ident ($($first:ident: $one:ident $(, $second:ident: $two:ident)?)?) $weight:literal
            $compared:ident $effect:expr, $run:expr, $name:literal $help:literal;)*
    ) => {
        /// One operation of an actor. Cells count from the start of the file; pages too.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
        pub enum Operation {
            /// The slot is empty: a deleted operation leaves its slot, so that the others keep
            /// theirs.
            #[default]
            Empty,
            $(#[doc = $help] $variant $((operations!(@type $one) $(, operations!(@type $two))?))?,)*
        }

        impl Operation {
            /// The table of operations.
            pub const KINDS: &'static [OperationKind] = &[
                EMPTY,
                $(operations!(@row $code ($($one $(, $two)?)?) $weight $compared $name $help)),*
            ];

            /// The line of the table for this operation.
            pub fn kind(self) -> &'static OperationKind {
                match self {
                    Operation::Empty => &EMPTY,
                    $(Operation::$variant $((operations!(@any $one) $(, operations!(@any $two))?))? => const {
                        &operations!(@row $code ($($one $(, $two)?)?) $weight $compared $name $help)
                    },)*
                }
            }

            /// The operation with this code and these operands.
            pub fn from_code(code: u8, operands: Operands) -> Option<Operation> {
                match code {
                    0 => Some(Operation::Empty),
                    $($code => Some(Operation::$variant $((
                        operations!(@from $one operands[0]) $(, operations!(@from $two operands[1]))?
                    ))?),)*
                    _ => None,
                }
            }

            /// Its operands.
            pub fn operands(self) -> Operands {
                match self {
                    Operation::Empty => Operands::default(),
                    $(Operation::$variant $(($first $(, $second)?))? => two(&[
                        $(operations!(@range $first $one) $(, operations!(@range $second $two))?)?
                    ]),)*
                }
            }

            /// What it does to the file and its pages.
            #[inline]
            pub fn effect(self) -> Effect {
                use Effect::*;
                match self {
                    Operation::Empty => Nothing,
                    $(Operation::$variant $(($first $(, $second)?))? => $effect,)*
                }
            }
        }

        /// Runs it as the kernel does, in this slot of an actor in this address space.
        pub(crate) async fn perform<F: Filesystem>(
            $k: &Kernel<F>,
            $slot: u8,
            $mm: Mm,
            operation: Operation,
        ) -> Status {
            match operation {
                Operation::Empty => Status::Ok,
                $(Operation::$variant $(($first $(, $second)?))? => $run.await,)*
            }
        }
    };
    (@row $code:literal ($($operand:ident),*) $weight:literal $compared:ident $name:literal
            $help:literal) => {
        OperationKind {
            name: $name,
            code: $code,
            operands: &[$(Operand::$operand),*],
            weight: $weight,
            is_compared: operations!(@is $compared),
            help: $help,
        }
    };
    (@type Size) => { u8 };
    (@type $operand:ident) => { Range };
    (@any $operand:ident) => { _ };
    (@from Size $range:expr) => { $range.start };
    (@from $operand:ident $range:expr) => { $range };
    (@range $bind:ident Size) => { Range::new($bind, 0) };
    (@range $bind:ident $operand:ident) => { $bind };
    (@is compared) => { true };
    (@is free) => { false };
}

operations! {
    (k, slot, mm)
    1  Store(cells: Cells) 60 compared Stores(cells), user::access(k, slot, mm, cells, Access::Store),
        "store" "store through the actor's mapping";
    2  Load(cells: Cells) 12 compared Loads(cells), user::access(k, slot, mm, cells, Access::Load),
        "load" "load through the actor's mapping";
    3  Read(cells: Cells) 12 compared Reads(cells), filemap::read(k, cells),
        "read" "read(2)";
    4  Write(cells: Cells) 22 compared Writes(cells), filemap::write(k, slot, cells, Source::Buffer),
        "write" "write(2), extends the file beyond i_size";
    5  Truncate(size: Size) 26 compared Resizes(size), truncate::truncate(k, size),
        "truncate" "ftruncate(2) to a size in cells, down or up";
    6  Background(pages: Pages) 34 free WritesBack { pages, integrity: false },
        writeback::background(k, pages),
        "writeback" "background writeback of a range of pages (WB_SYNC_NONE)";
    7  Integrity(pages: Pages) 14 free WritesBack { pages, integrity: true },
        integrity(k, pages),
        "sync_range" "integrity writeback of a range of pages (WB_SYNC_ALL)";
    8  Fsync() 24 compared Syncs { mapping: false }, fsync::fsync(k, None),
        "fsync" "fsync(2)";
    9  Msync() 4 compared Syncs { mapping: true }, fsync::fsync(k, Some(mm)),
        "msync" "msync(2) with MS_SYNC";
    10 Invalidate(pages: Pages) 10 free Drops { pages, unmaps: false, launders: false },
        invalidate::invalidate_mapping_pages(k, pages),
        "invalidate" "invalidate_mapping_pages: drop clean, unmapped pages";
    11 Invalidate2(pages: Pages) 24 free Drops { pages, unmaps: true, launders: true },
        invalidate::invalidate_inode_pages2(k, pages),
        "invalidate2" "invalidate_inode_pages2: unmap, launder and drop pages";
    12 Reclaim(pages: Pages) 14 free Drops { pages, unmaps: true, launders: false },
        reclaim::reclaim(k, pages),
        "reclaim" "reclaim: unmap, write and drop pages";
    13 Munmap() 5 free Unmaps, mmap::munmap(k, mm),
        "munmap" "munmap(2) of the actor's mapping";
    14 Mmap() 5 free Maps, mmap::mmap(k, mm),
        "mmap" "mmap(2) of the file, shared and writable";
    15 CopyRange(from: Cells, to: Cells) 6 compared Copies { from, to, other: false },
        filemap::write(k, slot, to, Source::File(from)),
        "copy_range" "copy_file_range(2) within the file, as far as it reaches and both ranges do";
    16 Punch(cells: Cells) 5 compared Discards(cells), fallocate(k, Fallocate::PunchHole, cells),
        "punch" "fallocate(2): punch a hole, keep the size; EOPNOTSUPP where the filesystem has no such thing";
    17 ZeroRange(cells: Cells) 12 compared Zeroes(cells), fallocate(k, Fallocate::ZeroRange, cells),
        "zero_range" "fallocate(2): allocate and zero a range, extends the file; EOPNOTSUPP likewise";
    18 Prealloc(cells: Cells) 12 compared Reserves(cells),
        fallocate(k, Fallocate::Allocate { keep_size: true }, cells),
        "prealloc" "fallocate(2): allocate a range, keep the size; EOPNOTSUPP likewise";
    19 Fallocate(cells: Cells) 12 compared Extends(cells),
        fallocate(k, Fallocate::Allocate { keep_size: false }, cells),
        "fallocate" "fallocate(2): allocate a range, extends the file; EOPNOTSUPP likewise";
    20 Freeze() 8 free Freezes, freeze(k),
        "freeze" "freeze the filesystem and thaw it (FIFREEZE, FITHAW); EOPNOTSUPP where it cannot be";
    21 WriteMapped(from: Cells, to: Cells) 6 compared
        WritesMapped { from, to: to.no_longer_than(from) },
        filemap::write(k, slot, to.no_longer_than(from), Source::Mapping(mm)),
        "write_mapped" "write(2) from a buffer that lies in the actor's mapping of the same file, as long as the shorter of both";
    23 Pin(cells: Cells) 8 compared Pins(cells), pin::pin(k, slot, mm, cells),
        "pin" "a device writes to the actor's mapping by pinned pages, which are made dirty late (direct read(2) of another file)";
    24 Mremap() 4 compared Moves, mremap::mremap(k, mm),
        "mremap" "mremap(2): move the actor's mapping to another address";
    25 Mprotect() 4 compared Protects, mprotect::mprotect(k, mm),
        "mprotect" "mprotect(2): make the actor's mapping read-only, and writable again";
    28 CopyOther(from: Cells, to: Cells) 8 compared Copies { from, to, other: true },
        filemap::write(k, slot, to, Source::File(from)),
        "copy_other" "copy_file_range(2) from the other file of the case, which must have two";
}

/// Writeback that waits for earlier writeback of the pages, not for its own.
async fn integrity<F: Filesystem>(k: &Kernel<F>, pages: Range) -> Status {
    k.fs().writepages(k, pages, WbSync::Integrity).await;
    Status::Ok
}

fn two(ranges: &[Range]) -> Operands {
    std::array::from_fn(|n| ranges.get(n).copied().unwrap_or_default())
}

impl Operation {
    /// Its first operand.
    pub fn range(self) -> Range {
        self.operands()[0]
    }

    /// Its operands with what they mean.
    pub fn each_operand(self) -> impl Iterator<Item = (Operand, Range)> {
        self.kind().operands.iter().copied().zip(self.operands())
    }

    /// The same operation with other operands.
    #[must_use]
    pub fn map(self, mut to: impl FnMut(Operand, Range) -> Range) -> Operation {
        let (kind, mut operands) = (self.kind(), self.operands());
        for (range, operand) in operands.iter_mut().zip(kind.operands) {
            *range = to(*operand, *range);
        }
        Operation::from_code(kind.code, operands).expect("the code comes from the table")
    }

    /// The same operation, or the nearest that a file of this shape can have.
    #[must_use]
    pub(crate) fn fit(self, g: Geometry) -> Operation {
        let able = match self {
            Operation::CopyOther(from, to) if g.second == 0 => Operation::CopyRange(from, to),
            able => able,
        };
        able.map(|operand, range| operand.fit(range, g))
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind().name)?;
        self.each_operand().try_for_each(|(operand, range)| match operand {
            Operand::Size => write!(f, " {}", range.start),
            Operand::Cells | Operand::Pages => write!(f, " {range}"),
        })
    }
}

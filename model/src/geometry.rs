//! The shape of the file at the start of a run: its fields, one row each, from which the rest
//! follows.
//!
//! A row says the field's name, type and default, where it stands in bytes, how its value is
//! written in text, and then: what fits (given the fields before it), how the generator draws it,
//! what a mutation makes of it, what is one step simpler, and how its bytes are read and written.
//! The struct, [`Case::fix_up`](crate::Case::fix_up), the generator, the mutations, the shrinker,
//! bytes, text and its reference follow. A row's byte code and the weights in it are those of byte
//! form 3 and stay as they are; forms 1 and 2 have their own (`bytes/old.rs`).

use rand::{Rng, RngExt};

use crate::bytes::Table;
use crate::case::{
    AMPLE, BLOCKS_PER_PAGE_MAX, CELLS_PER_PAGE_MAX, FREE_MAX, Limits, MMS_MAX, PAGES_MAX, Range,
};
use crate::generate::{Random, one_in, pick};
use crate::kernel::PAGES_OF_TWO_MAX;

/// How a value is written in text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    /// A number.
    Number,
    /// Blocks of the file, one bit each: a list of pages, and of single blocks of pages.
    Blocks,
}

/// Where a field stands in bytes of form 3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// One byte of the header.
    Byte(usize),
    /// Four bytes of the header, little-endian.
    Word(usize),
}

/// One row of the table of fields.
pub struct Field {
    /// The word in the statement `file`.
    pub name: &'static str,
    /// What it is, for the reference.
    pub help: &'static str,
    /// The value that it has if nothing is said.
    pub default: u32,
    /// How a value is written in text.
    pub written: Written,
    /// A default is written, too.
    pub is_always_written: bool,
    /// Where it stands in bytes.
    pub place: Place,
    /// Its value.
    pub get: fn(&Geometry) -> u32,
    set: fn(&mut Geometry, u32),
    fit: fn(&Geometry, u32, Limits) -> u32,
    draw: fn(&Geometry, &mut Random) -> u32,
    mutate: fn(&Geometry, u32, &mut Random) -> u32,
    simpler: fn(&Geometry, u32) -> u32,
    read: fn(&Geometry, u32) -> u32,
    write: fn(u32) -> u32,
}

impl Field {
    /// Gives it a value; what depends on it goes along.
    pub fn set(&self, g: &mut Geometry, value: u32) {
        (self.set)(g, value);
    }

    /// Puts it into range, given the fields before it.
    pub(crate) fn fit(&self, g: &mut Geometry, limits: Limits) {
        let value = (self.get)(g);
        let fits = (self.fit)(g, value, limits);
        if fits != value {
            (self.set)(g, fits);
        }
    }

    /// The shape with this field one step simpler; the same if there is no step.
    pub fn simpler(&self, g: Geometry) -> Geometry {
        let mut simpler = g;
        (self.set)(&mut simpler, (self.simpler)(&g, (self.get)(&g)));
        simpler
    }

    /// Another value for it: often what a fresh draw gave.
    pub(crate) fn mutate(&self, g: &mut Geometry, drawn: &Geometry, r: &mut Random) {
        let value = (self.mutate)(g, (self.get)(drawn), r);
        (self.set)(g, value);
    }

    /// Reads it from a header, after the fields before it.
    pub(crate) fn read(&self, g: &mut Geometry, header: &[u8]) {
        let raw = match self.place {
            Place::Byte(at) => header[at].into(),
            Place::Word(at) => u32::from_le_bytes(std::array::from_fn(|n| header[at + n])),
        };
        let value = (self.read)(g, raw);
        (self.set)(g, value);
    }

    /// Writes it to a header.
    pub(crate) fn write(&self, g: &Geometry, header: &mut [u8]) {
        let raw = (self.write)((self.get)(g));
        match self.place {
            Place::Byte(at) => header[at] = raw as u8,
            Place::Word(at) => header[at..at + 4].copy_from_slice(&raw.to_le_bytes()),
        }
    }
}

macro_rules! fields {
    (
        ($g:ident, $v:ident, $r:ident, $limits:ident)
        $($name:ident: $type:ty = $default:expr, $place:expr, $written:ident $always:ident $help:literal
            $doc:literal {
            set $set:expr;
            fit $fit:expr;
            draw $draw:expr;
            mutate $mutate:expr;
            simpler $simpler:expr;
            bytes $read:expr, $write:expr;
        })*
    ) => {
        /// The shape of the file at the start.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub struct Geometry {
            $(#[doc = $doc] pub $name: $type,)*
        }

        impl Default for Geometry {
            fn default() -> Self {
                Geometry { $($name: $default),* }
            }
        }

        /// The table of fields, in the order in which they are drawn, read and written.
        #[allow(unused_variables)] // a field looks at what it needs
        pub const FIELDS: &[Field] = &[$(Field {
            name: stringify!($name),
            help: $help,
            default: $default as u32,
            written: Written::$written,
            is_always_written: fields!(@$always),
            place: $place,
            get: |g| g.$name.into(),
            set: |$g, $v| $set,
            fit: |$g, $v, $limits| $fit,
            draw: |$g, $r| $draw.into(),
            mutate: |$g, $v, $r| $mutate.into(),
            simpler: |$g, $v| $simpler,
            read: |$g, $v| $read,
            write: |$v| $write,
        }),*];
    };
    (@always) => { true };
    (@otherwise) => { false };
}

fields! {
    (g, v, r, limits)
    pages: u8 = 1, Place::Byte(8), Number always "pages of the file"
        "Pages that the file can have." {
        set g.pages = v as u8;
        fit v.clamp(1, limits.pages.into());
        draw pick(r, &[(1, 48), (2, 36), (3, 10), (4, 6)]);
        mutate v;
        simpler (v - 1).max(1);
        bytes PAGES.decode(v as u8).into(), PAGES.encode(v as u8).into();
    }
    cells: u8 = 4, Place::Byte(9), Number always "cells per page"
        "Cells per page: the unit of sizes, stores and reads. 1, 2, 4 or 8." {
        set g.cells = v as u8;
        fit previous_power_of_two(v.clamp(1, CELLS_PER_PAGE_MAX as u32));
        draw pick(r, &[(1, 10), (2, 20), (4, 56), (8, 14)]);
        mutate v;
        simpler v; // sizes and ranges go along: the shrinker has a step of its own
        bytes CELLS.decode(v as u8).into(), CELLS.encode(v as u8).into();
    }
    blocks: u8 = 1, Place::Byte(10), Number always "blocks per page"
        "Blocks per page. 1, 2 or 4, at most `cells`." {
        set g.set_blocks(v as u8);
        fit previous_power_of_two(v.clamp(1, BLOCKS_PER_PAGE_MAX as u32)).min(g.cells.into());
        draw pick(r, &[(1, 40), (2, 34), (4, 26)]);
        mutate v;
        simpler (v / 2).max(1);
        bytes BLOCKS.decode(v as u8).min(g.cells).into(), BLOCKS.encode(v as u8).into();
    }
    size: u8 = 4, Place::Byte(11), Number always "i_size in cells"
        "i_size at the start, in cells." {
        set g.size = v as u8;
        fit v.min(g.file_cells().into());
        draw match r.random_range(0..8) {
            0..4 => g.pages * g.cells,
            4..6 => r.random_range(0..=g.pages) * g.cells,
            _ => r.random_range(0..=g.pages * g.cells),
        };
        mutate r.random_range(0..=g.file_cells());
        simpler g.file_cells().into();
        bytes v % (u32::from(g.file_cells()) + 1), v;
    }
    mms: u8 = 1, Place::Byte(12), Number always "address spaces"
        "Address spaces." {
        set g.mms = v as u8;
        fit v.clamp(1, MMS_MAX as u32);
        draw pick(r, &[(1, 50), (2, 38), (3, 12)]);
        mutate v;
        simpler (v - 1).max(1);
        bytes MMS.decode(v as u8).into(), MMS.encode(v as u8).into();
    }
    free: u8 = AMPLE, Place::Byte(13), Number otherwise "free blocks"
        "Free blocks at the start; [`AMPLE`] never runs out." {
        set g.free = v as u8;
        fit if v > FREE_MAX.into() { AMPLE.into() } else { v };
        draw if one_in(r, 12) { r.random_range(0..6) } else { AMPLE };
        mutate if one_in(r, 2) { v } else { u32::from(r.random_range(0..6u8)) };
        simpler AMPLE.into();
        bytes if v > FREE_MAX.into() { AMPLE.into() } else { v }, v;
    }
    holes: u32 = 0, Place::Word(16), Blocks otherwise
        "pages without blocks (`1.0`: block 0 of page 1 alone)"
        "Blocks of the file that are holes at the start, one bit each." {
        set g.holes = v;
        fit v & g.all_blocks();
        draw match r.random_range(0..6) {
            0 => g.blocks_of_pages(r.random()),
            1 => r.next_u32(),
            _ => 0,
        };
        mutate g.holes ^ if one_in(r, 2) {
            g.blocks_of_pages(1 << r.random_range(0..g.pages))
        } else {
            1 << r.random_range(0..g.pages * g.blocks)
        };
        simpler 0;
        bytes v & g.all_blocks(), v;
    }
    second: u8 = 0, Place::Byte(14), Number otherwise
        "the first address space that maps a second file of the same shape; 0: there is none"
        "The address spaces from this one on map a second file of the same shape; 0: there is none." {
        set g.second = v as u8;
        fit if v < g.mms.into() && g.pages <= PAGES_OF_TWO_MAX { v } else { 0 };
        draw 0u8; // the generator draws it where cases have later operations
        mutate r.random_range(0..g.mms);
        simpler 0;
        bytes if v & !3 == SECOND { v & 3 } else { 0 }, if v == 0 { 0 } else { v | SECOND };
    }
}

// How often each value comes out of a random byte.
const PAGES: Table =
    Table::new(&[(1, 110), (2, 90), (3, 30), (5, 1), (6, 1), (7, 1), (8, 1), (4, 22)]);
const CELLS: Table = Table::new(&[(1, 32), (2, 48), (8, 32), (4, 144)]);
const BLOCKS: Table = Table::new(&[(1, 96), (4, 64), (2, 96)]);
const MMS: Table = Table::new(&[(1, 128), (3, 32), (2, 96)]);

/// Marks the byte of the second file: whatever else stands there means none.
const SECOND: u32 = 0xA4;

fn previous_power_of_two(n: u32) -> u32 {
    1 << n.ilog2()
}

impl Geometry {
    /// An arbitrary shape, field by field.
    pub(crate) fn draw(r: &mut Random) -> Geometry {
        let mut g = Geometry::default();
        for field in FIELDS {
            let value = (field.draw)(&g, r);
            (field.set)(&mut g, value);
        }
        g
    }

    /// Cells of the whole file.
    pub const fn file_cells(self) -> u8 {
        self.pages * self.cells
    }

    /// Cells per block.
    pub const fn block_cells(self) -> u8 {
        self.cells / self.blocks
    }

    /// Pages that `size` cells reach into.
    pub const fn pages_of(self, size: u8) -> u8 {
        size.div_ceil(self.cells)
    }

    /// Blocks of the file that `size` cells reach into.
    pub const fn blocks_of(self, size: u8) -> u8 {
        size.div_ceil(self.block_cells())
    }

    /// The pages that a range of cells lies in, all of them or in part.
    pub const fn pages_touched(self, cells: Range) -> Range {
        Range::new(self.page_of(cells.start), self.pages_of(cells.end))
    }

    /// The blocks that a range of cells lies in, all of them or in part; counted like the cells: in
    /// the file, or in a page.
    pub const fn blocks_touched(self, cells: Range) -> Range {
        Range::new(cells.start / self.block_cells(), self.blocks_of(cells.end))
    }

    /// The blocks that lie wholly in a range of cells, counted like them.
    pub const fn blocks_inside(self, cells: Range) -> Range {
        let (first, end) = (self.blocks_of(cells.start), cells.end / self.block_cells());
        Range::new(first, if end < first { first } else { end })
    }

    /// The cells of a range of blocks, counted like them.
    pub const fn cells_of_blocks(self, blocks: Range) -> Range {
        Range::new(blocks.start * self.block_cells(), blocks.end * self.block_cells())
    }

    /// All blocks of the file, one bit each.
    pub const fn all_blocks(self) -> u32 {
        ((1u64 << (self.pages * self.blocks)) - 1) as u32
    }

    /// These pages as blocks, one bit each.
    pub const fn blocks_of_pages(self, pages: u8) -> u32 {
        let (mut blocks, mut page) = (0, 0);
        while page < PAGES_MAX as u8 {
            if pages >> page & 1 != 0 {
                blocks |= ((1 << self.blocks) - 1) << (page * self.blocks);
            }
            page += 1;
        }
        blocks
    }

    /// A block of the file is a hole at the start.
    pub const fn is_hole(self, block: u8) -> bool {
        self.holes >> block & 1 != 0
    }

    /// The pages that are holes at the start, one bit each; `None` if some page is one in part.
    pub fn hole_pages(self) -> Option<u8> {
        let whole = |pages: &u8| self.blocks_of_pages(*pages) == self.holes;
        let pages = (0..self.pages)
            .filter(|page| self.is_hole(page * self.blocks))
            .fold(0, |mask, page| mask | 1 << page);
        Some(pages).filter(whole)
    }

    /// Another number of blocks per page: a block is a hole if its first cell lay in one.
    pub fn set_blocks(&mut self, blocks: u8) {
        let old = *self;
        (self.blocks, self.holes) = (blocks, 0);
        for block in 0..self.pages * blocks {
            let was = block / blocks * old.blocks + block % blocks * old.blocks / blocks;
            self.holes |= u32::from(old.is_hole(was)) << block;
        }
    }

    /// The nearest shape that a filesystem of a real kernel has, with so many blocks per page: there
    /// a case has one file.
    pub fn settle_for_kernel(&mut self, blocks: u8) {
        self.second = 0;
        self.cells = self.cells.max(blocks);
        self.set_blocks(blocks);
    }

    /// The page of a cell.
    pub const fn page_of(self, cell: u8) -> u8 {
        cell / self.cells
    }

    /// The cells of a page.
    pub const fn cells_of(self, page: u8) -> Range {
        Range::new(page * self.cells, (page + 1) * self.cells)
    }

    /// The cells of a block, counted like the block: in the file, or in a page.
    pub const fn cells_of_block(self, block: u8) -> Range {
        Range::new(block * self.block_cells(), (block + 1) * self.block_cells())
    }
}

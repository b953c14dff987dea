//! Named scheduling points.
//!
//! A point is a place between two steps. A task that stands at a point has done all before it and
//! nothing after it; its text says what the next step does. Each file whose code has points
//! declares them at its head, a row each: a stable code, which is what bytes store, a name, which
//! is what schedules say, and the text. From these blocks this file makes one table at compile
//! time; a point is its number in there, so that whatever counts by point is a dense array, and
//! numbers are never stored. Names and codes stay for ever, because stored schedules refer to them.
//! All implementations share the points of the page_mkwrite, writepage and completion contracts
//! (`implementation.rs`), so that one schedule fits them all.

use crate::{era, implementation, kernel, mm};

/// A row of a block of points.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What bytes store. Codes below 256 are those of byte forms 1 and 2; new ones are above.
    pub code: u16,
    /// The name in schedules.
    pub name: &'static str,
    /// What the step after the point does.
    pub does: &'static str,
}

/// Declares the points of a file.
macro_rules! points {
    ($($code:literal $variant:ident $name:literal $does:literal;)*) => {
        /// The scheduling points of this file.
        pub(crate) const POINTS: &[$crate::point::Row] =
            &[$($crate::point::Row { code: $code, name: $name, does: $does }),*];

        #[allow(non_upper_case_globals)] // they read like the variants of an enum
        impl $crate::point::Point {
            $(#[doc = $does]
            pub const $variant: Self = Self::with_code($code);)*
        }
    };
}
pub(crate) use points;

/// The blocks, in the order of lists.
const BLOCKS: &[&[Row]] = &[
    mm::POINTS,
    mm::user::POINTS,
    mm::fault::POINTS,
    era::POINTS,
    implementation::POINTS,
    kernel::dirty::POINTS,
    kernel::rmap::POINTS,
    kernel::io::POINTS,
    mm::writeback::POINTS,
    mm::fsync::POINTS,
    mm::truncate::POINTS,
    mm::fallocate::POINTS,
    mm::freeze::POINTS,
    mm::invalidate::POINTS,
    mm::reclaim::POINTS,
    mm::filemap::POINTS,
    mm::mmap::POINTS,
    mm::mprotect::POINTS,
    mm::mremap::POINTS,
    mm::pin::POINTS,
    POINTS,
];

points! {
    200 RunQuiescent "run.quiescent" "no task is in the kernel and no I/O in flight (not a scheduling point)";
    201 RunEnd       "run.end"       "the run is over (not a scheduling point)";
}

const COUNT: usize = {
    let (mut count, mut block) = (0, 0);
    while block < BLOCKS.len() {
        count += BLOCKS[block].len();
        block += 1;
    }
    assert!(count < u16::MAX as usize, "points have numbers of 16 bits");
    count
};

const ROWS: [Row; COUNT] = {
    let mut rows = [Row { code: 0, name: "", does: "" }; COUNT];
    let (mut at, mut block) = (0, 0);
    while block < BLOCKS.len() {
        let mut n = 0;
        while n < BLOCKS[block].len() {
            rows[at] = BLOCKS[block][n];
            (at, n) = (at + 1, n + 1);
        }
        block += 1;
    }
    rows
};

const ALL: [Point; COUNT] = {
    let (mut all, mut n) = ([Point(0); COUNT], 0);
    while n < COUNT {
        all[n] = Point(n as u16);
        let first = find(ROWS[n].code);
        assert!(
            matches!(first, Some(Point(first)) if first as usize == n),
            "two points have the same code"
        );
        n += 1;
    }
    all
};

/// The first point with this code.
const fn find(code: u16) -> Option<Point> {
    let mut n = 0;
    while n < COUNT {
        if ROWS[n].code == code {
            return Some(Point(n as u16));
        }
        n += 1;
    }
    None
}

/// A scheduling point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point(u16);

impl Point {
    /// How many there are.
    pub const COUNT: usize = COUNT;

    /// Every point, in the order of the blocks. Each stands at its number.
    pub const ALL: &'static [Point] = &ALL;

    /// The point with this code, which some block declares.
    pub(crate) const fn with_code(code: u16) -> Point {
        match find(code) {
            Some(point) => point,
            None => panic!("the points of this file are not in the list of blocks (point.rs)"),
        }
    }

    const fn row(self) -> &'static Row {
        const TABLE: &[Row; COUNT] = &ROWS;
        &TABLE[self.0 as usize]
    }

    /// The stable name.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// What the step after the point does.
    pub const fn does(self) -> &'static str {
        self.row().does
    }

    /// The stable code.
    pub const fn code(self) -> u16 {
        self.row().code
    }

    /// Its number, below [`Point::COUNT`]: for arrays, and nothing that is kept.
    #[inline]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The same, as an index.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Tasks stand there; the others are moments of a run.
    pub const fn is_scheduling_point(self) -> bool {
        self.0 != Point::RunQuiescent.0 && self.0 != Point::RunEnd.0
    }

    /// The point with this number.
    #[inline]
    pub const fn from_number(number: u16) -> Option<Point> {
        if (number as usize) < COUNT { Some(Point(number)) } else { None }
    }

    /// The point with this code.
    pub const fn from_code(code: u16) -> Option<Point> {
        find(code)
    }

    /// The point with this name.
    pub fn from_name(name: &str) -> Option<Point> {
        Point::ALL.iter().copied().find(|point| point.name() == name)
    }
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl std::fmt::Debug for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_codes_and_numbers_are_unique_and_invertible() {
        let names: BTreeSet<_> = Point::ALL.iter().map(|p| p.name()).collect();
        assert_eq!(names.len(), Point::COUNT);
        for (n, &point) in Point::ALL.iter().enumerate() {
            assert_eq!(point.index(), n);
            assert_eq!(Point::from_number(point.number()), Some(point));
            assert_eq!(Point::from_code(point.code()), Some(point));
            assert_eq!(Point::from_name(point.name()), Some(point));
            assert!(
                point.name().bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.'))
            );
        }
        assert_eq!(Point::from_number(Point::COUNT as u16), None);
        assert_eq!(Point::from_code(255), None);
    }
}

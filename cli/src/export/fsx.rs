//! The operation files of fsx (`ltp/fsx.c` of xfstests: what a failed run leaves in NAME.fsxops,
//! and what --replay-ops reads), both ways.
//!
//! A line is `NAME OFFSET LENGTH SIZE [keep_size] [close_open] [*]`, numbers in hexadecimal, SIZE
//! that of the file before; `skip` stands before what was not done. There are no comments. fsx maps
//! the file for each mapped operation, calls msync after a mapped write, and extends the file first
//! where one ends beyond its end. It begins with an empty file.

use std::fmt::Write;

use anyhow::{Result, anyhow, bail};
use mkwrite_model::case::{
    Actor, Case, Effect, Geometry, Limits, OPERATIONS_MAX, Operation, PAGES_MAX, Range,
};

use super::{LICENCE, PAGE, Program, Written};

/// What stands behind an operation that leaves the size as it is.
const KEEP_SIZE: &str = " keep_size";

/// Writes it.
pub(crate) fn write(program: &Program) -> Result<Vec<Written>> {
    if program.races() {
        return Err(anyhow!("fsx has one actor, the case has {}", program.actors().len())
            .context("--as c and --as sh run several"));
    }
    let cell = program.cell();
    let (mut text, mut size) = (String::new(), 0);
    let mut line = |size: &mut usize, name: &str, from: usize, length: usize| {
        let (name, keeps_size) = match name.strip_suffix(KEEP_SIZE) {
            Some(name) => (name, KEEP_SIZE),
            None => (name, ""),
        };
        let _ = writeln!(text, "{name} {from:#x} {length:#x} {size:#x}{keeps_size}");
        match name {
            _ if !keeps_size.is_empty() => {}
            "truncate" => *size = length,
            "write" | "mapwrite" | "zero_range" | "fallocate" => *size = (*size).max(from + length),
            _ => {}
        }
    };
    let initial = program.initial();
    for (n, _) in initial.iter().enumerate().filter(|(_, is)| **is) {
        line(&mut size, "write", n * cell, cell);
    }
    line(&mut size, "truncate", 0, initial.len() * cell);
    for call in &program.calls {
        let range = call.operation.range();
        let (from, to) = (usize::from(range.start) * cell, usize::from(range.end) * cell);
        let inside = to.min(size).saturating_sub(from);
        match call.operation.effect() {
            Effect::Stores(_) if to > size => {
                return Err(anyhow!(
                    "{} ends beyond the end of the file, where fsx would extend it",
                    program.words(call)
                )
                .context("--as c and --as sh store there"));
            }
            Effect::Stores(_) => line(&mut size, "mapwrite", from, to - from),
            Effect::Writes(_) => line(&mut size, "write", from, to - from),
            Effect::Loads(_) if inside > 0 => line(&mut size, "mapread", from, inside),
            Effect::Reads(_) if inside > 0 => line(&mut size, "read", from, inside),
            Effect::Discards(_) if to > from => line(&mut size, "punch_hole", from, to - from),
            Effect::Zeroes(_) if to > from => line(&mut size, "zero_range", from, to - from),
            Effect::Extends(_) if to > from => line(&mut size, "fallocate", from, to - from),
            Effect::Reserves(_) if to > from => {
                line(&mut size, "fallocate keep_size", from, to - from);
            }
            Effect::Resizes(cells) => line(&mut size, "truncate", 0, usize::from(cells) * cell),
            Effect::Syncs { mapping: false } => line(&mut size, "fsync", 0, 0),
            _ => {}
        }
    }
    Ok(vec![(".fsxops", text)])
}

/// The licence, which the file has no place for, and what fsx has no operation for, or does by
/// itself otherwise.
pub(crate) fn notes(program: &Program) -> Vec<String> {
    let is_lost = |effect| {
        !matches!(
            effect,
            Effect::Stores(_)
                | Effect::Loads(_)
                | Effect::Writes(_)
                | Effect::Reads(_)
                | Effect::Discards(_)
                | Effect::Zeroes(_)
                | Effect::Reserves(_)
                | Effect::Extends(_)
                | Effect::Resizes(_)
                | Effect::Syncs { mapping: false }
        )
    };
    let mut notes = vec![
        format!("licence of what was written: {LICENCE}"),
        "note: fsx maps the file anew for each mapped operation, and calls msync after a mapped write: what \
         needs a mapping that stays does not show"
            .to_owned(),
    ];
    let lost = program.calls.iter().filter(|call| is_lost(call.operation.effect()));
    notes.extend(lost.map(|call| format!("note: left out: {}", program.words(call))));
    notes
}

/// A line of an operation file.
struct Line<'a> {
    number: usize,
    name: &'a str,
    from: usize,
    length: usize,
    keeps_size: bool,
}

/// Reads an operation file as a case of one actor, with notes of what is not the same.
pub(crate) fn read(text: &str) -> Result<(Case, Vec<String>)> {
    let lines: Vec<Line<'_>> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| {
            !line.trim().is_empty() && line.split_whitespace().next() != Some("skip")
        })
        .map(|(n, line)| read_line(n + 1, line))
        .collect::<Result<_>>()?;
    if lines.is_empty() {
        bail!("there is no operation in it");
    }
    let mut notes = Vec::new();
    // The largest cells that all offsets are multiples of.
    let ends = || lines.iter().flat_map(|line| [line.from, line.from + line.length]);
    let cell = [PAGE, PAGE / 2, PAGE / 4]
        .into_iter()
        .find(|cell| ends().all(|at| at.is_multiple_of(*cell)))
        .unwrap_or(PAGE / 8);
    let odd = lines
        .iter()
        .filter(|line| [line.from, line.length].iter().any(|at| !at.is_multiple_of(cell)))
        .count();
    if odd > 0 {
        notes.push(format!(
            "{odd} operations do not begin and end at multiples of {cell} bytes: they are made longer"
        ));
    }
    let end = ends().max().unwrap_or(0);
    let pages = end.div_ceil(PAGE).max(1);
    if pages > PAGES_MAX {
        return Err(anyhow!(
            "the file grows to {end} bytes, and that of a case to {}",
            PAGES_MAX * PAGE
        )
        .context(format!("run fsx with -l {}", PAGES_MAX * PAGE)));
    }
    let (mut operations, mut size) = (Vec::new(), 0u8);
    for line in &lines {
        let cells =
            Range::new((line.from / cell) as u8, (line.from + line.length).div_ceil(cell) as u8);
        convert(line, cells, &mut size, &mut operations, &mut notes);
    }
    if operations.len() > OPERATIONS_MAX {
        return Err(anyhow!(
            "{} operations; a case has at most {OPERATIONS_MAX}",
            operations.len()
        )
        .context("cut the file down to lines with which fsx still fails"));
    }
    let mut case = Case {
        limits: Limits {
            pages: (pages as u8).max(Limits::default().pages),
            operations: (operations.len() as u8).max(Limits::default().operations),
            ..Limits::default()
        },
        geometry: Geometry {
            pages: pages as u8,
            cells: (PAGE / cell) as u8,
            size: 0,
            ..Geometry::default()
        },
        actors: vec![Actor { mm: 0, operations }],
        ..Case::default()
    };
    case.fix_up();
    Ok((case, notes))
}

fn read_line(number: usize, line: &str) -> Result<Line<'_>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let numeral = |n: usize| {
        let word = words.get(n).copied().unwrap_or_default();
        let digits = word.strip_prefix("0x").map(|digits| usize::from_str_radix(digits, 16));
        digits.unwrap_or_else(|| word.parse()).ok().filter(|value| *value <= 1 << 40)
    };
    match (numeral(1), numeral(2), numeral(3)) {
        (Some(from), Some(length), Some(_)) => Ok(Line {
            number,
            name: words[0],
            from,
            length,
            keeps_size: words.contains(&KEEP_SIZE.trim()),
        }),
        _ => Err(anyhow!("line {number}: `{line}` is no operation of fsx")
            .context("a line is NAME OFFSET LENGTH SIZE, as in NAME.fsxops")),
    }
}

/// Appends what a line does.
fn convert(
    line: &Line<'_>,
    cells: Range,
    size: &mut u8,
    operations: &mut Vec<Operation>,
    notes: &mut Vec<String>,
) {
    let name = line.name;
    let mut extend = |size: &mut u8, to: u8| {
        if to > *size {
            *size = to;
            operations.push(Operation::Truncate(to));
        }
    };
    match name {
        "truncate" => {
            *size = cells.end;
            operations.push(Operation::Truncate(cells.end));
        }
        "fsync" => operations.push(Operation::Fsync),
        _ if cells.is_empty() => {}
        "read" => operations.push(Operation::Read(cells)),
        "mapread" => operations.push(Operation::Load(cells)),
        "write" => {
            *size = (*size).max(cells.end);
            operations.push(Operation::Write(cells));
        }
        "punch_hole" => operations.push(Operation::Punch(cells)),
        "fallocate" if line.keeps_size => operations.push(Operation::Prealloc(cells)),
        "fallocate" => {
            *size = (*size).max(cells.end);
            operations.push(Operation::Fallocate(cells));
        }
        "zero_range" if !line.keeps_size => {
            *size = (*size).max(cells.end);
            operations.push(Operation::ZeroRange(cells));
        }
        "mapwrite" => {
            extend(size, cells.end);
            operations.extend([Operation::Store(cells), Operation::Msync]);
        }
        other => {
            notes
                .push(format!("line {}: no operation of a case is {other}: left out", line.number));
        }
    }
}

//! A reproducer as a shell script with xfs_io: a process per actor, so that each has an address
//! space and an open file of its own. The processes of a race start together, and a shell hits a
//! window of microseconds rarely: the C form is made for that. What loads and reads return is not
//! looked at, only the file in the end.

use std::collections::BTreeSet;
use std::fmt::Write;

use anyhow::{Result, anyhow};
use mkwrite_model::case::{Effect, Operation};
use mkwrite_model::exec::TaskId;

use super::outcomes::{Outcomes, ending};
use super::{Call, INITIAL, LICENCE, PAGE, Program, Written};

/// Rounds of a race.
const ROUNDS: u32 = 200;

/// Writes it.
pub(crate) fn write(program: &Program) -> Result<Vec<Written>> {
    let outcomes = program.outcomes(false)?;
    let mut text =
        format!("#!/bin/sh\n# SPDX-License-Identifier: {LICENCE}\n#\n# {}\n#\n", program.name);
    text.push_str(&comments(program));
    let rounds = if program.races() { ROUNDS } else { 1 };
    let _ = write!(
        text,
        "#\n# Written by `mkwrite export`. Exit code: 0 nothing is wrong, 1 something is, 2 it could \
         not run.\n\nif [ $# -lt 1 ]; then\n\techo \"usage: $0 DIR [ROUNDS]\" >&2\n\texit 2\nfi\n\
         command -v xfs_io >/dev/null || PATH=$PATH:/usr/sbin:/sbin\ncommand -v xfs_io >/dev/null || \
         {{ echo \"xfs_io is missing: install xfsprogs\" >&2; exit 2; }}\nfile=$1/{}-$$\n\
         rounds=${{2:-{rounds}}}\n: >\"$file\" || exit 2\ntrap 'rm -f \"$file\"' EXIT\nwrong=0\n\n",
        program.name
    );
    text.push_str("# cell NUMBER BYTES: each byte of this cell is one of these, in hexadecimal.\n");
    let _ = write!(
        text,
        "cell() {{\n\t[ $(($1 * {0})) -lt \"$size\" ] || return 0\n\tfor byte in $(dd if=\"$file\" \
         bs={0} skip=\"$1\" count=1 2>/dev/null | od -An -v -tx1 | tr -s ' ' '\\n' | sort -u); do\n\
         \t\tcase \" $2 \" in\n\t\t*\" $byte \"*) ;;\n\t\t*)\n\t\t\techo \"round $round: cell $1 (at \
         $(($1 * {0}))) holds 0x$byte, and may hold: $2\"\n\t\t\tbad=1\n\t\t\t;;\n\t\tesac\n\tdone\n}}\n\n",
        program.cell()
    );
    text.push_str("round=0\nwhile [ $round -lt \"$rounds\" ]; do\n\tbad=0\n");
    for command in begin(program) {
        let _ = writeln!(text, "\t{command}");
    }
    for task in program.actors() {
        let _ = write!(text, "\txfs_io{}", actor(program, task, &outcomes.endings)?);
        let behind = if program.races() { " &" } else { "" };
        let _ = writeln!(text, " \\\n\t\t\"$file\" >/dev/null 2>&1{behind}");
    }
    if program.races() {
        text.push_str("\twait\n");
    }
    text.push_str(
        "\t# What the store holds, as far as that can be had without unmounting.\n\txfs_io -c fsync -c \
         'fadvise -d 0 0' \"$file\"\n\tsize=$(stat -c %s \"$file\")\n",
    );
    let _ = write!(
        text,
        "\tcase \" {} \" in\n\t*\" $size \"*) ;;\n\t*) echo \"round $round: the size is $size\"; bad=1 \
         ;;\n\tesac\n",
        sizes(program, &outcomes)
    );
    for (cell, may) in outcomes.content.iter().enumerate().filter(|(_, may)| !may.is_empty()) {
        let _ = writeln!(text, "\tcell {cell} \"{}\"", hex(may));
    }
    text.push_str(
        "\twrong=$((wrong + bad))\n\tround=$((round + 1))\ndone\necho \"$(basename \"$0\") on $1: $round \
         rounds, $wrong wrong\"\n[ $wrong -eq 0 ]\n",
    );
    Ok(vec![(".sh", text)])
}

/// What the reader is told, as comments.
pub(crate) fn comments(program: &Program) -> String {
    program.about().iter().map(|line| format!("# {line}").trim_end().to_owned() + "\n").collect()
}

/// The sizes that the file may have in the end, in bytes.
pub(crate) fn sizes(program: &Program, outcomes: &Outcomes) -> String {
    let bytes = |size: &u8| (usize::from(*size) * program.cell()).to_string();
    outcomes.sizes.iter().map(bytes).collect::<Vec<_>>().join(" ")
}

/// Values in hexadecimal.
pub(crate) fn hex(values: &BTreeSet<u8>) -> String {
    values.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// Commands that make the file as it is before a round.
pub(crate) fn begin(program: &Program) -> Vec<String> {
    let (cell, mut commands) = (program.cell(), vec!["truncate 0".to_owned()]);
    let initial = program.initial();
    let mut at = 0;
    while at < initial.len() {
        let end = (at..initial.len()).find(|n| initial[*n] != initial[at]).unwrap_or(initial.len());
        if initial[at] {
            commands.push(format!(
                "pwrite -q -S 0x{INITIAL:02x} {} {}",
                at * cell,
                (end - at) * cell
            ));
        }
        at = end;
    }
    commands.push(format!("truncate {}", usize::from(program.geometry.size) * cell));
    commands.push("fsync".to_owned());
    let all: Vec<String> = commands.iter().map(|command| format!("-c '{command}'")).collect();
    vec![format!("xfs_io {} \"$file\"", all.join(" "))]
}

/// The options of xfs_io for an actor.
pub(crate) fn actor(program: &Program, task: TaskId, endings: &[u8]) -> Result<String> {
    let bytes = usize::from(program.geometry.pages) * PAGE;
    let mut text = format!(" \\\n\t\t-c 'mmap -rw 0 {bytes}'");
    let last = program.calls_of(task).last().map(|(n, _)| n);
    for (n, call) in program.calls_of(task) {
        if endings[n] & ending::BUS != 0 && Some(n) != last {
            return Err(anyhow!("{} may end with SIGBUS, and xfs_io with it", program.words(call))
                .context("--as c handles the signal"));
        }
        for command in commands(program, call) {
            let _ = write!(text, " \\\n\t\t-c '{command}'");
        }
    }
    Ok(text)
}

/// A call as commands of xfs_io.
fn commands(program: &Program, call: &Call) -> Vec<String> {
    let cell = program.cell();
    let range = call.operation.range();
    let length = usize::from(range.end.saturating_sub(range.start));
    let cells = format!("{} {}", usize::from(range.start) * cell, length * cell);
    let pages = format!("{} {}", usize::from(range.start) * PAGE, length * PAGE);
    let whole = usize::from(program.geometry.pages) * PAGE;
    let (byte, one) = (call.byte, |text: String| vec![text]);
    match (call.operation, call.operation.effect()) {
        (_, Effect::Stores(_)) => one(format!("mwrite -S 0x{byte:02x} {cells}")),
        (_, Effect::Loads(_)) => one(format!("mread {cells}")),
        (_, Effect::Reads(_)) => one(format!("pread -q {cells}")),
        (_, Effect::Writes(_)) => one(format!("pwrite -q -S 0x{byte:02x} {cells}")),
        (_, Effect::Discards(_)) => one(format!("fpunch {cells}")),
        (_, Effect::Zeroes(_)) => one(format!("fzero {cells}")),
        (_, Effect::Reserves(_)) => one(format!("falloc -k {cells}")),
        (_, Effect::Extends(_)) => one(format!("falloc {cells}")),
        (_, Effect::Resizes(size)) => one(format!("truncate {}", usize::from(size) * cell)),
        (_, Effect::Syncs { mapping: false }) => one("fsync".to_owned()),
        (_, Effect::Syncs { mapping: true }) => one(format!("msync -s 0 {whole}")),
        (_, Effect::WritesBack { integrity: true, .. }) => one(format!("sync_range -baw {pages}")),
        (_, Effect::WritesBack { .. }) => one(format!("sync_range -w {pages}")),
        // xfs_io has no MADV_PAGEOUT.
        (Operation::Reclaim(_), _) => Vec::new(),
        (_, Effect::Drops { unmaps: true, .. }) => vec![
            format!("sync_range -baw {pages}"),
            format!("madvise -d {pages}"),
            format!("fadvise -d {pages}"),
        ],
        (_, Effect::Drops { .. }) => one(format!("fadvise -d {pages}")),
        (_, Effect::Maps) => one(format!("mmap -rw 0 {whole}")),
        (_, Effect::Unmaps) => one("munmap".to_owned()),
        (_, Effect::Copies { .. } | Effect::WritesMapped { .. } | Effect::Pins(_))
        | (_, Effect::Moves | Effect::Protects | Effect::Freezes | Effect::Nothing) => Vec::new(),
    }
}

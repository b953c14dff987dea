//! A reproducer as a C program. A case of one actor runs exactly; actors of several run as threads
//! that wait for each other where their calls do not overlap, and else for random times, round
//! after round. An address space is a mapping of its own in the one process.

use std::collections::BTreeSet;
use std::fmt::Write;

use anyhow::Result;
use mkwrite_model::case::{Effect, Operation};

use super::outcomes::Outcomes;
use super::{Call, INITIAL, LICENCE, PAGE, Program, Written, letter};

const TYPES: &str = include_str!("c/types.c");
const HELPERS: &str = include_str!("c/helpers.c");
const THREADS: &str = include_str!("c/threads.c");
const SOLO: &str = include_str!("c/solo.c");
const RACE: &str = include_str!("c/race.c");

/// Writes it.
pub(crate) fn write(program: &Program) -> Result<Vec<Written>> {
    let outcomes = program.outcomes(true)?;
    let mut text = head(program);
    text.push_str(&constants(program));
    text.push_str(TYPES);
    text.push_str(&tables(program, &outcomes));
    let actors = actors(program);
    let mut helpers = HELPERS.to_owned();
    if program.races() {
        helpers.push('\n');
        helpers.push_str(THREADS);
    }
    for name in ["store", "read_", "ended", "after"] {
        if !actors.contains(&format!("{name}(")) {
            remove(&mut helpers, name);
        }
    }
    text.push_str(&helpers);
    text.push_str(&actors);
    text.push_str(if program.races() { RACE } else { SOLO });
    Ok(vec![(".c", text)])
}

/// Takes a function out, with the comment before it: what is written has nothing that it does not
/// use.
fn remove(text: &mut String, name: &str) {
    let Some(at) = text
        .find(&format!("static int {name}("))
        .or_else(|| text.find(&format!("static void {name}(")))
    else {
        return;
    };
    let begin = text[..at].rfind("\n\n").map_or(at, |blank| blank + 2);
    let end = text[at..].find("\n}\n").map_or(text.len(), |end| at + end + 4);
    text.replace_range(begin..end, "");
}

fn head(program: &Program) -> String {
    let mut text = format!("// SPDX-License-Identifier: {LICENCE}\n/*\n * {}\n *\n", program.name);
    let libraries = if program.races() { " -pthread" } else { "" };
    let usage = [
        String::new(),
        "Written by `mkwrite export`. Bytes that a call puts into the file are its letter in the"
            .to_owned(),
        "tables below, `i` is what the file holds at first.".to_owned(),
        String::new(),
        format!("  gcc -O2 -Wall -Wextra{libraries} -o {0} {0}.c && ./{0} DIR", program.name),
        String::new(),
        "Exit code: 0 nothing is wrong, 1 something is, 2 it could not run.".to_owned(),
    ];
    for line in program.about().into_iter().chain(usage) {
        // A comment must not end here.
        let _ = writeln!(text, " * {}", line.replace("*/", "* /"));
    }
    text = text.replace(" * \n", " *\n");
    text.push_str(" */\n#define _GNU_SOURCE\n");
    let threads: &[&str] =
        if program.races() { &["pthread", "sched", "stdatomic", "stdint"] } else { &[] };
    let mut headers: Vec<&str> = [
        "errno", "fcntl", "setjmp", "signal", "stdarg", "stdio", "stdlib", "string", "sys/mman",
        "sys/stat", "time", "unistd",
    ]
    .into_iter()
    .chain(threads.iter().copied())
    .collect();
    headers.sort_unstable();
    for header in headers {
        let _ = writeln!(text, "#include <{header}.h>");
    }
    text
}

fn constants(program: &Program) -> String {
    let (g, cell) = (program.geometry, program.cell());
    let actors = program.actors().len();
    let mut text = format!("\n#define NAME \"{}\"\n", program.name);
    let _ = writeln!(
        text,
        "enum {{ PAGE = {PAGE}, PAGES = {}, CELL = {cell}, CELLS = {}, SIZE = {} }};\nenum {{ MMS \
         = {}, CALLS = {}{} }};\n",
        g.pages,
        g.file_cells(),
        usize::from(g.size) * cell,
        program.mms.iter().max().map_or(1, |mm| mm + 1),
        program.calls.len().max(1),
        if program.races() { format!(", ACTORS = {actors}") } else { String::new() },
    );
    text
}

/// Values as a string.
fn values(set: &BTreeSet<u8>) -> String {
    let letters: String = set.iter().map(|byte| letter(*byte)).collect();
    format!("\"{letters}\"")
}

fn tables(program: &Program, outcomes: &Outcomes) -> String {
    let cell = program.cell();
    let initial: String =
        program.initial().iter().map(|is| if *is { letter(INITIAL) } else { '0' }).collect();
    let mut text = format!(
        "/* Each cell at first, and at the end. */\nstatic const char initial[] = \"{initial}\";\n"
    );
    let content: Vec<String> = outcomes.content.iter().map(values).collect();
    let _ =
        writeln!(text, "static const char *const content[CELLS] = {{ {} }};\n", content.join(", "));
    let sizes: Vec<String> = outcomes
        .sizes
        .iter()
        .map(|size| format!("size == {}", usize::from(*size) * cell))
        .collect();
    let _ = writeln!(
        text,
        "/* The file may have this size at the end. */\nstatic int is_size(long size)\n{{\n\treturn \
         {};\n}}\n",
        sizes.join(" || ")
    );
    text.push_str(&calls(program, outcomes));
    text
}

/// What may come of each call.
fn calls(program: &Program, outcomes: &Outcomes) -> String {
    let mut text = "static const struct call calls[CALLS] = {\n".to_owned();
    for (n, call) in program.calls.iter().enumerate() {
        let range = call.operation.effect().returns();
        let returned: Vec<String> = outcomes.returned[n].iter().map(values).collect();
        let rest = match range {
            None => String::new(),
            Some(range) => {
                format!(", {}, {}, {{ {} }}", range.start, returned.len(), returned.join(", "))
            }
        };
        let _ = writeln!(
            text,
            "\t{{ .name = \"{}\", .may = {}{rest} }},",
            program.words(call),
            endings(outcomes.endings[n])
        );
    }
    text.push_str("};\n\n");
    text
}

fn endings(bits: u8) -> String {
    let names = ["OK", "BUS", "SEGV", "ERROR"];
    let all: Vec<&str> = names
        .into_iter()
        .enumerate()
        .filter(|(n, _)| bits >> n & 1 != 0)
        .map(|(_, name)| name)
        .collect();
    all.join(" | ")
}

/// The call in C. Those whose result says nothing are taken to succeed.
fn expression(program: &Program, n: usize, call: &Call) -> String {
    let cell = program.cell();
    let bytes = |n: u8| usize::from(n) * cell;
    let pages = |n: u8| usize::from(n) * PAGE;
    let (mm, range) = (program.mms[call.task.index()], call.operation.range());
    let (from, to) = (bytes(range.start), bytes(range.end));
    let (at, length) = (pages(range.start), pages(range.end).saturating_sub(pages(range.start)));
    let byte = char::from(call.byte);
    let written =
        "SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER";
    let allocated =
        |mode: &str| format!("ended(fallocate(fd, {mode}, {from}, {}))", to.saturating_sub(from));
    let dropped = format!("posix_fadvise(fd, {at}, {length}, POSIX_FADV_DONTNEED)");
    match (call.operation, call.operation.effect()) {
        (_, Effect::Stores(_)) => format!("store({mm}, {from}, {to}, '{byte}')"),
        (_, Effect::Loads(_)) => format!("load({mm}, {from}, {to}, {n})"),
        (_, Effect::Reads(_)) => format!("read_({from}, {to}, {n})"),
        (_, Effect::Writes(_)) => format!("write_({from}, {to}, '{byte}')"),
        (_, Effect::Discards(_)) => allocated("FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE"),
        (_, Effect::Zeroes(_)) => allocated("FALLOC_FL_ZERO_RANGE"),
        (_, Effect::Reserves(_)) => allocated("FALLOC_FL_KEEP_SIZE"),
        (_, Effect::Extends(_)) => allocated("0"),
        (_, Effect::Resizes(size)) => format!("ended(ftruncate(fd, {}))", bytes(size)),
        (_, Effect::Syncs { mapping: false }) => "ended(fsync(fd))".to_owned(),
        (_, Effect::Syncs { mapping: true }) => {
            format!("ended(msync(map[{mm}], PAGES * PAGE, MS_SYNC))")
        }
        (_, Effect::WritesBack { integrity, .. }) => {
            let flags = if integrity { written } else { "SYNC_FILE_RANGE_WRITE" };
            format!("(sync_file_range(fd, {at}, {length}, {flags}), OK)")
        }
        (Operation::Reclaim(_), _) => {
            format!("(madvise(map[{mm}] + {at}, {length}, MADV_PAGEOUT), OK)")
        }
        (_, Effect::Drops { unmaps: true, .. }) => format!(
            "(sync_file_range(fd, {at}, {length}, {written}), madvise(map[{mm}] + {at}, {length}, \
             MADV_DONTNEED), {dropped}, OK)"
        ),
        (_, Effect::Drops { .. }) => format!("({dropped}, OK)"),
        (_, Effect::Maps) => format!("place({mm}, 1)"),
        (_, Effect::Unmaps) => format!("place({mm}, 0)"),
        (_, Effect::Copies { .. } | Effect::WritesMapped { .. } | Effect::Pins(_))
        | (_, Effect::Moves | Effect::Protects | Effect::Freezes | Effect::Nothing) => {
            "OK".to_owned()
        }
    }
}

/// What runs: a function per actor, or `run` alone.
fn actors(program: &Program) -> String {
    let mut text = String::new();
    for task in program.actors() {
        let name = if program.races() { format!("actor_{task}") } else { "run".to_owned() };
        let _ = writeln!(text, "\nstatic void {name}(void)\n{{");
        for (n, call) in program.calls_of(task) {
            let _ = writeln!(text, "\t/* {} */", program.words(call));
            for other in &call.after {
                let _ = writeln!(text, "\tafter({other});");
            }
            if program.races() {
                text.push_str("\tdelay();\n");
            }
            let _ = writeln!(text, "\tresults[{n}] = {};", expression(program, n, call));
            let _ = writeln!(text, "\terrors[{n}] = errno;");
            if program.races() {
                let _ = writeln!(text, "\tatomic_store(&done[{n}], 1);");
            }
        }
        text.push_str("}\n");
    }
    if program.actors().is_empty() {
        text.push_str("\nstatic void run(void)\n{\n}\n");
    }
    text.push('\n');
    if program.races() {
        let all: Vec<String> =
            program.actors().iter().map(|task| format!("actor_{task}")).collect();
        let _ = writeln!(
            text,
            "static void *actor(void *number)\n{{\n\tstatic void (*const all[ACTORS])(void) = {{ \
             {} }};\n\n\tfor (;;) {{\n\t\tpthread_barrier_wait(&start);\n\t\tall[(intptr_t)number]();\
             \n\t\tpthread_barrier_wait(&stop);\n\t}}\n\treturn NULL;\n}}\n",
            all.join(", ")
        );
    }
    text
}

//! A reproducer as a test of xfstests: the test, and what it is to print. A case of one actor
//! prints the file after the filesystem was mounted anew; one of several is silent, and says what
//! is wrong. The test runs on the scratch device.

use std::fmt::Write;

use anyhow::Result;

use super::outcomes::Outcomes;
use super::sh::{actor, begin, comments, hex, sizes};
use super::{Program, Written};

/// Rounds of a race: each mounts the filesystem anew.
const ROUNDS: u32 = 50;

/// Writes it, and the file of what it prints.
pub(crate) fn write(program: &Program) -> Result<Vec<Written>> {
    let outcomes = program.outcomes(false)?;
    let mut text =
        "#! /bin/bash\n# SPDX-License-Identifier: GPL-2.0\n#\n# FS QA Test NNN\n#\n".to_owned();
    let _ = writeln!(text, "# {}\n#", program.name);
    text.push_str(&comments(program));
    text.push_str(
        "#\n# Written by `mkwrite export`: replace NNN by the test's number here, and in the file of \
         what it prints.\n#\n. ./common/preamble\n_begin_fstest auto quick rw mmap\n\n. ./common/filter\n\n\
         _require_scratch\n_require_xfs_io_command mmap\n_require_xfs_io_command mwrite\n\n\
         _scratch_mkfs >>$seqres.full 2>&1 || _fail \"mkfs failed\"\n_scratch_mount\nfile=$SCRATCH_MNT/file\n\
         touch $file\n\n",
    );
    let indent = if program.races() { "\t" } else { "" };
    if program.races() {
        text.push_str(&judge(program, &outcomes));
        let _ = writeln!(text, "for ((round = 0; round < {ROUNDS}; round++)); do");
    }
    for command in begin(program) {
        let command = command.replacen("xfs_io", "$XFS_IO_PROG", 1).replace("\"$file\"", "$file");
        let _ = writeln!(text, "{indent}{command} >>$seqres.full");
    }
    for task in program.actors() {
        let commands =
            actor(program, task, &outcomes.endings)?.replace("\n\t\t", &format!("\n{indent}\t"));
        let behind = if program.races() { " &" } else { "" };
        let _ = writeln!(
            text,
            "{indent}$XFS_IO_PROG{commands} \\\n{indent}\t$file >>$seqres.full 2>&1{behind}"
        );
    }
    if program.races() {
        text.push_str("\twait\n");
    }
    let _ = writeln!(text, "{indent}$XFS_IO_PROG -c fsync $file");
    let _ = writeln!(text, "{indent}_scratch_cycle_mount");
    let mut printed = "QA output created by NNN\n".to_owned();
    if program.races() {
        text.push_str("\tjudge\ndone\n\necho \"Silence is golden\"\n");
        printed.push_str("Silence is golden\n");
    } else {
        text.push_str("\nstat -c \"size %s\" $file\nod -A d -t x1 $file\n");
        printed.push_str(&dump(program, &outcomes));
    }
    text.push_str("\nstatus=0\nexit\n");
    Ok(vec![("", text), (".out", printed)])
}

/// A function that says what is wrong with size and content.
fn judge(program: &Program, outcomes: &Outcomes) -> String {
    let cell = program.cell();
    let mut text =
        "# Which bytes each cell may hold, by the order in which the calls may come.\n".to_owned();
    text.push_str("may=(");
    for set in &outcomes.content {
        let _ = write!(text, " \"{}\"", hex(set));
    }
    let _ = write!(
        text,
        " )\njudge()\n{{\n\tlocal size=$(stat -c %s $file) cell byte\n\n\t[[ \" {} \" == *\" $size \"* ]] || \
         echo \"round $round: the size is $size\"\n\tfor ((cell = 0; cell * {cell} < size; cell++)); do\n\
         \t\tfor byte in $(dd if=$file bs={cell} skip=$cell count=1 2>/dev/null | od -An -v -tx1 | tr -s ' ' \
         '\\n' | sort -u); do\n\t\t\t[[ \" ${{may[cell]}} \" == *\" $byte \"* ]] ||\n\t\t\t\techo \"round \
         $round: cell $cell holds 0x$byte, may hold ${{may[cell]}}\"\n\t\tdone\n\tdone\n}}\n\n",
        sizes(program, outcomes)
    );
    text
}

/// What `stat` and `od` print of the file in the end.
fn dump(program: &Program, outcomes: &Outcomes) -> String {
    let cell = program.cell();
    let size = outcomes.sizes.first().copied().unwrap_or(0);
    let byte = |cell: u8| outcomes.content[usize::from(cell)].first().copied().unwrap_or(0);
    let mut text = format!("size {}\n", usize::from(size) * cell);
    for at in (0..size).filter(|at| *at == 0 || byte(*at) != byte(at - 1)) {
        let line = vec![format!("{:02x}", byte(at)); 16].join(" ");
        // Lines that repeat are a star.
        let _ = writeln!(text, "{:07} {line}\n*", usize::from(at) * cell);
    }
    let _ = writeln!(text, "{:07}", usize::from(size) * cell);
    text
}

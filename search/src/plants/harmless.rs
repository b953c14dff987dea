//! Planted bugs that can do no harm on some pairs although their step is there.

use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_model::plant::Plant;
use wildmatch::WildMatch;

/// A bug that does no harm on some pairs, and the reason: (plant, pattern of pairs, why).
pub const HARMLESS: &[(Plant, &str, &str)] = &[
    (
        Plant::CutSkipsWait,
        "nfs@*",
        "setattr flushes and waits before it truncates, and a WRITE carries cells of the file, not blocks",
    ),
    (
        Plant::FsyncSkipsWait,
        "nfs@2.6.*",
        "->fsync of these versions waits for every request itself",
    ),
    (
        Plant::DirtyPageOnly,
        "block@*",
        "page_mkwrite and write_end have marked every block below i_size already",
    ),
    (
        Plant::DirtyPageOnly,
        "ext4@*",
        "page_mkwrite and write_end have marked every block below i_size already",
    ),
    (Plant::WriteFillsHoles, "ext4@*", "it may reserve more blocks than it must, and declares so"),
    (
        Plant::DirtyPageOnly,
        "fsblock@*",
        "page_mkwrite and write_end have marked every block below i_size already",
    ),
    (
        Plant::WriteFillsHoles,
        "fsblock@2007*",
        "it may allocate more blocks than it must, and declares so",
    ),
    (
        Plant::WriteFillsHoles,
        "filemap@*",
        "it may allocate more blocks than it must, and declares so",
    ),
    (Plant::WriteFillsHoles, "ext3@*", "it may allocate more blocks than it must, and declares so"),
    (Plant::WpSkipsLockWait, "driver@*", "a device mapping is never written back"),
    (
        Plant::ExtendKeepsWritable,
        "filemap@*",
        "nothing is tied to a dirty page: writepage finds the blocks of what was stored late",
    ),
    (
        Plant::ExtendKeepsWritable,
        "ext3@*",
        "nothing is tied to a dirty page: writepage finds the blocks of what was stored late",
    ),
    (Plant::CutSkipsWait, "tmpfs@*", "nothing is ever under writeback"),
    (Plant::FsyncSkipsWait, "tmpfs@*", "nothing is ever under writeback"),
    (Plant::CancelUncounted, "tmpfs@*", "dirty pages are not counted"),
    (Plant::SizeAfterUnlock, "tmpfs@*", "no writeback looks at i_size in between"),
    (Plant::ReclaimsPinned, "block@*", "what was taken is made anew, with every block dirty"),
    (Plant::ReclaimsPinned, "filemap@*", "what was taken is made anew, with every block dirty"),
    (Plant::ReclaimsPinned, "xfs@*", "what was taken is made anew, with every block dirty"),
    (Plant::ReclaimsPinned, "tmpfs@*", "pages have no private data"),
    (Plant::PinDirtiedEarly, "tmpfs@*", "nothing cleans a page"),
    (Plant::PinDirtiedEarly, "driver@*", "a device mapping is never written back"),
    (Plant::ZapFlushesLate, "tmpfs@*", "nothing cleans a page"),
    (Plant::ZapFlushesLate, "driver@*", "a device mapping is never written back"),
    (Plant::MremapFlushesLate, "tmpfs@*", "nothing cleans a page"),
    (Plant::MremapFlushesLate, "driver@*", "a device mapping is never written back"),
];

/// Why this bug does no harm on this pair, if so.
pub(super) fn harmless<F: Filesystem>(plant: Plant, pair: Pair<F>) -> Option<&'static str> {
    let name = pair.to_string();
    let row = HARMLESS
        .iter()
        .find(|(bug, pairs, _)| *bug == plant && WildMatch::new(pairs).matches(&name));
    row.map(|(_, _, why)| *why)
}

//! What page_mkwrite and faults return, and which of it a version of the kernel understands.

/// A return of page_mkwrite or of a fault: bits of VM_FAULT, a negative errno, or, where errnos are
/// the convention, any other number for success (NFS of 2.6.29 returns a length).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Code(pub i32);

/// Nothing to report. Of page_mkwrite: success, and the page is unlocked.
pub const OK: Code = Code(0);
/// Success: the page is locked.
pub const LOCKED: Code = Code(0x200);
/// Nothing installed: retry the fault.
pub const NOPAGE: Code = Code(0x100);
/// The fault is done, and mmap_lock is dropped (5.1 and later as RETRY, 6.0 and later so).
pub const COMPLETED: Code = Code(0x4000);
/// Out of memory.
pub const OOM: Code = Code(0x1);
/// Deliver SIGBUS.
pub const SIGBUS: Code = Code(0x2);
/// Deliver SIGSEGV.
pub const SIGSEGV: Code = Code(0x40);
/// The bits that are errors (VM_FAULT_ERROR).
pub const ERROR: Code = Code(OOM.0 | SIGBUS.0 | SIGSEGV.0);
/// -EINVAL, as the int-returning page_mkwrite uses it for "the page was truncated".
pub const EINVAL: Code = Code(-22);
/// -ENOSPC.
pub const ENOSPC: Code = Code(-28);

impl Code {
    /// Any of these bits is set. An errno has nearly every bit.
    #[inline]
    pub const fn has(self, bits: Code) -> bool {
        self.0 & bits.0 != 0
    }

    /// It is negative.
    pub const fn is_errno(self) -> bool {
        self.0 < 0
    }

    /// Without these bits.
    #[must_use]
    pub const fn without(self, bits: Code) -> Code {
        Code(self.0 & !bits.0)
    }
}

impl std::ops::BitOr for Code {
    type Output = Code;

    fn bitor(self, other: Code) -> Code {
        Code(self.0 | other.0)
    }
}

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
    pub const fn is_failure(self, code: Code) -> bool {
        let fails = !matches!(self, Convention::Errno) && code.has(ERROR);
        code.is_errno() || code.has(NOPAGE) || fails
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

//! Stores and loads through a mapping that may fault: SIGBUS and SIGSEGV become a result.
//!
//! The copy is a leaf function in assembly that uses no stack. The signal handler looks at the
//! instruction that faulted: inside that function it moves the program counter to its exit with the
//! signal as the result; anywhere else it restores the default action, so that a fault of our own
//! kills the program as ever. That needs no jump buffer, no thread-local state and no C compiler (a
//! C shim with siglongjmp would), and Rust code is never left by a jump.

use std::arch::global_asm;
use std::io;
use std::sync::Once;

// mkwrite_copy(to, from, words): copies words one by one, upwards. Returns 0, or the signal with
// the words that were copied, by `result`. The register that counts them is known to the handler.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl mkwrite_copy",
    ".globl mkwrite_copy_out",
    "mkwrite_copy:",
    "    test rdx, rdx",
    "    jz 3f",
    "    xor ecx, ecx",
    "2:",
    "    mov rax, [rsi + rcx * 8]",
    "    mov [rdi + rcx * 8], rax",
    "    inc rcx",
    "    cmp rcx, rdx",
    "    jb 2b",
    "3:",
    "    xor eax, eax",
    "mkwrite_copy_out:",
    "    ret",
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl mkwrite_copy",
    ".globl mkwrite_copy_out",
    "mkwrite_copy:",
    "    cbz x2, 3f",
    "    mov x3, xzr",
    "2:",
    "    ldr x4, [x1, x3, lsl #3]",
    "    str x4, [x0, x3, lsl #3]",
    "    add x3, x3, #1",
    "    cmp x3, x2",
    "    b.lo 2b",
    "3:",
    "    mov x0, xzr",
    "mkwrite_copy_out:",
    "    ret",
);

unsafe extern "C" {
    fn mkwrite_copy(to: *mut u64, from: *const u64, words: usize) -> usize;
    fn mkwrite_copy_out();
}

/// A store or load was answered with a signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Which.
    pub signal: Signal,
    /// Words that were copied before.
    pub words: usize,
}

/// The signals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// SIGBUS: no page of the file there, or no room for it.
    Bus,
    /// SIGSEGV: no mapping there.
    Segv,
}

/// What the copy returns after a fault.
const fn result(signal: libc::c_int, words: u64) -> u64 {
    words << 8 | signal as u64
}

extern "C" fn handler(signal: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel calls this with SA_SIGINFO, so that the third argument is this thread's
    // ucontext_t.
    let context = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext };
    #[cfg(target_arch = "x86_64")]
    let at = context.gregs[libc::REG_RIP as usize] as usize;
    #[cfg(target_arch = "aarch64")]
    let at = context.pc as usize;
    let out = mkwrite_copy_out as *const () as usize;
    if !(mkwrite_copy as *const () as usize..out).contains(&at) {
        // SAFETY: signal(2) may be called here; the instruction faults again, and the default
        // action ends the program.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        return;
    }
    #[cfg(target_arch = "x86_64")]
    {
        let words = context.gregs[libc::REG_RCX as usize] as u64;
        context.gregs[libc::REG_RIP as usize] = out as i64;
        context.gregs[libc::REG_RAX as usize] = result(signal, words) as i64;
    }
    #[cfg(target_arch = "aarch64")]
    {
        context.pc = out as u64;
        context.regs[0] = result(signal, context.regs[3]);
    }
}

/// Installs the handler, once per program.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for signal in [libc::SIGBUS, libc::SIGSEGV] {
            // SAFETY: all zeros are a valid sigaction; the handler has the type that SA_SIGINFO
            // asks for, and calls nothing but what is safe in a signal handler. SA_ONSTACK leaves
            // Rust's own guard pages working.
            let result = unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = handler as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                libc::sigaction(signal, &action, std::ptr::null_mut())
            };
            assert_eq!(result, 0, "sigaction: {}", io::Error::last_os_error());
        }
    });
}

/// Copies words, one of the two sides being memory that may fault. What was copied before a fault
/// stays.
///
/// # Safety
/// Each side is valid for so many words, or memory whose access raises SIGBUS or SIGSEGV; nothing
/// else in this process may be there. Other threads and processes may change it at the same time:
/// words are read and written whole.
pub unsafe fn copy(to: *mut u64, from: *const u64, words: usize) -> Result<(), Fault> {
    install();
    // SAFETY: by this function's contract; the assembly touches nothing else.
    let result = unsafe { mkwrite_copy(to, from, words) };
    match (result & 0xff) as libc::c_int {
        0 => Ok(()),
        signal => {
            let signal = if signal == libc::SIGBUS { Signal::Bus } else { Signal::Segv };
            Err(Fault { signal, words: result >> 8 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_copied() {
        let (from, mut to) = ([1, 2, 3], [0; 4]);
        // SAFETY: both are arrays of at least three words.
        let copied = unsafe { copy(to.as_mut_ptr(), from.as_ptr(), 3) };
        assert_eq!((copied, to), (Ok(()), [1, 2, 3, 0]));
        // SAFETY: no word is touched.
        assert_eq!(unsafe { copy(std::ptr::null_mut(), std::ptr::null(), 0) }, Ok(()));
    }

    #[test]
    fn no_mapping_is_segv_and_beyond_the_end_of_the_file_is_bus() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        let map = |protection, fd| {
            let flags =
                if fd < 0 { libc::MAP_PRIVATE | libc::MAP_ANONYMOUS } else { libc::MAP_SHARED };
            // SAFETY: a new mapping at an address of the kernel's choice.
            let at = unsafe { libc::mmap(std::ptr::null_mut(), 8192, protection, flags, fd, 0) };
            assert_ne!(at, libc::MAP_FAILED);
            at.cast::<u64>()
        };
        let fault = |signal, words| Err(Fault { signal, words });
        let none = map(libc::PROT_NONE, -1);
        let both = map(libc::PROT_READ | libc::PROT_WRITE, std::os::fd::AsRawFd::as_raw_fd(&file));
        let mut own = [7u64; 600];
        // SAFETY: `none` faults, `both` is a mapping of 1,024 words, `own` has 600.
        unsafe {
            assert_eq!(copy(none, own.as_ptr(), 1), fault(Signal::Segv, 0));
            assert_eq!(copy(own.as_mut_ptr(), none, 1), fault(Signal::Segv, 0));
            assert_eq!(copy(both.add(512), own.as_ptr(), 1), fault(Signal::Bus, 0));
            assert_eq!(copy(both, own.as_ptr(), 600), fault(Signal::Bus, 512));
            assert_eq!(copy(own.as_mut_ptr(), both.add(511), 1), Ok(()));
        }
        assert_eq!(own[0], 7);
    }
}

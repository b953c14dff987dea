//! Boots a kernel and shows what its agent says.
use mkwrite_vm::*;
use std::time::{Duration, Instant};
fn main() -> anyhow::Result<()> {
    let series = std::env::args().nth(1).unwrap_or("6.1".into());
    let t = Instant::now();
    let cache = cache::Cache::of_user()?;
    let tools = packages::Root::of(
        &cache,
        "tools",
        &["busybox-static", "kmod", "e2fsprogs", "xfsprogs", "btrfs-progs", "nfs-kernel-server", "nfs-common"],
    )?;
    println!("tools {:?}", t.elapsed());
    let kernel = kernel::resolve(&cache, &tools, &series, None)?;
    println!("kernel {kernel:?} {:?}", t.elapsed());
    let built = build::build(&cache, &kernel)?;
    println!("built {:?}", t.elapsed());
    let qemu = qemu::Qemu::find(&cache)?;
    println!("qemu {} {:?}", qemu.version()?, t.elapsed());
    let dir = tempfile::tempdir()?;
    let initramfs = dir.path().join("initramfs");
    initramfs::write(
        &initramfs,
        &initramfs::Content {
            tools: &tools,
            programs: &[],
            files: &[("bin/agent", &built.agent), ("stopper.ko", &built.stopper), ("toyfs.ko", &built.toyfs)],
            modules: &[],
        },
    )?;
    let log = dir.path().join("log");
    let mut guest = guest::Guest::boot(&qemu::Machine {
        qemu: &qemu,
        kernel: &kernel,
        initramfs: &initramfs,
        log: &log,
        memory_mib: 1024,
        cpus: 2,
    })?;
    println!("up {:?}", t.elapsed());
    for c in ["uname -a", "insmod /stopper.ko", "insmod /toyfs.ko", "cut -d' ' -f1 /proc/uptime"] {
        println!("{c}: {:?}", guest.run(c, Duration::from_secs(20)));
    }
    println!("{:?}", guest.ask("symbols", Duration::from_secs(60))?);
    println!("{:?}", guest.ask("code do_page_mkwrite", Duration::from_secs(60))?);
    println!("{:?}", guest.ask("name 0xffffffff81000000", Duration::from_secs(60))?);
    println!("{:?} {}", t.elapsed(), guest.log());
    Ok(())
}

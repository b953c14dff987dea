//! Scratch.
use mkwrite_vm::*;
use std::time::{Duration, Instant};
fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let t = Instant::now();
    let parts = session::Parts::prepare(&args[1], None)?;
    println!("prepared {:?}", t.elapsed());
    let fs = filesystems::named(&args[2].split(',').map(str::to_owned).collect::<Vec<_>>())?;
    let mut s = session::Session::boot(&parts, &fs)?;
    println!("up {:?}", t.elapsed());
    for c in &args[3..] {
        if let Ok(site) = c.parse() {
            println!("{c}: {:?}", s.probe(&site)?);
            continue;
        }
        for l in s.guest.run(c, Duration::from_secs(60))? {
            println!("{l}");
        }
    }
    println!("{:?} {:?}", t.elapsed(), s.findings());
    Ok(())
}

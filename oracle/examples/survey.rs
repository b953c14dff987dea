use std::collections::BTreeMap;
use mkwrite_impls::Builtin;
use mkwrite_model::implementation::{Pair, Registry};
use mkwrite_model::callers::Caller;
use mkwrite_model::schedule::{self, Kind, Run, Scheduler};
use mkwrite_model::{Case, End, Machine, Setup};
use mkwrite_oracle::Judge;
struct Go<'a> { m: &'a mut Machine<Builtin>, s: Setup<'a, Builtin>, j: &'a mut Judge }
impl Run<(End, u32)> for Go<'_> {
    fn run(self, s: &mut impl Scheduler) -> (End, u32) { self.m.run(self.s, s, self.j) }
}
struct Tr<'a> { m: &'a mut Machine<Builtin>, s: Setup<'a, Builtin>, j: &'a mut Judge }
impl Run<()> for Tr<'_> {
    fn run(self, s: &mut impl Scheduler) {
        let mut l = mkwrite_model::trace::Lines::default();
        self.m.run(self.s, s, &mut (self.j, &mut l));
        for x in l.0 { println!("{x}"); }
    }
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    if a[1] == "trace" {
        // trace impl caller aligned seed index
        let fs = Builtin::by_name(&a[2]).unwrap();
        let pair = Pair::new(fs, Caller::from_name(&a[3]).unwrap()).unwrap();
        let (seed, i): (u64, u64) = (a[5].parse().unwrap(), a[6].parse().unwrap());
        let mut case = Case::default();
        mkwrite_model::generate::Generator::new(a[4] == "aligned").generate(seed, i, &mut case);
        println!("{case:?}");
        let (mut m, mut j) = (Machine::<Builtin>::default(), Judge::default());
        let plant = a.get(7).map(|s| mkwrite_model::plant::Plant::from_name(s).unwrap());
        schedule::with(Kind::portfolio((i * 7) as u32), mkwrite_model::generate::random(seed, i, 1), 100, Tr { m: &mut m, s: Setup { case: &case, pair, plant }, j: &mut j });
        for b in j.breaches() { println!("{b:?}"); }
        return;
    }
    let root = std::env::var("ROOT").is_ok();
    let n: u64 = a[1].parse().unwrap();
    let aligned = a[2] == "aligned";
    let seed: u64 = a[3].parse().unwrap();
    let only = a.get(4).map(|s| s.as_str()).unwrap_or("");
    let caller = a.get(5).map(|s| Caller::from_name(s).unwrap());
    let plant = a.get(6).map(|s| mkwrite_model::plant::Plant::from_name(s).unwrap());
    let g = mkwrite_model::generate::Generator::new(aligned);
    for &fs in Builtin::all() {
        if !only.is_empty() && !only.split(',').any(|o| o == fs.name()) { continue; }
        let pair = match caller { Some(c) => match Pair::new(fs, c) { Ok(p) => p, Err(_) => continue }, None => Pair::natural(fs) };
        let t = std::time::Instant::now();
        let mut m = Machine::<Builtin>::default();
        let mut j = Judge::default();
        let mut case = Case::default();
        let mut found: BTreeMap<(String, &str, &str, &str), (u64, u64)> = BTreeMap::new();
        let (mut steps, mut und) = (0u64, 0u64);
        for i in 0..n {
            g.generate(seed, i, &mut case);
            let kind = Kind::portfolio((i * 7) as u32);
            let setup = Setup { case: &case, pair, plant };
            let (_, st) = schedule::with(kind, mkwrite_model::generate::random(seed, i, 1), 100, Go { m: &mut m, s: setup, j: &mut j });
            steps += st as u64;
            und += j.is_undecided() as u64;
            for b in j.breaches().take(if root { 1 } else { 99 }) {
                let e = found.entry((b.rule.id().to_string(), b.point.name(), b.operation, b.what)).or_insert((0, i));
                e.0 += 1;
            }
        }
        let dt = t.elapsed().as_secs_f64();
        println!("== {pair}: {:.0} runs/s {:.1} ns/step undecided {und}", n as f64 / dt, dt * 1e9 / steps as f64);
        for ((r, p, o, w), (c, i)) in found { println!("  {r:12} {p:26} {o:12} {c:8} first {i:8}  {w}"); }
    }
}

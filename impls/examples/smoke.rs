use mkwrite_impls::Builtin;
use mkwrite_model::implementation::{Pair, Registry};
use mkwrite_model::schedule::{self, Kind, Run, Scheduler};
use mkwrite_model::{Case, End, Machine, Setup};
struct Go<'a> { m: &'a mut Machine<Builtin>, s: Setup<'a, Builtin> }
impl Run<(End, u32)> for Go<'_> {
    fn run(self, s: &mut impl Scheduler) -> (End, u32) { self.m.run(self.s, s, &mut ()) }
}
fn main() {
    let n: u64 = std::env::args().nth(1).unwrap().parse().unwrap();
    let mut m = Machine::<Builtin>::default();
    let mut case = Case::default();
    let g = mkwrite_model::generate::Generator::new(false);
    for &fs in Builtin::all() {
        let pair = Pair::natural(fs);
        let t = std::time::Instant::now();
        let (mut steps, mut ends) = (0u64, [0u64; 4]);
        for i in 0..n {
            g.generate(1, i, &mut case);
            let kind = Kind::portfolio((i * 7) as u32);
            let setup = Setup { case: &case, pair, plant: None };
            let (end, st) = schedule::with(kind, mkwrite_model::generate::random(1, i, 1), 100, Go { m: &mut m, s: setup });
            steps += st as u64;
            ends[end as usize] += 1;
            if end == End::Stuck || end == End::Livelock { if ends[2]+ends[3] < 4 { println!("case {i} {end:?} {case:?}"); } }
        }
        let dt = t.elapsed().as_secs_f64();
        println!("{pair}: {ends:?} {:.0} runs/s {:.1} ns/step {:.1} steps/run", n as f64 / dt, dt * 1e9 / steps as f64, steps as f64 / n as f64);
    }
}

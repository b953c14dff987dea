//! Tasks on several threads, and when they end early.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

/// Does tasks `0..count` on `jobs` threads, each of which has a state of its own and takes the next
/// task when it is done with one. Begins no task once `is_over` says so, or after a panic.
pub fn parallel<S>(
    jobs: usize,
    count: usize,
    is_over: impl Fn() -> bool + Sync,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) + Sync,
) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, count.max(1)) {
            scope.spawn(|| {
                let _none_after_a_panic = NoneAfterPanic(&next, count);
                let mut state = state();
                while !is_over() {
                    match next.fetch_add(1, Ordering::Relaxed) {
                        task if task < count => work(&mut state, task),
                        _ => break,
                    }
                }
            });
        }
    });
}

/// Leaves no task to the other threads if this one panics, so that the panic is seen at once.
struct NoneAfterPanic<'a>(&'a AtomicUsize, usize);

impl Drop for NoneAfterPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(self.1, Ordering::Relaxed);
        }
    }
}

/// What comes of tasks `0..count`, in order, done on `jobs` threads.
pub fn each<T: Send>(jobs: usize, count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let results = Mutex::new(Vec::with_capacity(count));
    let work = |(): &mut (), n: usize| {
        let result = work(n);
        results.lock().expect("nothing panics while it is held").push((n, result));
    };
    parallel(jobs, count, || false, || (), work);
    let mut results = results.into_inner().expect("nothing panicked");
    results.sort_unstable_by_key(|(n, _)| *n);
    results.into_iter().map(|(_, result)| result).collect()
}

/// When work ends early, with the best so far.
#[derive(Clone, Copy, Debug)]
pub struct Until<'a> {
    /// Somebody has set this flag.
    pub stop: &'a AtomicBool,
    /// It is this late. What was done until then depends on the speed of the machine.
    pub deadline: Option<Instant>,
}

impl Until<'_> {
    /// It is to end now.
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
            || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

impl<'a> From<&'a AtomicBool> for Until<'a> {
    fn from(stop: &'a AtomicBool) -> Until<'a> {
        Until { stop, deadline: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_task_is_done_once_on_any_number_of_threads() {
        for jobs in [0, 1, 3, 100] {
            let done = Mutex::new(Vec::new());
            parallel(jobs, 20, || false, || (), |(), task| done.lock().unwrap().push(task));
            let mut done = done.into_inner().unwrap();
            done.sort_unstable();
            assert_eq!(done, (0..20).collect::<Vec<_>>());
        }
        parallel(4, 0, || false, || (), |(), _| panic!("there is no task"));
    }

    #[test]
    fn a_panic_ends_the_work() {
        let (begun, panics) = (AtomicUsize::new(0), AtomicBool::new(false));
        let work = |(): &mut (), task: usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            if task == 1 {
                panics.store(true, Ordering::Relaxed);
                std::panic::resume_unwind(Box::new("quietly, and so at once"));
            }
            while !panics.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_millis(100)); // until the panic has gone its way
        };
        let all = || parallel(2, 1000, || false, || (), work);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(all)).is_err());
        assert_eq!(begun.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn results_are_in_the_order_of_the_tasks() {
        for jobs in [1, 3] {
            assert_eq!(each(jobs, 20, |n| n * n), (0..20).map(|n| n * n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_task_begins_when_it_is_over() {
        let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
        let work = |_: &mut (), task| {
            done.fetch_add(1, Ordering::Relaxed);
            stop.store(task == 4, Ordering::Relaxed);
        };
        parallel(1, 20, || Until::from(&stop).is_over(), || (), work);
        assert_eq!(done.into_inner(), 5);
    }

    #[test]
    fn it_is_over_at_the_deadline_or_when_somebody_says_so() {
        let (now, stop) = (Instant::now(), AtomicBool::new(false));
        let until = |deadline| Until { stop: &stop, deadline };
        assert!(!until(None).is_over() && !until(Some(now + Duration::from_secs(3600))).is_over());
        assert!(until(Some(now)).is_over());
        assert!(Until::from(&AtomicBool::new(true)).is_over());
    }
}

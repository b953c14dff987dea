//! Records what another scheduler chose, as stops that [`Order`](super::Order) replays.
//!
//! Every switch of tasks becomes one stop for the task that was left: at a point if it could have
//! gone on, without a point if it had blocked or finished.

use super::{Arrivals, Scheduler, View};
use crate::case::Stop;
use crate::exec::TaskId;
use crate::point::Point;

/// Passes the choices of another scheduler on, and records them as stops.
pub struct Recorder<'a, S> {
    inner: &'a mut S,
    stops: Vec<Stop>,
    last: Option<TaskId>,
    arrivals: Arrivals,
}

impl<'a, S: Scheduler> Recorder<'a, S> {
    /// Records the choices of `inner`.
    pub fn new(inner: &'a mut S) -> Recorder<'a, S> {
        Recorder { inner, stops: Vec::new(), last: None, arrivals: Arrivals::new() }
    }

    /// What was chosen. The last stretch has no switch at its end: a crash may have ended it.
    pub fn into_stops(mut self) -> Vec<Stop> {
        if let Some(task) = self.last {
            self.stops.push(Stop {
                task,
                slot: self.arrivals.slot(task),
                point: None,
                occurrence: 1,
            });
        }
        self.stops
    }
}

impl<S: Scheduler> Scheduler for Recorder<'_, S> {
    fn pick(&mut self, runnable: u32, view: &impl View) -> TaskId {
        // The slot in which the last task worked, before its new place is noted.
        let slot = self.last.map_or(0, |task| self.arrivals.slot(task));
        self.arrivals.update(self.last, view);
        let task = self.inner.pick(runnable, view);
        if let Some(last) = self.last.filter(|last| *last != task) {
            let at = view.at(last);
            self.stops.push(if runnable & last.bit() == 0 {
                Stop { task: last, slot, point: None, occurrence: 1 }
            } else {
                let occurrence = self.arrivals.count(last, at.point);
                Stop { task: last, slot: at.slot, point: Point::from_number(at.point), occurrence }
            });
        }
        self.last = Some(task);
        task
    }

    fn yielded(&mut self, tasks: u32) {
        self.inner.yielded(tasks);
    }
}

//! Replay by named points: a list of (task, slot, point, occurrence), each "run this task until it
//! stands there", and in between and after the list every task runs until it blocks, the lowest
//! first.
//!
//! A stop that cannot be reached any more (its task has finished the slot) is passed over and
//! remembered in [`Order::missed`]; while the task of a stop is blocked the others run. So a replay
//! always ends, and says where it departed from what was asked.

use super::{Arrivals, Scheduler, View};
use crate::case::Stop;
use crate::exec::{TaskId, bits};

/// Replays a list of stops at named points.
pub struct Order<'a> {
    stops: &'a [Stop],
    next: usize,
    current: Option<TaskId>,
    arrivals: Arrivals,
    /// The stops that were never reached, as indices into the list.
    pub missed: Vec<usize>,
}

impl<'a> Order<'a> {
    /// Replays these stops.
    pub fn new(stops: &'a [Stop]) -> Order<'a> {
        Order { stops, next: 0, current: None, arrivals: Arrivals::new(), missed: Vec::new() }
    }

    /// Stops that were passed, reached or not.
    pub fn passed(&self) -> usize {
        self.next
    }

    /// The task of the next stop that is not reached yet.
    fn head(&mut self, runnable: u32, view: &impl View) -> Option<TaskId> {
        while let Some(stop) = self.stops.get(self.next) {
            let task = stop.task;
            let at = view.at(task);
            let over = view.live() & task.bit() == 0 || at.slot > stop.slot;
            let blocked = runnable & task.bit() == 0;
            match stop.point {
                None if over || blocked => {}
                Some(_) if over => {
                    self.missed.push(self.next);
                }
                Some(point)
                    if at.slot == stop.slot
                        && at.point == point.number()
                        && self.arrivals.count(task, at.point) >= stop.occurrence => {}
                _ => return Some(task),
            }
            self.next += 1;
        }
        None
    }
}

impl Scheduler for Order<'_> {
    fn pick(&mut self, runnable: u32, view: &impl View) -> TaskId {
        self.arrivals.update(self.current, view);
        let wanted = self.head(runnable, view).or(self.current);
        let task = match wanted {
            Some(task) if runnable & task.bit() != 0 => task,
            _ => bits(runnable).next().expect("some task is runnable"),
        };
        self.current = Some(task);
        task
    }
}

//! The case of a document, once all of it is read: is it whole, does the schedule name slots that
//! exist, and would [`Case::fix_up`] leave it as it is? What it would clamp is an error here.

use super::parse::Builder;
use super::words::{Parsed, error};
use super::{Document, Span};
use crate::case::{Actor, Case, Operation, PAGES_MAX, Schedule};
use crate::geometry::FIELDS;

impl Builder {
    /// Puts the case together and checks it. `end` is where the text ends.
    pub(super) fn finish(&mut self, end: usize) -> Parsed<Document> {
        let end = end..end;
        let Some(file) = self.file.clone() else {
            return error(
                &end,
                "no `file` statement",
                "file pages 1 cells 4 blocks 1 size 4 mms 1",
            );
        };
        self.put_operations()?;
        self.put_schedule(&end)?;
        self.slots_exist()?;
        let mut fixed = self.document.case.clone();
        fixed.fix_up();
        self.shape_is_kept(&fixed, &file)?;
        self.program_is_kept(&fixed, &end)?;
        Ok(std::mem::take(&mut self.document))
    }

    /// Gives the actors their operations.
    fn put_operations(&mut self) -> Parsed<()> {
        let case = &mut self.document.case;
        case.actors = self
            .actors
            .iter()
            .map(|(_, mm, _)| Actor { mm: *mm, operations: Vec::new() })
            .collect();
        for (task, slot, operation, span) in &self.operations {
            let Some(actor) = case.actors.get_mut(task.index()) else {
                return error(
                    span,
                    format!("actor {task} is not declared"),
                    format!("actor {task} mm 0"),
                );
            };
            if *slot >= case.limits.operations {
                let limit = case.limits.operations;
                return error(
                    span,
                    format!("slot {slot} is beyond the limit of {limit} operations"),
                    "raise `limits`",
                );
            }
            let slots = &mut actor.operations;
            slots.resize(slots.len().max(usize::from(*slot) + 1), Operation::Empty);
            slots[usize::from(*slot)] = *operation;
        }
        Ok(())
    }

    /// Gives the case its schedule, of one kind.
    fn put_schedule(&mut self, end: &Span<usize>) -> Parsed<()> {
        self.document.case.schedule = match (&self.seed, &self.order) {
            (Some(_), Some(order)) => {
                return error(order, "both `seed` and `order`", "one kind of schedule");
            }
            (None, _) if !self.overrides.is_empty() => {
                return error(
                    end,
                    "`override` without `seed`",
                    "an override changes a schedule by `seed`",
                );
            }
            (Some((seed, _)), None) => {
                Schedule::Seed { seed: *seed, overrides: std::mem::take(&mut self.overrides) }
            }
            (None, _) => Schedule::Order(std::mem::take(&mut self.stops)),
        };
        Ok(())
    }

    /// The slots that the schedule names. I/O has as many as it has requests, which only a run
    /// knows.
    fn slots_exist(&self) -> Parsed<()> {
        for (task, slot, span) in &self.scheduled {
            let slots =
                self.document.case.actors.get(task.index()).map(|actor| actor.operations.len());
            match (task.io_slot(), slots) {
                (None, Some(slots)) if usize::from(*slot) >= slots => {
                    let plural = if slots == 1 { "" } else { "s" };
                    let help = format!("{task} has {slots} slot{plural}, from 0");
                    return error(span, format!("{task} has no slot {slot}"), help);
                }
                (None, None) => {
                    return error(
                        span,
                        format!("{task} is not scheduled"),
                        "an actor, or io0 to io7",
                    );
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The file is possible: fixing the case does not change it.
    fn shape_is_kept(&self, fixed: &Case, file: &Span<usize>) -> Parsed<()> {
        let case = &self.document.case;
        let (is, fits) = (case.geometry, fixed.geometry);
        if fits == is {
            return Ok(());
        }
        let most = case.limits.pages;
        if is.pages > most && usize::from(is.pages) <= PAGES_MAX {
            let help = "raise `limits`, or take fewer pages";
            return error(
                file,
                format!("`pages {}` is beyond the limit of {most}", is.pages),
                help,
            );
        }
        // The first that does not fit: others may only follow from it.
        let wrong = FIELDS.iter().find(|field| (field.get)(&is) != (field.get)(&fits));
        let wrong = wrong.map_or("", |field| field.name);
        let line = Document::new(fixed.clone()).lines().into_iter().find(|line| line.key == "file");
        let nearest = line.map(|line| line.text).unwrap_or_default();
        let nearest = nearest.split_whitespace().collect::<Vec<_>>().join(" ");
        let message = format!("the file cannot have these `{wrong}`");
        error(file, message, format!("the nearest is: {nearest}"))
    }

    /// Actors and operations are possible in this file: fixing the case does not change them.
    fn program_is_kept(&self, fixed: &Case, end: &Span<usize>) -> Parsed<()> {
        let case = &self.document.case;
        if case.actors.is_empty() {
            return error(end, "no actors", "actor A mm 0");
        }
        if fixed.actors.len() != case.actors.len() {
            let (_, _, span) = &self.actors[fixed.actors.len()];
            return error(span, "more actors than the limit", "raise `limits`");
        }
        for ((_, mm, span), fixed) in self.actors.iter().zip(&fixed.actors) {
            if *mm != fixed.mm {
                return error(
                    span,
                    format!("there is no address space {mm}"),
                    "raise `mms` in `file`",
                );
            }
        }
        for (task, slot, operation, span) in &self.operations {
            let nearest = fixed.operation(*task, *slot);
            if nearest.kind().code != operation.kind().code {
                let help = "say in `file` from which address space on it is mapped: `second 1`";
                return error(span, "the case has no second file", help);
            }
            if nearest != *operation {
                let g = case.geometry;
                let plural = if g.pages == 1 { "" } else { "s" };
                let all =
                    format!("the file has {} page{plural} and {} cells", g.pages, g.file_cells());
                return error(span, format!("`{operation}` lies outside the file"), all);
            }
        }
        Ok(())
    }
}

//! From a finding to something that a reader understands.
//!
//! - [`shrink`]: a smaller case that shows the same, out of [`smaller`] ones; [`realign`]: its
//!   schedule where a point does not fit any more
//! - [`timeline`]: every step of a run as data (`trail`: who stood where, and no more); [`isolate`]:
//!   the two steps whose order decides
//! - [`bisect`]: the same case on other versions and callers; [`cure`]: which remedy closes it;
//!   [`rate`]: how many schedules break
//! - [`finding`]: its case on disk, and the name of its file
//! - [`explain`]: all of that in words; [`triage`]: many inputs, one smallest case per signature
//! - [`causes`]: findings folded into what most likely is one defect (`company`: what breaks besides)
//! - [`parallel`]: tasks on several threads, for all of these

pub mod bisect;
pub mod causes;
mod company;
pub mod cure;
pub mod explain;
pub mod finding;
pub mod isolate;
pub mod parallel;
pub mod rate;
pub mod realign;
pub mod shrink;
pub mod smaller;
pub mod timeline;
mod trail;
pub mod triage;

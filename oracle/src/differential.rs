//! The differential rule.
use crate::rules::About;
use mkwrite_model::plant::Plant;
pub(crate) const ABOUT: About = About { id: "differential", title: "implementations agree where the contract fixes the outcome", source: "dossier 3.18; catalogue O17", plant: Plant::WrongErrno };

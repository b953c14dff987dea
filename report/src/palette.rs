//! The colours of an explanation, for pages and pictures. A page has all of them, for light and for
//! dark, as variables of its style sheet; a picture has the light ones, since it brings its own
//! background.

use std::fmt::Write;

use maud::{Markup, Render, html};

/// A colour and what it is for.
#[derive(Clone, Copy)]
pub(crate) struct Colour {
    /// Its name in style sheets.
    name: &'static str,
    /// On a light background.
    pub light: &'static str,
    /// On a dark background.
    dark: &'static str,
}

/// In a picture, the light one.
impl Render for Colour {
    fn render(&self) -> Markup {
        html! { (self.light) }
    }
}

macro_rules! palette {
    ($($(#[$doc:meta])* $constant:ident $name:literal $light:literal $dark:literal;)*) => {
        $($(#[$doc])* pub(crate) const $constant: Colour = Colour { name: $name, light: $light, dark: $dark };)*
        const ALL: &[Colour] = &[$($constant),*];
    };
}

palette! {
    /// Behind all.
    PAGE "page" "#fbfbfa" "#15171b";
    /// Behind a drawing, and of letters on a colour.
    BACK "card" "#ffffff" "#1c1f25";
    /// Text.
    INK "ink" "#1c1e21" "#e6e7ea";
    /// Text of less weight.
    SOFT "soft" "#5d636b" "#a2a9b4";
    /// Lines.
    RULE "rule" "#dfe1e4" "#33383f";
    /// Behind the window of the race.
    BAND "band" "#fff4d1" "#332c17";
    /// The edge of that band, and the deciding steps.
    BAND_EDGE "band-edge" "#d39e00" "#d9ae3c";
    /// What breaks.
    BAD "bad" "#c1121f" "#ff7b7b";
    /// Behind it.
    BAD_BACK "bad-back" "#fdeaea" "#3a1d20";
    /// What holds.
    GOOD "good" "#1a7f37" "#56d47f";
    /// Links.
    LINK "link" "#0b57d0" "#8ab4f8";
    /// The selected step.
    PICK "pick" "#0b57d0" "#8ab4f8";
    /// PG_dirty and its tag.
    DIRTY "dirty" "#b26a00" "#e0a344";
    /// PG_writeback and its tag.
    WRITEBACK "writeback" "#00798c" "#3cb9cc";
    /// A record of the filesystem for a page.
    RECORD "record" "#7b4fc4" "#b498ee";
    /// Ptes.
    PTE "pte" "#b3306f" "#ef86b5";
    /// The caption of the band.
    CAPTION "caption" "#8a6500" "#d9ae3c";
    /// A page in the page cache, and all that has no colour of its own.
    CACHED "cached" "#8a9099" "#7b828d";
}

const fn task(
    light: &'static str,
    dark: &'static str,
    light_back: &'static str,
    dark_back: &'static str,
) -> (Colour, Colour) {
    (
        Colour { name: "t", light, dark },
        Colour { name: "t-back", light: light_back, dark: dark_back },
    )
}

/// The colours of tasks, strong and weak: four actors, I/O, and all others.
pub(crate) const TASKS: [(Colour, Colour); 6] = [
    task("#1f5fbf", "#7fb2ff", "#e6effc", "#1d2f4b"),
    task("#b4540a", "#ffab6b", "#fdeedf", "#47301e"),
    task("#1c7a4d", "#6fd6a2", "#e2f4ea", "#1b3a2b"),
    task("#8a3fa8", "#d79bf0", "#f4e8f9", "#3b2546"),
    task("#4a5561", "#b7c2cf", "#eaeef2", "#2c333c"),
    task("#6d6a5f", "#bdb8a8", "#f0efea", "#33312b"),
];

/// The variables that style sheets use.
pub(crate) fn style_sheet() -> String {
    let variable =
        |Colour { name, light, dark }: Colour| format!("--{name}: light-dark({light}, {dark});");
    let mut text = ":root {\n".to_owned();
    for colour in ALL {
        let _ = writeln!(text, "  {}", variable(*colour));
    }
    text += "}\n";
    for (n, (strong, weak)) in TASKS.into_iter().enumerate() {
        let _ = writeln!(text, ".t{n} {{ {} {} }}", variable(strong), variable(weak));
    }
    text
}

//! What every plain page of a report begins with.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// A page of its own: no script, and nothing to fetch.
pub(crate) fn page(title: &str, styles: &[&str], body: Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { @for style in styles { "\n" (PreEscaped(style)) } }
            }
            body { (body) }
        }
    };
    page.into_string()
}

//! What mkwrite shows: explanations of a run for terminals and browsers, and reports for CI. The
//! facts come from `mkwrite-oracle`; here is only their form.

pub mod campaign;
pub mod cause;
mod chart;
pub mod golden;
pub mod html;
pub mod json;
pub mod junit;
pub mod matrix;
mod page;
mod palette;
pub mod sarif;
pub mod svg;
pub mod terminal;
pub mod triage;

use std::borrow::Cow;

/// A number of things, with their plural: `1 pair`, `2 pairs`.
pub fn count<N: std::fmt::Display + PartialEq + From<u8>>(n: N, one: &str) -> String {
    let plural = if n == N::from(1) { "" } else { "s" };
    format!("{n} {one}{plural}")
}

/// A path as a shell takes it in one line, for commands to copy.
pub fn quoted(path: &str) -> String {
    if path.chars().any(char::is_control) {
        // Plain quotes would break the line; these know escapes, in every shell of today.
        let escaped: String = path
            .chars()
            .map(|c| match c {
                '\'' | '\\' => format!("\\{c}"),
                '\n' => "\\n".to_owned(),
                c if c.is_control() => {
                    c.to_string().bytes().map(|b| format!("\\x{b:02x}")).collect()
                }
                c => c.to_string(),
            })
            .collect();
        return format!("$'{escaped}'");
    }
    shlex::try_quote(path).map_or_else(|_| path.to_owned(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_path_is_one_word_in_one_line() {
        assert_eq!(quoted("out/a@1-x.mkw"), "out/a@1-x.mkw");
        assert_eq!(quoted("sp ace"), "'sp ace'");
        assert_eq!(quoted("a\nb'c"), r"$'a\nb\'c'");
        assert_eq!(quoted("\u{1b}[1m"), r"$'\x1b[1m'");
    }
}

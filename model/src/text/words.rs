//! Words of a line: where they stand, and the values that they can be. Also what is said of a word
//! that is none of them: what is wrong, and which known name is near.

use std::fmt::Display;
use std::ops::{Range as Span, RangeInclusive};
use std::str::FromStr;

use crate::case::{BLOCKS_PER_PAGE_MAX, Geometry, PAGES_MAX, Range};
use crate::exec::{ACTORS_MAX, CLOSER, IO_MAX, TaskId};
use crate::point::Point;

/// One word of a line, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Word<'a> {
    pub text: &'a str,
    pub span: Span<usize>,
}

/// Which bytes are wrong, what is wrong, and what would be right.
pub(super) type Flaw = (Span<usize>, String, String);
pub(super) type Parsed<T> = Result<T, Flaw>;

pub(super) fn error<T>(
    span: &Span<usize>,
    message: impl Into<String>,
    help: impl Into<String>,
) -> Parsed<T> {
    Err((span.clone(), message.into(), help.into()))
}

/// A line: its first word, and the words after it that were not read yet.
pub(super) struct Words<'a> {
    pub first: Word<'a>,
    pub whole: Span<usize>,
    rest: std::vec::IntoIter<Word<'a>>,
}

impl<'a> Words<'a> {
    pub(super) fn new(line: &'a str, offset: usize) -> Words<'a> {
        let mut words = Vec::new();
        let mut rest = 0;
        while let Some(start) = line[rest..].find(|c: char| !c.is_whitespace()).map(|i| rest + i) {
            let end = line[start..].find(char::is_whitespace).map_or(line.len(), |i| start + i);
            words.push(Word { text: &line[start..end], span: offset + start..offset + end });
            rest = end;
        }
        let whole = offset..offset + line.len();
        let mut rest = words.into_iter();
        let first = rest.next().unwrap_or(Word { text: "", span: whole.clone() });
        Words { first, whole, rest }
    }

    /// The next word, if the line has one.
    pub(super) fn maybe(&mut self) -> Option<Word<'a>> {
        self.rest.next()
    }

    pub(super) fn next(&mut self, what: &str) -> Parsed<Word<'a>> {
        let end = self.whole.end;
        match self.maybe() {
            Some(word) => Ok(word),
            None => error(&(end..end), format!("the line ends where {what} should stand"), what),
        }
    }

    pub(super) fn keyword(&mut self, keyword: &str) -> Parsed<()> {
        let word = self.next(&format!("`{keyword}`"))?;
        if word.text == keyword {
            return Ok(());
        }
        error(
            &word.span,
            format!("unknown word `{}`", word.text),
            format!("`{keyword}` stands here"),
        )
    }

    pub(super) fn number<T: Number>(&mut self, what: &str) -> Parsed<T> {
        let word = self.next(what)?;
        number(&word, what, T::ALL)
    }

    pub(super) fn number_in<T: Number>(
        &mut self,
        what: &str,
        range: RangeInclusive<T>,
    ) -> Parsed<T> {
        let word = self.next(what)?;
        number(&word, what, range)
    }

    /// `A.0`: a task and a slot.
    pub(super) fn slot(&mut self) -> Parsed<(TaskId, u8)> {
        slot(&self.next("a slot, like A.0")?)
    }

    /// `0..4`: not empty.
    pub(super) fn range(&mut self, what: &str) -> Parsed<Range> {
        let word = self.next(what)?;
        let parts =
            word.text.split_once("..").and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        let message = match parts {
            Some((start, end)) if start < end => return Ok(Range::new(start, end)),
            Some(_) => format!("`{}` is empty", word.text),
            None => return error(&word.span, format!("`{}` is not a range", word.text), what),
        };
        error(&word.span, message, "the end is not part of a range: 0..1 is the first")
    }

    /// Whatever is left of the line does not matter.
    pub(super) fn skip_rest(&mut self) {
        self.rest = Vec::new().into_iter();
    }

    /// Nothing of the line must be left.
    pub(super) fn finish(&mut self) -> Parsed<()> {
        match self.maybe() {
            None => Ok(()),
            Some(word) => error(
                &word.span,
                format!("unexpected `{}`", word.text),
                "the line is complete before it",
            ),
        }
    }
}

/// A number that a statement may have.
pub(super) trait Number: FromStr + PartialOrd + Display + Copy {
    /// All of its values.
    const ALL: RangeInclusive<Self>;
}

impl Number for u8 {
    const ALL: RangeInclusive<u8> = 0..=u8::MAX;
}
impl Number for u16 {
    const ALL: RangeInclusive<u16> = 0..=u16::MAX;
}
impl Number for u32 {
    const ALL: RangeInclusive<u32> = 0..=u32::MAX;
}

/// The number that a word is, if it is in the range.
pub(super) fn number<T: Number>(
    word: &Word<'_>,
    what: &str,
    range: RangeInclusive<T>,
) -> Parsed<T> {
    let (first, last) = (range.start(), range.end());
    match word.text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => error(
            &word.span,
            format!("`{}` is not {what} from {first} to {last}", word.text),
            format!("from {first} to {last}"),
        ),
    }
}

/// `0,2`, or `all`: numbers of requests, one bit each.
pub(super) fn mask(word: &Word<'_>) -> Parsed<u16> {
    if word.text == "all" {
        return Ok(u16::MAX);
    }
    word.text.split(',').try_fold(0, |mask, text| match text.parse::<u8>() {
        Ok(bit) if bit < 16 => Ok(mask | 1 << bit),
        _ => error(
            &word.span,
            format!("`{text}` is not a number from 0 to 15"),
            "numbers with commas, or `all`",
        ),
    })
}

/// `1,2.0`: pages that are holes, and single blocks.
pub(super) fn holes(word: &Word<'_>, g: Geometry) -> Parsed<u32> {
    let number = |text: &str, count: u8| text.parse::<u8>().ok().filter(|n| *n < count);
    let blocks = g.blocks.clamp(1, BLOCKS_PER_PAGE_MAX as u8);
    let hole = |text: &str| match text.split_once('.') {
        Some((page, block)) => {
            Some(1 << (number(page, PAGES_MAX as u8)? * blocks + number(block, blocks)?))
        }
        None => Some(Geometry { blocks, ..g }.blocks_of_pages(1 << number(text, PAGES_MAX as u8)?)),
    };
    let help = || format!("pages 0 to 7 with commas, or a block of a page, like 1.{}", blocks - 1);
    word.text.split(',').try_fold(0, |mask, text| match hole(text) {
        Some(holes) => Ok(mask | holes),
        None => error(&word.span, format!("`{text}` is no page and no block"), help()),
    })
}

/// The task that a part of a word names.
pub(super) fn task(word: &Word<'_>, text: &str) -> Parsed<TaskId> {
    let task = match text.as_bytes() {
        [letter @ b'A'..=b'Z'] => {
            Some(letter - b'A').filter(|i| usize::from(*i) < ACTORS_MAX).map(TaskId)
        }
        _ if text == "closer" => Some(CLOSER),
        _ => text
            .strip_prefix("io")
            .and_then(|n| n.parse().ok())
            .filter(|n| *n < IO_MAX)
            .map(TaskId::io),
    };
    match task {
        Some(task) => Ok(task),
        None => {
            error(&word.span, format!("unknown task `{text}`"), "an actor A to H, or io0 to io7")
        }
    }
}

/// `A.0`: a task and a slot.
pub(super) fn slot(word: &Word<'_>) -> Parsed<(TaskId, u8)> {
    let Some((name, slot)) = word.text.split_once('.') else {
        return error(
            &word.span,
            format!("`{}` names no slot", word.text),
            "a task, a dot and a slot, like A.0",
        );
    };
    let task = task(word, name)?;
    match slot.parse() {
        Ok(slot) => Ok((task, slot)),
        Err(_) => error(&word.span, format!("`{slot}` is not a slot"), "a number from 0 to 255"),
    }
}

pub(super) fn point(word: &Word<'_>) -> Parsed<Point> {
    named(word, "point", Point::ALL.iter().map(|p| p.name()), Point::from_name)
}

/// What a word names, of a table.
pub(super) fn named<'a, T>(
    word: &Word<'_>,
    what: &str,
    known: impl Iterator<Item = &'a str>,
    find: impl Fn(&str) -> Option<T>,
) -> Parsed<T> {
    match find(word.text) {
        Some(found) => Ok(found),
        None => {
            error(&word.span, format!("unknown {what} `{}`", word.text), nearest(word.text, known))
        }
    }
}

/// Names that [`nearest`] lists at the most.
const LISTED: usize = 24;

/// `did you mean ..`, if a known name is near: at most a third of the letters, and one more, are
/// wrong, and not half of them; two that changed places are one.
pub fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let (distance, near) = known.map(|known| (strsim::osa_distance(name, known), known)).min()?;
    (distance <= name.len() / 3 + 1 && distance * 2 < name.len())
        .then(|| format!("did you mean `{near}`?"))
}

/// `did you mean ..`, if a known name is near; else the known names, or the nearest of them.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let mut known: Vec<&str> = known.collect();
    if let Some(near) = near(name, known.iter().copied()) {
        return near;
    }
    known.sort_by_key(|known| (strsim::levenshtein(name, known), *known));
    let more = if known.len() > LISTED { ", .." } else { "" };
    known.truncate(LISTED);
    known.sort_unstable();
    format!("known are {}{more}", known.join(", "))
}

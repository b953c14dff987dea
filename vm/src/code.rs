//! Places in a kernel's code, and where they are in the kernel that is booted.
//!
//! A place is written `FUNCTION entry`, `FUNCTION return`, `FUNCTION before CALLEE [N]` or
//! `FUNCTION after CALLEE [N]`: the n-th call of CALLEE in the function's code, by address, or of a
//! pointer (`indirect`). The code is read from the running kernel's memory, where alternatives are
//! in place and modules are loaded, and disassembled here; so a point release, or another compiler,
//! needs no new offsets.

use anyhow::Result;
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind};

use crate::console::Answer;
use crate::guest::Guest;
use crate::session::SHORT;

/// How many instructions in a row are tried for a probe.
const TRIES: usize = 4;

/// A probe's kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// At an instruction.
    At,
    /// At a function's return to its caller.
    Return,
}

/// Where in a function.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Place {
    /// Its first instruction.
    Entry,
    /// Its return.
    Return,
    /// At a call.
    Before(Call),
    /// After a call.
    After(Call),
}

/// The n-th call of a function, from 1; or of a pointer, where there is no name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Call {
    callee: Option<String>,
    nth: usize,
}

/// A place in a kernel's code.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Site {
    function: String,
    place: Place,
}

impl Site {
    /// What kind of probe it takes.
    pub fn kind(&self) -> Kind {
        if self.place == Place::Return { Kind::Return } else { Kind::At }
    }
}

impl std::str::FromStr for Site {
    type Err = String;

    fn from_str(text: &str) -> Result<Site, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let call = |callee: &str, nth: &str| {
            let nth = nth
                .parse()
                .ok()
                .filter(|nth| *nth > 0)
                .ok_or(format!("`{nth}` is no number from 1"))?;
            Ok::<_, String>(Call { callee: (callee != "indirect").then(|| callee.to_owned()), nth })
        };
        let place = match words.as_slice() {
            [_, "entry"] => Place::Entry,
            [_, "return"] => Place::Return,
            [_, "before", callee] => Place::Before(call(callee, "1")?),
            [_, "before", callee, nth] => Place::Before(call(callee, nth)?),
            [_, "after", callee] => Place::After(call(callee, "1")?),
            [_, "after", callee, nth] => Place::After(call(callee, nth)?),
            _ => {
                return Err(format!(
                    "`{text}` is no place: FUNCTION entry|return|before CALLEE [N]|after CALLEE [N]"
                ));
            }
        };
        Ok(Site { function: words[0].to_owned(), place })
    }
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.function)?;
        let (word, call) = match &self.place {
            Place::Entry => return f.write_str(" entry"),
            Place::Return => return f.write_str(" return"),
            Place::Before(call) => ("before", call),
            Place::After(call) => ("after", call),
        };
        write!(f, " {word} {}", call.callee.as_deref().unwrap_or("indirect"))?;
        if call.nth > 1 {
            write!(f, " {}", call.nth)?;
        }
        Ok(())
    }
}

/// A call, or a jump out of the function: the instruction's number, and where it goes if that is
/// fixed.
fn calls(code: &[Instruction]) -> Vec<(usize, Option<u64>)> {
    let (first, last) =
        (code.first().map_or(0, Instruction::ip), code.last().map_or(0, Instruction::next_ip));
    let target = |i: &Instruction| match i.op0_kind() {
        OpKind::NearBranch64 => Some(i.near_branch64()),
        _ => None,
    };
    let leaves = |i: &Instruction| target(i).is_some_and(|to| to < first || to >= last);
    code.iter()
        .enumerate()
        .filter_map(|(n, i)| match i.flow_control() {
            FlowControl::Call => Some((n, target(i))),
            FlowControl::IndirectCall => Some((n, None)),
            FlowControl::UnconditionalBranch if leaves(i) => Some((n, target(i))),
            _ => None,
        })
        .collect()
}

/// The instruction that a place means: its number. `name` is the name of a function by its address.
fn find(code: &[Instruction], place: &Place, name: &dyn Fn(u64) -> String) -> Option<usize> {
    let (call, after) = match place {
        Place::Entry | Place::Return => return Some(0),
        Place::Before(call) => (call, 0),
        Place::After(call) => (call, 1),
    };
    let is_meant = |to: Option<u64>| {
        let name = to.map(name);
        // An indirect call goes through a thunk where there is no alternative for it.
        let callee = name.as_deref().filter(|name| !name.starts_with("__x86_indirect_thunk"));
        match (callee, call.callee.as_deref()) {
            (None, None) => true,
            (Some(callee), Some(wanted)) => callee.split('.').next() == Some(wanted),
            _ => false,
        }
    };
    let (n, _) = calls(code).into_iter().filter(|(_, to)| is_meant(*to)).nth(call.nth - 1)?;
    // What is left of a thunk's call is filled up.
    let is_filling =
        |n: usize| after > 0 && code.get(n).is_some_and(|i| i.mnemonic() == Mnemonic::Nop);
    (n + after..code.len()).find(|n| !is_filling(*n))
}

/// The addresses to try for a probe: that of the instruction, and those that follow without a
/// branch in between. A call may be one that the kernel patches, as for might_resched, where it
/// wants no probe.
fn in_a_row(code: &[Instruction], from: usize) -> Vec<u64> {
    let mut addresses = Vec::new();
    for instruction in code.iter().skip(from).take(TRIES) {
        addresses.push(instruction.ip());
        if !matches!(instruction.flow_control(), FlowControl::Next | FlowControl::Call) {
            break;
        }
    }
    addresses
}

fn from_hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap_or(0) as u8;
    text.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn disassemble(address: u64, bytes: &[u8]) -> Vec<Instruction> {
    Decoder::with_ip(64, bytes, address, DecoderOptions::NONE).into_iter().collect()
}

/// The addresses at which a probe may be set for this place, the best first; or why there is none.
pub fn locate(guest: &mut Guest, site: &Site) -> Result<Result<Vec<u64>, String>> {
    let (answers, _) = guest.ask(&format!("code {}", site.function), SHORT)?;
    let code = answers.into_iter().find_map(|answer| match answer {
        Answer::Code { address, bytes } => Some((address, from_hex(&bytes))),
        _ => None,
    });
    let Some((address, bytes)) = code else {
        return Ok(Err(format!("this kernel has no function {}", site.function)));
    };
    if matches!(site.place, Place::Entry | Place::Return) {
        return Ok(Ok(vec![address]));
    }
    let code = disassemble(address, &bytes);
    let targets: Vec<u64> = calls(&code).into_iter().filter_map(|(_, to)| to).collect();
    let mut names = Vec::new();
    for some in targets.chunks(64) {
        let list: Vec<String> = some.iter().map(u64::to_string).collect();
        let answers = guest.expect(&format!("name {}", list.join(" ")), SHORT)?;
        names.extend(
            answers
                .into_iter()
                .find_map(|a| if let Answer::Names(names) = a { Some(names) } else { None })
                .unwrap_or_default(),
        );
    }
    let name = |to: u64| {
        let known = targets.iter().position(|target| *target == to).and_then(|n| names.get(n));
        known.cloned().unwrap_or_default()
    };
    Ok(match find(&code, &site.place, &name) {
        Some(n) => Ok(in_a_row(&code, n)),
        None => Err(format!("there is no place `{site}` in this kernel")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// do_page_mkwrite of Debian's 6.1.192, up to the first bytes after `->page_mkwrite` returned.
    const CODE: &str = "0f1f440000415541545553488b074889fb448b6f284c8b6750c7472803000000488b50704885d27415488b92d8000000bd0200\
        0000488b12f6420d01751d488b40604889df488b4048ffd00f1f0044896b2889c5a9730b0000740d5b89e85d415c415dc3cccccccce8a3a17800\
        4c89e7e8cbfcfffff0480fba2800721a81cd0002000049837c24180075d04c89e731ede87b67fcffebc44889c7e8b19bfbffebdc";

    fn code() -> Vec<Instruction> {
        disassemble(0x1000, &from_hex(&CODE.split_whitespace().collect::<String>()))
    }

    #[test]
    fn sites_are_read_and_printed() {
        for text in ["a entry", "a return", "a before b", "a after indirect", "a after b 2"] {
            assert_eq!(text.parse::<Site>().unwrap().to_string(), text);
        }
        assert_eq!("a after b 1".parse::<Site>().unwrap().to_string(), "a after b");
        for text in ["", "a", "a at b", "a after", "a after b 0", "a after b x", "a entry b"] {
            assert!(text.parse::<Site>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_instruction_after_a_pointer_was_called_is_found() {
        let site: Site = "do_page_mkwrite after indirect".parse().unwrap();
        let code = code();
        let n = find(&code, &site.place, &|_| "other".to_owned()).unwrap();
        // ff d0 calls the pointer in rax, and a nop of three bytes follows.
        assert_eq!(code[n].ip() - 0x1000, 0x4e);
        assert_eq!(in_a_row(&code, n).len(), TRIES);
    }

    #[test]
    fn calls_are_found_by_the_callees_name_and_number() {
        let code = code();
        let targets: Vec<u64> = calls(&code).into_iter().filter_map(|(_, to)| to).collect();
        let name = |to| {
            if to == targets[2] { "unlock_page.part.0".to_owned() } else { "other".to_owned() }
        };
        let at = |text: &str| find(&code, &text.parse::<Site>().unwrap().place, &name);
        let call = at("f before unlock_page").unwrap();
        assert_eq!(code[call].near_branch64(), targets[2]);
        assert_eq!(at("f after unlock_page"), Some(call + 1));
        assert_eq!(at("f after unlock_page 2"), None);
        assert!(at("f before other 2").unwrap() > at("f before other").unwrap());
        assert_eq!(at("f entry"), Some(0));
    }
}

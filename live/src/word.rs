//! What a cell of the model holds on a real filesystem: words of 8 bytes that say who wrote them,
//! in which run, and for which place in the cell.
//!
//! So a cell that two writers tore, data of an earlier run in the same block, and data at the wrong
//! place are all recognised. A word of zeros is what nobody wrote.

use mkwrite_model::kernel::Stamp;

/// Bytes of a word.
pub const BYTES: usize = 8;

/// What stands for a word that no operation of this run wrote: of another run, or of another place,
/// or garbage.
pub const ALIEN: Stamp = Stamp(u16::MAX);

/// What stands for a cell whose words disagree.
pub const TORN: Stamp = Stamp(u16::MAX - 1);

/// The word of this stamp at this place of a cell, in the run of this number (its lower 32 bits
/// count).
pub const fn encode(stamp: Stamp, run: u32, place: u16) -> u64 {
    (stamp.0 as u64) << 48 | (run as u64) << 16 | place as u64
}

/// The stamp of a word that was found at this place.
pub const fn decode(word: u64, run: u32, place: u16) -> Stamp {
    match word {
        0 => Stamp::ZERO,
        _ if word as u16 == place && (word >> 16) as u32 == run && word >> 48 != 0 => {
            Stamp((word >> 48) as u16)
        }
        _ => ALIEN,
    }
}

/// Fills a cell.
pub fn fill(cell: &mut [u64], stamp: Stamp, run: u32) {
    for (place, word) in cell.iter_mut().enumerate() {
        *word = encode(stamp, run, place as u16);
    }
}

/// Each word's stamp.
pub fn stamps(cell: &[u64], run: u32) -> impl Iterator<Item = Stamp> + '_ {
    cell.iter().enumerate().map(move |(place, word)| decode(*word, run, place as u16))
}

/// The stamp of a whole cell.
pub fn read(cell: &[u64], run: u32) -> Stamp {
    let mut all = stamps(cell, run);
    let first = all.next().unwrap_or_default();
    if all.all(|stamp| stamp == first) { first } else { TORN }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_model::exec::TaskId;

    const STAMP: Stamp = Stamp::new(TaskId(7), 31, 63);

    #[test]
    fn a_cell_is_read_as_it_was_filled() {
        let mut cell = [0; 64];
        assert_eq!(read(&cell, 1), Stamp::ZERO);
        for stamp in [STAMP, Stamp::initial(0), Stamp::new(TaskId(0), 0, 0)] {
            for run in [0, 1, u32::MAX] {
                fill(&mut cell, stamp, run);
                assert_eq!(read(&cell, run), stamp);
            }
        }
    }

    #[test]
    fn a_torn_cell_is_torn_and_each_word_has_its_writer() {
        let mut cell = [0; 64];
        fill(&mut cell, STAMP, 1);
        fill(&mut cell[..10], Stamp::initial(3), 1);
        assert_eq!(read(&cell, 1), TORN);
        let writers: Vec<Stamp> = stamps(&cell, 1).collect();
        assert_eq!((writers[9], writers[10]), (Stamp::initial(3), STAMP));
        fill(&mut cell, STAMP, 1);
        cell[63] = 0;
        assert_eq!(read(&cell, 1), TORN);
    }

    #[test]
    fn data_of_another_run_or_place_and_garbage_are_alien() {
        let mut cell = [0; 64];
        fill(&mut cell, STAMP, 1);
        assert_eq!(read(&cell, 2), ALIEN);
        cell.rotate_left(1);
        assert_eq!(read(&cell, 1), ALIEN);
        assert_eq!(read(&[7; 64], 1), ALIEN);
        assert_eq!(decode(encode(Stamp::ZERO, 5, 1), 5, 1), ALIEN);
    }

    #[test]
    fn the_markers_are_stamps_of_nobody() {
        for marker in [ALIEN, TORN] {
            assert!(usize::from(marker.0 >> 11) > mkwrite_model::exec::ACTORS_MAX + 1);
            assert!(!marker.is_initial());
        }
    }
}

//! Where in long lists the entries of a filter are, as words of its record.

/// In which part of a long list the entries of a filter are: those among what every kill is compared with, and then those of each leaf that is listed, in four bits each.
/// Long lists have thousands of entries, and are not searched where an entry cannot be.
#[derive(Debug, Default)]
pub(super) struct Parts(pub(super) Vec<u32>);

impl Parts {
    const EACH: usize = u32::BITS as usize / 4;

    pub(super) fn set(&mut self, number: usize, part: usize) {
        self.0.resize(self.0.len().max(number / Self::EACH + 1), 0);
        self.0[number / Self::EACH] |= (part as u32) << (number % Self::EACH * 4);
    }

    pub(super) const fn get(words: &[u32], number: usize) -> usize {
        (words[number / Self::EACH] >> (number % Self::EACH * 4) & 15) as usize
    }

    /// How many of so many words of a record are listed leaves: each word of parts has eight, of which the first of all is no leaf's.
    pub(super) const fn leaves(words: usize) -> usize {
        words - words.div_ceil(Self::EACH + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_knows_how_many_of_its_words_are_leaves_and_where_each_stands() {
        for leaves in 0..100 {
            let mut parts = Parts::default();
            (0..=leaves).for_each(|number| parts.set(number, number * 7 % 16));
            assert_eq!(Parts::leaves(leaves + parts.0.len()), leaves);
            assert!((0..=leaves).all(|number| Parts::get(&parts.0, number) == number * 7 % 16));
        }
    }
}

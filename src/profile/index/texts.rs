//! Words of filters as small numbers, each field's own; a word that no filter uses any more gives its number back.

use std::sync::Arc;

use hashbrown::HashMap;

use super::statistics;
use crate::profile::field::Field;

/// What a kill's word is that no filter knows: no filter's list holds it.
pub(super) const UNKNOWN: i64 = -1;

/// The numbers of words, of each field that is text.
#[derive(Debug, Default)]
pub(super) struct Texts([Words; 4]);

#[derive(Debug, Default)]
struct Words {
    numbers: HashMap<Arc<str>, u32>,
    words: Vec<Word>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Word {
    uses: u32,
    text: Arc<str>,
}

/// The place of a field that is text.
const fn place(field: Field) -> Option<usize> {
    match field {
        Field::SystemClass => Some(0),
        Field::ModuleTags => Some(1),
        Field::ShipClass => Some(2),
        Field::Labels => Some(3),
        _ => None,
    }
}

impl Texts {
    /// The number of a word, for one more use of it.
    pub(super) fn take(&mut self, field: Field, text: &str) -> i64 {
        let Some(words) = place(field).map(|place| &mut self.0[place]) else { return UNKNOWN };
        if let Some(number) = words.numbers.get(text) {
            words.words[*number as usize].uses += 1;
            return i64::from(*number);
        }
        let text: Arc<str> = text.into();
        let word = Word { uses: 1, text: text.clone() };
        let number = match words.free.pop() {
            Some(number) => {
                words.words[number as usize] = word;
                number
            }
            None => {
                words.words.push(word);
                words.words.len() as u32 - 1
            }
        };
        words.numbers.insert(text, number);
        i64::from(number)
    }

    /// One use less.
    pub(super) fn release(&mut self, field: Field, number: i64) {
        let Some(words) = place(field).map(|place| &mut self.0[place]) else { return };
        let Some(word) = usize::try_from(number).ok().and_then(|number| words.words.get_mut(number)) else { return };
        word.uses -= 1;
        if word.uses == 0 {
            words.numbers.remove(&word.text);
            words.free.push(number as u32);
        }
    }

    /// The number of a kill's word.
    pub(super) fn find(&self, field: Field, text: &str) -> i64 {
        let number = place(field).and_then(|place| self.0[place].numbers.get(text));
        number.map_or(UNKNOWN, |number| i64::from(*number))
    }

    /// As which value the statistics count a word.
    pub(super) fn counted(&self, field: Field, number: i64) -> i64 {
        let words = place(field).map(|place| &self.0[place].words);
        let word = usize::try_from(number).ok().and_then(|number| words?.get(number));
        word.map_or(UNKNOWN, |word| statistics::text(&word.text))
    }

    /// Bytes in use, about.
    pub(super) fn bytes(&self) -> usize {
        let of = |words: &Words| words.numbers.capacity() * 28 + words.words.capacity() * 48;
        self.0.iter().map(of).sum()
    }
}

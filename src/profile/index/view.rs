//! A kill as the index sees it: the values of the fields that filters ask for, words as numbers, and its cells as bits.

use super::cells;
use super::guard::{MASK, NEVER};
use super::texts::Texts;
use crate::profile::field::{FIELDS, Field, Kind};
use crate::profile::subject::Subject;

/// Classes of fields, and of their second cells.
pub(super) const CLASSES: usize = 64;
/// The fields with many values.
const MANY: usize = 8;
/// By field: the place among those with many values, or `MANY`.
const PLACES: [usize; FIELDS] = {
    let (mut places, mut at, mut next) = ([MANY; FIELDS], 0, 0);
    while at < FIELDS {
        if Field::ALL[at].is_many() {
            places[at] = next;
            next += 1;
        }
        at += 1;
    }
    assert!(next == MANY, "as many as there is room for");
    places
};

/// One kill. Fields that no filter asks for are left out.
#[derive(Debug)]
pub(super) struct View {
    /// The [`cells::step`] of what it is worth.
    pub(super) isk: u16,
    /// Of each grouped field one bit: its cell.
    pub(super) common: u32,
    /// By [`Guard::code`](super::guard::Guard::code): whether what is guarded must be evaluated; and as often again for hits at the
    /// [`EDGE`](super::scan::EDGE), which all must be.
    pub(super) unsure: u64,
    /// By class: the cells of that field's values; of the class 0 all.
    pub(super) classes: [u32; CLASSES],
    present: u64,
    singles: [i64; FIELDS],
    many: [Many; MANY],
}

/// The values of a field that may have several.
#[derive(Debug, Default)]
pub(super) struct Many {
    values: Vec<i64>,
    /// A bit for each value, scattered.
    bits: [u64; 8],
}

impl Many {
    pub(super) fn values(&self) -> &[i64] {
        &self.values
    }

    #[inline]
    pub(super) fn holds(&self, value: i64) -> bool {
        let bit = scattered(value);
        self.bits[bit >> 6] >> (bit & 63) & 1 == 1 && self.values.contains(&value)
    }

    fn put(&mut self, values: impl Iterator<Item = i64>) {
        self.values.clear();
        self.bits = [0; 8];
        for value in values {
            let bit = scattered(value);
            self.bits[bit >> 6] |= 1 << (bit & 63);
            self.values.push(value);
        }
    }
}

#[inline]
fn scattered(value: i64) -> usize {
    ((value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55) as usize
}

impl Default for View {
    fn default() -> Self {
        Self {
            isk: cells::UNKNOWN,
            common: 0,
            unsure: 0,
            classes: [0; CLASSES],
            present: 0,
            singles: [0; FIELDS],
            many: std::array::from_fn(|_| Many::default()),
        }
    }
}

impl View {
    /// Takes up a kill: of it the fields of which `used` has a bit.
    #[inline(always)]
    pub(super) fn read(&mut self, subject: &Subject<'_>, texts: &Texts, used: u64) {
        self.isk = cells::UNKNOWN;
        self.common = 0;
        self.unsure = 1 << NEVER | u64::MAX << 32;
        self.classes = [0; CLASSES];
        self.classes[0] = MASK;
        self.present = 0;
        let mut rest = used;
        while rest != 0 {
            let place = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            let field = Field::ALL[place];
            match (PLACES[place] < MANY, field.kind() == Kind::Text) {
                (true, true) => {
                    let words = subject.texts(field).iter().map(|word| texts.find(field, word));
                    self.many[PLACES[place]].put(words);
                    self.see_many(field);
                }
                (true, false) => {
                    self.many[PLACES[place]].put(subject.values(field).iter().copied());
                    self.see_many(field);
                }
                (false, true) => {
                    self.see(field, subject.texts(field).first().map(|word| texts.find(field, word)));
                }
                (false, false) => self.see(field, subject.values(field).first().copied()),
            }
        }
    }

    #[inline(always)]
    fn see(&mut self, field: Field, value: Option<i64>) {
        let place = field as usize;
        self.present |= u64::from(value.is_some()) << place;
        self.singles[place] = value.unwrap_or_default();
        if field == Field::IskValue {
            self.isk = value.map_or(cells::UNKNOWN, cells::step);
            return;
        }
        let cell = value.map_or(cells::absent(field), |value| cells::cell(field, value));
        if let (Some(code), Some(_)) = (cells::code(field, cell), value) {
            self.unsure |= 1 << code;
        }
        match (cells::group(field), value) {
            (Some((first, _)), _) => self.common |= 1 << (first + cell),
            (None, Some(value)) if cells::is_scattered(field) => {
                self.classes[cells::class(field) as usize] = 1 << cell;
                self.classes[cells::second_class(field) as usize] = 1 << cells::second(value);
            }
            (None, _) => self.classes[cells::class(field) as usize] = 1 << cell,
        }
    }

    #[inline(always)]
    fn see_many(&mut self, field: Field) {
        let values = &self.many[PLACES[field as usize]].values;
        let mut masks = [u32::from(values.is_empty()) << cells::absent(field), 0];
        for value in values {
            masks[0] |= 1 << cells::cell(field, *value);
            masks[1] |= 1 << cells::second(*value);
        }
        self.present |= u64::from(!values.is_empty()) << field as usize;
        self.classes[cells::class(field) as usize] = masks[0];
        self.classes[cells::second_class(field) as usize] = masks[1];
    }

    #[inline]
    pub(super) fn is_present(&self, field: usize) -> bool {
        self.present >> field & 1 == 1
    }

    /// The value of a field that is present and has one.
    #[inline]
    pub(super) fn single(&self, field: usize) -> i64 {
        self.singles[field]
    }

    /// The values of a field that may have several.
    #[inline]
    pub(super) fn many(&self, field: usize) -> Option<&Many> {
        self.many.get(*PLACES.get(field)?)
    }

    /// All values of a field.
    pub(super) fn values(&self, field: Field) -> &[i64] {
        let place = field as usize;
        match self.many(place) {
            Some(many) => &many.values,
            None if self.is_present(place) => std::slice::from_ref(&self.singles[place]),
            None => &[],
        }
    }
}

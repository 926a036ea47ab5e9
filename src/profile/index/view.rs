//! A kill as the index sees it: the values of the fields that filters ask for, words as numbers, and its cells as bits.

use super::cells;
use super::guard::{MASK, NEVER, SHORT};
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

/// Every field's place, one after the other.
macro_rules! each_field {
    ($view:expr, $subject:expr, $texts:expr, $used:expr) => {
        each_field!($view, $subject, $texts, $used, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35)
    };
    ($view:expr, $subject:expr, $texts:expr, $used:expr, $($place:literal)+) => {{
        const { assert!([$($place),+].len() == FIELDS) };
        $($view.read_field::<$place>($subject, $texts, $used);)+
    }};
}

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
    /// The same as words: the greatest for what does not fit or is not there.
    words: [u32; 64],
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

    /// Takes up other values; answers their cells, and their second cells.
    #[inline(always)]
    fn put(&mut self, field: Field, values: impl Iterator<Item = i64>) -> [u32; 2] {
        self.values.clear();
        self.bits = [0; 8];
        let mut masks = [0; 2];
        for value in values {
            let bit = scattered(value);
            self.bits[bit >> 6] |= 1 << (bit & 63);
            self.values.push(value);
            masks[0] |= 1 << cells::cell(field, value);
            masks[1] |= 1 << cells::second(value);
        }
        masks
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
            words: [u32::MAX; 64],
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
        self.unsure = 1 << NEVER | 1 << SHORT | u64::MAX << 32;
        self.classes = [0; CLASSES];
        self.classes[0] = MASK;
        self.present = 0;
        each_field!(self, subject, texts, used);
    }

    /// Takes up a field, if it is used. It is compiled for each field, so that nothing about it is left to be asked.
    #[inline(always)]
    fn read_field<const PLACE: usize>(&mut self, subject: &Subject<'_>, texts: &Texts, used: u64) {
        let field = const { Field::ALL[PLACE] };
        if used >> PLACE & 1 == 0 {
            return;
        }
        if field.is_many() {
            let many = &mut self.many[PLACES[PLACE]];
            let masks = if field.kind() == Kind::Text {
                many.put(field, subject.texts(field).iter().map(|word| texts.find(field, word)))
            } else {
                many.put(field, subject.values(field).iter().copied())
            };
            let is_empty = many.values.is_empty();
            self.present |= u64::from(!is_empty) << PLACE;
            self.classes[cells::class(field) as usize] = masks[0] | u32::from(is_empty) << cells::absent(field);
            self.classes[cells::second_class(field) as usize] = masks[1];
            return;
        }
        let value = match field.kind() {
            Kind::Text => subject.texts(field).first().map(|word| texts.find(field, word)),
            _ => subject.values(field).first().copied(),
        };
        self.see(field, value);
    }

    #[inline(always)]
    fn see(&mut self, field: Field, value: Option<i64>) {
        let place = field as usize;
        self.present |= u64::from(value.is_some()) << place;
        self.singles[place] = value.unwrap_or_default();
        self.words[place] = value.and_then(|value| u32::try_from(value).ok()).unwrap_or(u32::MAX);
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

    #[inline]
    pub(super) fn is_present(&self, field: usize) -> bool {
        self.present >> field & 1 == 1
    }

    /// The value of a field that is present and has one.
    #[inline]
    pub(super) fn single(&self, field: usize) -> i64 {
        self.singles[field]
    }

    /// The value of a field that may have one, as a word; the greatest if it does not fit or is not there.
    #[inline(always)]
    pub(super) fn word(&self, field: usize) -> u32 {
        self.words[field % 64]
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

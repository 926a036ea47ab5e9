//! Many short runs of elements in a few large blocks of memory: no allocation and no header for each, and none ever moves because another grows.

/// Elements of a block: a run is never longer.
#[derive(Debug)]
pub(super) struct Pool<T, const BLOCK: usize> {
    blocks: Vec<Box<[T]>>,
    /// Elements of the last block that were handed out.
    used: usize,
    /// Places of runs that were given back, by size.
    free: Vec<Vec<u32>>,
}

impl<T, const BLOCK: usize> Default for Pool<T, BLOCK> {
    fn default() -> Self {
        Self { blocks: Vec::new(), used: BLOCK, free: Vec::new() }
    }
}

/// Steps between sizes: up to so many elements, of so many each.
const STEPS: [(usize, usize); 6] = [(6, 1), (24, 2), (64, 8), (256, 32), (2_048, 256), (65_536, 4_096)];

/// How much room a run of so many elements has, and the number of that size.
fn size(length: usize) -> (usize, usize) {
    let (mut start, mut number) = (0, 0);
    for (end, step) in STEPS {
        if length <= end {
            let steps = (length - start).div_ceil(step);
            return (start + steps * step, number + steps);
        }
        number += (end - start).div_ceil(step);
        start = start + (end - start).div_ceil(step) * step;
        if length <= start {
            return (start, number);
        }
    }
    (length, number)
}

/// How many elements fit into the run of so many without another.
pub(super) fn room(length: usize) -> usize {
    size(length).0
}

impl<T: Copy + Default, const BLOCK: usize> Pool<T, BLOCK> {
    /// Room for a run of so many elements, at most `BLOCK`. They are not cleared.
    pub(super) fn take(&mut self, length: usize) -> u32 {
        let (room, number) = size(length);
        if let Some(place) = self.free.get_mut(number).and_then(Vec::pop) {
            return place;
        }
        let room = room.min(BLOCK);
        if self.used + room > BLOCK {
            self.blocks.push(vec![T::default(); BLOCK].into());
            self.used = 0;
        }
        let place = (self.blocks.len() - 1) * BLOCK + self.used;
        self.used += room;
        place as u32
    }

    /// Gives the room of a run back.
    pub(super) fn give(&mut self, place: u32, length: usize) {
        let (_, number) = size(length);
        if length > 0 {
            if self.free.len() <= number {
                self.free.resize_with(number + 1, Vec::new);
            }
            self.free[number].push(place);
        }
    }

    /// The elements of a run from its place on.
    #[inline]
    pub(super) fn run(&self, place: u32, length: usize) -> &[T] {
        let place = place as usize;
        match self.blocks.get(place / BLOCK) {
            Some(block) => &block[place % BLOCK..][..length],
            None => &[],
        }
    }

    /// All elements from a place on to the end of its block.
    #[inline]
    pub(super) fn from(&self, place: u32) -> &[T] {
        self.blocks.get(place as usize / BLOCK).map_or(&[], |block| &block[place as usize % BLOCK..])
    }

    /// The element at a place and one a line of memory further on: asked for ahead, so that others need not wait for them.
    #[inline]
    pub(super) fn touch(&self, place: u32) -> [T; 2] {
        let (block, at) = (self.blocks.get(place as usize / BLOCK), place as usize % BLOCK);
        let line = 64 / size_of::<T>();
        [at, at + line].map(|at| block.and_then(|block| block.get(at)).copied().unwrap_or_default())
    }

    pub(super) fn run_mut(&mut self, place: u32, length: usize) -> &mut [T] {
        let place = place as usize;
        match self.blocks.get_mut(place / BLOCK) {
            Some(block) => &mut block[place % BLOCK..][..length],
            None => &mut [],
        }
    }

    /// Bytes in use.
    pub(super) fn bytes(&self) -> usize {
        let free: usize = self.free.iter().map(|places| places.capacity() * size_of::<u32>()).sum();
        self.blocks.len() * BLOCK * size_of::<T>() + free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_room_for_its_length_and_sizes_have_numbers_of_their_own() {
        let sizes: Vec<(usize, usize)> = (1..65_536).map(size).collect();
        assert!(
            sizes.iter().zip(1..).all(|((room, _), length)| *room >= length && *room <= length + length / 2 + 4_096)
        );
        assert!(sizes.windows(2).all(|pair| (pair[0].0 == pair[1].0) == (pair[0].1 == pair[1].1)));
        assert!(sizes.iter().all(|(room, number)| size(*room) == (*room, *number)));
    }

    #[test]
    fn what_was_given_back_is_handed_out_again() {
        let mut pool = Pool::<u32, 4096>::default();
        let first = pool.take(5);
        pool.run_mut(first, 5).fill(7);
        let second = pool.take(5);
        assert_eq!((pool.run(first, 5), first == second), (&[7; 5][..], false));
        pool.give(first, 5);
        assert_eq!((pool.take(5), pool.blocks.len()), (first, 1));
    }
}

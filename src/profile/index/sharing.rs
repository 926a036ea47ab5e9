//! Filters that several profiles share: one of them, the leader, stands in the lists; a match of it is one of all.

use hashbrown::{HashMap, HashTable};

/// Who leads, and who follows whom.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    /// Every leader by the hash of its program, those of one profile alone too.
    leaders: HashTable<(u32, u32)>,
    groups: Vec<Group>,
    free: Vec<u32>,
    /// By leader: its group, if it ever had a follower.
    led: HashMap<u32, u32>,
    /// By follower: its group, and its place in it.
    followers: HashMap<u32, (u32, u32)>,
}

#[derive(Debug, Default)]
struct Group {
    leader: u32,
    followers: Vec<u32>,
}

impl Sharing {
    /// The leader with this hash for which `is_same` holds.
    pub(super) fn find(&self, hash: u32, is_same: impl Fn(u32) -> bool) -> Option<u32> {
        let found = self.leaders.find(spread(hash), |(other, leader)| *other == hash && is_same(*leader));
        found.map(|(_, leader)| *leader)
    }

    /// A new leader.
    pub(super) fn lead(&mut self, hash: u32, id: u32) {
        self.leaders.insert_unique(spread(hash), (hash, id), |(hash, _)| spread(*hash));
    }

    /// Puts a follower to a leader; whether it is the first.
    pub(super) fn follow(&mut self, leader: u32, id: u32) -> bool {
        let is_first = !self.led.contains_key(&leader);
        let free = &mut self.free;
        let groups = &mut self.groups;
        let group = *self.led.entry(leader).or_insert_with(|| {
            free.pop().unwrap_or_else(|| {
                groups.push(Group::default());
                groups.len() as u32 - 1
            })
        });
        let of = &mut self.groups[group as usize];
        of.leader = leader;
        self.followers.insert(id, (group, of.followers.len() as u32));
        of.followers.push(id);
        is_first
    }

    /// Whom the leader of a shared filter leads.
    #[inline]
    pub(super) fn followers(&self, leader: u32) -> &[u32] {
        self.led.get(&leader).map_or(&[], |group| &self.groups[*group as usize].followers)
    }

    /// Whom a follower follows.
    pub(super) fn leader(&self, id: u32) -> Option<u32> {
        self.followers.get(&id).map(|(group, _)| self.groups[*group as usize].leader)
    }

    /// Takes a follower out; whether it was one.
    pub(super) fn leave(&mut self, id: u32) -> bool {
        let Some((group, place)) = self.followers.remove(&id) else { return false };
        let followers = &mut self.groups[group as usize].followers;
        followers.swap_remove(place as usize);
        if let Some(moved) = followers.get(place as usize) {
            self.followers.insert(*moved, (group, place));
        }
        true
    }

    /// A leader leaves: the follower that leads from now on, or `None` when there is none and its program is to be forgotten.
    pub(super) fn succeed(&mut self, hash: u32, leader: u32) -> Option<u32> {
        let successor = self.led.remove(&leader).and_then(|group| {
            let of = &mut self.groups[group as usize];
            let Some(successor) = of.followers.pop() else {
                of.followers = Vec::new();
                self.free.push(group);
                return None;
            };
            of.leader = successor;
            self.followers.remove(&successor);
            self.led.insert(successor, group);
            Some(successor)
        });
        let is_it = |(other, id): &(u32, u32)| *other == hash && *id == leader;
        if let Ok(mut found) = self.leaders.find_entry(spread(hash), is_it) {
            match successor {
                Some(successor) => found.get_mut().1 = successor,
                None => drop(found.remove()),
            }
        }
        successor
    }

    /// Bytes in use, about.
    pub(super) fn bytes(&self) -> usize {
        let groups: usize = self.groups.iter().map(|group| size_of::<Group>() + group.followers.capacity() * 4).sum();
        self.leaders.capacity() * 9 + groups + self.led.capacity() * 9 + self.followers.capacity() * 13
    }
}

/// The table takes some bits from the top and others from the bottom.
const fn spread(hash: u32) -> u64 {
    (hash as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

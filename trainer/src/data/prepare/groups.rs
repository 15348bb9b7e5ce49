//! Films that belong together: copies of one film, or films of one patient.

/// Groups of films. Two films are in one group if they were joined, directly or by way of other films.
pub struct Groups {
    /// For each film an earlier film of the same group, or the film itself.
    leader: Vec<usize>,
}

impl Groups {
    /// Puts each of so many films into a group of its own.
    pub fn new(films: usize) -> Self {
        Groups { leader: (0..films).collect() }
    }

    /// The first film of a film's group.
    pub fn first(&self, mut film: usize) -> usize {
        while self.leader[film] != film {
            film = self.leader[film];
        }
        film
    }

    /// Makes one group of the groups of two films.
    pub fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.first(a), self.first(b));
        let first = a.min(b);
        self.leader[a] = first;
        self.leader[b] = first;
    }

    /// The films of each group, in rising order.
    pub fn lists(&self) -> Vec<Vec<usize>> {
        let mut lists = vec![Vec::new(); self.leader.len()];
        for film in 0..self.leader.len() {
            lists[self.first(film)].push(film);
        }
        lists.retain(|list| !list.is_empty());
        lists
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_join_over_others() {
        let mut groups = Groups::new(6);
        groups.join(4, 1);
        groups.join(5, 4);
        groups.join(3, 2);
        assert_eq!(groups.lists(), [vec![0], vec![1, 4, 5], vec![2, 3]]);
        groups.join(5, 3);
        assert_eq!((0..6).map(|film| groups.first(film)).collect::<Vec<_>>(), [0, 1, 1, 1, 1, 1]);
    }
}

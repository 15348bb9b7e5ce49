//! Splits: what belongs together stays together, and every split gets its share of every kind of film.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::str::FromStr;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// The splits' names.
pub const SPLITS: [&str; 3] = ["train", "val", "test"];

/// Shares of train, val and test in percent; they sum up to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares([u8; 3]);

impl Shares {
    /// The paper's: 7 to 1 to 2.
    pub const PAPER: Shares = Shares([70, 10, 20]);
}

impl fmt::Display for Shares {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Shares([train, val, test]) = self;
        write!(formatter, "{train},{val},{test}")
    }
}

impl FromStr for Shares {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shares: Result<Vec<u8>, _> = text.split(',').map(|share| share.trim().parse::<u8>()).collect();
        match shares.map(<[u8; 3]>::try_from) {
            Ok(Ok(shares)) if shares.iter().map(|&share| u32::from(share)).sum::<u32>() == 100 => Ok(Shares(shares)),
            _ => Err(format!("`{text}`: give train, val and test in percent, 100 together, as in 70,10,20")),
        }
    }
}

/// Films that belong together, directly or over others.
pub struct Groups {
    /// An earlier film of the same group, or the film itself.
    leader: Vec<usize>,
}

impl Groups {
    /// Every film by itself.
    pub fn new(films: usize) -> Self {
        Groups { leader: (0..films).collect() }
    }

    /// The first film of this one's group.
    pub fn first(&self, mut film: usize) -> usize {
        while self.leader[film] != film {
            film = self.leader[film];
        }
        film
    }

    /// Puts two films' groups together.
    pub fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.first(a), self.first(b));
        let first = a.min(b);
        self.leader[a] = first;
        self.leader[b] = first;
    }

    /// The films of each group, in order.
    pub fn lists(&self) -> Vec<Vec<usize>> {
        let mut lists = vec![Vec::new(); self.leader.len()];
        for film in 0..self.leader.len() {
            lists[self.first(film)].push(film);
        }
        lists.retain(|list| !list.is_empty());
        lists
    }
}

/// Chooses a split for each group, as a place in [`SPLITS`]. A group is given by the kind of each of its films.
///
/// Groups come in an order drawn by `seed`, large ones first; each goes where most of its kinds' shares is still open.
pub fn assign<K: Eq + Hash>(groups: &[Vec<K>], Shares(shares): Shares, seed: u64) -> Vec<usize> {
    let mut totals: HashMap<&K, f64> = HashMap::new();
    for kind in groups.iter().flatten() {
        *totals.entry(kind).or_default() += 1.0;
    }
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    order.sort_by_key(|&group| std::cmp::Reverse(groups[group].len()));
    let mut taken: HashMap<&K, [f64; 3]> = HashMap::new();
    let mut splits = vec![0; groups.len()];
    for group in order {
        // The part of a split's share of a kind that is open, over the kind's number: rare kinds count as much.
        let open = |split: usize| -> f64 {
            let of_kind = |kind: &K| {
                let taken = taken.get(kind).map_or(0.0, |taken| taken[split]);
                f64::from(shares[split]) / 100.0 - taken / totals[kind]
            };
            groups[group].iter().map(of_kind).sum()
        };
        let allowed = (0..SPLITS.len()).filter(|&split| shares[split] > 0);
        let chosen =
            allowed.reduce(|best, split| if open(split) > open(best) + 1e-9 { split } else { best }).unwrap_or(0);
        for kind in &groups[group] {
            taken.entry(kind).or_default()[chosen] += 1.0;
        }
        splits[group] = chosen;
    }
    splits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_three_and_sum_up() {
        assert_eq!("60, 10,30".parse(), Ok(Shares([60, 10, 30])));
        assert_eq!(Shares::PAPER.to_string().parse(), Ok(Shares::PAPER));
        for wrong in
            ["60,10", "60,10,31", "60,10,20,10", "70,10,x,20", "70,10,20,", "60,-10,50", "a,b,c", "", "256,0,100"]
        {
            assert!(wrong.parse::<Shares>().is_err(), "{wrong}");
        }
    }

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

    /// Films of each split and kind.
    fn counts(groups: &[Vec<u8>], splits: &[usize]) -> [[usize; 3]; 2] {
        let mut counts = [[0; 3]; 2];
        for (group, &split) in groups.iter().zip(splits) {
            group.iter().for_each(|&kind| counts[usize::from(kind)][split] += 1);
        }
        counts
    }

    #[test]
    fn every_kind_is_shared_out() {
        // 100 films of a common kind, 20 of a rare one, patients of one to three films.
        let mut groups = vec![vec![0]; 50];
        groups.extend(vec![vec![0, 0]; 10]);
        groups.extend(vec![vec![0, 0, 1]; 10]);
        groups.extend(vec![vec![0]; 10]);
        groups.extend(vec![vec![1]; 10]);
        let splits = assign(&groups, Shares::PAPER, 1);
        assert_eq!(counts(&groups, &splits), [[70, 10, 20], [14, 2, 4]]);
    }

    #[test]
    fn the_seed_decides_who_goes_where() {
        let groups = vec![vec![0u8]; 40];
        let one = assign(&groups, Shares::PAPER, 1);
        assert_eq!(one, assign(&groups, Shares::PAPER, 1));
        assert_ne!(one, assign(&groups, Shares::PAPER, 2));
    }

    #[test]
    fn a_split_without_a_share_stays_empty() {
        let groups = vec![vec![0u8]; 7];
        assert_eq!(assign(&groups, Shares([0, 0, 100]), 1), [2; 7]);
    }
}

//! Splits: the films of one patient stay together, and every split gets its share of every kind of film.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::str::FromStr;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::data::dataset::Row;

use super::dropped::{Dropped, Reason};

/// The names of the splits.
pub const SPLITS: [&str; 3] = ["train", "val", "test"];

/// Shares of train, val and test in percent. Their sum is 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares([u8; 3]);

impl Shares {
    /// The shares of the paper: 7 to 1 to 2.
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

/// Gives each film that is not left out a split: its imported one, that of its patient's other films, or a drawn one.
/// Where manifests put a patient's films into several splits, only those of the first are kept.
///
/// `patients` has the films of each patient, as places in `rows`.
pub fn share_out(
    rows: &mut [Row],
    patients: &[Vec<usize>],
    shares: Shares,
    seed: u64,
    left_out: &mut HashMap<usize, Dropped>,
) {
    let (mut open, mut kinds) = (Vec::new(), Vec::new());
    for films in patients {
        let films: Vec<usize> = films.iter().copied().filter(|film| !left_out.contains_key(film)).collect();
        let Some(given) = films.iter().map(|&film| rows[film].split.clone()).find(|split| !split.is_empty()) else {
            kinds.push(films.iter().map(|&film| (rows[film].label.clone(), rows[film].source.clone())).collect());
            open.push(films);
            continue;
        };
        for film in films {
            let row = &mut rows[film];
            if row.split.is_empty() || row.split == given {
                row.split.clone_from(&given);
            } else {
                let detail = format!("{} is in {given}", row.patient_id);
                left_out.insert(film, Dropped::new(row, Reason::PatientInOtherSplit, detail));
            }
        }
    }
    for (films, split) in open.into_iter().zip(assign(&kinds, shares, seed)) {
        films.into_iter().for_each(|film| rows[film].split = SPLITS[split].into());
    }
}

/// Chooses a split for each group, as a place in [`SPLITS`]. A group is given by the kinds of its films.
///
/// The groups are taken by size, the largest first, in an order drawn by `seed` where sizes are equal. Each goes to the
/// split that lacks most of its share of the group's kinds.
fn assign<K: Eq + Hash>(groups: &[Vec<K>], Shares(shares): Shares, seed: u64) -> Vec<usize> {
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
        // What a split lacks of its share of a kind, relative to the number of films of that kind, so that rare kinds count
        // as much as common ones.
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

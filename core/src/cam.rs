//! Class activation maps (Zhou et al. 2016, "Learning deep features for discriminative localization"): how much each
//! place of the film speaks for each class.

use crate::decision::Class;

/// The maps of one film, one for each class.
#[derive(Clone, Debug, PartialEq)]
pub struct Cam {
    side: usize,
    maps: Vec<f32>,
}

impl Cam {
    /// `maps` holds a `side` x `side` map, row by row, for each of [`Class::ALL`]; `side` is 7 for a 224-pixel input.
    ///
    /// # Panics
    /// If `maps` has another length.
    pub fn new(side: usize, maps: Vec<f32>) -> Self {
        assert_eq!(maps.len(), Class::ALL.len() * side * side, "CAM values");
        Cam { side, maps }
    }

    /// Side of the maps.
    pub fn side(&self) -> usize {
        self.side
    }

    /// The map of one class, `side * side` values row by row, in logit units (any sign).
    pub fn map(&self, class: Class) -> &[f32] {
        let length = self.side * self.side;
        &self.maps[class as usize * length..][..length]
    }

    /// What a reader sees of one class's map: its positive part as a share of the highest value.
    pub fn heat(&self, class: Class) -> HeatMap {
        let map = self.map(class);
        let highest = map.iter().copied().fold(0.0, f32::max);
        let scale = if highest > 0.0 { 1.0 / highest } else { 0.0 };
        let shares = map.iter().map(|value| (value.max(0.0) * scale).min(1.0)).collect();
        HeatMap { side: self.side, shares }
    }
}

/// The places that speak for one class.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    side: usize,
    shares: Vec<f32>,
}

impl HeatMap {
    /// Whether no place speaks for the class.
    pub fn is_empty(&self) -> bool {
        self.shares.iter().all(|share| *share <= 0.0)
    }

    /// The value at a place of the film, 0..=1; 1 is the strongest place. `u` and `v` run over 0..=1 from the film's
    /// left and upper edge. Bilinear: a cell has its value at its centre, and the outermost ones keep it to the edge.
    pub fn at(&self, u: f32, v: f32) -> f32 {
        let place = |share: f32| {
            let position = (share * self.side as f32 - 0.5).clamp(0.0, (self.side - 1) as f32);
            let low = position.floor() as usize;
            (low, (low + 1).min(self.side - 1), position.fract())
        };
        let ((left, right, across), (top, bottom, down)) = (place(u), place(v));
        let cell = |row: usize, column: usize| self.shares[row * self.side + column];
        let mix = |a: f32, b: f32, share: f32| a + (b - a) * share;
        mix(mix(cell(top, left), cell(top, right), across), mix(cell(bottom, left), cell(bottom, right), across), down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bilinear_sampling_meets_cell_centres_and_the_middle_between() {
        let heat = HeatMap { side: 2, shares: vec![0.0, 1.0, 0.5, 0.5] };
        assert_eq!(heat.at(0.25, 0.25), 0.0);
        assert_eq!(heat.at(0.75, 0.25), 1.0);
        assert_eq!(heat.at(0.5, 0.25), 0.5);
        assert_eq!(heat.at(0.0, 0.0), 0.0);
        assert_eq!(heat.at(1.0, 1.0), 0.5);
    }

    #[test]
    fn only_positive_evidence_counts() {
        let cam = Cam::new(2, vec![-1.0, 0.0, 2.0, 4.0, -1.0, -2.0, -3.0, -4.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(cam.heat(Class::Covid19).shares, [0.0, 0.0, 0.5, 1.0]);
        assert!(!cam.heat(Class::Covid19).is_empty());
        assert!(cam.heat(Class::Pneumonia).is_empty());
        assert!(cam.heat(Class::Normal).is_empty());
    }
}

//! Where the class activation maps look: how much of their energy lies inside the lungs, whether their strongest place
//! lies in a box that radiologists drew, and whether they cover more of the film the more of the lungs is ill.
//!
//! Every figure is of the map of the film's *true* class, as [`HeatMap`] shows it to a reader. Beside each figure stands
//! what a map without any knowledge would get.

use image::GrayImage;
use image::imageops::{self, FilterType};
use serde::{Deserialize, Serialize};
use xray_triage_core::cam::{Cam, HeatMap};
use xray_triage_core::decision::Class;
use xray_triage_core::network::NetworkError;
use xray_triage_core::overlay::LINE_LEVEL;
use xray_triage_core::pipeline::Pipeline;

use crate::data::annotations::{AnnotationError, Annotations, FindingBox};
use crate::data::dataset::LabelledFilm;
use crate::markdown::plain;

use super::estimate::{Estimate, mean, outcome};

/// A map is read at so many places along each side of a film.
const GRID: u32 = 224;

/// Why activation maps could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum LocalizationError {
    /// A lung mask cannot be read.
    #[error(transparent)]
    Annotation(#[from] AnnotationError),
    /// The network failed on a film.
    #[error("{image_id}: {source}")]
    Network {
        /// The film.
        image_id: String,
        /// What failed.
        source: NetworkError,
    },
}

/// How much of the energy of a class's maps lies inside the lungs. A map's energy is the sum of its values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LungEnergy {
    /// The true class of the films.
    pub class: Class,
    /// How many films of the class have a lung mask and a map that is not empty.
    pub films: usize,
    /// Mean share of a map's energy inside the lungs, 0..=1.
    pub inside: Estimate,
    /// Mean share of the film that is lung, 0..=1. A map that is the same everywhere has this share of its energy there.
    pub lung_area: f64,
}

/// The pointing game (Zhang et al. 2016, "Top-down neural attention by excitation backprop"), without a margin. A map
/// hits if the centre of its strongest cell lies in a box.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pointing {
    /// How many films have boxes and a map that is not empty.
    pub films: usize,
    /// Share of these films whose map hits, 0..=1.
    pub hits: Estimate,
    /// Mean share of the film that is boxed, 0..=1. Pointing blindly hits this often.
    pub boxed_area: f64,
}

/// Spearman's rank correlation of a map's area with experts' scores of severity. A map's area is the share of the film
/// inside the heat map's line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SeverityCorrelation {
    /// How many films have scores and a map that is not empty.
    pub films: usize,
    /// Correlation with the extent of the disease, -1..=1.
    pub extent: Estimate,
    /// Correlation with the density of the opacities, -1..=1.
    pub opacity: Estimate,
}

/// The measurement of `trainer localize`: where the maps of a bundle look on a split.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Localization {
    /// The bundle's id.
    pub model: String,
    /// SHA-256 of the bundle's network.
    pub sha256: String,
    /// The split that the films are from.
    pub split: String,
    /// Energy inside the lungs, for each class that has films with a mask.
    pub lungs: Vec<LungEnergy>,
    /// The pointing game. `None` if no film has boxes.
    pub pointing: Option<Pointing>,
    /// Area against severity. `None` if no film has scores, or all have the same.
    pub severity: Option<SeverityCorrelation>,
    /// How many films have an empty map of their true class. They are left out of the other figures.
    pub empty_maps: usize,
}

/// Measures the maps of all annotated films of a split. The network does not run on the others.
///
/// # Errors
/// A mask cannot be read, or the network fails on a film.
pub fn localize(
    pipeline: &Pipeline,
    split: &str,
    films: &[LabelledFilm],
    annotations: &Annotations,
) -> Result<Localization, LocalizationError> {
    let mut lung_films: Vec<(Class, f64, f64)> = Vec::new();
    let mut box_films: Vec<(bool, f64)> = Vec::new();
    let mut severity_films: Vec<[f64; 3]> = Vec::new();
    let mut empty_maps = 0;
    for LabelledFilm { film, picture } in films {
        let lungs = annotations.lungs(&film.image_id)?;
        let boxes = annotations.boxes(&film.image_id);
        let severity = annotations.severity(&film.image_id);
        if lungs.is_none() && boxes.is_empty() && severity.is_none() {
            continue;
        }
        let prediction = pipeline
            .predict(picture)
            .map_err(|source| LocalizationError::Network { image_id: film.image_id.clone(), source })?;
        let heat = prediction.cam.heat(film.label);
        if heat.is_empty() {
            empty_maps += 1;
            continue;
        }
        if let Some(mask) = lungs {
            let (energy, area) = energy_inside(&heat, &mask);
            lung_films.push((film.label, energy, area));
        }
        if !boxes.is_empty() {
            box_films.push(points_into(strongest_place(&prediction.cam, film.label), boxes, picture));
        }
        if let Some(severity) = severity {
            severity_films.push([line_area(&heat), severity.extent, severity.opacity]);
        }
    }

    let lungs = Class::ALL.into_iter().filter_map(|class| {
        let of_class: Vec<(f64, f64)> =
            lung_films.iter().filter(|film| film.0 == class).map(|film| (film.1, film.2)).collect();
        Some(LungEnergy {
            class,
            films: of_class.len(),
            inside: Estimate::of(&of_class, |films| mean(films.iter().map(|film| film.0)))?,
            lung_area: mean(of_class.iter().map(|film| film.1))?,
        })
    });
    let pointing = || {
        Some(Pointing {
            films: box_films.len(),
            hits: Estimate::of_share(&box_films, |film| outcome(true, film.0))?,
            boxed_area: mean(box_films.iter().map(|film| film.1))?,
        })
    };
    let correlation = |score: usize| {
        Estimate::of(&severity_films, |films| {
            spearman(&films.iter().map(|film| (film[0], film[score])).collect::<Vec<_>>())
        })
    };
    let severity =
        || Some(SeverityCorrelation { films: severity_films.len(), extent: correlation(1)?, opacity: correlation(2)? });
    let model = pipeline.model();
    Ok(Localization {
        model: model.id.clone(),
        sha256: model.sha256.clone(),
        split: split.into(),
        lungs: lungs.collect(),
        pointing: pointing(),
        severity: severity(),
        empty_maps,
    })
}

/// The places at which a map is read: column, row, and the place's centre from the left and upper edge, 0..=1.
fn places() -> impl Iterator<Item = (u32, u32, f32, f32)> {
    let centre = |index: u32| (index as f32 + 0.5) / GRID as f32;
    (0..GRID).flat_map(move |row| (0..GRID).map(move |column| (column, row, centre(column), centre(row))))
}

/// The share of the map's energy inside the mask, and the mask's share of the film, both 0..=1.
fn energy_inside(heat: &HeatMap, mask: &GrayImage) -> (f64, f64) {
    let mask = imageops::resize(mask, GRID, GRID, FilterType::Nearest);
    let (mut inside, mut all, mut area) = (0.0, 0.0, 0usize);
    for (column, row, u, v) in places() {
        let energy = f64::from(heat.at(u, v));
        all += energy;
        if mask.get_pixel(column, row)[0] > 127 {
            inside += energy;
            area += 1;
        }
    }
    (inside / all, area as f64 / f64::from(GRID * GRID))
}

/// The centre of the strongest cell of a class's map, from the film's left and upper edge, 0..=1. Of equal cells the
/// first counts.
fn strongest_place(cam: &Cam, class: Class) -> (f32, f32) {
    let cells = cam.map(class).iter().enumerate();
    let strongest = cells.reduce(|best, cell| if cell.1 > best.1 { cell } else { best });
    let (index, side) = (strongest.map_or(0, |(index, _)| index), cam.side());
    let centre = |place: usize| (place as f32 + 0.5) / side as f32;
    (centre(index % side), centre(index / side))
}

/// Whether a map's strongest place lies in one of the boxes, and the boxes' share of the film, 0..=1.
fn points_into((u, v): (f32, f32), boxes: &[FindingBox], picture: &GrayImage) -> (bool, f64) {
    let boxed = |u: f32, v: f32| {
        let (x, y) = (u * picture.width() as f32, v * picture.height() as f32);
        boxes.iter().any(|b| (b.x..b.x + b.width).contains(&x) && (b.y..b.y + b.height).contains(&y))
    };
    let area = places().filter(|&(_, _, u, v)| boxed(u, v)).count();
    (boxed(u, v), area as f64 / f64::from(GRID * GRID))
}

/// The share of the film inside the heat map's line, 0..=1.
fn line_area(heat: &HeatMap) -> f64 {
    places().filter(|&(_, _, u, v)| heat.at(u, v) >= LINE_LEVEL).count() as f64 / f64::from(GRID * GRID)
}

/// Spearman's rank correlation, -1..=1 (Spearman 1904, "The proof and measurement of association between two things").
/// `None` where one side has a single value throughout.
fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    let (a, b) = (ranks(pairs.iter().map(|pair| pair.0)), ranks(pairs.iter().map(|pair| pair.1)));
    let mean = (pairs.len() as f64 + 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    let scale = (product(&a, &a) * product(&b, &b)).sqrt();
    (scale > 0.0).then(|| product(&a, &b) / scale)
}

/// The values' ranks, from 1 for the lowest. Equal values share the mean of their ranks.
fn ranks(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<(f64, usize)> = values.enumerate().map(|(index, value)| (value, index)).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut ranks = vec![0.0; sorted.len()];
    let mut below = 0;
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        for (_, index) in tied {
            ranks[*index] = below as f64 + (tied.len() as f64 + 1.0) / 2.0;
        }
        below += tied.len();
    }
    ranks
}

impl std::fmt::Display for Localization {
    /// Tables in Markdown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "activation maps of {} on split {}; 95 % intervals in brackets\n",
            plain(&self.model),
            plain(&self.split)
        )?;
        writeln!(f, "| map of the true class | films | figure | a map without knowledge |")?;
        writeln!(f, "|---|---|---|---|")?;
        for lungs in &self.lungs {
            writeln!(
                f,
                "| {}: energy inside the lungs, % | {} | {} | {:.1} |",
                lungs.class.label(),
                lungs.films,
                lungs.inside.percent(),
                100.0 * lungs.lung_area
            )?;
        }
        if let Some(pointing) = &self.pointing {
            writeln!(
                f,
                "| strongest place in a radiologist's box, % | {} | {} | {:.1} |",
                pointing.films,
                pointing.hits.percent(),
                100.0 * pointing.boxed_area
            )?;
        }
        if let Some(severity) = &self.severity {
            for (name, rho) in [("extent", severity.extent), ("opacity", severity.opacity)] {
                writeln!(
                    f,
                    "| map's area against {name}, Spearman's rho | {} | {:.2} ({:.2}-{:.2}) | 0 |",
                    severity.films, rho.value, rho.low, rho.high
                )?;
            }
        }
        writeln!(f, "\n{} films with an empty map left out", self.empty_maps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Luma;

    /// The same map for every class.
    fn cam(map: [f32; 4]) -> Cam {
        Cam::new(2, map.repeat(3))
    }

    /// All weight in one cell of a 2 x 2 map.
    fn upper_right() -> HeatMap {
        cam([0.0, 1.0, 0.0, 0.0]).heat(Class::Covid19)
    }

    #[test]
    fn energy_is_counted_where_the_mask_is() {
        // Along each axis the weight is 1 over a quarter and a ramp over a half: 0.4375 of 0.5 lie beyond the middle.
        let right = GrayImage::from_fn(40, 80, |x, _| Luma([if x >= 20 { 255 } else { 0 }]));
        let (energy, area) = energy_inside(&upper_right(), &right);
        assert!((energy - 0.875).abs() < 1e-3, "{energy}");
        assert_eq!(area, 0.5);
    }

    #[test]
    fn pointing_is_judged_in_the_films_own_pixels() {
        let picture = GrayImage::new(200, 100);
        let place = strongest_place(&cam([0.0, 1.0, 0.0, 0.0]), Class::Normal);
        let inside = FindingBox { x: 150.0, y: 0.0, width: 50.0, height: 50.0 };
        let outside = FindingBox { x: 0.0, y: 50.0, width: 50.0, height: 50.0 };
        assert_eq!(points_into(place, &[inside], &picture), (true, 0.125));
        assert_eq!(points_into(place, &[outside], &picture), (false, 0.125));
        assert_eq!(points_into(place, &[outside, inside], &picture), (true, 0.25));
    }

    #[test]
    fn a_mirrored_map_points_to_the_mirrored_place() {
        let picture = GrayImage::new(200, 200);
        // Neither box reaches the film's edge.
        let upper_left = FindingBox { x: 30.0, y: 30.0, width: 40.0, height: 40.0 };
        let lower_right = FindingBox { x: 130.0, y: 130.0, width: 40.0, height: 40.0 };
        for (map, place, its_box) in
            [([2.0, -1.0, 0.5, 1.0], (0.25, 0.25), upper_left), ([1.0, 0.5, -1.0, 2.0], (0.75, 0.75), lower_right)]
        {
            let found = strongest_place(&cam(map), Class::Covid19);
            assert_eq!(found, place);
            assert!(points_into(found, &[its_box], &picture).0, "{map:?}");
        }
    }

    #[test]
    fn the_line_surrounds_the_stronger_half() {
        // Along each axis the weight is 1 over a quarter and a ramp over a half. Where two ramps meet, the share of the
        // square with a product of 1/2 or more is 1 - 1/2 + 1/2 ln 1/2.
        let area = line_area(&upper_right());
        let ramps = 0.25 * (1.0 - 0.5 + 0.5 * 0.5f64.ln());
        assert!((area - (0.0625 + 2.0 * 0.25 * 0.25 + ramps)).abs() < 5e-3, "{area}");
    }

    #[test]
    fn rank_correlation_of_known_pairs() {
        assert_eq!(spearman(&[(1.0, 10.0), (2.0, 100.0), (3.0, 1000.0)]), Some(1.0));
        assert_eq!(spearman(&[(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]), Some(-1.0));
        assert_eq!(spearman(&[(1.0, 3.0), (1.0, 2.0)]), None);
        // Ties share their mean rank: ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
        let rho = spearman(&[(0.0, 1.0), (5.0, 2.0), (5.0, 3.0), (9.0, 4.0)]).unwrap();
        assert!((rho - 4.5 / (4.5f64 * 5.0).sqrt()).abs() < 1e-12, "{rho}");
    }
}

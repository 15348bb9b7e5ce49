//! Measures how well the device finds films in simulated photographs, level by level, and why it refuses photographs:
//!
//!     cargo bench -p trainer --bench film_finding -- MANIFEST SPLIT FILMS BUNDLE
//!
//! Every photograph has all effects at its level. The device is not told the profile, as with a phone's photograph.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;
use trainer::data::dataset::{LabelledFilm, Manifest, read_films};
use trainer::simulate::{Effects, WORST, simulator};
use xray_triage_core::bundle::Bundle;
use xray_triage_core::decision::Outcome;
use xray_triage_core::film::Profile;
use xray_triage_core::pipeline::{Options, Pipeline};
use xray_triage_core::record::Record;

/// Largest distance of a corner with which a film counts as found, as a share of the photograph's diagonal.
const GOOD_CORNER: f32 = 0.015;

/// What the device made of a photograph.
struct Found {
    /// Largest distance of a found corner from the true one, as a share of the diagonal. `None` if no film was found, or if
    /// the photograph was taken for one of another profile.
    corner_error: Option<f32>,
    /// Why the photograph was refused. Empty if it was not.
    refused_for: Vec<&'static str>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [manifest, split, films, bundle] = arguments.as_slice() else {
        return Err("give a dataset's manifest.csv, a split, how many of its films, and a bundle's folder".into());
    };
    let count: usize = films.parse().map_err(|_| format!("{films} is no number of films"))?;
    let (mut films, _) = read_films(Manifest::read(Path::new(manifest))?.split(split)?)?;
    // The films of one collection lie together, so they are taken evenly from the whole list.
    let step = (films.len() / count.max(1)).max(1);
    films = films.into_iter().step_by(step).take(count).collect();
    let options = Options { threads: 1, ..Options::default() };
    let pipeline = Pipeline::new(&Bundle::load(Path::new(bundle))?, &options)?;

    println!("| Photograph of | Level | Found within 1.5 % | Median error, % of the diagonal | Refused | For |");
    println!("|---|---|---|---|---|---|");
    for profile in [Profile::Film, Profile::Screen] {
        for level in 1..=WORST {
            let of_film = |(seed, film): (usize, &LabelledFilm)| find(&pipeline, film, profile, level, seed as u64);
            let found: Vec<Found> = films.par_iter().enumerate().filter_map(of_film).collect();
            println!("| {} | {level} | {} |", profile.name(), row(&found));
        }
    }
    Ok(())
}

/// What the device makes of one photograph. `None` for the digital profile, which has no photographs.
fn find(pipeline: &Pipeline, film: &LabelledFilm, profile: Profile, level: u8, seed: u64) -> Option<Found> {
    let photograph = simulator(profile)?(&film.picture, &Effects::all(level), seed);
    let record = pipeline.assess(photograph.clone().into_gray(), film.film.image_id.clone()).record;
    let corner_error = found_corners(&record, profile).map(|found| photograph.corner_error(&found));
    let refused_for = if record.outcome == Outcome::Refused { record.reasons } else { Vec::new() };
    Some(Found { corner_error, refused_for })
}

fn found_corners(record: &Record, profile: Profile) -> Option<[[f32; 2]; 4]> {
    let film = record.outline.as_ref().filter(|outline| outline.found && record.profile == Some(profile))?;
    Some(film.corners)
}

/// The cells of a level's row, without the first two.
fn row(found: &[Found]) -> String {
    let mut errors: Vec<f32> = found.iter().filter_map(|photograph| photograph.corner_error).collect();
    errors.sort_by(f32::total_cmp);
    let good = errors.iter().filter(|error| **error <= GOOD_CORNER).count();
    let median = errors.get(errors.len() / 2).map_or("-".into(), |error| format!("{:.2}", 100.0 * error));
    let refused = found.iter().filter(|photograph| !photograph.refused_for.is_empty()).count();
    let mut reasons = BTreeMap::new();
    for reason in found.iter().flat_map(|photograph| &photograph.refused_for) {
        *reasons.entry(*reason).or_insert(0) += 1;
    }
    let reasons: Vec<String> = reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    let reasons = if reasons.is_empty() { "-".into() } else { reasons.join(", ") };
    format!("{good} of {} | {median} | {refused} | {reasons}", found.len())
}

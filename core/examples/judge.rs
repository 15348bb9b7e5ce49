//! Judges one image file with a model bundle, prints the outcome, and writes the film with its heat map.
//!
//! ```sh
//! cargo run --release -p xray-triage-core --example judge -- \
//!     models/densenet121-cbam tests/films/film-photo-nih_00002102_000.jpg heat-map.png
//! ```

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use xray_triage_core::bundle::Bundle;
use xray_triage_core::decision::Class;
use xray_triage_core::pipeline::{Options, Pipeline};
use xray_triage_core::{DISCLAIMER, image_file, overlay};

fn main() -> ExitCode {
    match judge() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn judge() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [bundle, film, heat_map] = &arguments[..] else {
        return Err("usage: judge BUNDLE_FOLDER IMAGE_FILE HEAT_MAP.png".into());
    };
    let pipeline = Pipeline::new(&Bundle::load(bundle)?, &Options::default())?;
    let assessment = pipeline.assess_file(film);
    let record = &assessment.record;

    println!("{}: {}", record.outcome.headline(), record.outcome.meaning());
    if let Some(probabilities) = record.probabilities {
        for class in Class::ALL {
            println!("  {} {:.1} %", class.label(), 100.0 * probabilities.of(class));
        }
    }
    for advice in &record.advice {
        println!("  {advice}");
    }
    if let (Some(rectified), Some(cam), Some(class)) = (&assessment.picture, &assessment.cam, record.top) {
        image_file::write_png(heat_map, &overlay::with_map(rectified, Some(&cam.heat(class)), 1))?;
        println!("  places that speak for {}: {}", class.label(), heat_map.display());
    }
    println!("Model {}. {DISCLAIMER}", record.model.id);
    Ok(())
}

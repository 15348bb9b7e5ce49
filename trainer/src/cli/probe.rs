//! `trainer probe`.

use std::path::PathBuf;

use burn::tensor::{Tensor, TensorData};
use clap::Args;
use trainer::bundle::{self, Weights};
use trainer::data::dataset::{self, LabelledFilm, Manifest};
use trainer::measure::probe::{self, Seen};
use trainer::model::backend::Backend;
use trainer::model::network::Network;
use xray_triage_core::preprocess::{self, InputSpec};

use super::{AnyError, print_measurement};

/// Measure what a network knows of a film beside the disease: how well its projection, its source and its size can be told
/// from the network's features and from its answers, among films of one class.
#[derive(Args)]
pub struct ProbeArgs {
    /// A bundle's folder, or a float checkpoint: a run's folder or a file of weights. The float weights are probed.
    #[arg(long, visible_alias = "checkpoint")]
    bundle: PathBuf,
    /// The data set's manifest.
    #[arg(long)]
    manifest: PathBuf,
    /// The split whose films are asked about.
    #[arg(long, default_value = "val")]
    split: String,
    /// Side of the input, pixels. Without this flag it is the bundle's, or that of a run's last stage, or 224 for a file.
    #[arg(long)]
    size: Option<u32>,
    /// What the network is computed on.
    #[arg(long, value_enum)]
    backend: Option<Backend>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// How many films the network sees at once.
const BATCH: usize = 8;

/// Runs the command.
pub fn probe(args: ProbeArgs) -> Result<(), AnyError> {
    let (films, _) = dataset::read_films(Manifest::read(&args.manifest)?.split(&args.split)?)?;
    let Weights { architecture, state, size } = bundle::weights(&args.bundle, args.size)?;
    let device = args.backend.unwrap_or(Backend::preferred()).device();
    let network = Network::new(&architecture, &device).with_state(&state)?;
    let (spec, side) = (InputSpec::imagenet(size), size as usize);
    let mut seen = Vec::with_capacity(films.len());
    for some in films.chunks(BATCH) {
        let input: Vec<f32> = some.iter().flat_map(|film| preprocess::tensor(&film.picture, &spec)).collect();
        let image = Tensor::<4>::from_data(TensorData::new(input, [some.len(), 3, side, side]), &device);
        let output = network.forward(image);
        let rows = |tensor: Tensor<2>| -> Result<Vec<Vec<f32>>, AnyError> {
            let [_, width] = tensor.dims();
            let values =
                tensor.into_data().convert::<f32>().try_into_vec().map_err(|_| "the network gave no numbers")?;
            Ok(values.chunks_exact(width).map(<[f32]>::to_vec).collect())
        };
        let (features, logits) = (rows(output.pooled)?, rows(output.logits)?);
        for ((film, features), logits) in some.iter().zip(features).zip(logits) {
            seen.push(Seen { features, logits, size: film.picture.dimensions() });
        }
    }
    let films: Vec<_> = films.into_iter().map(|LabelledFilm { film, .. }| film).collect();
    print_measurement(&probe::probe(&args.bundle.display().to_string(), &args.split, &films, &seen), args.json)
}

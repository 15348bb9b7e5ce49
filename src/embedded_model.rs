//! The model bundle that is built into the program.

use xray_triage_core::bundle::{Bundle, BundleError, Manifest};

const MANIFEST: &str = include_str!("../models/densenet121-cbam/manifest.toml");
const NETWORK: &[u8] = include_bytes!("../models/densenet121-cbam/model.onnx");
const OOD_MODEL: &[u8] = include_bytes!("../models/densenet121-cbam/film-space.json");

/// Verifies and returns the built-in bundle.
///
/// # Errors
/// The files that are built into the program do not belong together, or the OOD model is not usable.
pub fn bundle() -> Result<Bundle, BundleError> {
    let origin = "built-in model";
    let manifest = Manifest::parse(MANIFEST, origin)?;
    Bundle::verify(manifest, NETWORK.into(), OOD_MODEL, origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_bundle_verifies() {
        assert!(bundle().is_ok());
    }
}

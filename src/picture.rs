//! temporary
use std::path::Path;
pub fn read(path: &Path) -> Result<image::GrayImage, image::ImageError> {
    Ok(image::ImageReader::open(path)?.decode()?.into_luma8())
}

//! Films that are there twice: as the same picture, or as a scaled, recompressed or re-toned copy of it.

use std::collections::{HashMap, HashSet};

use image::{GrayImage, imageops};
use image_hasher::{HashAlg, HasherConfig};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::data::dataset::{Label, Row};

use super::dropped::{Dropped, Reason};
use super::groups::Groups;

/// Side of the perceptual hash, pixels.
const HASH_SIDE: u32 = 16;
/// Side of the thumbnail, pixels.
const THUMBNAIL_SIDE: u32 = 32;

/// Near duplicates differ in at most this many of the 256 bits of their gradient hashes, *and* their thumbnails correlate
/// by at least [`LEAST_CORRELATION`].
///
/// Both limits were measured on the 1346 different films of the set that the shipped model was trained on, 905 thousand
/// pairs. Hashes alone are not enough: 65 pairs differ in 30 bits or fewer, at least in 24. But no pair correlates above
/// 0.970. 150 of the films were recompressed at JPEG quality 30 to 50, halved, or squeezed to a square: all copies
/// correlate by at least 0.998 and differ in 25 bits at most. With contrast, gamma, or a border of 1 % changed, it is
/// 0.989 and 31 bits. A copy that is brightened until its white clips, or cropped by 2 % and more, may be missed.
const MOST_BITS: u32 = 48;
/// Least correlation of the thumbnails of near duplicates, see [`MOST_BITS`].
const LEAST_CORRELATION: f64 = 0.98;

/// What is kept of a picture to compare it with others.
pub struct Fingerprint {
    /// SHA-256 of the picture's size and its gray values.
    pixels: [u8; 32],
    /// The 256 bits of the gradient hash.
    gradients: [u64; 4],
    /// 32 x 32 gray values, row by row.
    thumbnail: Vec<u8>,
}

impl Fingerprint {
    /// The fingerprint of a picture.
    pub fn of(picture: &GrayImage) -> Self {
        let mut pixels = Sha256::new();
        pixels.update(picture.width().to_le_bytes());
        pixels.update(picture.height().to_le_bytes());
        pixels.update(picture.as_raw());
        let hasher = HasherConfig::with_bytes_type::<[u8; 32]>()
            .hash_size(HASH_SIDE, HASH_SIDE)
            .hash_alg(HashAlg::Gradient)
            .to_hasher();
        let hash = hasher.hash_image(picture).into_inner();
        let mut gradients = [0; 4];
        for (word, bytes) in gradients.iter_mut().zip(hash.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        let thumbnail = imageops::thumbnail(picture, THUMBNAIL_SIDE, THUMBNAIL_SIDE).into_raw();
        Fingerprint { pixels: pixels.finalize().into(), gradients, thumbnail }
    }

    fn is_near(&self, other: &Fingerprint) -> bool {
        let bits: u32 = self.gradients.iter().zip(other.gradients).map(|(a, b)| (a ^ b).count_ones()).sum();
        bits <= MOST_BITS && correlation(&self.thumbnail, &other.thumbnail) >= LEAST_CORRELATION
    }
}

/// Pearson's correlation (-1..=1) of gray values. It is 0 if one picture is flat.
fn correlation(a: &[u8], b: &[u8]) -> f64 {
    let mean = |values: &[u8]| values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut squares_a, mut squares_b, mut products) = (0.0, 0.0, 0.0);
    for (&a, &b) in a.iter().zip(b) {
        let (a, b) = (f64::from(a) - mean_a, f64::from(b) - mean_b);
        squares_a += a * a;
        squares_b += b * b;
        products += a * b;
    }
    if squares_a == 0.0 || squares_b == 0.0 { 0.0 } else { products / (squares_a * squares_b).sqrt() }
}

/// Two pictures of a list that are copies of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The place of the earlier picture in the list.
    pub first: usize,
    /// The place of the later picture in the list.
    pub second: usize,
    /// Whether the pictures are equal, pixel by pixel.
    pub same_pixels: bool,
}

/// All pairs of copies, in the order of the later pictures. A picture whose pixels an earlier one has makes a pair with the
/// first of these only. Any other picture makes a pair with each earlier one that it is a near duplicate of.
pub fn pairs(fingerprints: &[Fingerprint]) -> Vec<Pair> {
    let mut first_with: HashMap<[u8; 32], usize> = HashMap::new();
    for (index, fingerprint) in fingerprints.iter().enumerate() {
        first_with.entry(fingerprint.pixels).or_insert(index);
    }
    let pairs = fingerprints.par_iter().enumerate().flat_map_iter(|(second, fingerprint)| {
        let same = first_with[&fingerprint.pixels];
        if same < second {
            return vec![Pair { first: same, second, same_pixels: true }];
        }
        let near = (0..second).filter(|&first| fingerprints[first].is_near(fingerprint));
        near.map(|first| Pair { first, second, same_pixels: false }).collect()
    });
    pairs.collect()
}

/// The films that are left out because they are copies, by their place in `rows`. Of films that are copies of each other
/// the first is kept. If they show different things, none is.
pub fn leave_out(rows: &[Row], pairs: &[Pair]) -> HashMap<usize, Dropped> {
    let mut copies = Groups::new(rows.len());
    pairs.iter().for_each(|pair| copies.join(pair.first, pair.second));
    let same_pixels: HashSet<usize> = pairs.iter().filter(|pair| pair.same_pixels).map(|pair| pair.second).collect();
    let mut left_out = HashMap::new();
    for films in copies.lists() {
        let [first, others @ ..] = films.as_slice() else { continue };
        let shown = |film: usize| rows[film].shown().unwrap_or(Label::Other);
        if others.iter().any(|&film| shown(film) != shown(*first)) {
            let labels: Vec<String> =
                films.iter().map(|&film| format!("{} {}", rows[film].image_id, shown(film).text())).collect();
            let drop = |&film: &usize| (film, Dropped::new(&rows[film], Reason::LabelsContradict, labels.join(", ")));
            left_out.extend(films.iter().map(drop));
            continue;
        }
        for &film in others {
            let reason = if same_pixels.contains(&film) { Reason::SamePixels } else { Reason::NearDuplicate };
            left_out.insert(film, Dropped::new(&rows[film], reason, rows[*first].image_id.clone()));
        }
    }
    left_out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use image::Luma;
    use image::codecs::jpeg::JpegEncoder;
    use image::imageops::FilterType;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// A picture of soft spots, another for every seed.
    pub(in crate::data::prepare) fn film(seed: u64) -> GrayImage {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let coarse = GrayImage::from_fn(9, 9, |_, _| Luma([random.random_range(20..=235)]));
        imageops::resize(&coarse, 160, 120, FilterType::CatmullRom)
    }

    fn pairs_of(films: &[GrayImage]) -> Vec<Pair> {
        pairs(&films.iter().map(Fingerprint::of).collect::<Vec<_>>())
    }

    #[test]
    fn copies_are_found_and_different_films_are_not() {
        let original = film(1);
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(&mut jpeg, 50).encode_image(&original).unwrap();
        let recompressed = image::load_from_memory(&jpeg).unwrap().into_luma8();
        let scaled = imageops::resize(&original, 90, 70, FilterType::Triangle);
        let mut toned = original.clone();
        toned.iter_mut().for_each(|level| *level = (255.0 * (f32::from(*level) / 255.0).powf(0.8)) as u8);
        let films = [film(2), original.clone(), recompressed, scaled, film(3), toned, original];
        let found: Vec<(usize, usize, bool)> =
            pairs_of(&films).iter().map(|pair| (pair.first, pair.second, pair.same_pixels)).collect();
        let like_1 = |second: usize| found.contains(&(1, second, false));
        assert!(like_1(2) && like_1(3) && like_1(5), "{found:?}");
        assert!(found.contains(&(1, 6, true)), "{found:?}");
        assert!(found.iter().all(|(first, second, _)| ![0, 4].contains(first) && *second != 4), "{found:?}");
    }

    #[test]
    fn neither_an_inverted_nor_a_flat_picture_is_a_copy() {
        let original = film(1);
        let mut inverted = original.clone();
        imageops::invert(&mut inverted);
        let flat = |level| GrayImage::from_pixel(160, 120, Luma([level]));
        assert_eq!(pairs_of(&[original, inverted, flat(40), flat(41)]), []);
    }
}

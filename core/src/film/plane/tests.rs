use image::Luma;
use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn reduction_keeps_the_mean_of_whole_blocks(
        columns in 1..12usize,
        rows in 1..12usize,
        factor in 1..5usize,
        content in proptest::collection::vec(any::<u8>(), 97),
    ) {
        let (width, height) = ((columns * factor) as u32, (rows * factor) as u32);
        let picture = GrayImage::from_fn(width, height, |x, y| Luma([content[(x as usize * 13 + y as usize * 5) % 97]]));
        let plane = Plane::reduced(&picture, factor);
        prop_assert_eq!((plane.width, plane.height, plane.values.len()), (columns, rows, columns * rows));
        let mean = |values: &mut dyn Iterator<Item = f64>, count: usize| values.sum::<f64>() / count as f64;
        let before = mean(&mut picture.iter().map(|&gray| f64::from(gray)), picture.len());
        let after = mean(&mut plane.values.iter().map(|&gray| f64::from(gray)), plane.values.len());
        prop_assert!((before - after).abs() < 1e-2, "{before} and {after}");
    }

    #[test]
    fn pixels_that_fill_no_block_are_left_out(width in 0..40u32, height in 0..40u32, factor in 1..9usize) {
        let plane = Plane::reduced(&GrayImage::new(width, height), factor);
        let columns = width as usize / factor;
        let rows = height as usize / factor;
        prop_assert_eq!((plane.width, plane.height, plane.values.len()), (columns, rows, columns * rows));
    }

    #[test]
    fn samples_stay_between_the_neighbours(x in -5.0..25.0f32, y in -5.0..25.0f32, content in proptest::collection::vec(any::<u8>(), 400)) {
        let plane = Plane::reduced(&GrayImage::from_raw(20, 20, content.clone()).unwrap(), 1);
        let (lowest, highest) = (f32::from(*content.iter().min().unwrap()), f32::from(*content.iter().max().unwrap()));
        let value = plane.sample(x, y);
        prop_assert!((lowest - 1e-3..=highest + 1e-3).contains(&value), "{value}");
        let inside = (0.0..20.0).contains(&x) && (0.0..20.0).contains(&y);
        prop_assert_eq!(plane.get(x, y).is_some(), inside);
    }
}

#[test]
fn pixel_centres_have_the_pixels_gray() {
    let plane = Plane::reduced(&GrayImage::from_fn(3, 2, |x, y| Luma([(10 * x + 100 * y) as u8])), 1);
    assert_eq!(plane.get(1.5, 1.5), Some(110.0));
    assert_eq!(plane.get(1.0, 0.5), Some(5.0), "half way between two pixels");
    assert_eq!(plane.sample(-9.0, -9.0), 0.0, "beyond the picture the nearest pixel counts");
}

#[test]
fn a_ramp_has_its_slope_and_survives_smoothing() {
    let plane = Plane::reduced(&GrayImage::from_fn(9, 9, |x, y| Luma([(7 * x + 3 * y) as u8])), 1);
    let smooth = plane.smoothed();
    for y in 1..8 {
        for x in 1..8 {
            assert_eq!(plane.gradient(x, y), [7.0, 3.0]);
            assert_eq!(smooth.values[y * 9 + x], plane.values[y * 9 + x]);
        }
    }
}

#[test]
fn values_are_told_apart_by_the_side_of_the_quadrilateral_they_lie_on() {
    let quad = [[10.0, 10.0], [30.0, 10.0], [30.0, 30.0], [10.0, 30.0]];
    let inside = |x: u32, y: u32| (10..30).contains(&x) && (10..30).contains(&y);
    let picture = GrayImage::from_fn(40, 40, |x, y| Luma([if inside(x, y) { 200 } else { 50 }]));
    let plane = Plane::reduced(&picture, 1);
    assert!(plane.inside(&quad).iter().all(|&gray| gray == 200.0));
    assert!(plane.outside(&quad).iter().all(|&gray| gray == 50.0));
    assert_eq!(plane.inside(&quad).len(), 14 * 14, "3 pixels on every side are left out");
}

//! Statistics of gray values.

/// The gray value below or at which `percent` (0..=100) of the pixels lie.
pub fn percentile(pixels: &[u8], percent: f32) -> u8 {
    let mut histogram = [0usize; 256];
    for &gray in pixels {
        histogram[usize::from(gray)] += 1;
    }
    let wanted = (pixels.len() as f64 * f64::from(percent) / 100.0).ceil().max(1.0) as usize;
    let mut seen = 0;
    for (gray, count) in histogram.iter().enumerate() {
        seen += count;
        if seen >= wanted {
            return gray as u8;
        }
    }
    u8::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_ramp() {
        let ramp: Vec<u8> = (0..=255).collect();
        assert_eq!(percentile(&ramp, 0.0), 0);
        assert_eq!(percentile(&ramp, 50.0), 127);
        assert_eq!(percentile(&ramp, 100.0), 255);
    }
}

//! Int8 arithmetic of ONNX's `QLinearConv`: `real = scale * (integer - zero point)`.

use super::ExportError;
use super::fold::Convolution;

/// Values that a uint8 tensor tells apart.
pub const LEVELS: usize = 256;
/// Weights are integers between its negative and itself.
pub const WEIGHT_LIMIT: f32 = 127.0;

/// How a uint8 tensor stands for real values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Uint8Scale {
    /// Above zero.
    pub scale: f32,
    pub zero_point: u8,
}

impl Uint8Scale {
    /// Spreads the 256 integers over a range that holds zero, so that zero is met exactly (paddings, ReLU).
    /// A range of zero width, a dead tensor's, gets scale 1.
    pub fn over([low, high]: [f32; 2]) -> Self {
        if low == high {
            return Uint8Scale { scale: 1.0, zero_point: 0 };
        }
        let scale = (high - low) / 255.0;
        Uint8Scale { scale, zero_point: (-low / scale).round_ties_even().clamp(0.0, 255.0) as u8 }
    }

    /// The integer that stands for a real value.
    pub fn integer(&self, value: f32) -> u8 {
        ((value / self.scale).round_ties_even() + f32::from(self.zero_point)).clamp(0.0, 255.0) as u8
    }

    /// The real value that a real value becomes.
    pub fn rounded(&self, value: f32) -> f32 {
        f32::from(i16::from(self.integer(value)) - i16::from(self.zero_point)) * self.scale
    }
}

/// Checks a range that may come from a file.
pub fn check_range(tensor: &str, range: [f32; 2], rectified: bool) -> Result<[f32; 2], ExportError> {
    let [low, high] = range;
    let problem = if !(low.is_finite() && high.is_finite()) {
        "is not finite"
    } else if low > 0.0 || high < 0.0 {
        "does not hold zero"
    } else if rectified && low < 0.0 {
        "is below zero after a ReLU"
    } else if high > low && (high - low) / 255.0 < f32::MIN_POSITIVE {
        "is too narrow"
    } else {
        return Ok(range);
    };
    Err(ExportError::Range { tensor: tensor.into(), range, problem })
}

/// A convolution in integers.
#[derive(Clone, Debug, PartialEq)]
pub struct Int8Convolution {
    /// Within [`WEIGHT_LIMIT`] either way, zero point 0.
    pub weights: Vec<i8>,
    /// One scale an output channel, above zero.
    pub scales: Vec<f32>,
    /// In units of input scale times channel scale.
    pub bias: Vec<i32>,
}

impl Int8Convolution {
    /// Rounds a convolution for an input of the given scale.
    ///
    /// A channel's scale takes its largest weight to [`WEIGHT_LIMIT`]. Where the bias would then exceed 2^24 units (a dead channel
    /// with weights of nearly zero), the scale grows until it does not: the runtimes hold sums in single precision.
    pub fn new(convolution: &Convolution, input_scale: f32) -> Self {
        let channels = convolution.shape[0];
        let mut weights = Vec::with_capacity(convolution.weights.len());
        let mut scales = Vec::with_capacity(channels);
        let mut bias = Vec::with_capacity(channels);
        for (channel, &channel_bias) in convolution.bias.iter().enumerate() {
            let values = convolution.channel(channel);
            let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            let least = channel_bias.abs() / input_scale / (1 << 24) as f32;
            let mut scale = (largest / WEIGHT_LIMIT).max(least);
            if scale < f32::MIN_POSITIVE {
                scale = 1.0;
            }
            weights.extend(values.iter().map(|value| (value / scale).round_ties_even() as i8));
            let unit = f64::from(input_scale) * f64::from(scale);
            bias.push((f64::from(channel_bias) / unit).round_ties_even() as i32);
            scales.push(scale);
        }
        Int8Convolution { weights, scales, bias }
    }

    /// The convolution of real values that the integers stand for, of the given shape and input scale.
    pub fn real(&self, shape: [usize; 4], input_scale: f32) -> Convolution {
        let length = self.weights.len() / self.scales.len();
        let weights = self.weights.iter().enumerate();
        Convolution {
            shape,
            weights: weights.map(|(place, &integer)| f32::from(integer) * self.scales[place / length]).collect(),
            bias: self.bias.iter().zip(&self.scales).map(|(&bias, scale)| bias as f32 * input_scale * scale).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_exact_and_ends_saturate() {
        for range in [[0.0, 6.0], [-1.3, 2.9], [-4.0, 0.0], [0.0, 0.0]] {
            let scale = Uint8Scale::over(range);
            assert_eq!(scale.rounded(0.0), 0.0, "{range:?}");
        }
        let scale = Uint8Scale::over([-1.0, 3.0]);
        assert!((scale.rounded(100.0) - 3.0).abs() <= scale.scale);
        assert!((scale.rounded(-100.0) + 1.0).abs() <= scale.scale);
        assert!((scale.rounded(1.234) - 1.234).abs() <= scale.scale / 2.0 + 1e-6);
    }

    #[test]
    fn weights_and_bias_are_within_half_a_unit() {
        let convolution =
            Convolution { shape: [2, 1, 1, 3], weights: vec![0.5, -1.0, 0.1, 0.0, 0.0, 0.0], bias: vec![0.3, -2.0] };
        let rounded = Int8Convolution::new(&convolution, 0.02);
        for (channel, scale) in rounded.scales.iter().enumerate() {
            for (integer, real) in rounded.weights[channel * 3..][..3].iter().zip(convolution.channel(channel)) {
                assert!((f32::from(*integer) * scale - real).abs() <= scale / 2.0 * 1.001);
            }
            let unit = 0.02 * scale;
            assert!((rounded.bias[channel] as f32 * unit - convolution.bias[channel]).abs() <= 1e-5 + unit / 2.0);
        }
        assert_eq!(rounded.weights[1], -127);
        assert_eq!(rounded.bias[1], -(1 << 24));
    }

    #[test]
    fn a_damaged_range_is_refused() {
        assert!(check_range("t", [0.0, 1.0], true).is_ok());
        for (range, rectified) in [([f32::NAN, 1.0], false), ([0.5, 1.0], false), ([-1.0, 1.0], true)] {
            assert!(check_range("t", range, rectified).unwrap_err().to_string().contains("`t`"));
        }
    }
}

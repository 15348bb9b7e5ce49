//! Int8 convolutions: weights and biases in the integers of ONNX's `QLinearConv` (what they stand for:
//! [`int8`](crate::model::int8)).

use crate::model::int8::WEIGHT_LIMIT;

use super::fold::Convolution;

/// A convolution in integers.
#[derive(Clone, Debug, PartialEq)]
pub struct Int8Convolution {
    /// The weights in row-major order, from minus [`WEIGHT_LIMIT`] to [`WEIGHT_LIMIT`], with zero point 0.
    pub weights: Vec<i8>,
    /// The weights' scales, one an output channel, above zero.
    pub scales: Vec<f32>,
    /// The bias, one integer an output channel, in units of the input's scale times the channel's.
    pub bias: Vec<i32>,
}

impl Int8Convolution {
    /// Rounds a convolution for an input of the given scale.
    ///
    /// A channel's scale makes its largest weight [`WEIGHT_LIMIT`]. A channel that is always zero has weights of nearly
    /// zero, and its bias could exceed 2^24 units; its scale grows until the bias does not, because the runtimes hold sums
    /// in single precision.
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

    /// The convolution of real values that the integers stand for. `shape` is that of the weights, `input_scale` the one
    /// given to [`Self::new`].
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
}

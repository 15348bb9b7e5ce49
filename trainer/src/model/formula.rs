//! Weights and a picture that are computed from a formula. Tests need no file of weights, and PyTorch can make the very
//! same network.
//!
//! Every value comes from `u(name, i)`, uniform in [-1, 1): the upper 24 bits of `splitmix64(fnv1a64(name) + i)`
//! (Steele et al. 2014; Fowler, Noll and Vo), as a multiple of 2^-23. With `i` the row-major index:
//!
//! | parameter | value |
//! |---|---|
//! | convolution weight | `u * gain * sqrt(6 / fan_in)`, gain 1; in transitions 2, 4 or 16 for [`Attention::None`], `Se`, `Cbam`: the gates shrink what they pass |
//! | linear weight | `u * sqrt(3 / fan_in)` |
//! | norm weight | `1 + 0.1 u` |
//! | norm `running_var` | `1 + 0.5 abs(u)` |
//! | biases, norm `running_mean` | `0.1 u` |
//!
//! Every value is computed in double precision, by additions, products and square roots only, and rounded once. So
//! `golden/reference.py` gets the same bits.

use super::architecture::{Architecture, Attention};
use super::state_dict::StateDict;
use super::tensor_names;

/// All parameters and buffers of a network, by the formula of this module.
pub fn state(architecture: &Architecture) -> StateDict {
    let transition_gain = match architecture.attention {
        Attention::None => 2.0,
        Attention::Se => 4.0,
        Attention::Cbam => 16.0,
    };
    let mut state = StateDict::default();
    for (name, shape) in architecture.parameter_shapes() {
        let seed = fnv1a64(&name);
        let positive = tensor_names::is_running_variance(&name);
        let fan_in: usize = shape[1..].iter().product();
        let (offset, scale) = match shape.len() {
            4 if tensor_names::is_transition(&name) => (0.0, transition_gain * (6.0 / fan_in as f64).sqrt()),
            4 => (0.0, (6.0 / fan_in as f64).sqrt()),
            2 => (0.0, (3.0 / fan_in as f64).sqrt()),
            _ if positive => (1.0, 0.5),
            _ if tensor_names::is_weight(&name) => (1.0, 0.1),
            _ => (0.0, 0.1),
        };
        let values = (0..shape.iter().product::<usize>() as u64)
            .map(|index| {
                let u = uniform(seed, index);
                (offset + scale * if positive { u.abs() } else { u }) as f32
            })
            .collect();
        state.insert(name, shape, values);
    }
    state
}

/// A picture of `3 * size * size` values in [-2, 2), channels first: slanted triangle waves, one slope a channel, and
/// noise: `1.5 tri((c + 1) x + 2 y) + 0.5 u("image", i)` with `tri(n) = 4 abs((n mod size) / size - 0.5) - 1`.
pub fn image(size: usize) -> Vec<f32> {
    let seed = fnv1a64("image");
    (0..3 * size * size)
        .map(|index| {
            let (channel, y, x) = (index / (size * size), index / size % size, index % size);
            let phase = ((channel + 1) * x + 2 * y) % size;
            let wave = 4.0 * (phase as f64 / size as f64 - 0.5).abs() - 1.0;
            (1.5 * wave + 0.5 * uniform(seed, index as u64)) as f32
        })
        .collect()
}

/// A value uniform in [-1, 1), a multiple of 2^-23.
fn uniform(seed: u64, index: u64) -> f64 {
    (splitmix64(seed.wrapping_add(index)) >> 40) as f64 / (1u64 << 23) as f64 - 1.0
}

/// A step of SplitMix64 (Steele et al. 2014, "Fast splittable pseudorandom number generators").
fn splitmix64(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The 64-bit hash FNV-1a (Fowler, Noll and Vo).
fn fnv1a64(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generators_match_their_published_vectors() {
        assert_eq!(fnv1a64("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a64("foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(splitmix64(0), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn values_stay_in_their_ranges() {
        let state = state(&Architecture::tiny(Attention::Cbam));
        for (name, parameter) in &state.parameters {
            let (low, high) = match name.rsplit('.').next() {
                Some("running_var") => (1.0, 1.5),
                Some("bias" | "running_mean") => (-0.1, 0.1),
                _ if name.contains("norm") || name.contains(".bn.") => (0.9, 1.1),
                _ => continue,
            };
            assert!(parameter.values.iter().all(|v| (low..=high).contains(v)), "{name}");
        }
        assert!(image(64).iter().all(|v| (-2.0..2.0).contains(v)));
    }
}

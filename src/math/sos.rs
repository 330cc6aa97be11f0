//! Filters as a chain of second-order sections, run over many channels at once.
//!
//! In: samples, row by row (rows x channels), in chunks of any length. Out: the filtered samples in
//! their place. Each section keeps two numbers per channel (direct form II transposed):
//!
//! ```text
//! y  = b0 x + w0
//! w0 = b1 x - a1 y + w1
//! w1 = b2 x - a2 y
//! ```
//!
//! Every operation is done in this order for every sample, so the result does not depend, to the
//! last bit, on how the samples are cut into chunks. Delay: that of the filter, see
//! [`super::filter_design::group_delay`]. Reference: `scipy.signal.sosfilt`.

/// How many channels are filtered side by side, so that the compiler uses vector instructions.
const LANES: usize = 8;

/// One second-order section, `(b0 + b1/z + b2/z^2) / (1 + a1/z + a2/z^2)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Section {
    /// Numerator `b0, b1, b2`.
    pub b: [f64; 3],
    /// Denominator `a1, a2`; the leading one is left out.
    pub a: [f64; 2],
}

/// A chain of sections with its memory for a number of channels.
#[derive(Debug, Clone, Default)]
pub struct Cascade {
    sections: Vec<Section>,
    channels: usize,
    /// For each section `w0` of every channel, then `w1` of every channel.
    state: Vec<f64>,
}

impl Cascade {
    /// The chain `sections` at rest, for `channels` channels.
    pub fn new(sections: Vec<Section>, channels: usize) -> Self {
        let state = vec![0.0; sections.len() * 2 * channels];
        Self { sections, channels, state }
    }

    /// Brings the chain to rest.
    pub fn reset(&mut self) {
        self.state.fill(0.0);
    }

    /// Whether the memory holds finite numbers only. Once it does not, neither does what comes out,
    /// until [`Cascade::reset`].
    pub fn is_finite(&self) -> bool {
        self.state.iter().all(|w| w.is_finite())
    }

    /// Filters `data` (rows x channels) in place and goes on from where the last call ended.
    pub fn process(&mut self, data: &mut [f64]) {
        let n = self.channels;
        for (section, state) in self.sections.iter().zip(self.state.chunks_exact_mut(2 * n.max(1)))
        {
            let (w0, w1) = state.split_at_mut(n);
            let mut first = 0;
            while first + LANES <= n {
                run::<LANES>(section, data, n, first, w0, w1);
                first += LANES;
            }
            while first < n {
                run::<1>(section, data, n, first, w0, w1);
                first += 1;
            }
        }
    }
}

/// Runs one section over the `N` channels from `first` on, with their memory held in registers.
fn run<const N: usize>(
    section: &Section,
    data: &mut [f64],
    stride: usize,
    first: usize,
    w0: &mut [f64],
    w1: &mut [f64],
) {
    let (Some(w0), Some(w1)) =
        (w0[first..].first_chunk_mut::<N>(), w1[first..].first_chunk_mut::<N>())
    else {
        return;
    };
    let ([b0, b1, b2], [a1, a2]) = (section.b, section.a);
    let (mut u, mut v) = (*w0, *w1);
    for row in data.chunks_exact_mut(stride) {
        let Some(x) = row[first..].first_chunk_mut::<N>() else { break };
        for i in 0..N {
            let y = b0 * x[i] + u[i];
            u[i] = b1 * x[i] - a1 * y + v[i];
            v[i] = b2 * x[i] - a2 * y;
            x[i] = y;
        }
    }
    (*w0, *w1) = (u, v);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A running sum and a running difference, easy to follow by hand.
    fn sections() -> Vec<Section> {
        vec![
            Section { b: [1.0, 0.0, 0.0], a: [-1.0, 0.0] },
            Section { b: [1.0, 0.0, -1.0], a: [0.0, 0.0] },
        ]
    }

    #[test]
    fn sums_and_differences() {
        let mut cascade = Cascade::new(sections(), 1);
        let mut data = [1.0, 2.0, 3.0, 4.0];
        cascade.process(&mut data);
        // running sum 1 3 6 10, minus itself two samples ago
        assert_eq!(data, [1.0, 3.0, 5.0, 7.0]);
    }

    #[test]
    fn any_chunking_and_any_channel_count_give_the_same_bits() {
        let section = Section { b: [0.3, 0.1, -0.2], a: [-1.6, 0.7] };
        for channels in [1, 3, 8, 19] {
            let rows = 40;
            let input: Vec<f64> =
                (0..rows * channels).map(|i| ((i * 37 % 101) as f64 - 50.0) / 7.0).collect();
            let mut whole = input.clone();
            Cascade::new(vec![section; 3], channels).process(&mut whole);
            for chunk in [1, 7, 13] {
                let mut cascade = Cascade::new(vec![section; 3], channels);
                let mut parts = input.clone();
                parts.chunks_mut(chunk * channels).for_each(|part| cascade.process(part));
                assert!(whole.iter().zip(&parts).all(|(a, b)| a.to_bits() == b.to_bits()));
            }
        }
    }

    #[test]
    fn reset_is_like_new_and_nan_is_noticed() {
        let mut cascade = Cascade::new(sections(), 2);
        cascade.process(&mut [f64::NAN, 1.0, 2.0, 3.0]);
        assert!(!cascade.is_finite());
        cascade.reset();
        assert!(cascade.is_finite());
        let mut data = [1.0, 2.0];
        cascade.process(&mut data);
        assert_eq!(data, [1.0, 2.0]);
    }

    #[test]
    fn nothing_in_nothing_out() {
        Cascade::new(sections(), 0).process(&mut []);
        Cascade::new(sections(), 3).process(&mut []);
        Cascade::new(Vec::new(), 3).process(&mut [1.0, 2.0, 3.0]);
    }
}

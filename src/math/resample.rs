//! Resampling of a stretch of samples by the Fourier transform.
//!
//! In: n samples. Out: m samples over the same time, band-limited to the lower of the two rates' halves; as
//! SciPy's `signal.resample`. The stretch is taken as one period of a periodic signal.

use realfft::num_complex::Complex64;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use std::sync::Arc;

/// From n samples to m, in memory that is taken once.
pub struct Resampler {
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
    signal: Vec<f64>,
    before: Vec<Complex64>,
    after: Vec<Complex64>,
    scratch: Vec<Complex64>,
}

impl Resampler {
    /// From `n` to `m` samples, each at least 1.
    pub fn new(n: usize, m: usize) -> Self {
        let mut planner = RealFftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(n), planner.plan_fft_inverse(m));
        let longest = forward.get_scratch_len().max(inverse.get_scratch_len());
        Self {
            signal: forward.make_input_vec(),
            before: forward.make_output_vec(),
            after: inverse.make_input_vec(),
            scratch: vec![Complex64::default(); longest],
            forward,
            inverse,
        }
    }

    /// Writes the m samples that stand for `signal`, which gives n. False, and nothing of use, if it gives
    /// fewer or `out` has another length.
    pub fn run(&mut self, signal: impl Iterator<Item = f64>, out: &mut [f64]) -> bool {
        let mut taken = 0;
        for (to, from) in self.signal.iter_mut().zip(signal) {
            *to = from;
            taken += 1;
        }
        let n = self.signal.len();
        let done = taken == n
            && self
                .forward
                .process_with_scratch(&mut self.signal, &mut self.before, &mut self.scratch)
                .is_ok();
        if !done {
            return false;
        }
        self.carry_over(out.len());
        self.inverse.process_with_scratch(&mut self.after, out, &mut self.scratch).is_ok()
    }

    /// The spectrum of the longer or shorter signal, scaled so that amplitudes stay.
    fn carry_over(&mut self, m: usize) {
        let n = self.signal.len();
        let scale = 1.0 / n as f64;
        let shared = self.before.len().min(self.after.len());
        self.after.fill(Complex64::default());
        for (to, from) in self.after.iter_mut().zip(&self.before).take(shared) {
            *to = from * scale;
        }
        // At half of the lower rate both sides of the spectrum meet: what counts once there counts twice
        // where the rate is higher.
        let lower = n.min(m);
        if lower.is_multiple_of(2) && n != m {
            self.after[lower / 2] *= if m > n { 0.5 } else { 2.0 };
        }
        // What has no imaginary part must not get one by rounding.
        self.after[0].im = 0.0;
        if m.is_multiple_of(2) {
            self.after[m / 2].im = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resample(x: &[f64], m: usize) -> Vec<f64> {
        let mut out = vec![0.0; m];
        assert!(Resampler::new(x.len(), m).run(x.iter().copied(), &mut out));
        out
    }

    /// `scipy.signal.resample([1, 4, 2, -3, 0.5, 2], m)`; 1e-12 is far above rounding and far below any
    /// mistake.
    #[test]
    fn as_scipy() {
        let x = [1.0, 4.0, 2.0, -3.0, 0.5, 2.0];
        for (m, want) in GOLDEN {
            for (got, want) in resample(&x, *m).iter().zip(*want) {
                assert!((got - want).abs() < 1e-12, "{m}: {got} {want}");
            }
        }
    }

    #[test]
    fn a_sine_keeps_its_amplitude_there_and_back() {
        let sine = |n: usize| -> Vec<f64> {
            let turn = std::f64::consts::TAU * 5.0 / n as f64;
            (0..n).map(|t| 2.0 * (turn * t as f64 + 0.3).sin()).collect()
        };
        for (n, m) in [(320, 512), (2000, 512), (512, 512), (501, 512), (320, 511)] {
            let there = resample(&sine(n), m);
            let worst = |a: &[f64], b: &[f64]| {
                a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
            };
            assert!(worst(&there, &sine(m)) < 1e-12, "{n} to {m}");
            assert!(worst(&resample(&there, n), &sine(n)) < 1e-12, "{m} to {n}");
        }
        assert!(!Resampler::new(4, 8).run([1.0].into_iter(), &mut [0.0; 8]));
        assert!(!Resampler::new(1, 8).run([1.0].into_iter(), &mut [0.0; 7]));
    }

    const GOLDEN: &[(usize, &[f64])] = &[
        (4, &[0.9166666666666667, 4.177029637748511, -2.916666666666666, 2.156303695584821]),
        (
            5,
            &[
                0.9166666666666665,
                4.406819758379699,
                -0.6544647075598635,
                -1.5676712474397165,
                2.3153161966198823,
            ],
        ),
        (6, &[1.0, 4.0, 2.0, -3.0, 0.5, 2.0]),
        (
            7,
            &[
                0.9999999999999998,
                3.597512296292745,
                3.508216173417182,
                -1.6354717523054016,
                -2.2865365713913133,
                1.6634054963201481,
                1.736207690999973,
            ],
        ),
        (
            8,
            &[
                1.0,
                3.2384678411178367,
                4.177029637748511,
                0.35706784217235,
                -2.9999999999999996,
                -0.7831260398563575,
                2.156303695584821,
                1.520923689899504,
            ],
        ),
        (
            9,
            &[
                1.0,
                2.9397450335948325,
                4.376564943231113,
                2.0,
                -2.1025506913615697,
                -2.608122867980153,
                0.5,
                2.2878056577667376,
                1.3565579247490396,
            ],
        ),
        (3, &[3.0, 1.0, -0.75]),
    ];
}

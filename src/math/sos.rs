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
//! **Strips.** Neighbouring channels lie side by side in vector registers ([`super::simd`]) and walk down
//! the time axis together, their memory in registers as well; only the samples touch the cache.
//!
//! **Forms.** The gains of all sections are taken together at the start of the chain, and zeros change
//! places between sections, which leaves the chain as a whole the same: a Butterworth band-pass is
//! run with the numerator `1 - 1/z^2` in every section, which takes two multiplications instead of
//! five, a notch with `1 + b1/z + 1/z^2`, which takes three.
//!
//! **Tiles.** A block is worked on in tiles of `TILE` rows, so that one of a thousand channels still
//! fits the cache when the next strip comes to it. Tiles are counted from the start of the stream.
//!
//! **Silence.** Without input the memory dies away towards the denormal numbers, which processors may
//! handle a hundred times slower. At the end of each tile what is smaller than `SILENCE` becomes
//! zero.
//!
//! Every operation is done in the same order for every sample, and the tiles of a stream lie where they
//! lie, so the result does not depend, to the last bit, on how the samples are cut into chunks, nor
//! on the width of the registers. It does depend, in the last bits, on whether the processor fuses
//! multiplication and addition. Delay: that of the filter, see [`super::filter_design::group_delay`].
//! Reference: `scipy.signal.sosfilt`.

mod kernel;

use super::simd::{Cpu, Simd, Work};
use kernel::{Tile, WIDEST};

/// Rows of a tile.
const TILE: usize = 64;
/// Below this the memory of a filter counts as zero: far below any signal, whatever its unit, and far
/// enough above the denormal numbers (2e-308) not to get there within a tile, or not for long.
const SILENCE: f64 = 1e-150;
/// The most sections whose memory fits the registers; what follows goes over the tile again.
const MOST: usize = 4;

/// One second-order section, `(b0 + b1/z + b2/z^2) / (1 + a1/z + a2/z^2)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Section {
    /// Numerator `b0, b1, b2`.
    pub b: [f64; 3],
    /// Denominator `a1, a2`; the leading one is left out.
    pub a: [f64; 2],
}

/// A chain of sections with its memory for a number of channels.
#[derive(Debug, Clone)]
pub struct Cascade {
    cpu: Cpu,
    channels: usize,
    links: Vec<Link>,
    /// Rows since the last tile was complete.
    row: usize,
    finite: bool,
    /// Room for a tile of the channels that do not fill a strip.
    rest: Vec<f64>,
}

/// Sections that are run together.
#[derive(Debug, Clone)]
struct Link {
    sections: Vec<Section>,
    form: Form,
    /// What their input is multiplied by.
    gain: f64,
    /// Two numbers for each section and channel, strip by strip, padded to whole strips.
    state: Vec<f64>,
}

/// The numerator `1 - 1/z^2`.
const DIFFERENCE: [f64; 3] = [1.0, 0.0, -1.0];

/// What the numerators of a link have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Any.
    General,
    /// `1 + b1/z + 1/z^2`.
    Even,
    /// `1 - 1/z^2`.
    Difference,
}

impl Default for Cascade {
    fn default() -> Self {
        Self::new(Vec::new(), 0)
    }
}

impl Cascade {
    /// The chain `sections` at rest, for `channels` channels.
    pub fn new(sections: Vec<Section>, channels: usize) -> Self {
        Self::on(Cpu::best(), sections, channels)
    }

    /// The same with the instructions of `cpu`.
    pub fn on(cpu: Cpu, sections: Vec<Section>, channels: usize) -> Self {
        let links = links(sections, channels.next_multiple_of(WIDEST));
        Self { cpu, channels, links, row: 0, finite: true, rest: vec![0.0; TILE * WIDEST] }
    }

    /// Brings the chain to rest.
    pub fn reset(&mut self) {
        self.links.iter_mut().for_each(|link| link.state.fill(0.0));
        self.row = 0;
        self.finite = true;
    }

    /// Whether the memory has held finite numbers only since the last [`Cascade::reset`]. Once it has
    /// not, neither does what comes out.
    pub fn is_finite(&self) -> bool {
        self.finite
    }

    /// Filters `data` (rows x channels) in place and goes on from where the last call ended.
    pub fn process(&mut self, data: &mut [f64]) {
        if self.channels > 0 {
            self.cpu.run(Block { cascade: self, data });
        }
    }
}

/// The sections of a chain at rest, grouped into links.
fn links(sections: Vec<Section>, width: usize) -> Vec<Link> {
    let (sections, mut gain) = lower(sections);
    let mut links = Vec::new();
    for alike in sections.chunk_by(|a, b| form(a) == form(b)) {
        let length = alike.len().div_ceil(alike.len().div_ceil(MOST));
        for sections in alike.chunks(length) {
            links.push(Link {
                sections: sections.to_vec(),
                form: form(&sections[0]),
                gain: std::mem::replace(&mut gain, 1.0),
                state: vec![0.0; 2 * sections.len() * width],
            });
        }
    }
    links
}

/// Brings a chain into the form that costs least, and gives what its input is to be multiplied by.
/// What it does as a whole stays the same.
fn lower(mut sections: Vec<Section>) -> (Vec<Section>, f64) {
    let mut gain = 1.0;
    for section in sections.iter_mut().filter(|s| s.b[0] != 0.0) {
        gain *= section.b[0];
        section.b = section.b.map(|b| b / section.b[0]);
    }
    // (1 + 2/z + 1/z^2) (1 - 2/z + 1/z^2) = (1 - 1/z^2)^2
    let (sum, change) = ([1.0, 2.0, 1.0], [1.0, -2.0, 1.0]);
    let count = |b: [f64; 3]| sections.iter().filter(|s| s.b == b).count();
    if count(sum) == count(change) {
        for section in sections.iter_mut().filter(|s| s.b == sum || s.b == change) {
            section.b = DIFFERENCE;
        }
    }
    (sections, gain)
}

fn form(section: &Section) -> Form {
    match section.b {
        DIFFERENCE => Form::Difference,
        [b0, _, b2] if b0 == 1.0 && b2 == 1.0 => Form::Even,
        _ => Form::General,
    }
}

/// Samples for a chain.
struct Block<'a> {
    cascade: &'a mut Cascade,
    data: &'a mut [f64],
}

impl Work for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Cascade { channels, links, row, finite, rest, .. } = self.cascade;
        let mut data = self.data;
        while data.len() >= *channels {
            let rows = (TILE - *row).min(data.len() / *channels);
            let (samples, later) = data.split_at_mut(rows * *channels);
            *row = (*row + rows) % TILE;
            for link in links.iter_mut() {
                let mut tile = Tile { samples, channels: *channels, rest, complete: *row == 0 };
                *finite &= tile.run(simd, link);
            }
            data = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::filter_design::{Band, butterworth, notch};
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    /// A running sum and a running difference, easy to follow by hand.
    fn sections() -> Vec<Section> {
        vec![
            Section { b: [1.0, 0.0, 0.0], a: [-1.0, 0.0] },
            Section { b: [1.0, 0.0, -1.0], a: [0.0, 0.0] },
        ]
    }

    /// Chains of every form and length.
    fn chains() -> Vec<Vec<Section>> {
        let odd = |b0| Section { b: [b0, 0.1, -0.2], a: [-1.6, 0.7] };
        let hum = notch(50.0, 30.0, 250.0).unwrap();
        let band = |order, band| butterworth(order, band, 250.0).unwrap();
        let mut chains = vec![Vec::new(), vec![odd(0.3)], vec![odd(0.0), odd(1.0)], vec![hum]];
        for order in 1..=9 {
            chains.push(band(order, Band::Pass(8.0, 30.0)));
            chains.push(band(order, Band::Low(30.0)));
            chains.push(band(order, Band::High(8.0)));
        }
        let mut mixed = band(4, Band::Pass(8.0, 30.0));
        mixed.extend([hum, odd(0.5), hum]);
        chains.push(mixed);
        chains
    }

    fn noise(n: usize) -> Vec<f64> {
        let rng = &mut Pcg64::seed_from_u64(n as u64);
        (0..n).map(|_| rng.random_range(-100.0..300.0)).collect()
    }

    fn filtered(mut cascade: Cascade, input: &[f64], chunk: usize) -> Vec<f64> {
        let mut data = input.to_vec();
        let length = chunk * cascade.channels.max(1);
        data.chunks_mut(length).for_each(|part| cascade.process(part));
        assert!(cascade.is_finite());
        data
    }

    /// The formula at the head of this file, one sample after the other.
    fn textbook(sections: &[Section], channels: usize, input: &[f64]) -> Vec<f64> {
        let mut data = input.to_vec();
        for section in sections {
            let ([b0, b1, b2], [a1, a2]) = (section.b, section.a);
            let mut w = vec![[0.0; 2]; channels];
            for row in data.chunks_exact_mut(channels) {
                for (x, [w0, w1]) in row.iter_mut().zip(&mut w) {
                    let y = b0 * *x + *w0;
                    *w0 = b1 * *x - a1 * y + *w1;
                    *w1 = b2 * *x - a2 * y;
                    *x = y;
                }
            }
        }
        data
    }

    fn assert_same_bits(a: &[f64], b: &[f64], what: &str) {
        assert!(a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()), "{what}");
    }

    #[test]
    fn sums_and_differences() {
        for cpu in Cpu::all() {
            let mut data = [1.0, 2.0, 3.0, 4.0];
            Cascade::on(cpu, sections(), 1).process(&mut data);
            // running sum 1 3 6 10, minus itself two samples ago
            assert_eq!(data, [1.0, 3.0, 5.0, 7.0]);
        }
    }

    /// Each chain in the form that it is run in against the formula. Tolerance: both round every
    /// operation, in another order; a chain amplifies that by its own gains inside, up to some
    /// thousands for the longest, times 1e-16.
    #[test]
    fn every_chain_does_what_the_textbook_says() {
        let mut worst: f64 = 0.0;
        for (i, chain) in chains().into_iter().enumerate() {
            let channels = [1, 2, 7, 8, 19, 33, 70][i % 7];
            let input = noise(150 * channels);
            let want = textbook(&chain, channels, &input);
            let scale = input.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            for cpu in Cpu::all() {
                let got = filtered(Cascade::on(cpu, chain.clone(), channels), &input, 150);
                let error = got.iter().zip(&want).map(|(g, w)| (g - w).abs() / scale);
                let error = error.fold(0.0, f64::max);
                assert!(error < 1e-11, "{cpu:?} {chain:?}: {error:e}");
                worst = worst.max(error);
            }
        }
        println!("largest error relative to the input: {worst:.1e}");
    }

    #[test]
    fn chunks_and_registers_do_not_change_a_bit() {
        for (i, chain) in chains().into_iter().enumerate() {
            let channels = [1, 3, 8, 19, 40][i % 5];
            let input = noise(150 * channels);
            let mut fused = Vec::new();
            for cpu in Cpu::all() {
                let new = || Cascade::on(cpu, chain.clone(), channels);
                let whole = filtered(new(), &input, 150);
                for chunk in [1, 7, 64, 100] {
                    assert_same_bits(&filtered(new(), &input, chunk), &whole, "chunks");
                }
                if cpu.is_fused() {
                    fused.push(whole);
                }
            }
            fused.iter().for_each(|other| assert_same_bits(other, &fused[0], "registers"));
        }
    }

    #[test]
    fn silence_ends_in_zeros_however_it_is_cut() {
        let chain = butterworth(4, Band::Pass(8.0, 30.0), 250.0).unwrap();
        let mut input = noise(20_000 * 3);
        input[100 * 3..].fill(0.0);
        let whole = filtered(Cascade::new(chain.clone(), 3), &input, 20_000);
        assert_same_bits(&filtered(Cascade::new(chain.clone(), 3), &input, 77), &whole, "chunks");
        assert!(whole.iter().all(|y| *y == 0.0 || y.is_normal()));
        assert!(whole.iter().rev().take(3000).all(|y| *y == 0.0));
        // without an end to it the textbook gets to the denormal numbers
        assert!(textbook(&chain, 3, &input).iter().any(|y| y.is_subnormal()));
    }

    #[test]
    fn reset_is_like_new_and_nan_is_noticed() {
        for bad in [f64::NAN, f64::INFINITY] {
            let mut cascade = Cascade::new(sections(), 2);
            cascade.process(&mut [bad, 1.0, 2.0, 3.0]);
            assert!(!cascade.is_finite());
            cascade.reset();
            assert!(cascade.is_finite());
            let mut data = [1.0, 2.0];
            cascade.process(&mut data);
            assert_eq!(data, [1.0, 2.0]);
            assert!(cascade.is_finite());
        }
    }

    #[test]
    fn what_fills_up_a_strip_stays_quiet() {
        for chain in chains() {
            let mut cascade = Cascade::new(chain.clone(), 3);
            let mut data = noise(300);
            data.chunks_mut(150).for_each(|part| cascade.process(part));
            let memory = cascade.links.iter().flat_map(|link| &link.state);
            assert!(memory.filter(|w| **w != 0.0).count() <= 2 * 3 * chain.len(), "{chain:?}");
        }
    }

    #[test]
    fn nothing_in_nothing_out() {
        Cascade::new(sections(), 0).process(&mut []);
        Cascade::new(sections(), 3).process(&mut []);
        let mut data = [1.0, 2.0, 3.0];
        Cascade::new(Vec::new(), 3).process(&mut data);
        assert_eq!(data, [1.0, 2.0, 3.0]);
    }
}

//! The inner loops of a chain of sections: a tile of samples through one link of the chain.
//!
//! All of it is inlined into the versions that [`Cpu::run`](crate::math::simd::Cpu::run) compiles, so
//! there are no closures here, which the compiler may choose to call.

use super::{Form, Link, SILENCE, Section};
use crate::math::simd::Simd;

/// The most channels that make a strip; a multiple of every other width of a strip.
pub const WIDEST: usize = 32;

/// A stretch of samples (rows x channels) on its way through a link.
pub struct Tile<'a> {
    pub samples: &'a mut [f64],
    pub channels: usize,
    /// Room for the channels that do not fill a strip.
    pub rest: &'a mut [f64],
    /// Whether it ends where a tile of the stream ends.
    pub complete: bool,
}

/// What `N` sections remember of a strip: `V` registers for each of their two numbers.
type Memory<S, const N: usize, const V: usize> = [[[<S as Simd>::Vector; V]; 2]; N];

impl Tile<'_> {
    /// Filters the samples in place. Whether the memory is finite.
    ///
    /// The fewer sections, the more channels at once: a step in time has to wait for the one before,
    /// and other channels fill the wait.
    #[inline(always)]
    pub fn run<S: Simd>(&mut self, simd: S, link: &mut Link) -> bool {
        match (link.sections.len(), S::REGISTERS >= 32) {
            (1, _) => self.link::<S, 1, 4>(simd, link),
            (2, true) => self.link::<S, 2, 4>(simd, link),
            (3, true) => self.link::<S, 3, 2>(simd, link),
            (4, true) => self.link::<S, 4, 2>(simd, link),
            (2, false) => self.link::<S, 2, 2>(simd, link),
            (3, false) => self.link::<S, 3, 2>(simd, link),
            (4, false) => self.link::<S, 4, 1>(simd, link),
            _ => true,
        }
    }

    #[inline(always)]
    fn link<S: Simd, const N: usize, const V: usize>(&mut self, simd: S, link: &mut Link) -> bool {
        match link.form {
            Form::General => self.strips::<S, General, N, V>(simd, link),
            Form::Even => self.strips::<S, Even, N, V>(simd, link),
            Form::Difference => self.strips::<S, Difference, N, V>(simd, link),
        }
    }

    /// Goes over the channels, strip by strip.
    #[inline(always)]
    fn strips<S: Simd, F: Step, const N: usize, const V: usize>(
        &mut self,
        simd: S,
        link: &mut Link,
    ) -> bool {
        let Some(sections) = link.sections.first_chunk::<N>() else { return true };
        let (strip, rows) = (V * S::LANES, self.samples.len() / self.channels);
        let mut finite = true;
        let states = link.state.chunks_exact_mut(2 * N * strip);
        for (first, state) in (0..self.channels).step_by(strip).zip(states) {
            if self.channels - first >= strip {
                let way = Way { samples: self.samples, stride: self.channels, first };
                way.walk::<S, F, N, V>(simd, sections, link.gain, state);
            } else {
                self.gather(first, strip);
                let way = Way { samples: &mut self.rest[..rows * strip], stride: strip, first: 0 };
                way.walk::<S, F, N, V>(simd, sections, link.gain, state);
                self.scatter(first, strip);
            }
            finite &= settle(state, self.complete);
        }
        finite
    }

    /// Copies the channels from `first` on, fewer than make a strip, and makes a strip of them with
    /// channels of zeros.
    #[inline(always)]
    fn gather(&mut self, first: usize, strip: usize) {
        let rows = self.samples.chunks_exact(self.channels);
        for (row, copy) in rows.zip(self.rest.chunks_exact_mut(strip)) {
            let (copy, zeros) = copy.split_at_mut(row.len() - first);
            for (copy, x) in copy.iter_mut().zip(&row[first..]) {
                *copy = *x;
            }
            zeros.fill(0.0);
        }
    }

    /// Copies them back.
    #[inline(always)]
    fn scatter(&mut self, first: usize, strip: usize) {
        let rows = self.samples.chunks_exact_mut(self.channels);
        for (row, copy) in rows.zip(self.rest.chunks_exact(strip)) {
            for (x, copy) in row[first..].iter_mut().zip(copy) {
                *x = *copy;
            }
        }
    }
}

/// Silences what has died away, at the end of a tile of the stream. Whether all is finite.
#[inline(always)]
fn settle(state: &mut [f64], complete: bool) -> bool {
    let mut finite = true;
    for w in state {
        if complete {
            *w = if w.abs() < SILENCE { 0.0 } else { *w };
        }
        // 0 times what is not finite is not a number
        finite &= 0.0 * *w == 0.0;
    }
    finite
}

/// A strip of channels, which begins at `first` in rows of `stride` numbers.
struct Way<'a> {
    samples: &'a mut [f64],
    stride: usize,
    first: usize,
}

impl Way<'_> {
    /// Walks down the time axis.
    #[inline(always)]
    fn walk<S: Simd, F: Step, const N: usize, const V: usize>(
        self,
        simd: S,
        sections: &[Section; N],
        gain: f64,
        state: &mut [f64],
    ) {
        let (gain, lanes) = (simd.splat(gain), S::LANES);
        let mut memory: Memory<S, N, V> = [[[simd.splat(0.0); V]; 2]; N];
        let numbers = memory.as_flattened_mut().as_flattened_mut().iter_mut();
        for (w, state) in numbers.zip(state.chunks_exact(lanes)) {
            *w = simd.load(state);
        }
        for row in self.samples.chunks_exact_mut(self.stride) {
            let row = &mut row[self.first..self.first + V * lanes];
            let mut x = [gain; V];
            for v in 0..V {
                x[v] = simd.mul(gain, simd.load(&row[v * lanes..]));
            }
            for (section, memory) in sections.iter().zip(&mut memory) {
                F::step::<S, V>(simd, section, &mut x, memory);
            }
            for v in 0..V {
                simd.store(x[v], &mut row[v * lanes..]);
            }
        }
        let numbers = memory.as_flattened().as_flattened().iter();
        for (w, state) in numbers.zip(state.chunks_exact_mut(lanes)) {
            simd.store(*w, state);
        }
    }
}

/// How a section is run.
trait Step {
    /// Takes one sample of each channel through `section`.
    fn step<S: Simd, const V: usize>(
        simd: S,
        section: &Section,
        x: &mut [S::Vector; V],
        w: &mut [[S::Vector; V]; 2],
    );
}

struct General;

impl Step for General {
    #[inline(always)]
    fn step<S: Simd, const V: usize>(
        simd: S,
        section: &Section,
        x: &mut [S::Vector; V],
        [w0, w1]: &mut [[S::Vector; V]; 2],
    ) {
        let ([b0, b1, b2], [a1, a2]) = (section.b, section.a);
        for v in 0..V {
            let y = simd.mul_add(simd.splat(b0), x[v], w0[v]);
            let w = simd.mul_add(simd.splat(b1), x[v], w1[v]);
            w0[v] = simd.sub_mul(simd.splat(a1), y, w);
            w1[v] = simd.sub_mul(simd.splat(a2), y, simd.mul(simd.splat(b2), x[v]));
            x[v] = y;
        }
    }
}

struct Even;

impl Step for Even {
    #[inline(always)]
    fn step<S: Simd, const V: usize>(
        simd: S,
        section: &Section,
        x: &mut [S::Vector; V],
        [w0, w1]: &mut [[S::Vector; V]; 2],
    ) {
        let ([_, b1, _], [a1, a2]) = (section.b, section.a);
        for v in 0..V {
            let y = simd.add(x[v], w0[v]);
            let w = simd.mul_add(simd.splat(b1), x[v], w1[v]);
            w0[v] = simd.sub_mul(simd.splat(a1), y, w);
            w1[v] = simd.sub_mul(simd.splat(a2), y, x[v]);
            x[v] = y;
        }
    }
}

/// Remembers `-w0` and `-w1`, which saves turning signs.
struct Difference;

impl Step for Difference {
    #[inline(always)]
    fn step<S: Simd, const V: usize>(
        simd: S,
        section: &Section,
        x: &mut [S::Vector; V],
        [w0, w1]: &mut [[S::Vector; V]; 2],
    ) {
        let [a1, a2] = section.a;
        for v in 0..V {
            let y = simd.sub(x[v], w0[v]);
            w0[v] = simd.mul_add(simd.splat(a1), y, w1[v]);
            w1[v] = simd.mul_add(simd.splat(a2), y, x[v]);
            x[v] = y;
        }
    }
}

//! Vector instructions of the processor at hand, found when the program runs.
//!
//! A kernel is a [`Work`], written once against [`Simd`]; [`Cpu::run`] compiles it for each
//! instruction set and picks the best that there is. All of a kernel must be `#[inline(always)]`: a
//! function that is called rather than inlined is compiled for any processor, and calls each
//! instruction as a function.
//!
//! On x86 that is AVX-512, AVX2 with FMA, or SSE2; on ARM it is NEON.
#![allow(unsafe_code)]

mod bytes;

pub use bytes::Bytes;

/// Registers that hold several numbers, and what can be done with them.
pub trait Simd: Copy + Bytes {
    /// A register.
    type Vector: Copy;
    /// How many numbers it holds.
    const LANES: usize;
    /// How many registers there are.
    const REGISTERS: usize;

    /// `x` in every lane.
    fn splat(self, x: f64) -> Self::Vector;
    /// The first numbers of `from`, of which there must be enough.
    fn load(self, from: &[f64]) -> Self::Vector;
    /// The first numbers of `from`, of which there must be enough, with twice the bits.
    fn widen(self, from: &[f32]) -> Self::Vector;
    /// Asks for the memory `ahead` bytes behind the start of `from`, if this processor can, so that it is there when it
    /// is needed. That is all: any place will do.
    #[inline(always)]
    fn fetch<T>(self, from: &[T], ahead: usize) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: every processor of this architecture has it; it is a hint, for which no place is invalid.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.as_ptr().cast::<i8>().wrapping_add(ahead)) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (from, ahead);
    }
    /// Puts a register back.
    fn store(self, x: Self::Vector, to: &mut [f64]);
    /// `a + b`.
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a - b`.
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a b`.
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a / b`.
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The smaller of `a` and `b`, lane by lane; where one is not a number, either.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a b + c`, rounded once where operations are fused.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// `c - a b`, rounded once where operations are fused.
    fn sub_mul(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
}

/// A piece of work that comes in a version for each instruction set.
pub trait Work {
    /// What it gives back.
    type Output;

    /// Does it. Must be `#[inline(always)]`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// An instruction set that this processor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu(Set);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Sse2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Plain,
}

impl Cpu {
    /// One number at a time and no fused operations, as every processor can: what the others are measured
    /// against.
    pub const PLAIN: Self = Self(Set::Plain);

    /// The best that this processor has.
    pub fn best() -> Self {
        Self::all().next().unwrap_or(Self::PLAIN)
    }

    /// All that this processor has, the best first.
    pub fn all() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let sets = [
            x86::avx512().then_some(Set::Avx512),
            x86::avx2().then_some(Set::Avx2),
            Some(Set::Sse2),
        ];
        #[cfg(target_arch = "aarch64")]
        let sets = [Some(Set::Neon)];
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let sets = [None];
        sets.into_iter().flatten().chain([Set::Plain]).map(Self)
    }

    /// Whether `a b + c` is rounded once. All sets for which it is give the same results.
    pub fn is_fused(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 | Set::Avx2 => true,
            #[cfg(target_arch = "x86_64")]
            Set::Sse2 => false,
            #[cfg(target_arch = "aarch64")]
            Set::Neon => true,
            Set::Plain => false,
        }
    }

    /// Does `work` with these instructions.
    #[inline]
    pub fn run<W: Work>(self, work: W) -> W::Output {
        match self.0 {
            // SAFETY: a `Cpu` other than `PLAIN` comes from `all` alone, which has found every
            // feature that the function is compiled for.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { x86::with_avx512(work) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { x86::with_avx2(work) },
            #[cfg(target_arch = "x86_64")]
            Set::Sse2 => work.run(x86::Sse2),
            #[cfg(target_arch = "aarch64")]
            Set::Neon => work.run(neon::Neon),
            Set::Plain => work.run(Plain),
        }
    }
}

impl std::fmt::Display for Cpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// One number at a time.
#[derive(Clone, Copy)]
struct Plain;

impl Simd for Plain {
    type Vector = f64;
    const LANES: usize = 1;
    const REGISTERS: usize = 16;

    #[inline(always)]
    fn splat(self, x: f64) -> f64 {
        x
    }
    #[inline(always)]
    fn load(self, from: &[f64]) -> f64 {
        from[0]
    }
    #[inline(always)]
    fn widen(self, from: &[f32]) -> f64 {
        f64::from(from[0])
    }
    #[inline(always)]
    fn store(self, x: f64, to: &mut [f64]) {
        to[0] = x;
    }
    #[inline(always)]
    fn add(self, a: f64, b: f64) -> f64 {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: f64, b: f64) -> f64 {
        a - b
    }
    #[inline(always)]
    fn mul(self, a: f64, b: f64) -> f64 {
        a * b
    }
    #[inline(always)]
    fn div(self, a: f64, b: f64) -> f64 {
        a / b
    }
    #[inline(always)]
    fn min(self, a: f64, b: f64) -> f64 {
        a.min(b)
    }
    #[inline(always)]
    fn mul_add(self, a: f64, b: f64, c: f64) -> f64 {
        a * b + c
    }
    #[inline(always)]
    fn sub_mul(self, a: f64, b: f64, c: f64) -> f64 {
        c - a * b
    }
}

/// Implements [`Simd`] with the intrinsics of one instruction set; `sub_mul` is told the order of its
/// arguments.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! simd {
    (
        $name:ident: $vector:ty, $lanes:literal lanes, $registers:literal registers,
        $splat:ident, $load:ident, $store:ident, $add:ident, $sub:ident, $mul:ident,
        $div:ident, $min:ident,
        |$a:ident, $b:ident, $c:ident| $mul_add:expr, $sub_mul:expr,
        |$from:ident| $widen:expr
    ) => {
        impl Simd for $name {
            type Vector = $vector;
            const LANES: usize = $lanes;
            const REGISTERS: usize = $registers;

            #[inline(always)]
            fn splat(self, x: f64) -> $vector {
                // SAFETY: `self` exists only where the instructions do.
                unsafe { $splat(x) }
            }
            #[inline(always)]
            fn load(self, from: &[f64]) -> $vector {
                let from = &from[..$lanes];
                // SAFETY: as above; the slice has as many numbers as are read, at any alignment.
                unsafe { $load(from.as_ptr()) }
            }
            #[inline(always)]
            fn widen(self, from: &[f32]) -> $vector {
                let $from = from[..$lanes].as_ptr();
                // SAFETY: as above; the slice has as many numbers as are read, at any alignment.
                unsafe { $widen }
            }
            #[inline(always)]
            fn store(self, x: $vector, to: &mut [f64]) {
                let to = &mut to[..$lanes];
                // SAFETY: as above; the slice has as many numbers as are written, at any alignment.
                unsafe { $store(to.as_mut_ptr(), x) }
            }
            #[inline(always)]
            fn add(self, a: $vector, b: $vector) -> $vector {
                // SAFETY: `self` exists only where the instructions do.
                unsafe { $add(a, b) }
            }
            #[inline(always)]
            fn sub(self, a: $vector, b: $vector) -> $vector {
                // SAFETY: `self` exists only where the instructions do.
                unsafe { $sub(a, b) }
            }
            #[inline(always)]
            fn mul(self, a: $vector, b: $vector) -> $vector {
                // SAFETY: `self` exists only where the instructions do.
                unsafe { $mul(a, b) }
            }
            #[inline(always)]
            fn div(self, a: $vector, b: $vector) -> $vector {
                // SAFETY: `self` exists only where the instructions do.
                unsafe { $div(a, b) }
            }
            #[inline(always)]
            fn min(self, a: $vector, b: $vector) -> $vector {
                // SAFETY: `self` exists only where the instructions do.
                unsafe { $min(a, b) }
            }
            #[inline(always)]
            fn mul_add(self, $a: $vector, $b: $vector, $c: $vector) -> $vector {
                // SAFETY: `self` exists only where the instructions do.
                unsafe { $mul_add }
            }
            #[inline(always)]
            fn sub_mul(self, $a: $vector, $b: $vector, $c: $vector) -> $vector {
                // SAFETY: `self` exists only where the instructions do.
                unsafe { $sub_mul }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Simd, Work};
    use std::arch::x86_64::*;

    /// Made in [`with_avx512`] alone.
    #[derive(Clone, Copy)]
    pub struct Avx512(());

    /// Made in [`with_avx2`] alone.
    #[derive(Clone, Copy)]
    pub struct Avx2(());

    /// Every processor of this architecture has it.
    #[derive(Clone, Copy)]
    pub struct Sse2;

    pub fn avx512() -> bool {
        avx2() && is_x86_feature_detected!("avx512f")
    }

    pub fn avx2() -> bool {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }

    #[target_feature(enable = "avx2,fma,avx512f")]
    pub fn with_avx512<W: Work>(work: W) -> W::Output {
        work.run(Avx512(()))
    }

    #[target_feature(enable = "avx2,fma")]
    pub fn with_avx2<W: Work>(work: W) -> W::Output {
        work.run(Avx2(()))
    }

    simd!(
        Sse2: __m128d, 2 lanes, 16 registers,
        _mm_set1_pd, _mm_loadu_pd, _mm_storeu_pd, _mm_add_pd, _mm_sub_pd, _mm_mul_pd,
        _mm_div_pd, _mm_min_pd,
        |a, b, c| _mm_add_pd(_mm_mul_pd(a, b), c), _mm_sub_pd(c, _mm_mul_pd(a, b)),
        |from| _mm_cvtps_pd(_mm_castpd_ps(_mm_load_sd(from.cast())))
    );
    simd!(
        Avx512: __m512d, 8 lanes, 32 registers,
        _mm512_set1_pd, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_add_pd, _mm512_sub_pd,
        _mm512_mul_pd, _mm512_div_pd, _mm512_min_pd,
        |a, b, c| _mm512_fmadd_pd(a, b, c), _mm512_fnmadd_pd(a, b, c),
        |from| _mm512_cvtps_pd(_mm256_loadu_ps(from))
    );
    simd!(
        Avx2: __m256d, 4 lanes, 16 registers,
        _mm256_set1_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_add_pd, _mm256_sub_pd,
        _mm256_mul_pd, _mm256_div_pd, _mm256_min_pd,
        |a, b, c| _mm256_fmadd_pd(a, b, c), _mm256_fnmadd_pd(a, b, c),
        |from| _mm256_cvtps_pd(_mm_loadu_ps(from))
    );
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use super::Simd;
    use std::arch::aarch64::*;

    /// Every processor of this architecture has it.
    #[derive(Clone, Copy)]
    pub struct Neon;

    simd!(
        Neon: float64x2_t, 2 lanes, 32 registers,
        vdupq_n_f64, vld1q_f64, vst1q_f64, vaddq_f64, vsubq_f64, vmulq_f64,
        vdivq_f64, vminq_f64,
        |a, b, c| vfmaq_f64(c, a, b), vfmsq_f64(c, a, b),
        |from| vcvt_f64_f32(vld1_f32(from))
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `c + a b`, `c - a b`, `2 (a + b) - c` and the smaller of `a` and `b / 3` of every number.
    struct Formulas<'a>([&'a [f64]; 3], [&'a mut [f64]; 4]);

    impl Work for Formulas<'_> {
        type Output = usize;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> usize {
            let ([a, b, c], [plus, minus, third, fourth]) = (self.0, self.1);
            for i in (0..a.len()).step_by(S::LANES) {
                let [a, b, c] = [a, b, c].map(|x| simd.load(&x[i..]));
                simd.store(simd.mul_add(a, b, c), &mut plus[i..]);
                simd.store(simd.sub_mul(a, b, c), &mut minus[i..]);
                let two = simd.splat(2.0);
                let sum = simd.mul(two, simd.add(a, b));
                simd.store(simd.sub(sum, c), &mut third[i..]);
                let third_of_b = simd.div(b, simd.splat(3.0));
                simd.store(simd.min(a, third_of_b), &mut fourth[i..]);
            }
            S::LANES
        }
    }

    #[test]
    fn every_set_computes_the_same() {
        let a: Vec<f64> = (0..16).map(|i| 1.0 + f64::from(i) * f64::EPSILON).collect();
        let b: Vec<f64> = a.iter().rev().map(|x| 3.0 * x).collect();
        let c: Vec<f64> = a.iter().map(|x| -3.0 * x).collect();
        for cpu in Cpu::all() {
            let mut out = [[0.0; 16]; 4];
            let lanes = cpu.run(Formulas([&a, &b, &c], out.each_mut().map(|x| &mut x[..])));
            assert!(lanes > 1 || cpu == Cpu::PLAIN);
            for i in 0..16 {
                let want = |sign: f64| match cpu.is_fused() {
                    true => a[i].mul_add(sign * b[i], c[i]),
                    false => sign * a[i] * b[i] + c[i],
                };
                let got = out.map(|x| x[i]);
                let plain = [2.0 * (a[i] + b[i]) - c[i], a[i].min(b[i] / 3.0)];
                assert_eq!(got, [want(1.0), want(-1.0), plain[0], plain[1]], "{cpu:?} {i}");
            }
        }
        assert_eq!(Cpu::all().next(), Some(Cpu::best()));
        assert_eq!(Cpu::all().last(), Some(Cpu::PLAIN));
    }

    #[test]
    fn every_set_widens_the_same() {
        struct Twice<'a>(&'a [f32], &'a mut [f64]);
        impl Work for Twice<'_> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self, simd: S) {
                for i in (0..self.0.len()).step_by(S::LANES) {
                    let x = simd.widen(&self.0[i..]);
                    simd.store(simd.add(x, x), &mut self.1[i..]);
                }
            }
        }
        let x: Vec<f32> = (0..16).map(|i| 0.1 * i as f32 - 0.7).collect();
        for cpu in Cpu::all() {
            let mut twice = [0.0; 16];
            cpu.run(Twice(&x, &mut twice));
            assert!(x.iter().zip(twice).all(|(x, y)| y == 2.0 * f64::from(*x)), "{cpu:?}");
        }
    }

    #[test]
    #[should_panic(expected = "range")]
    fn a_slice_that_is_too_short_is_refused() {
        struct Short;
        impl Work for Short {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self, simd: S) {
                simd.load(&[][..]);
            }
        }
        Cpu::best().run(Short);
    }
}

//! Sums of products of small whole numbers, which are exact and therefore the same on every processor.
//!
//! Bytes are widened to 16 bits and multiplied in pairs. The instructions that multiply bytes as they are (VNNI) would
//! take a third of the work; but one core cannot fetch rows from memory as quickly as it works them off this way.

use super::Plain;

/// Registers of whole numbers: part of what [`super::Simd`] offers.
pub trait Bytes: Copy {
    /// A register of sums: four or more of 32 bits each, over which the products are spread evenly, or one of 64.
    type Sums: Copy;
    /// How many products are added at once.
    const PRODUCTS: usize;

    /// Zero in every sum.
    fn no_sums(self) -> Self::Sums;
    /// Adds the products of the first [`Self::PRODUCTS`] numbers of `a` and `b`, of which there must be enough.
    fn add_products(self, sums: Self::Sums, a: &[i8], b: &[i16]) -> Self::Sums;
    /// The same of bytes alone.
    fn add_byte_products(self, sums: Self::Sums, a: &[i8], b: &[i8]) -> Self::Sums;
    /// `a + b`.
    fn add_sums(self, a: Self::Sums, b: Self::Sums) -> Self::Sums;
    /// All sums together.
    fn total(self, sums: Self::Sums) -> i64;
}

impl Bytes for Plain {
    type Sums = i64;
    const PRODUCTS: usize = 1;

    #[inline(always)]
    fn no_sums(self) -> i64 {
        0
    }
    #[inline(always)]
    fn add_products(self, sums: i64, a: &[i8], b: &[i16]) -> i64 {
        sums + i64::from(a[0]) * i64::from(b[0])
    }
    #[inline(always)]
    fn add_byte_products(self, sums: i64, a: &[i8], b: &[i8]) -> i64 {
        sums + i64::from(a[0]) * i64::from(b[0])
    }
    #[inline(always)]
    fn add_sums(self, a: i64, b: i64) -> i64 {
        a + b
    }
    #[inline(always)]
    fn total(self, sums: i64) -> i64 {
        sums
    }
}

/// Implements [`Bytes`] with the intrinsics of one instruction set: how bytes become a register of 16 bits, how such
/// a register is loaded, and how the products of two are added to the sums.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! bytes {
    (
        $name:ty: $sums:ty, $lanes:literal sums, $products:literal products,
        $zero:expr, |$bytes:ident| $widened:expr, $load:ident,
        |$sum:ident, $a:ident, $b:ident| $products_added:expr, $add:ident, $store:ident
    ) => {
        impl Bytes for $name {
            type Sums = $sums;
            const PRODUCTS: usize = $products;

            #[inline(always)]
            fn no_sums(self) -> $sums {
                // SAFETY: `self` exists only where the instructions do.
                unsafe { $zero }
            }
            #[inline(always)]
            fn add_products(self, $sum: $sums, a: &[i8], b: &[i16]) -> $sums {
                let ($bytes, b) = (a[..$products].as_ptr(), b[..$products].as_ptr());
                // SAFETY: as above; the slices have as many numbers as are read, at any alignment.
                unsafe {
                    let ($a, $b) = ($widened, $load(b.cast()));
                    $products_added
                }
            }
            #[inline(always)]
            fn add_byte_products(self, $sum: $sums, a: &[i8], b: &[i8]) -> $sums {
                let (a, b) = (a[..$products].as_ptr(), b[..$products].as_ptr());
                // SAFETY: as above; the slices have as many numbers as are read, at any alignment.
                unsafe {
                    let $bytes = a;
                    let $a = $widened;
                    let $bytes = b;
                    let $b = $widened;
                    $products_added
                }
            }
            #[inline(always)]
            fn add_sums(self, a: $sums, b: $sums) -> $sums {
                // SAFETY: `self` exists only where the instructions do.
                unsafe { $add(a, b) }
            }
            #[inline(always)]
            fn total(self, sums: $sums) -> i64 {
                let mut each = [0_i32; $lanes];
                // SAFETY: as above; the array has as many numbers as are written, at any alignment.
                unsafe { $store(each.as_mut_ptr().cast(), sums) };
                let mut total = 0;
                for sum in each {
                    total += i64::from(sum);
                }
                total
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::x86::{Avx2, Avx512, Sse2};
    use super::Bytes;
    use std::arch::x86_64::*;

    // 256 bits for both: the wider ones would need more than AVX-512F.
    bytes!(
        Avx512: __m256i, 8 sums, 16 products,
        _mm256_setzero_si256(), |from| _mm256_cvtepi8_epi16(_mm_loadu_si128(from.cast())), _mm256_loadu_si256,
        |sums, a, b| _mm256_add_epi32(sums, _mm256_madd_epi16(a, b)), _mm256_add_epi32, _mm256_storeu_si256
    );
    bytes!(
        Avx2: __m256i, 8 sums, 16 products,
        _mm256_setzero_si256(), |from| _mm256_cvtepi8_epi16(_mm_loadu_si128(from.cast())), _mm256_loadu_si256,
        |sums, a, b| _mm256_add_epi32(sums, _mm256_madd_epi16(a, b)), _mm256_add_epi32, _mm256_storeu_si256
    );
    // A byte beside itself, moved down by eight bits, is that byte with its sign.
    bytes!(
        Sse2: __m128i, 4 sums, 8 products,
        _mm_setzero_si128(),
        |from| {
            let bytes = _mm_loadl_epi64(from.cast());
            _mm_srai_epi16::<8>(_mm_unpacklo_epi8(bytes, bytes))
        },
        _mm_loadu_si128,
        |sums, a, b| _mm_add_epi32(sums, _mm_madd_epi16(a, b)), _mm_add_epi32, _mm_storeu_si128
    );
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use super::super::neon::Neon;
    use super::Bytes;
    use std::arch::aarch64::*;

    bytes!(
        Neon: int32x4_t, 4 sums, 8 products,
        vdupq_n_s32(0), |from| vmovl_s8(vld1_s8(from)), vld1q_s16,
        |sums, a, b| {
            let low = vmlal_s16(sums, vget_low_s16(a), vget_low_s16(b));
            vmlal_high_s16(low, a, b)
        },
        vaddq_s32,
        vst1q_s32
    );
}

#[cfg(test)]
mod tests {
    use super::super::{Cpu, Simd, Work};

    /// The sum of the products of `a` with `b`, and with `c`.
    struct Sums<'a>(&'a [i8], &'a [i16], &'a [i8]);

    impl Work for Sums<'_> {
        type Output = (i64, i64);

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> (i64, i64) {
            let Sums(a, b, c) = self;
            let (mut wide, mut narrow) = (simd.no_sums(), simd.no_sums());
            for i in (0..a.len()).step_by(S::PRODUCTS) {
                wide = simd.add_products(wide, &a[i..], &b[i..]);
                narrow = simd.add_byte_products(narrow, &a[i..], &c[i..]);
            }
            (simd.total(wide), simd.total(narrow))
        }
    }

    #[test]
    fn every_set_sums_the_same() {
        let a: Vec<i8> = (0..96).map(|i| (i * 37 % 255 - 127) as i8).collect();
        let b: Vec<i16> = (0..96).map(|i| (i * 7919 % 65535 - 32767) as i16).collect();
        let c: Vec<i8> = a.iter().rev().map(|v| v.wrapping_mul(3)).collect();
        let product = |(a, b): (&i8, i64)| i64::from(*a) * b;
        let wide: i64 = a.iter().zip(b.iter().map(|b| i64::from(*b))).map(product).sum();
        let narrow: i64 = a.iter().zip(c.iter().map(|c| i64::from(*c))).map(product).sum();
        for cpu in Cpu::all() {
            assert_eq!(cpu.run(Sums(&a, &b, &c)), (wide, narrow), "{cpu:?}");
            // The largest there are.
            let most = cpu.run(Sums(&[-127; 96], &[-32767; 96], &[127; 96]));
            assert_eq!(most, (96 * 127 * 32767, -96 * 127 * 127), "{cpu:?}");
        }
    }
}

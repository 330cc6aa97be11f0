//! Vectors as whole numbers: a byte for each number of a row, 16 bits for each of a query.

use super::kernel::BLOCK;
use super::largest;

/// The largest byte of a row.
const MOST: f64 = 127.0;

/// The length of a row of bytes for `length` numbers.
pub fn padded(length: usize) -> usize {
    length.next_multiple_of(BLOCK)
}

/// Writes `vector` as bytes, zeros behind it. Returns what they are multiplied with to be `vector` again.
pub fn encode(vector: &[f64], bytes: &mut [i8]) -> f64 {
    let scale = largest(vector) / MOST;
    bytes.fill(0);
    if scale > 0.0 {
        bytes.iter_mut().zip(vector).for_each(|(byte, v)| *byte = (v / scale).round() as i8);
    }
    scale
}

/// The largest number of a query of `length` numbers: its products with bytes, spread over four sums, have to fit
/// into 32 bits each.
fn most_wide(length: usize) -> f64 {
    let room = f64::from(i32::MAX) / MOST / padded(length).div_ceil(4) as f64;
    room.floor().min(f64::from(i16::MAX))
}

/// Writes `vector` as numbers of 16 bits, zeros behind it. Returns what they are multiplied with to be `vector` again.
pub fn encode_wide(vector: &[f64], words: &mut [i16]) -> f64 {
    let scale = largest(vector) / most_wide(vector.len());
    words.fill(0);
    if scale > 0.0 {
        words.iter_mut().zip(vector).for_each(|(word, v)| *word = (v / scale).round() as i16);
    }
    scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rounded_off_is_half_a_step() {
        let vector: Vec<f64> = (0..20).map(|i| (f64::from(i) * 0.7).sin() / 3.0).collect();
        let (mut bytes, mut words) = ([1; 32], [1; 32]);
        let scales = [encode(&vector, &mut bytes), encode_wide(&vector, &mut words)];
        for (i, v) in vector.iter().enumerate() {
            assert!((f64::from(bytes[i]) * scales[0] - v).abs() <= 0.5001 * scales[0]);
            assert!((f64::from(words[i]) * scales[1] - v).abs() <= 0.5001 * scales[1]);
        }
        assert!(bytes[20..].iter().all(|v| *v == 0) && words[20..].iter().all(|v| *v == 0));
        assert_eq!(encode(&[0.0; 20], &mut bytes), 0.0);
        assert_eq!(bytes, [0; 32]);
    }

    #[test]
    fn no_sum_overflows() {
        for length in [1, 16, 768, 2048, 4096, super::super::MAX_LENGTH] {
            let sum = most_wide(length) * MOST * padded(length).div_ceil(4) as f64;
            assert!(most_wide(length) >= 1000.0 && sum <= f64::from(i32::MAX), "{length}");
        }
    }
}

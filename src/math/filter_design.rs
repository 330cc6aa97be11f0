//! Design of recursive filters as second-order sections.
//!
//! In: order, band edges in Hz, sampling rate. Out: [`Section`]s for [`super::sos::Cascade`].
//!
//! A Butterworth filter starts from its analogue low-pass, whose poles lie on the unit circle at
//! `p_m = -exp(i pi m / 2n)`, `m = -n+1, -n+3, .., n-1`; a Chebyshev filter from one with the poles
//! on an ellipse, `p_m = -sinh(u + i pi m / 2n)`, `u = asinh(1 / e) / n`, `e^2 = 10^(ripple / 10) - 1`.
//! The edges are warped to `w = 4 tan(pi f / fs)`, the poles and zeros moved to the band wanted, and mapped to the z plane by
//! `z = (4 + s) / (4 - s)`. A band-pass or band-stop of order n has 2n poles.
//!
//! Poles and zeros are put into sections as SciPy does it: from the last section to the first, the
//! pole that is nearest to the unit circle takes the zeros nearest to it; the first section carries
//! the gain. (Where two poles are equally near, as in a band that lies symmetric about a quarter of
//! the rate, rounding decides which goes first; the filter as a whole is the same.)
//!
//! References: `scipy.signal.butter(output="sos")` and `cheby1`, `zpk2sos`, `iirnotch`;
//! Orfanidis, Introduction to Signal Processing, 11.3.

use super::sos::Section;
use crate::error::{Error, Result};
use faer::c64;
use std::f64::consts::PI;

/// The highest order that is designed; beyond it the sections lose too much accuracy.
pub const MAX_ORDER: usize = 20;

/// What a Butterworth filter lets through, edges in Hz (where the gain is 1/sqrt 2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Band {
    /// Everything below.
    Low(f64),
    /// Everything above.
    High(f64),
    /// Everything between.
    Pass(f64, f64),
    /// Everything but what lies between.
    Stop(f64, f64),
}

/// Zeros, poles and gain of a filter.
struct Zpk {
    zeros: Vec<c64>,
    poles: Vec<c64>,
    gain: f64,
}

/// The Butterworth filter of `order` for `band` at the sampling rate `rate_hz`.
pub fn butterworth(order: usize, band: Band, rate_hz: f64) -> Result<Vec<Section>> {
    check_order(order)?;
    let edges = match band {
        Band::Low(edge) | Band::High(edge) => [edge, edge],
        Band::Pass(low, high) | Band::Stop(low, high) => {
            if low >= high {
                return Err(Error::config(format!(
                    "the lower edge, {low} Hz, is not below the upper edge, {high} Hz"
                )));
            }
            [low, high]
        }
    };
    edges.iter().try_for_each(|&edge| check_edge(edge, rate_hz))?;
    let [low, high] = edges.map(|edge| 4.0 * (PI * edge / rate_hz).tan());
    let analogue = match band {
        Band::Low(_) => low_pass(prototype(order), 1.0, low),
        Band::High(_) => high_pass(order, low),
        Band::Pass(..) => band_pass(order, high - low, (low * high).sqrt()),
        Band::Stop(..) => band_stop(order, high - low, (low * high).sqrt()),
    };
    Ok(sections(bilinear(analogue)))
}

/// The Chebyshev low-pass of `order`, whose gain lies between 1 and `ripple_db` below up to `edge_hz`
/// and falls more steeply than that of a Butterworth filter from there on.
pub fn chebyshev(order: usize, ripple_db: f64, edge_hz: f64, rate_hz: f64) -> Result<Vec<Section>> {
    check_order(order)?;
    check_edge(edge_hz, rate_hz)?;
    if !(ripple_db > 0.0 && ripple_db.is_finite()) {
        return Err(Error::config(format!("the ripple is {ripple_db} dB, expected more than 0")));
    }
    let ripple = (10.0_f64.powf(0.1 * ripple_db) - 1.0).sqrt();
    let u = (1.0 / ripple).asinh() / order as f64;
    // -sinh(u + i t), where -exp(i t) = -(cos t + i sin t) is the pole on the circle
    let poles = prototype(order).map(|p| c64::new(u.sinh() * p.re, u.cosh() * p.im));
    let at_zero = if order.is_multiple_of(2) { 1.0 / (1.0 + ripple * ripple).sqrt() } else { 1.0 };
    let edge = 4.0 * (PI * edge_hz / rate_hz).tan();
    Ok(sections(bilinear(low_pass(poles, at_zero, edge))))
}

/// A notch at `freq_hz` that is `freq_hz / q` wide (where the gain is 1/sqrt 2).
pub fn notch(freq_hz: f64, q: f64, rate_hz: f64) -> Result<Section> {
    check_edge(freq_hz, rate_hz)?;
    if !(q > 0.0 && q.is_finite()) {
        return Err(Error::config(format!("the quality factor is {q}, expected more than 0")));
    }
    let w = 2.0 * PI * freq_hz / rate_hz;
    let gain = 1.0 / (1.0 + (w / q / 2.0).tan());
    let middle = -2.0 * gain * w.cos();
    Ok(Section { b: [gain, middle, gain], a: [middle, 2.0 * gain - 1.0] })
}

/// By how many samples the chain delays a signal at `freq_hz`: the slope of its phase,
/// `-d phase / d omega`. Not defined where the filter lets nothing through.
pub fn group_delay(sections: &[Section], freq_hz: f64, rate_hz: f64) -> f64 {
    let w = 2.0 * PI * freq_hz / rate_hz;
    // of one polynomial c0 + c1/z + c2/z^2: Re(sum k c_k z^-k / sum c_k z^-k)
    let delay = |c: [f64; 3]| {
        let terms = [0.0, 1.0, 2.0].map(|k| c64::new((k * w).cos(), -(k * w).sin()));
        let value = terms[0] * c[0] + terms[1] * c[1] + terms[2] * c[2];
        let slope = terms[1] * c[1] + terms[2] * (2.0 * c[2]);
        (slope / value).re
    };
    sections.iter().map(|s| delay(s.b) - delay([1.0, s.a[0], s.a[1]])).sum()
}

fn check_order(order: usize) -> Result<()> {
    if (1..=MAX_ORDER).contains(&order) {
        return Ok(());
    }
    Err(Error::config(format!("order is {order}, expected 1 to {MAX_ORDER}")))
}

fn check_edge(edge: f64, rate_hz: f64) -> Result<()> {
    if edge > 0.0 && edge < rate_hz / 2.0 {
        return Ok(());
    }
    Err(Error::config(format!(
        "{edge} Hz does not lie between 0 and half the sampling rate, {} Hz",
        rate_hz / 2.0
    )))
}

/// The poles of the analogue low-pass with its edge at 1.
fn prototype(order: usize) -> impl Iterator<Item = c64> {
    let n = order as f64;
    (0..order).map(move |i| {
        let angle = PI * (2.0 * i as f64 + 1.0 - n) / (2.0 * n);
        -c64::new(angle.cos(), angle.sin())
    })
}

/// The low-pass with `poles` (for an edge at 1), moved to `edge`, whose gain at 0 is `at_zero`.
fn low_pass(poles: impl Iterator<Item = c64>, at_zero: f64, edge: f64) -> Zpk {
    let poles: Vec<c64> = poles.map(|p| p * edge).collect();
    let gain = at_zero * poles.iter().map(|p| -p).product::<c64>().re;
    Zpk { zeros: Vec::new(), poles, gain }
}

fn high_pass(order: usize, edge: f64) -> Zpk {
    let poles = prototype(order).map(|p| c64::from(edge) / p).collect();
    Zpk { zeros: vec![c64::from(0.0); order], poles, gain: 1.0 }
}

fn band_pass(order: usize, width: f64, centre: f64) -> Zpk {
    let poles = split(prototype(order).map(|p| p * (width / 2.0)), centre);
    Zpk { zeros: vec![c64::from(0.0); order], poles, gain: width.powi(order as i32) }
}

fn band_stop(order: usize, width: f64, centre: f64) -> Zpk {
    let poles = split(prototype(order).map(|p| c64::from(width / 2.0) / p), centre);
    let mut zeros = vec![c64::new(0.0, centre); order];
    zeros.extend(vec![c64::new(0.0, -centre); order]);
    Zpk { zeros, poles, gain: 1.0 }
}

/// Each pole of a low-pass becomes two about the centre of the band: `p +- sqrt(p^2 - centre^2)`.
fn split(poles: impl Iterator<Item = c64>, centre: f64) -> Vec<c64> {
    poles
        .flat_map(|p| {
            let root = (p * p - centre * centre).sqrt();
            [p + root, p - root]
        })
        .collect()
}

/// From the s plane to the z plane; zeros at infinity come to lie at -1.
fn bilinear(analogue: Zpk) -> Zpk {
    let four = c64::from(4.0);
    let map = |s: &c64| (four + s) / (four - s);
    let product = |list: &[c64]| list.iter().map(|s| four - s).product::<c64>();
    let gain = analogue.gain * (product(&analogue.zeros) / product(&analogue.poles)).re;
    let poles: Vec<_> = analogue.poles.iter().map(map).collect();
    let mut zeros: Vec<_> = analogue.zeros.iter().map(map).collect();
    zeros.resize(poles.len(), c64::from(-1.0));
    Zpk { zeros, poles, gain }
}

/// Puts poles and zeros, as many of the one as of the other, into sections.
fn sections(filter: Zpk) -> Vec<Section> {
    let Zpk { mut zeros, mut poles, gain } = filter;
    if poles.len() % 2 == 1 {
        poles.push(c64::from(0.0));
        zeros.push(c64::from(0.0));
    }
    let (mut zeros, mut poles) = (halves(zeros), halves(poles));
    let mut list = Vec::new();
    let to_circle = |p: c64| (1.0 - p.norm()).abs();
    // Real poles come in even number, since poles do and complex ones are pairs; so do real zeros.
    while let Some(p1) = take(&mut poles, false, to_circle) {
        let p2 = match is_real(p1) {
            true => take(&mut poles, true, to_circle),
            false => Some(p1.conj()),
        };
        let near = |z: c64| (p1 - z).norm();
        let z1 = take(&mut zeros, false, near);
        let z2 = match z1 {
            Some(z) if !is_real(z) => Some(z.conj()),
            _ => take(&mut zeros, true, near),
        };
        let b = polynomial(z1, z2);
        let a = polynomial(Some(p1), p2);
        list.push(Section { b, a: [a[1], a[2]] });
    }
    list.reverse();
    if let Some(first) = list.first_mut() {
        first.b = first.b.map(|b| b * gain);
    }
    list
}

/// One of each pair of conjugates, sorted, then the real ones, sorted.
fn halves(mut list: Vec<c64>) -> Vec<c64> {
    for v in &mut list {
        if v.im.abs() <= 100.0 * f64::EPSILON * v.norm() {
            v.im = 0.0;
        }
    }
    list.retain(|v| v.im >= 0.0);
    list.sort_by(|a, b| {
        let by_part = |x: f64, y: f64| x.total_cmp(&y);
        is_real(*a).cmp(&is_real(*b)).then(by_part(a.re, b.re)).then(by_part(a.im, b.im))
    });
    list
}

fn is_real(v: c64) -> bool {
    v.im == 0.0
}

/// Takes out the entry (the first of equals) with the least cost, of the real ones if so told.
fn take(list: &mut Vec<c64>, real: bool, cost: impl Fn(c64) -> f64) -> Option<c64> {
    let (best, _) = list
        .iter()
        .enumerate()
        .filter(|(_, v)| !real || is_real(**v))
        .min_by(|(_, a), (_, b)| cost(**a).total_cmp(&cost(**b)))?;
    Some(list.remove(best))
}

/// The coefficients of `(1 - r1/z) (1 - r2/z)`.
fn polynomial(r1: Option<c64>, r2: Option<c64>) -> [f64; 3] {
    let (r1, r2) = (r1.unwrap_or_default(), r2.unwrap_or_default());
    [1.0, -(r1 + r2).re, (r1 * r2).re]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gain(sections: &[Section], freq_hz: f64, rate_hz: f64) -> f64 {
        let z = c64::from_polar(1.0, -2.0 * PI * freq_hz / rate_hz);
        let value = |c: [f64; 3]| c64::from(c[0]) + z * c[1] + z * z * c[2];
        sections.iter().map(|s| (value(s.b) / value([1.0, s.a[0], s.a[1]])).norm()).product()
    }

    #[test]
    fn edges_have_half_the_power() {
        let half = 0.5_f64.sqrt();
        for order in [1, 2, 3, 4, 7, 8] {
            for (band, edges, through) in [
                (Band::Low(12.0), vec![12.0], 1.0),
                (Band::High(12.0), vec![12.0], 90.0),
                (Band::Pass(8.0, 30.0), vec![8.0, 30.0], 15.7),
                (Band::Stop(45.0, 55.0), vec![45.0, 55.0], 1.0),
            ] {
                let filter = butterworth(order, band, 250.0).unwrap();
                for edge in edges {
                    assert!((gain(&filter, edge, 250.0) - half).abs() < 1e-9, "{order} {band:?}");
                }
                assert!(gain(&filter, through, 250.0) > 0.98, "{order} {band:?}");
            }
        }
    }

    #[test]
    fn a_chebyshev_low_pass_ripples_by_so_much() {
        for order in 1..=9 {
            let filter = chebyshev(order, 0.5, 20.0, 250.0).unwrap();
            let db = |f: f64| 20.0 * gain(&filter, f, 250.0).log10();
            let passed: Vec<f64> = (0..=200).map(|i| db(f64::from(i) / 10.0)).collect();
            assert!(passed.iter().all(|g| (-0.5 - 1e-9..=1e-9).contains(g)), "{order}");
            assert!((db(20.0) + 0.5).abs() < 1e-9, "{order}: {}", db(20.0));
            let highest = passed.iter().fold(-1.0, |m: f64, g| m.max(*g));
            assert!(highest > -0.01, "{order}: {highest}");
        }
        assert!(chebyshev(0, 0.5, 20.0, 250.0).is_err());
        assert!(chebyshev(4, 0.0, 20.0, 250.0).is_err());
        assert!(chebyshev(4, 0.5, 125.0, 250.0).is_err());
    }

    #[test]
    fn a_notch_removes_its_frequency_only() {
        let section = [notch(50.0, 30.0, 250.0).unwrap()];
        assert!(gain(&section, 50.0, 250.0) < 1e-12);
        assert!((gain(&section, 10.0, 250.0) - 1.0).abs() < 1e-3);
    }

    #[test]
    fn group_delay_is_the_slope_of_the_phase() {
        let filter = butterworth(4, Band::Pass(8.0, 30.0), 250.0).unwrap();
        let phase = |f: f64| {
            let z = c64::from_polar(1.0, -2.0 * PI * f / 250.0);
            let value = |c: [f64; 3]| c64::from(c[0]) + z * c[1] + z * z * c[2];
            filter.iter().map(|s| (value(s.b) / value([1.0, s.a[0], s.a[1]])).arg()).sum::<f64>()
        };
        let step = 1e-4;
        let slope = (phase(15.0 + step) - phase(15.0 - step)) / (2.0 * step);
        let want = -slope / (2.0 * PI) * 250.0;
        assert!((group_delay(&filter, 15.0, 250.0) - want).abs() < 1e-5 * want);
    }

    #[test]
    fn nonsense_is_refused() {
        for (order, band) in [
            (0, Band::Low(10.0)),
            (21, Band::Low(10.0)),
            (4, Band::Low(0.0)),
            (4, Band::High(125.0)),
            (4, Band::Pass(30.0, 8.0)),
            (4, Band::Pass(8.0, 8.0)),
            (4, Band::Stop(-1.0, 8.0)),
            (4, Band::Low(f64::NAN)),
        ] {
            assert!(butterworth(order, band, 250.0).is_err(), "{order} {band:?}");
        }
        assert!(butterworth(4, Band::Low(10.0), 0.0).is_err());
        assert!(notch(125.0, 30.0, 250.0).is_err());
        assert!(notch(50.0, 0.0, 250.0).is_err());
    }
}

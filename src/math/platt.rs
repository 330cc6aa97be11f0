//! From decision values to probabilities.
//!
//! **The sigmoid.** In: decision values f, and which examples belong to the class. Out: a and b at the most
//! likely p(f) = 1 / (1 + exp(a f + b)), where the targets are not 1 and 0 but (m + 1)/(m + 2) and
//! 1/(l + 2) for m examples in and l outside the class, so that classes that are perfectly apart do
//! not end in an infinite slope. Newton's method as of Lin, Lin and Weng, Machine Learning 68 (2007);
//! the optimum is that of scikit-learn's `CalibratedClassifierCV(method="sigmoid")`.
//!
//! **The decision.** A sigmoid need not cross one half where the decision value changes its sign, and of
//! several sigmoids the highest need not be the class that won the votes. The decision stands, as it is what
//! was trained; [`side_with`] moves the probabilities to the nearest ones (least squares) that agree
//! with it: those that exceed the decided class's are averaged with it. A difference of at most 1e-9 is
//! left between them, which grows with how clear the decision is, so that their order is kept.

/// The weight of the tie-break.
pub const TIE: f64 = 1e-9;
/// The most Newton steps; ten are usual.
const MAX_STEPS: usize = 200;
/// The optimum is reached when the gradient, per example, is below this.
const TOLERANCE: f64 = 1e-13;
/// What is added to the curvature, which is singular where all decision values are equal.
const RIDGE: f64 = 1e-12;

/// 1 / (1 + exp(a f + b)).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sigmoid {
    /// The slope; negative where larger decision values speak for the class.
    pub a: f64,
    /// The offset.
    pub b: f64,
}

impl Sigmoid {
    /// What stands for a sigmoid where there are too few examples to fit one.
    pub const PLAIN: Self = Self { a: -1.0, b: 0.0 };

    /// The most likely sigmoid for decision `values`, of finite numbers, of examples `inside` the class or
    /// not.
    pub fn fit(values: &[f64], inside: &[bool]) -> Self {
        let within = inside.iter().filter(|i| **i).count() as f64;
        let outside = inside.len() as f64 - within;
        let (high, low) = ((within + 1.0) / (within + 2.0), 1.0 / (outside + 2.0));
        // In units of the largest value the ridge means the same for all.
        let largest = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let unit = if largest > 0.0 { largest } else { 1.0 };
        let examples: Vec<(f64, f64)> = values
            .iter()
            .zip(inside)
            .map(|(f, inside)| (f / unit, if *inside { high } else { low }))
            .collect();
        let start = Self { a: 0.0, b: ((outside + 1.0) / (within + 1.0)).ln() };
        let Self { a, b } = newton(&examples, start);
        Self { a: a / unit, b }
    }

    /// The probability of the class at decision value `f`.
    pub fn probability(&self, f: f64) -> f64 {
        let z = self.a * f + self.b;
        let e = (-z.abs()).exp();
        if z >= 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
    }
}

/// Damped Newton steps for pairs of decision value and target.
fn newton(examples: &[(f64, f64)], start: Sigmoid) -> Sigmoid {
    let mut at = start;
    let mut loss = loss_of(examples, at);
    for _ in 0..MAX_STEPS {
        let (mut ga, mut gb) = (0.0, 0.0);
        let (mut haa, mut hab, mut hbb) = (RIDGE, 0.0, RIDGE);
        for (f, target) in examples {
            let p = at.probability(*f);
            let (slope, curvature) = (target - p, p * (1.0 - p));
            ga += f * slope;
            gb += slope;
            haa += f * f * curvature;
            hab += f * curvature;
            hbb += curvature;
        }
        if ga.abs().max(gb.abs()) <= TOLERANCE * examples.len() as f64 {
            break;
        }
        let determinant = haa * hbb - hab * hab;
        let da = -(hbb * ga - hab * gb) / determinant;
        let db = -(haa * gb - hab * ga) / determinant;
        let descent = ga * da + gb * db;
        let mut length = 1.0;
        let next = loop {
            let next = Sigmoid { a: at.a + length * da, b: at.b + length * db };
            let after = loss_of(examples, next);
            if after < loss + 1e-4 * length * descent {
                loss = after;
                break Some(next);
            }
            length /= 2.0;
            if length < 1e-10 {
                break None;
            }
        };
        // Where nothing is gained any more, rounding is all that is left; one full step is then the best guess.
        let Some(next) = next else {
            let last = Sigmoid { a: at.a + da, b: at.b + db };
            let small = da.abs().max(db.abs()) < 1e-6 * (1.0 + at.a.abs().max(at.b.abs()));
            return if small { last } else { at };
        };
        at = next;
    }
    at
}

/// The negative log likelihood.
fn loss_of(examples: &[(f64, f64)], at: Sigmoid) -> f64 {
    let one = |(f, target): &(f64, f64)| {
        let z = at.a * f + at.b;
        // ln(1 + exp(z)) without overflow.
        (-z.abs()).exp().ln_1p() + z.max(0.0) - (1.0 - target) * z
    };
    examples.iter().map(one).sum()
}

/// Makes of `p`, which sum to one, the nearest probabilities of which that of the class `decided` is the
/// largest. `margin`, not negative, says how clear the decision is. Allocates nothing.
pub fn side_with(decided: usize, margin: f64, p: &mut [f64]) {
    let others = |p: &[f64], above: f64| {
        let rest = p.iter().enumerate().filter(|(k, v)| *k != decided && **v >= above);
        rest.fold((0.0, 0), |(sum, count), (_, v)| (sum + v, count + 1))
    };
    if others(p, p[decided]).1 == 0 {
        return;
    }
    // Averaged with all that are above the average, which grows no more once they are all in it.
    let mut mean = p[decided];
    loop {
        let (sum, count) = others(p, mean);
        let next = (p[decided] + sum) / f64::from(count + 1);
        if next <= mean {
            break;
        }
        mean = next;
    }
    let tie = TIE * mean * (0.5 + 0.5 * margin / (1.0 + margin));
    let mut rest = 0.0;
    for (_, v) in p.iter_mut().enumerate().filter(|(k, _)| *k != decided) {
        if *v >= mean {
            *v = mean - tie;
        }
        rest += *v;
    }
    p[decided] = 1.0 - rest;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decision_values_without_news_give_the_shares() {
        // Three of four are inside: the targets average (3 * 4/5 + 1/3) / 4.
        let sigmoid = Sigmoid::fit(&[2.0; 4], &[true, true, false, true]);
        assert!((sigmoid.probability(2.0) - (2.4 + 1.0 / 3.0) / 4.0).abs() < 1e-9);
        let sigmoid = Sigmoid::fit(&[0.0; 2], &[true, false]);
        assert!((sigmoid.probability(0.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn two_values_meet_their_targets() {
        // With two places there are as many unknowns as targets: 3/4 at 1 and 1/4 at -1.
        let sigmoid = Sigmoid::fit(&[1.0, 1.0, -1.0, -1.0], &[true, true, false, false]);
        assert!((sigmoid.a + 3.0_f64.ln()).abs() < 1e-9 && sigmoid.b.abs() < 1e-9, "{sigmoid:?}");
        let large = Sigmoid::fit(&[1e9, 1e9, -1e9, -1e9], &[true, true, false, false]);
        assert!((large.probability(1e9) - 0.75).abs() < 1e-9, "{large:?}");
        assert_eq!(large.probability(f64::INFINITY), 1.0);
    }

    #[test]
    fn the_decision_stands() {
        let sided = |decided, p: &[f64]| {
            let mut p = p.to_vec();
            side_with(decided, 0.3, &mut p);
            assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-15, "{p:?}");
            assert!(p.iter().enumerate().all(|(k, v)| k == decided || *v < p[decided]), "{p:?}");
            p
        };
        assert_eq!(sided(1, &[0.2, 0.5, 0.3]), [0.2, 0.5, 0.3]);
        let near = |got: Vec<f64>, want: &[f64]| {
            assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 2e-9), "{got:?}");
        };
        near(sided(0, &[0.4, 0.6]), &[0.5, 0.5]);
        near(sided(0, &[0.10, 0.12, 0.78]), &[0.44, 0.12, 0.44]);
        near(sided(2, &[0.5, 0.4, 0.1]), &[1.0 / 3.0; 3]);
        near(sided(0, &[0.5, 0.5]), &[0.5, 0.5]);
        // The clearer decision stays ahead.
        let at = |margin| {
            let mut p = [0.4, 0.6];
            side_with(0, margin, &mut p);
            p[0]
        };
        assert!(at(0.2) > at(0.1));
    }
}

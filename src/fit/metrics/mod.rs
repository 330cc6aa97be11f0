//! Scores of a decoder: from true and decided classes to numbers that can be compared.
//!
//! In: for each trial (or window) the true class, the decided class, and perhaps the scores. Out: a
//! [`Confusion`] and what follows from it. Classes are numbered from 0. What has no value, such as
//! the recall of a class without trials, is left out or `None`, never NaN.

mod continuous;
pub mod retrieval;

pub use continuous::{Activity, Attempt, Decision, Trial, activity, window_confusion};

use super::stats::midranks;
use serde::{Deserialize, Serialize};

/// How often each class was decided for each true class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Confusion {
    /// Rows: true class, columns: decided class.
    counts: Vec<Vec<usize>>,
}

impl Confusion {
    /// Nothing yet, for so many classes.
    pub fn new(classes: usize) -> Self {
        Self { counts: vec![vec![0; classes]; classes] }
    }

    /// Counts the pairs of `truth` and `decided`.
    pub fn of(classes: usize, truth: &[usize], decided: &[usize]) -> Self {
        let mut confusion = Self::new(classes);
        for (truth, decided) in truth.iter().zip(decided) {
            confusion.add(*truth, *decided);
        }
        confusion
    }

    /// One more trial. A class that does not exist is not counted.
    pub fn add(&mut self, truth: usize, decided: usize) {
        if let Some(n) = self.counts.get_mut(truth).and_then(|row| row.get_mut(decided)) {
            *n += 1;
        }
    }

    /// Adds the trials of another confusion of the same classes.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            for (mine, theirs) in mine.iter_mut().zip(theirs) {
                *mine += theirs;
            }
        }
    }

    /// Rows: true class, columns: decided class.
    pub fn counts(&self) -> &[Vec<usize>] {
        &self.counts
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.counts.len()
    }

    /// Number of trials.
    pub fn n(&self) -> usize {
        self.counts.iter().flatten().sum()
    }

    /// Number of trials decided rightly.
    pub fn correct(&self) -> usize {
        self.counts.iter().enumerate().map(|(class, row)| row[class]).sum()
    }

    /// Share of trials decided rightly; 0 without trials.
    pub fn accuracy(&self) -> f64 {
        share(self.correct(), self.n()).unwrap_or(0.0)
    }

    /// Mean over the classes of the share decided rightly. Classes without trials do not count.
    pub fn balanced_accuracy(&self) -> f64 {
        let rows = self.counts.iter().enumerate();
        let recalls: Vec<f64> =
            rows.filter_map(|(class, row)| share(row[class], row.iter().sum())).collect();
        recalls.iter().sum::<f64>() / recalls.len().max(1) as f64
    }

    /// Cohen's kappa, (p - e) / (1 - e): the accuracy p beyond the agreement e that the same shares of
    /// true and decided classes would have by chance. 0 where e is 1, as then nothing can be told.
    ///
    /// Reference: Cohen, Educational and Psychological Measurement 20 (1960) 37-46.
    pub fn kappa(&self) -> f64 {
        let n = self.n() as f64;
        let pairs = self.truths().into_iter().zip(self.decisions());
        let expected = pairs.map(|(t, d)| t * d).sum::<f64>() / (n * n);
        if n == 0.0 || expected >= 1.0 {
            return 0.0;
        }
        (self.accuracy() - expected) / (1.0 - expected)
    }

    /// Matthews correlation coefficient for any number of classes, -1 to 1:
    /// `(c n - sum t_k d_k) / sqrt((n^2 - sum t_k^2) (n^2 - sum d_k^2))` with c of n trials decided
    /// rightly, t_k trials of class k, d_k decided as k. 0 where only one class is there or decided.
    ///
    /// Reference: Gorodkin, Computational Biology and Chemistry 28 (2004) 367-374.
    pub fn mcc(&self) -> f64 {
        let (truths, decisions) = (self.truths(), self.decisions());
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let n = self.n() as f64;
        let spread = (n * n - dot(&truths, &truths)) * (n * n - dot(&decisions, &decisions));
        if spread <= 0.0 {
            return 0.0;
        }
        (self.correct() as f64 * n - dot(&truths, &decisions)) / spread.sqrt()
    }

    /// The Matthews correlation moved to 0 to 1, (MCC + 1) / 2: 0.5 is chance whatever the shares of
    /// the classes, which is why it suits pseudo-online scores, where idle windows outnumber the rest.
    ///
    /// Reference: Carrara and Papadopoulo, Pseudo-online framework for BCI evaluation, 2023.
    pub fn nmcc(&self) -> f64 {
        (self.mcc() + 1.0) / 2.0
    }

    /// Number of trials of each class.
    fn truths(&self) -> Vec<f64> {
        self.counts.iter().map(|row| row.iter().sum::<usize>() as f64).collect()
    }

    /// Number of decisions for each class.
    fn decisions(&self) -> Vec<f64> {
        let column = |k: usize| self.counts.iter().map(|row| row[k]).sum::<usize>() as f64;
        (0..self.classes()).map(column).collect()
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Area under the ROC curve: the chance that a trial of a class scores higher for it than one of
/// another class (ties count half), averaged over the classes. For two classes whose scores sum to
/// one that is the usual AUC. `None` where a class is missing or a score is not a number.
///
/// `scores` holds one number per class for each trial, `truth` the class of each trial.
pub fn auc(scores: &[Vec<f64>], truth: &[usize], classes: usize) -> Option<f64> {
    let of_class = |class| {
        let values: Option<Vec<f64>> = scores.iter().map(|s| s.get(class).copied()).collect();
        one_against_rest(&values?, truth, class)
    };
    let areas: Option<Vec<f64>> = (0..classes).map(of_class).collect();
    areas.filter(|a| !a.is_empty()).map(|a| a.iter().sum::<f64>() / a.len() as f64)
}

/// From the sum of ranks (Mann and Whitney), which counts the pairs won without trying them all.
fn one_against_rest(values: &[f64], truth: &[usize], class: usize) -> Option<f64> {
    if values.iter().any(|v| v.is_nan()) {
        return None;
    }
    let ranks = midranks(values);
    let inside: Vec<f64> =
        ranks.iter().zip(truth).filter(|(_, t)| **t == class).map(|(rank, _)| *rank).collect();
    let (m, n) = (inside.len() as f64, (truth.len() - inside.len()) as f64);
    let won = inside.iter().sum::<f64>() - m * (m + 1.0) / 2.0;
    (m > 0.0 && n > 0.0).then(|| won / (m * n))
}

/// Information in one decision among `classes` that is right with probability `accuracy`, in bits:
/// `log2 N + p log2 p + (1 - p) log2((1 - p) / (N - 1))`, and 0 at or below chance, where the formula
/// would rise again.
///
/// It supposes that all classes are equally likely and all errors too.
///
/// Reference: Wolpaw et al., Clinical Neurophysiology 113 (2002) 767-791.
pub fn information_bits(classes: usize, accuracy: f64) -> f64 {
    let n = classes as f64;
    if classes < 2 || accuracy.is_nan() || accuracy <= 1.0 / n {
        return 0.0;
    }
    let p = accuracy.min(1.0);
    let wrong = 1.0 - p;
    let doubt = if wrong > 0.0 { wrong * (wrong / (n - 1.0)).log2() } else { 0.0 };
    n.log2() + p * p.log2() + doubt
}

/// Information transfer rate in bits per minute, where one decision takes `decision_s` seconds: the
/// time until the next decision can be made, cue, pause and all. 0 where that is not positive.
pub fn information_rate(classes: usize, accuracy: f64, decision_s: f64) -> f64 {
    if decision_s > 0.0 { information_bits(classes, accuracy) * 60.0 / decision_s } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confusion_by_hand() {
        let confusion = Confusion::of(2, &[0, 0, 0, 1], &[0, 0, 1, 1]);
        assert_eq!(confusion.counts(), [[2, 1], [0, 1]]);
        assert_eq!((confusion.n(), confusion.correct()), (4, 3));
        assert_eq!(confusion.accuracy(), 0.75);
        assert_eq!(confusion.balanced_accuracy(), (2.0 / 3.0 + 1.0) / 2.0);
        // Chance agrees in 3/4 * 2/4 + 1/4 * 2/4 = 1/2.
        assert_eq!(confusion.kappa(), 0.5);
        let mut twice = confusion.clone();
        twice.merge(&confusion);
        assert_eq!(twice.counts(), [[4, 2], [0, 2]]);
        assert!((twice.mcc() - confusion.mcc()).abs() < 1e-15);
    }

    #[test]
    fn without_trials_or_with_one_class_nothing_is_nan() {
        let one = Confusion::of(2, &[1, 1], &[1, 1]);
        for confusion in [Confusion::new(0), Confusion::new(3), one] {
            assert_eq!((confusion.kappa(), confusion.mcc(), confusion.nmcc()), (0.0, 0.0, 0.5));
            assert!(confusion.balanced_accuracy().is_finite() && confusion.accuracy().is_finite());
        }
        assert_eq!(Confusion::of(2, &[0, 5], &[7, 0]).n(), 0);
    }

    #[test]
    fn auc_is_the_share_of_won_pairs() {
        let scores = |p: &[f64]| p.iter().map(|p| vec![1.0 - p, *p]).collect::<Vec<_>>();
        // By hand: of the pairs (0.35, 0.1) (0.35, 0.4) (0.8, 0.1) (0.8, 0.4) three are won.
        let got = auc(&scores(&[0.1, 0.4, 0.35, 0.8]), &[0, 0, 1, 1], 2);
        assert!((got.unwrap() - 0.75).abs() < 1e-12);
        assert_eq!(auc(&scores(&[0.5, 0.5]), &[0, 1], 2), Some(0.5));
        assert_eq!(auc(&scores(&[0.5, 0.5]), &[1, 1], 2), None);
        assert_eq!(auc(&scores(&[0.5, f64::NAN]), &[0, 1], 2), None);
        assert_eq!(auc(&[], &[], 0), None);
        assert_eq!(auc(&[vec![0.5]], &[0], 2), None);
    }

    #[test]
    fn information_by_hand() {
        assert_eq!(information_bits(2, 1.0), 1.0);
        assert_eq!(information_bits(4, 1.0), 2.0);
        for nothing in [0.0, 0.2, 0.5, f64::NAN] {
            assert_eq!(information_bits(2, nothing), 0.0, "{nothing}");
        }
        // 1 - H(0.9), the capacity of the binary symmetric channel.
        let entropy = -0.9 * 0.9f64.log2() - 0.1 * 0.1f64.log2();
        assert!((information_bits(2, 0.9) - (1.0 - entropy)).abs() < 1e-15);
        assert_eq!(information_rate(2, 1.0, 4.0), 15.0);
        assert_eq!(information_rate(2, 1.0, 0.0), 0.0);
    }
}

//! Transport with an entropy: quick on large supports, and a little dearer than the least.
//!
//! ```text
//! K = exp(-C / reg)      v = b / (K' u),  u = a / (K v), again and again       P = diag(u) K diag(v)
//! ```
//!
//! The cost is that of the plan, sum P_ij C_ij, without the entropy. It ends when the columns of P sum up to b
//! within 1e-9 (Euclidean norm, looked at every tenth time), as in POT's `sinkhorn2`; the rows sum up to a
//! always. Masses that both sides have in common are not taken out: unlike the least cost, this one depends on
//! them. Reference: Cuturi 2013, NIPS.

/// The columns may miss their sums by so much.
const TOLERANCE: f64 = 1e-9;
/// How often is looked whether they do.
const LOOK_EVERY: usize = 10;

/// A problem, and room to solve it in. All tables are filled row by row.
#[derive(Debug, Clone)]
pub struct Sinkhorn {
    /// Masses of the rows.
    pub a: Vec<f64>,
    /// Masses of the columns.
    pub b: Vec<f64>,
    /// The costs, rows x columns.
    pub costs: Vec<f64>,
    kernel: Vec<f64>,
    u: Vec<f64>,
    v: Vec<f64>,
    products: Vec<f64>,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// The cost of the plan.
    pub cost: f64,
    /// By how much its columns miss their sums (Euclidean norm).
    pub violation: f64,
}

impl Sinkhorn {
    /// Room for up to `most` rows and columns.
    pub fn new(most: usize) -> Self {
        let side = || Vec::with_capacity(most);
        let table = || Vec::with_capacity(most * most);
        Self {
            a: side(),
            b: side(),
            costs: table(),
            kernel: table(),
            u: side(),
            v: side(),
            products: side(),
        }
    }

    /// Forgets masses and costs.
    pub fn clear(&mut self) {
        self.a.clear();
        self.b.clear();
        self.costs.clear();
    }

    /// Solves it in at most `most_rounds`; `None` where the kernel has underflowed: the costs are too many
    /// times larger than `regularisation`.
    pub fn solve(&mut self, regularisation: f64, most_rounds: usize) -> Option<Plan> {
        self.kernel.clear();
        self.kernel.extend(self.costs.iter().map(|c| (-c / regularisation).exp()));
        fill(&mut self.u, self.a.len(), 1.0 / self.a.len() as f64);
        fill(&mut self.v, self.b.len(), 1.0 / self.b.len() as f64);
        let mut violation = f64::INFINITY;
        for round in 0..most_rounds {
            self.scale_columns();
            self.scale_rows();
            if round % LOOK_EVERY == 0 {
                violation = self.violation();
                // A number that is not finite shows here, and does not go away.
                if violation <= TOLERANCE || !violation.is_finite() {
                    break;
                }
            }
        }
        let cost = self.cost();
        (cost.is_finite() && violation.is_finite()).then_some(Plan { cost, violation })
    }

    fn rows(&self) -> impl Iterator<Item = (&f64, &[f64])> {
        self.u.iter().zip(self.kernel.chunks_exact(self.b.len()))
    }

    /// The products of the columns of K with u.
    fn multiply_columns(&mut self) {
        fill(&mut self.products, self.b.len(), 0.0);
        let rows = self.u.iter().zip(self.kernel.chunks_exact(self.b.len()));
        for (u, row) in rows {
            self.products.iter_mut().zip(row).for_each(|(p, k)| *p += u * k);
        }
    }

    fn scale_columns(&mut self) {
        self.multiply_columns();
        let parts = self.v.iter_mut().zip(&self.b).zip(&self.products);
        parts.for_each(|((v, b), product)| *v = b / product);
    }

    fn scale_rows(&mut self) {
        let rows = self.kernel.chunks_exact(self.b.len());
        for ((u, a), row) in self.u.iter_mut().zip(&self.a).zip(rows) {
            *u = a / row.iter().zip(&self.v).map(|(k, v)| k * v).sum::<f64>();
        }
    }

    fn violation(&mut self) -> f64 {
        self.multiply_columns();
        let parts = self.products.iter().zip(&self.v).zip(&self.b);
        parts.map(|((product, v), b)| (product * v - b).powi(2)).sum::<f64>().sqrt()
    }

    fn cost(&self) -> f64 {
        let costs = self.costs.chunks_exact(self.b.len());
        let row = |((u, kernel), costs): ((&f64, &[f64]), &[f64])| {
            let parts = kernel.iter().zip(costs).zip(&self.v);
            u * parts.map(|((k, c), v)| k * c * v).sum::<f64>()
        };
        self.rows().zip(costs).map(row).sum()
    }
}

fn fill(x: &mut Vec<f64>, length: usize, value: f64) {
    x.clear();
    x.resize(length, value);
}

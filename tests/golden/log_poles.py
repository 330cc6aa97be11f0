"""Rational functions that stand in for the logarithm, as a table for src/math/tridiagonal/poles.rs.

Run from the root of the checkout: python tests/golden/log_poles.py > src/math/tridiagonal/poles.rs
Made with mpmath 1.4.1, in 150 digits; takes some minutes.

f(z) = ln(z) / (z - 1) is the integral of 1 / ((1 + t)(z + t)) over t > 0, so that its best rational
approximations are sums of c_j / (z + p_j) with positive c_j and p_j. The one used here agrees with f
in value and slope at n points, the points of Zolotarev's problem for [1/b, b] and the negative axis;
its poles are the eigenvalues of a pencil of two Loewner matrices. Then

    ln(z) = (z - 1) f(z) ~ sum_j g_j (1/(1 + p_j) - 1/(z + p_j)),   g_j = c_j (1 + p_j).

ln(1/z) = -ln(z) shows in the poles: with p there is 1/p, with weight g/p^2. Only those above one are
printed; there is no pole at one as n is even. b is as large as keeps the error below 1e-15.
"""

from mpmath import cholesky, eigsy, ellipfun, ellipk, inverse, log, lu_solve, matrix, mp, mpf, sqrt

mp.dps = 150
LARGEST_ERROR = mpf("1e-15")
COUNTS = range(8, 57, 8)
GRID = 400


def approximation(b, n):
    """The poles and weights of n terms on [1/b, b]."""
    modulus = 1 - b**-2
    quarter = ellipk(modulus)
    x = [b * ellipfun("dn", (2 * i + 1) * quarter / (2 * n), m=modulus) ** 2 for i in range(n)]
    f = [log(z) / (z - 1) for z in x]
    slope = [(1 / z - y) / (z - 1) for z, y in zip(x, f)]
    loewner, shifted = matrix(n, n), matrix(n, n)
    for i in range(n):
        for j in range(n):
            if i == j:
                loewner[i, i] = -slope[i]
                shifted[i, i] = -(f[i] + x[i] * slope[i])
            else:
                loewner[i, j] = -(f[i] - f[j]) / (x[i] - x[j])
                shifted[i, j] = -(x[i] * f[i] - x[j] * f[j]) / (x[i] - x[j])
    root = inverse(cholesky(loewner))
    pencil = root * shifted * root.T
    poles = [-v for v in eigsy((pencil + pencil.T) / 2, eigvals_only=True)]
    system = matrix(n, n)
    for i in range(n):
        for j in range(n):
            system[i, j] = 1 / (x[i] + poles[j])
    weights = [c * (1 + p) for c, p in zip(lu_solve(system, matrix(f)), poles)]
    return sorted(zip(poles, weights), reverse=True)


def error(b, terms):
    """The largest error on [1, b], which is that on [1/b, 1] too."""
    value = lambda z: sum(g * (1 / (1 + p) - 1 / (z + p)) for p, g in terms)
    points = (b ** (mpf(i) / GRID) for i in range(GRID + 1))
    return max(abs(value(z) - log(z)) for z in points)


def widest(n):
    """The largest b, to two digits, for which n terms are good enough, and the terms."""
    low, high = mpf(1), mpf(20)
    while high - low > mpf("0.02"):
        middle = (low + high) / 2
        b = mp.exp(middle)
        good = error(b, approximation(b, n)) <= LARGEST_ERROR
        low, high = (middle, high) if good else (low, middle)
    b = mpf(mp.nstr(mp.exp(low), 3))
    terms = approximation(b, n)
    while error(b, terms) > LARGEST_ERROR:
        b = mpf(mp.nstr(b * mpf("0.98"), 3))
        terms = approximation(b, n)
    return b, terms


def main():
    print("//! Poles and weights of rational functions that stand in for the logarithm.")
    print("//!")
    print("//! ln(z) = sum over poles of g (1/(1 + p) - 1/(z + p)), within 1e-15 for 1/b <= z <= b. With each")
    print("//! pole p there is one at 1/p, of weight g/p^2, which is not listed. Written by")
    print("//! `tests/golden/log_poles.py`.")
    print()
    print("/// A rational function that is the logarithm between 1/b and b.")
    print("pub struct Set {")
    print("    /// The bound b.")
    print("    pub bound: f64,")
    print("    /// Poles above one and their weights, half of all.")
    print("    pub upper: &'static [(f64, f64)],")
    print("}")
    print()
    print("/// The functions, of 8, 16, 24, ... poles.")
    print("#[rustfmt::skip]")
    print(f"pub const SETS: [Set; {len(COUNTS)}] = [")
    for n in COUNTS:
        b, terms = widest(n)
        for (p, g), (q, h) in zip(terms, reversed(terms)):
            assert abs(p * q - 1) < mpf("1e-40") and abs(h * p * p / g - 1) < mpf("1e-40")
        print(f"    Set {{ bound: {float(b)!r}, upper: &[")
        for p, g in terms[: n // 2]:
            print(f"        ({float(p)!r}, {float(g)!r}),")
        print("    ] },", flush=True)
    print("];")


main()

//! Where the electrodes of the 10-20, 10-10 and 10-05 systems sit on a spherical head.
//!
//! In: a label such as `C3`. Out: a unit vector, x to the right, y to the front, z up.
//!
//! The positions follow the geometry of the 10-10 system instead of a table. The ring through Fpz,
//! T7, Oz and T8 is the equator, with an electrode every 18 degrees. The midline runs from Nz over
//! Cz to Iz with an electrode every 22.5 degrees. Each row from ear to ear is an arc of the circle
//! through its two ring electrodes and its midline electrode, with four equal steps from the
//! midline to the ring (z, 1, 3, 5, 7) and a fifth below it (9); even numbers mirror odd ones.
//! The 10-05 system puts a row between any two (`FFC` between `F` and `FC`) and an electrode half a
//! step nearer to the midline than each (`C3h` between `C1` and `C3`). Its few places between the outermost
//! rows (`NFp`, `OI`) are not here.
//!
//! Reference: Oostenveld and Praamstra, Clinical Neurophysiology 112 (2001) 713-719.

use std::f64::consts::PI;

/// The labels of the 64 electrodes of the PhysioNet motor imagery set (EEGMMIDB), in its order.
pub const EEGMMIDB: [&str; 64] = [
    "FC5", "FC3", "FC1", "FCz", "FC2", "FC4", "FC6", "C5", "C3", "C1", "Cz", "C2", "C4", "C6",
    "CP5", "CP3", "CP1", "CPz", "CP2", "CP4", "CP6", "Fp1", "Fpz", "Fp2", "AF7", "AF3", "AFz",
    "AF4", "AF8", "F7", "F5", "F3", "F1", "Fz", "F2", "F4", "F6", "F8", "FT7", "FT8", "T7", "T8",
    "T9", "T10", "TP7", "TP8", "P7", "P5", "P3", "P1", "Pz", "P2", "P4", "P6", "P8", "PO7", "PO3",
    "POz", "PO4", "PO8", "O1", "Oz", "O2", "Iz",
];

/// The 10-20 names that the 10-10 system replaced.
const ALIASES: [(&str, &str); 4] = [("t3", "t7"), ("t4", "t8"), ("t5", "p7"), ("t6", "p8")];

/// Names of the rows, front to back, half a step of the 10-10 system apart; `ft`, `t`, `tp` and those
/// between them are the lower ends of `fc`, `c`, `cp` and so on.
const ROWS: [&[&str]; 15] = [
    &["afp"],
    &["af"],
    &["aff"],
    &["f"],
    &["ffc", "fft"],
    &["fc", "ft"],
    &["fcc", "ftt"],
    &["c", "t"],
    &["ccp", "ttp"],
    &["cp", "tp"],
    &["cpp", "tpp"],
    &["p"],
    &["ppo"],
    &["po"],
    &["poo"],
];

/// The unit vector to an electrode, or `None` for a label that is not in the 10-05 system.
///
/// Upper and lower case, surrounding spaces and trailing full stops (EEGMMIDB) do not matter.
pub fn position(label: &str) -> Option<[f64; 3]> {
    let label = label.trim().trim_end_matches('.').to_ascii_lowercase();
    let label = ALIASES.iter().find(|(old, _)| *old == label).map_or(&*label, |(_, new)| new);
    let (row, number, half) = match label.find(|c: char| c.is_ascii_digit()) {
        Some(at) => {
            let (digits, half) = match label[at..].strip_suffix('h') {
                Some(digits) => (digits, 0.5),
                None => (&label[at..], 0.0),
            };
            (&label[..at], digits.parse::<u8>().ok().filter(|n| (1..=10).contains(n))?, half)
        }
        None => (label.strip_suffix('z')?, 0, 0.0),
    };
    let right = number % 2 == 0;
    let [x, y, z] = left(row, f64::from(number.div_ceil(2)) - half)?;
    Some([if right { -x } else { x }, y, z])
}

/// The electrode in `column` 0 (midline) to 5 (9 and 10) of a row, on the left.
fn left(row: &str, column: f64) -> Option<[f64; 3]> {
    let outermost = [("n", 5.0), ("fp", 4.0), ("o", -4.0), ("i", -5.0)];
    if let Some((_, steps)) = outermost.into_iter().find(|(name, _)| *name == row) {
        return match (row, column) {
            (_, 0.0) => Some(midline(steps)),
            ("fp", 1.0) => Some(ring(1.0)),
            ("o", 1.0) => Some(ring(9.0)),
            _ => None,
        };
    }
    let index = ROWS.iter().position(|names| names.contains(&row))?;
    let lower = ROWS[index].len() == 2 && row == ROWS[index][1];
    if ROWS[index].len() == 2 && lower != (column > 3.0) {
        return None;
    }
    let down = index as f64 / 2.0;
    Some(arc(midline(3.5 - down), ring(1.5 + down), column / 4.0))
}

/// The midline electrode `steps` of 22.5 degrees in front of Cz.
fn midline(steps: f64) -> [f64; 3] {
    let (sin, cos) = (steps * PI / 8.0).sin_cos();
    [0.0, sin, cos]
}

/// The ring electrode `steps` of 18 degrees from Fpz to the left.
fn ring(steps: f64) -> [f64; 3] {
    let (sin, cos) = (steps * PI / 10.0).sin_cos();
    [-sin, cos, 0.0]
}

/// The point after `fraction` of the arc from `top` (where x = 0) to `end`, on the circle through
/// `end`, `top` and the mirror image of `end`.
fn arc(top: [f64; 3], end: [f64; 3], fraction: f64) -> [f64; 3] {
    let (dy, dz) = (top[1] - end[1], top[2] - end[2]);
    let height = dy.hypot(dz);
    let radius = (end[0] * end[0] + height * height) / (2.0 * height);
    let angle = fraction * (-end[0]).atan2(radius - height);
    let sink = radius * (1.0 - angle.cos()) / height;
    [-radius * angle.sin(), top[1] - sink * dy, top[2] - sink * dz]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(label: &str) -> [f64; 3] {
        position(label).unwrap_or_else(|| panic!("no {label}"))
    }

    fn degrees(a: &str, b: &str) -> f64 {
        let (a, b) = (at(a), at(b));
        (a[0] * b[0] + a[1] * b[1] + a[2] * b[2]).clamp(-1.0, 1.0).acos().to_degrees()
    }

    fn near(a: [f64; 3], b: [f64; 3]) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12)
    }

    #[test]
    fn landmarks() {
        assert!(near(at("Cz"), [0.0, 0.0, 1.0]));
        assert!(near(at("Fpz"), [0.0, 1.0, 0.0]));
        assert!(near(at("Oz"), [0.0, -1.0, 0.0]));
        assert!(near(at("T7"), [-1.0, 0.0, 0.0]));
        let half = 0.5f64.sqrt();
        assert!(near(at("C4"), [half, 0.0, half]));
        assert!(near(at("Fz"), [0.0, half, half]));
        assert!(at("Iz")[2] < 0.0 && at("T9")[2] < 0.0 && at("T10")[0] > 0.0);
    }

    #[test]
    fn all_are_distinct_unit_vectors_with_a_mirror_image() {
        for (i, label) in EEGMMIDB.iter().enumerate() {
            let p = at(label);
            assert!((p.iter().map(|v| v * v).sum::<f64>() - 1.0).abs() < 1e-12, "{label}");
            for other in &EEGMMIDB[..i] {
                assert!(degrees(label, other) > 8.0, "{label} {other}");
            }
            let digits = label.trim_start_matches(|c: char| !c.is_ascii_digit());
            let Ok(n) = digits.parse::<u8>() else {
                assert!(p[0].abs() < 1e-12, "{label}");
                continue;
            };
            let twin = if n % 2 == 1 { n + 1 } else { n - 1 };
            let twin = label.replace(digits, &twin.to_string());
            assert!(near(at(&twin), [-p[0], p[1], p[2]]), "{label} {twin}");
            assert_eq!(p[0] < 0.0, n % 2 == 1, "{label}");
        }
    }

    #[test]
    fn rows_and_columns_are_in_order() {
        for row in [["F7", "F5", "F3", "F1", "Fz"], ["PO7", "PO5", "PO3", "PO1", "POz"]] {
            assert!(row.windows(2).all(|w| at(w[0])[0] < at(w[1])[0]), "{row:?}");
        }
        for column in
            [["AF7", "F7", "FT7", "T7", "TP7", "P7"], ["AF3", "F3", "FC3", "C3", "CP3", "P3"]]
        {
            assert!(column.windows(2).all(|w| at(w[0])[1] > at(w[1])[1]), "{column:?}");
        }
        for (a, b) in [("C3", "C1"), ("C3", "FC3"), ("C3", "CP3"), ("O1", "Oz"), ("Fp1", "AF7")] {
            assert!(degrees(a, b) < 25.0, "{a} {b}: {}", degrees(a, b));
        }
        assert!(degrees("C3", "C4") > 80.0);
    }

    #[test]
    fn the_finer_system_lies_between() {
        let between = [
            ("AFp1", "Fp1", "AF3"),
            ("FFCz", "Fz", "FCz"),
            ("FFT7", "F7", "FT7"),
            ("FCC3", "FC3", "C3"),
            ("C3h", "C1", "C3"),
            ("TTP7h", "CP5", "T7"),
            ("CPP6h", "CP4", "P6"),
            ("POO2", "PO4", "O2"),
        ];
        for (label, a, b) in between {
            assert!(degrees(label, a) < degrees(a, b), "{label} {a}");
            assert!(degrees(label, b) < degrees(a, b), "{label} {b}");
        }
        assert!((degrees("FFCz", "Fz") - 11.25).abs() < 1e-9);
        assert!((degrees("C1h", "Cz") - 11.25).abs() < 1e-9);
        assert_eq!(at("CCP4h")[0], -at("CCP3h")[0]);
    }

    #[test]
    fn labels_are_forgiving_but_not_sloppy() {
        assert_eq!(position("fcZ."), position("FCz"));
        assert_eq!(position("Fc5."), position(" FC5 "));
        for (old, new) in [("T3", "T7"), ("T4", "T8"), ("T5", "P7"), ("T6", "P8")] {
            assert_eq!(position(old), position(new));
        }
        for wrong in [
            "", "z", "C", "C0", "C7", "C11", "T1", "FT3", "Tz", "Fp3", "O9", "X1", "C3a", "é3",
            "C3hh", "Ch", "FFT5h", "FFC7h", "Czh", "Iz1", "hz",
        ] {
            assert_eq!(position(wrong), None, "{wrong}");
        }
    }
}

use super::*;
use std::f64::consts::TAU;

fn labels(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// Everything off: a base to switch single parts on.
fn silent(channels: &[&str]) -> Config {
    Config {
        channels: labels(channels),
        line_v: 0.0,
        blinks_per_min: 0.0,
        background_v: 0.0,
        mu_v: 0.0,
        beta_v: 0.0,
        alpha_v: 0.0,
        drift_v: 0.0,
        noise_v: 0.0,
        ..Config::default()
    }
}

/// `seconds` of signal, one vector per channel, and all cues.
fn record(config: &Config, seconds: f64) -> (Vec<Vec<f64>>, Vec<Marker>) {
    let mut simulator = Simulator::new(config).unwrap();
    let channels = config.channels.len();
    let rows = (seconds * config.rate_hz) as usize;
    let mut data = vec![0.0; rows * channels];
    simulator.next(&mut data, rows);
    let split = |c: usize| data.iter().skip(c).step_by(channels).copied().collect();
    ((0..channels).map(split).collect(), simulator.markers().collect())
}

fn rms(x: &[f64]) -> f64 {
    (x.iter().map(|v| v * v).sum::<f64>() / x.len() as f64).sqrt()
}

/// The power of the sine of `hz` in `x` after a Hann window (Goertzel).
fn power_at(x: &[f64], rate_hz: f64, hz: f64) -> f64 {
    let turn = 2.0 * (TAU * hz / rate_hz).cos();
    let (mut s1, mut s2) = (0.0, 0.0);
    for (i, v) in x.iter().enumerate() {
        let hann = 1.0 - (TAU * i as f64 / x.len() as f64).cos();
        (s1, s2) = (hann * v + turn * s1 - s2, s1);
    }
    (s1 * s1 + s2 * s2 - turn * s1 * s2) / (x.len() as f64).powi(2)
}

/// Mean power density between two frequencies, over windows of one second.
fn band(x: &[f64], rate_hz: f64, low_hz: u32, high_hz: u32) -> f64 {
    let windows = x.chunks_exact(rate_hz as usize);
    let count = windows.len() as f64 * f64::from(high_hz - low_hz + 1);
    windows
        .map(|w| (low_hz..=high_hz).map(|hz| power_at(w, rate_hz, hz.into())).sum::<f64>())
        .sum::<f64>()
        / count
}

#[test]
fn the_split_into_blocks_does_not_matter() {
    let config = Config { rest_s: 0.3, imagery_s: 0.5, ..Config::default() };
    let (whole, cues) = record(&config, 20.0);
    let mut simulator = Simulator::new(&config).unwrap();
    let mut block = vec![0.0; 211 * 64];
    let (mut at, mut seen) = (0, Vec::new());
    for rows in [1, 7, 0, 160, 3, 211].into_iter().cycle() {
        let rows = usize::min(rows, whole[0].len() - at);
        assert_eq!(simulator.position(), at as u64);
        simulator.next(&mut block, rows);
        for (row, samples) in block.chunks_exact(64).take(rows).enumerate() {
            for (channel, v) in samples.iter().enumerate() {
                assert_eq!(v.to_bits(), whole[channel][at + row].to_bits());
            }
        }
        for cue in simulator.markers() {
            assert!((at..at + rows).contains(&(cue.sample as usize)));
            seen.push(cue);
        }
        at += rows;
        if at == whole[0].len() {
            break;
        }
    }
    assert_eq!(seen, cues);
}

#[test]
fn the_seed_decides() {
    let config = Config { channels: labels(&["C3", "Oz"]), ..Config::default() };
    let first = record(&config, 30.0);
    assert_eq!(first, record(&config, 30.0));
    let other = record(&Config { seed: 1, ..config }, 30.0);
    assert!(first.0.iter().zip(&other.0).all(|(a, b)| a.iter().zip(b).all(|(a, b)| a != b)));
}

#[test]
fn parts_do_not_disturb_each_other() {
    let base = Config { background_v: 10e-6, ..silent(&["C3"]) };
    let changed = Config {
        channels: labels(&["Fz", "C3"]),
        mu_v: 5e-6,
        drift_v: 1e-6,
        line_v: 1e-6,
        blinks_per_min: 40.0,
        ..base.clone()
    };
    let alone = Config { background_v: 0.0, ..changed.clone() };
    let (base, _) = record(&base, 10.0);
    let (changed, _) = record(&changed, 10.0);
    let (alone, _) = record(&alone, 10.0);
    for ((base, changed), alone) in base[0].iter().zip(&changed[1]).zip(&alone[1]) {
        assert!((base + alone - changed).abs() < 1e-18);
    }
}

#[test]
fn cues_are_exact_and_balanced() {
    let classes = vec![Class::LeftHand, Class::RightHand, Class::Feet];
    let config = Config { classes: classes.clone(), rate_hz: 128.0, ..silent(&["Cz"]) };
    let (_, cues) = record(&config, 8.2 * 60.0 + 1.0);
    assert_eq!(cues.len(), 60);
    for (trial, cue) in cues.iter().enumerate() {
        let expected = ((trial as f64 * 8.2 + 4.1) * 128.0).round() as u64;
        assert_eq!(cue.sample, expected);
    }
    for block in cues.chunks(6) {
        for class in &classes {
            assert_eq!(block.iter().filter(|cue| cue.class == *class).count(), 2);
        }
    }
    let order = |cues: &[Marker]| cues.iter().map(|cue| cue.class).collect::<Vec<_>>();
    assert!(cues.chunks(6).any(|block| order(block) != order(&cues[..6])));
}

#[test]
fn the_background_falls_as_one_over_f() {
    let config = Config { background_v: 10e-6, ..silent(&montage::EEGMMIDB) };
    let (data, _) = record(&config, 60.0);
    let mean = data.iter().map(|x| rms(x).powi(2)).sum::<f64>() / 64.0;
    assert!((8e-6..12e-6).contains(&mean.sqrt()), "{}", mean.sqrt());

    let all = Config { channels: labels(&["Cz", "Pz", "F3"]), rate_hz: 256.0, ..Config::default() };
    let (data, _) = record(&Config { blinks_per_min: 0.0, ..all }, 60.0);
    for x in data {
        let points: Vec<_> = (2..=40u32)
            .filter(|hz| !(7..=14).contains(hz) && !(16..=25).contains(hz))
            .map(|hz| (f64::from(hz).ln(), band(&x, 256.0, hz, hz).ln()))
            .collect();
        let n = points.len() as f64;
        let (mx, my) = points.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x / n, b + y / n));
        let slope = points.iter().map(|(x, y)| (x - mx) * (y - my)).sum::<f64>()
            / points.iter().map(|(x, _)| (x - mx).powi(2)).sum::<f64>();
        assert!((-1.6..-0.7).contains(&slope), "{slope}");
    }
}

#[test]
fn mu_is_strongest_over_the_hands_and_alpha_at_the_back() {
    let config = Config {
        channels: labels(&["C3", "C4", "Fz", "O1", "O2", "Fp1"]),
        classes: vec![Class::Rest],
        difficulty: 0.0,
        ..Config::default()
    };
    let (data, _) = record(&config, 120.0);
    let alpha = data.iter().map(|x| band(x, 160.0, 8, 12)).collect::<Vec<_>>();
    let flank = data.iter().map(|x| band(x, 160.0, 14, 16)).collect::<Vec<_>>();
    for hand in [0, 1] {
        assert!(alpha[hand] > 2.0 * alpha[2], "{alpha:?}");
        assert!(band(&data[hand], 160.0, 10, 10) > 4.0 * flank[hand], "{alpha:?} {flank:?}");
    }
    assert!(alpha[3] > 2.0 * alpha[2] && alpha[4] > 2.0 * alpha[5], "{alpha:?}");

    let (mu, _) = record(&Config { mu_v: 8e-6, ..silent(&["C3", "C4"]) }, 4.0);
    assert!((6e-6..10e-6).contains(&rms(&mu[0])), "{}", rms(&mu[0]));
}

/// Per trial: the class, and the log of mu power at C4 over that at C3, during imagery.
fn lateralisation(difficulty: f64, trials: usize) -> Vec<(Class, f64)> {
    let channels = labels(&["C3", "C4"]);
    let config = Config { channels, difficulty, seed: 7, ..Config::default() };
    let (data, cues) = record(&config, 8.2 * trials as f64);
    cues.iter()
        .map(|cue| {
            let from = cue.sample as usize + 80;
            let log = |c: usize| band(&data[c][from..from + 480], 160.0, 8, 12).ln();
            (cue.class, log(1) - log(0))
        })
        .collect()
}

/// The mean lateralisation of left minus right trials, and its standard error.
fn effect(trials: &[(Class, f64)]) -> (f64, f64) {
    let of = |class| {
        let x: Vec<_> = trials.iter().filter(|t| t.0 == class).map(|t| t.1).collect();
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        (mean, x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0) / n)
    };
    let ((left, left_var), (right, right_var)) = (of(Class::LeftHand), of(Class::RightHand));
    (left - right, (left_var + right_var).sqrt())
}

#[test]
fn imagery_lowers_mu_on_the_other_side() {
    let (easy, error) = effect(&lateralisation(0.0, 60));
    assert!(easy < -1.0 && easy < -8.0 * error, "{easy} {error}");
    let (none, error) = effect(&lateralisation(1.0, 200));
    assert!(none.abs() < 3.0 * error && none.abs() < 0.2, "{none} {error}");
}

#[test]
fn difficulty_sets_how_many_trials_one_feature_can_tell() {
    let accuracy = |difficulty: f64, trials: usize| {
        let trials = lateralisation(difficulty, trials);
        let right = trials.iter().filter(|t| (t.1 < 0.0) == (t.0 == Class::LeftHand)).count();
        right as f64 / trials.len() as f64
    };
    let found = [0.0, 0.2, 0.5, 0.8, 1.0].map(|d| accuracy(d, 200));
    println!("accuracy at difficulty 0, 0.2, 0.5, 0.8, 1: {found:?}");
    assert!(found[1] > 0.8, "{found:?}");
    assert!(found[3] < found[1], "{found:?}");
    assert!((0.4..0.6).contains(&found[4]), "{found:?}");
}

#[test]
fn imagery_of_the_feet_lowers_mu_at_the_vertex_only() {
    let config = Config {
        classes: vec![Class::Feet],
        difficulty: 0.0,
        rest_s: 5.0,
        imagery_s: 5.0,
        mu_v: 8e-6,
        ..silent(&["C3", "Cz", "C4"])
    };
    let (data, cues) = record(&config, 400.0);
    let change = |c: usize| {
        let sum = |shift: i64| -> f64 {
            let from = |cue: &Marker| (cue.sample as i64 + shift) as usize;
            cues.iter().map(|cue| rms(&data[c][from(cue)..from(cue) + 480])).sum()
        };
        sum(160) / sum(-480)
    };
    let (left, middle, right) = (change(0), change(1), change(2));
    println!("feet: {left} {middle} {right}");
    assert!(middle < 0.7 && left > 0.75 && right > 0.75, "{left} {middle} {right}");
}

#[test]
fn the_line_is_a_peak() {
    let config = Config { line_hz: 50.0, channels: labels(&["C3", "Oz"]), ..Config::default() };
    let (data, _) = record(&config, 20.0);
    for x in &data {
        assert!(band(x, 160.0, 50, 50) > 10.0 * band(x, 160.0, 44, 46));
    }
    let (off, _) = record(&Config { line_hz: 0.0, ..config }, 20.0);
    assert!(band(&off[0], 160.0, 50, 50) < 2.0 * band(&off[0], 160.0, 44, 46));
}

#[test]
fn blinks_are_largest_above_the_eyes() {
    let config = Config { blinks_per_min: 15.0, ..silent(&montage::EEGMMIDB) };
    let (data, _) = record(&config, 240.0);
    let peak = |x: &[f64]| x.iter().fold(0.0f64, |peak, v| peak.max(v.abs()));
    let mut order: Vec<_> =
        data.iter().zip(&config.channels).map(|(x, label)| (peak(x), label.as_str())).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let top = [order[0].1, order[1].1];
    assert!(top.contains(&"Fp1") && top.contains(&"Fp2"), "{order:?}");
    assert!((80e-6..180e-6).contains(&order[0].0), "{order:?}");
    let oz = order.iter().find(|(_, label)| *label == "Oz").unwrap();
    assert!(oz.0 < 0.1 * order[0].0, "{order:?}");

    let fp1 = &data[21];
    let starts = fp1.windows(2).filter(|w| w[0] == 0.0 && w[1] != 0.0).count();
    assert!((35..=85).contains(&starts), "{starts}");
    let share = fp1.iter().filter(|v| **v != 0.0).count() as f64 / fp1.len() as f64;
    assert!((0.04..0.12).contains(&share), "{share}");
}

#[test]
fn drift_and_noise_have_their_size() {
    let (drift, _) = record(&Config { drift_v: 10e-6, ..silent(&montage::EEGMMIDB) }, 60.0);
    let mean = drift.iter().map(|x| rms(x).powi(2)).sum::<f64>() / 64.0;
    assert!((7e-6..13e-6).contains(&mean.sqrt()));
    let (noise, _) = record(&Config { noise_v: 1e-6, ..silent(&["Cz"]) }, 60.0);
    assert!((0.95e-6..1.05e-6).contains(&rms(&noise[0])));
}

#[test]
fn wrong_settings_are_named() {
    let good = Config::default();
    let cases = [
        ("channels", Config { channels: labels(&["C3", "C44"]), ..good.clone() }),
        ("channels", Config { channels: labels(&["C3", "C3"]), ..good.clone() }),
        ("channels", Config { channels: Vec::new(), ..good.clone() }),
        ("classes", Config { classes: Vec::new(), ..good.clone() }),
        ("classes", Config { classes: vec![Class::Feet; 2], ..good.clone() }),
        ("difficulty", Config { difficulty: 1.1, ..good.clone() }),
        ("difficulty", Config { difficulty: f64::NAN, ..good.clone() }),
        ("rate_hz", Config { rate_hz: 10.0, ..good.clone() }),
        ("line_hz", Config { line_hz: 80.0, ..good.clone() }),
        ("noise_v", Config { noise_v: -1.0, ..good.clone() }),
        ("rest_s", Config { rest_s: 0.0, ..good }),
    ];
    for (key, config) in cases {
        let error = Simulator::new(&config).err().unwrap();
        assert_eq!(error.key(), Some(key), "{error}");
    }
    assert_eq!(Class::from_name("feet").unwrap(), Class::Feet);
    let message = Class::from_name("left_hands").unwrap_err().to_string();
    assert!(message.contains("try `left_hand`"), "{message}");
}

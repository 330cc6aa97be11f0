use super::*;

#[test]
fn commuting_matrices_by_hand() {
    let mut spd = Spd::new(2);
    let (a, b) = ([1.0, 0.0, 0.0, 4.0], [9.0, 0.0, 0.0, 1.0]);
    let want = (9.0_f64.ln().powi(2) + 0.25_f64.ln().powi(2)).sqrt();
    assert!((spd.distance(&a, &b).unwrap() - want).abs() < 1e-14);
    let mean = spd.mean(&[&a, &b], None).unwrap();
    assert!(mean.converged);
    for (got, want) in mean.matrix.iter().zip([3.0, 0.0, 0.0, 2.0]) {
        assert!((got - want).abs() < 1e-7, "{mean:?}");
    }
}

#[test]
fn the_length_of_a_tangent_vector_is_the_distance() {
    let mut spd = Spd::new(2);
    let (a, b) = ([2.0, 0.3, 0.3, 1.0], [1.0, -0.2, -0.2, 5.0]);
    let mut vector = [0.0; 3];
    let whitener = spd.whitener(&a).unwrap();
    spd.tangent(&whitener, &b, &mut vector).unwrap();
    let length = vector.iter().map(|v| v * v).sum::<f64>().sqrt();
    assert!((length - spd.distance(&a, &b).unwrap()).abs() < 1e-13);
}

#[test]
fn bad_input_is_an_error() {
    let mut spd = Spd::new(2);
    let (good, flat) = ([1.0, 0.0, 0.0, 1.0], [1.0, 2.0, 2.0, 4.0]);
    let mut out = [0.0; 4];
    assert_eq!(spd.log(&flat, &mut out), Err(NotSpd::NotPositive));
    let whitener = spd.whitener(&good).unwrap();
    assert_eq!(spd.tangent(&whitener, &flat, &mut out[..3]), Err(NotSpd::NotPositive));
    assert_eq!(spd.distance(&good, &flat), Err(NotSpd::NotPositive));
    assert_eq!(spd.distance(&flat, &good), Err(NotSpd::NotPositive));
    assert_eq!(spd.distance(&good, &[1e-300, 0.0, 0.0, 1e-300]), Err(NotSpd::NotPositive));
    assert_eq!(spd.sqrt(&[f64::NAN; 4], &mut out), Err(NotSpd::NotFinite));
    assert_eq!(spd.exp(&[1e3, 0.0, 0.0, 0.0], &mut out), Err(NotSpd::NotFinite));
    let error = spd.mean(&[&good, &flat], None).unwrap_err();
    assert_eq!(error.to_string(), "matrix 2 of 2 is not positive definite");
    assert!(spd.mean(&[], None).is_err());
    assert!(spd.mean(&[&good], Some(&[0.0])).is_err());
    assert!(spd.mean(&[&good[..1]], None).is_err());
}

use super::*;
use std::fs;

/// A safetensors file with these tensors (name, type, shape, bytes) and metadata.
fn file(tensors: &[(&str, &str, &[usize], Vec<u8>)], about: Option<&str>) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    if let Some(about) = about {
        header.insert("__metadata__".into(), serde_json::json!({ KEY: about }));
    }
    let mut body = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        let offsets = [body.len(), body.len() + bytes.len()];
        let value = serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets });
        header.insert((*name).into(), value);
        body.extend_from_slice(bytes);
    }
    let header = serde_json::Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &body].concat()
}

fn singles_of(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn good() -> Vec<u8> {
    let embeddings = singles_of(&[1.0, 2.0, 3.0, -4.0, 5.0, 6.0]);
    file(&[("embeddings", "F32", &[3, 2], embeddings)], Some(r#"{"labels":["a","b b","ü"]}"#))
}

/// An array as NumPy writes it.
fn array(descr: &str, order: &str, shape: &str, body: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
    let size = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let text = format!("{text:<0$}\n", size - 1);
    [NPY, &[1, 0], &(size as u16).to_le_bytes(), text.as_bytes(), body].concat()
}

/// The error that `bytes` give.
fn error(bytes: &[u8], labels: &str) -> String {
    parse(bytes, labels).unwrap_err().to_string()
}

#[test]
fn a_gallery_is_read() {
    let gallery = parse(&good(), "").unwrap();
    assert_eq!(gallery.embeddings.as_ref(), [1.0, 2.0, 3.0, -4.0, 5.0, 6.0]);
    assert_eq!((gallery.length, gallery.prior), (2, None));
    assert_eq!(gallery.labels, ["a", "b b", "ü"]);
}

#[test]
fn other_numbers_are_converted() {
    let numbers = [1.0, 0.25, -2.0, 3.0];
    let half: Vec<u8> = numbers.iter().flat_map(|v| f16::from_f64(*v).to_le_bytes()).collect();
    let double: Vec<u8> = numbers.iter().flat_map(|v| v.to_le_bytes()).collect();
    for (kind, bytes) in [("F16", half), ("F64", double)] {
        let file = file(&[("embeddings", kind, &[2, 2], bytes)], Some(r#"{"labels":["a","b"]}"#));
        assert_eq!(parse(&file, "").unwrap().embeddings.as_ref(), numbers.map(|v| v as f32));
    }
}

#[test]
fn a_prior_sums_to_one() {
    let with = |prior: &[f32], shape: usize| {
        let embeddings = singles_of(&[1.0, 2.0, 3.0]);
        let tensors = [
            ("embeddings", "F32", &[3, 1][..], embeddings),
            ("prior", "F32", &[shape], singles_of(prior)),
        ];
        parse(&file(&tensors, Some(r#"{"labels":["a","b","c"]}"#)), "")
    };
    assert_eq!(with(&[1.0, 2.0, 1.0], 3).unwrap().prior, Some(vec![0.25, 0.5, 0.25]));
    assert!(with(&[1.0, 0.0, 1.0], 3).unwrap_err().to_string().contains("prior of item 1 is 0"));
    assert!(with(&[1.0, f32::NAN, 1.0], 3).is_err());
    assert!(with(&[1.0, 2.0], 2).unwrap_err().to_string().contains("expected [3]"));
}

#[test]
fn a_cut_file_says_so() {
    let whole = good();
    for end in 0..whole.len() {
        assert!(parse(&whole[..end], "").is_err(), "{end}");
    }
    let text = error(&whole[..whole.len() - 1], "");
    assert!(text.contains("breaks off inside the tensor `embeddings`: 23 of 24 bytes"), "{text}");
    assert!(error(&whole[..40], "").contains("breaks off inside its header"));
    // One byte more is not the format either.
    assert!(parse(&whole, "").is_ok());
}

#[test]
fn absurd_files_are_refused() {
    let about = Some(r#"{"labels":["a","b"]}"#);
    let numbers = || singles_of(&[1.0, 2.0]);
    let embeddings = |kind, shape| file(&[("embeddings", kind, shape, numbers())], about);
    for (bytes, says) in [
        (embeddings("I64", &[1]), "write it as F32"),
        (embeddings("F32", &[2]), "expected [items, numbers]"),
        (embeddings("F32", &[1, 2]), "1 embeddings and 2 labels"),
        (embeddings("F32", &[2, 1, 1]), "expected [items, numbers]"),
        (file(&[("x", "F32", &[2, 1], numbers())], about), "no tensor `embeddings`"),
        (file(&[("embeddings", "F32", &[2, 1], numbers())], None), "save_file"),
        (file(&[("embeddings", "F32", &[2, 1], numbers())], Some("[]")), "expected {\"labels\""),
        (file(&[("embeddings", "F32", &[0, 1], Vec::new())], about), "1 to 16777216 items"),
        (b"GIF89a, which is no gallery at all".to_vec(), "expected a safetensors file"),
        (Vec::new(), "expected a safetensors file"),
    ] {
        let text = error(&bytes, "");
        assert!(text.contains(says), "{says}: {text}");
    }
    let huge = format!(
        r#"{{"embeddings":{{"dtype":"F32","shape":[{0},{0}],"data_offsets":[0,8]}}}}"#,
        u64::MAX / 2
    );
    let huge = [&(huge.len() as u64).to_le_bytes()[..], huge.as_bytes(), &[0; 8]].concat();
    assert!(parse(&huge, "").is_err());
    assert!(parse(&[&u64::MAX.to_le_bytes()[..], b"{}"].concat(), "").is_err());
}

#[test]
fn labels_and_numbers_are_checked() {
    let with = |labels: &[&str], numbers: &[f32]| {
        let about = serde_json::json!({ "labels": labels }).to_string();
        let shape = [labels.len(), numbers.len() / labels.len()];
        parse(&file(&[("embeddings", "F32", &shape, singles_of(numbers))], Some(&about)), "")
    };
    let long = "x".repeat(MAX_LABEL_BYTES);
    assert!(with(&["a", &long], &[1.0, 2.0]).is_ok());
    for label in [&format!("{long}x"), "two\nlines", "two\rlines"] {
        let text = with(&["a", label], &[1.0, 2.0]).unwrap_err().to_string();
        assert!(text.contains("label of item 1"), "{text}");
    }
    let text = with(&["a", "bad"], &[1.0, 2.0, 3.0, f32::INFINITY]).unwrap_err().to_string();
    assert!(text.contains("item 1 (`bad`) holds inf"), "{text}");
}

#[test]
fn an_array_is_read_with_its_labels() {
    let body = singles_of(&[1.0, 2.0, 3.0, 4.0]);
    let gallery = parse(&array("<f4", "False", "(2, 2)", &body), "a\r\nb\n").unwrap();
    assert_eq!(gallery.embeddings.as_ref(), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(gallery.labels, ["a", "b"]);
    let double: Vec<u8> = [1.0_f64, 2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let gallery = parse(&array("<f8", "False", "(2, 1)", &double), "a\nb").unwrap();
    assert_eq!(gallery.embeddings.as_ref(), [1.0, 2.0]);
    for (bytes, labels, says) in [
        (array("<f4", "True", "(2, 2)", &body), "a\nb", "ascontiguousarray"),
        (array(">f4", "False", "(2, 2)", &body), "a\nb", "astype"),
        (array("<f4", "False", "(4,)", &body), "a\nb", "expected [items, numbers]"),
        (array("<f4", "False", "(2, 3)", &body), "a\nb", "16 bytes are not right"),
        (array("<f4", "False", "(9999999999, 9999999999)", &body), "a\nb", "not right"),
        (array("<f4", "False", "(99999999999999999999, 1)", &body), "a\nb", "damaged"),
        (array("<f4", "False", "()", &body), "a\nb", "damaged"),
        (array("<f4", "Maybe", "(2, 2)", &body), "a\nb", "damaged"),
        (array("<f4", "False", "(2, 2)", &body), "a", "2 embeddings and 1 labels"),
    ] {
        let text = error(&bytes, labels);
        assert!(text.contains(says), "{says}: {text}");
    }
    let whole = array("<f4", "False", "(2, 2)", &body);
    assert!((0..whole.len()).all(|end| parse(&whole[..end], "a\nb").is_err()));
}

#[test]
fn large_files_stay_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (items, length) = (600, 512);
    let numbers: Vec<f32> = (0..items * length).map(|i| i as f32).collect();
    let labels: Vec<String> = (0..items).map(|i| format!("item {i}")).collect();
    // As the writers of safetensors do: spaces behind the header, so that the numbers are aligned.
    for spaces in 0..9 {
        let about = serde_json::json!({ "labels": labels }).to_string() + &" ".repeat(spaces);
        let tensor = ("embeddings", "F32", &[items, length][..], singles_of(&numbers));
        let path = folder.path().join("gallery.safetensors");
        fs::write(&path, file(&[tensor], Some(&about))).unwrap();
        let gallery = read(&path).unwrap();
        assert_eq!(gallery.embeddings.as_ref(), numbers);
        let start = fs::metadata(&path).unwrap().len() as usize - 4 * numbers.len();
        let mapped = matches!(gallery.embeddings, Numbers::Mapped(..));
        assert_eq!(mapped, start.is_multiple_of(4), "{spaces}");
    }
    let path = folder.path().join("gallery.npy");
    fs::write(&path, array("<f4", "False", &format!("({items}, {length})"), &singles_of(&numbers))).unwrap();
    let text = read(&path).unwrap_err().to_string();
    assert!(text.contains("gallery.txt") && text.contains("one a line"), "{text}");
    fs::write(path.with_extension("txt"), labels.join("\n")).unwrap();
    let gallery = read(&path).unwrap();
    assert!(matches!(gallery.embeddings, Numbers::Mapped(..)));
    assert_eq!((gallery.embeddings.as_ref(), gallery.labels), (&numbers[..], labels));
    fs::write(folder.path().join("small"), good()).unwrap();
    let small = read(&folder.path().join("small")).unwrap();
    assert!(matches!(small.embeddings, Numbers::Held(_)));
}

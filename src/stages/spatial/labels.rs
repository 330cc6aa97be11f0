//! Finding channels by label: patterns with `*` (any letters) and `?` (one letter), in any case.

use crate::error::{Error, Result, nearest};
use crate::frame::Channel;

/// The channels that the patterns name, pattern by pattern and in the stream's order within one,
/// each once. A pattern that names none is an error of the setting `key`.
pub fn find(key: &str, patterns: &[String], channels: &[Channel]) -> Result<Vec<usize>> {
    let mut found = Vec::new();
    for pattern in patterns {
        let lower: Vec<char> = pattern.to_lowercase().chars().collect();
        let hits: Vec<usize> = (0..channels.len())
            .filter(|&i| {
                let label: Vec<char> = channels[i].label.to_lowercase().chars().collect();
                matches(&lower, &label)
            })
            .collect();
        if hits.is_empty() {
            return Err(unknown(pattern, channels).blaming(key));
        }
        for hit in hits {
            if !found.contains(&hit) {
                found.push(hit);
            }
        }
    }
    Ok(found)
}

fn unknown(pattern: &str, channels: &[Channel]) -> Error {
    let labels: Vec<_> = channels.iter().map(|c| c.label.as_str()).collect();
    let hint = match nearest(pattern, labels.iter().copied()) {
        Some(label) => format!(", did you mean `{label}`?"),
        None => ";".to_string(),
    };
    Error::missing(format!("no channel matches `{pattern}`{hint} there are {}", labels.join(" ")))
}

fn matches(pattern: &[char], label: &[char]) -> bool {
    match (pattern, label) {
        ([], []) => true,
        (['*', rest @ ..], _) => (0..=label.len()).any(|skip| matches(rest, &label[skip..])),
        (['?', rest @ ..], [_, label @ ..]) => matches(rest, label),
        ([p, rest @ ..], [l, label @ ..]) if p == l => matches(rest, label),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels() -> Vec<Channel> {
        ["Fz", "FC1", "FC2", "FCz", "C3", "Cz", "C4", "EOG"].map(Channel::named).to_vec()
    }

    fn labels(patterns: &[&str]) -> Result<String> {
        let patterns: Vec<_> = patterns.iter().map(|p| p.to_string()).collect();
        let all = channels();
        let found = find("channels", &patterns, &all)?;
        Ok(found.iter().map(|&i| all[i].label.as_str()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn patterns() {
        assert_eq!(labels(&["C4", "c3"]).unwrap(), "C4 C3");
        assert_eq!(labels(&["C?", "C3", "*"]).unwrap(), "C3 Cz C4 Fz FC1 FC2 FCz EOG");
        assert_eq!(labels(&["f*Z"]).unwrap(), "Fz FCz");
        assert_eq!(labels(&["*c*1*"]).unwrap(), "FC1");
        assert_eq!(labels(&["FC??", "x"]).unwrap_err().to_string().split(',').count(), 2);
        assert_eq!(labels(&[]).unwrap(), "");
    }

    #[test]
    fn a_miss_says_what_is_near_and_what_there_is() {
        let text = labels(&["C3", "FC4"]).unwrap_err().to_string();
        assert!(text.starts_with("no channel matches `FC4`, did you mean `FC1`?"), "{text}");
        assert!(text.ends_with("there are Fz FC1 FC2 FCz C3 Cz C4 EOG"), "{text}");
        let text = labels(&["Accelerometer"]).unwrap_err().to_string();
        assert!(text.starts_with("no channel matches `Accelerometer`; there are"), "{text}");
    }
}

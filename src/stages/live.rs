//! What a stage learns while it runs, on its way to who keeps it.
//!
//! The stage writes its arrays into a mailbox ([`crate::ring::mailbox`]) whenever they have moved; the
//! control plane takes the newest out when it wants to. Neither waits for the other.

use super::Tensor;
use crate::ring::{MailReader, MailWriter, mailbox};
use std::collections::BTreeMap;

/// The end of the stage.
pub struct LiveWriter(MailWriter<Vec<f64>>);

/// The end of who keeps it.
pub struct LiveReader {
    arrays: Vec<(&'static str, Vec<usize>)>,
    mail: MailReader<Vec<f64>>,
}

/// A way for arrays of these names and shapes. Allocates.
pub fn live(arrays: Vec<(&'static str, Vec<usize>)>) -> (LiveWriter, LiveReader) {
    let len = arrays.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    let (writer, mail) = mailbox([(); 3].map(|()| vec![0.0; len]));
    (LiveWriter(writer), LiveReader { arrays, mail })
}

impl LiveWriter {
    /// **Data.** Makes `arrays`, in their order, the newest.
    pub fn send(&mut self, arrays: &[&[f64]]) {
        self.0.send_with(|room| {
            let mut rest = room.as_mut_slice();
            for array in arrays {
                let (to, after) = rest.split_at_mut(array.len().min(rest.len()));
                to.copy_from_slice(&array[..to.len()]);
                rest = after;
            }
        });
    }
}

impl LiveReader {
    /// **Control.** The newest arrays; `None` if they have not moved since they were taken last.
    pub fn take(&mut self) -> Option<BTreeMap<String, Tensor>> {
        let arrays = &self.arrays;
        self.mail.take_with(|numbers| {
            let mut rest = numbers.as_slice();
            let tensor = |(name, shape): &(&'static str, Vec<usize>)| {
                let (data, after) = rest.split_at(shape.iter().product());
                rest = after;
                ((*name).to_owned(), Tensor { shape: shape.clone(), data: data.to_vec() })
            };
            arrays.iter().map(tensor).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_arrays_come_out_once() {
        let (mut writer, mut reader) = live(vec![("a", vec![2]), ("b", vec![1, 1])]);
        assert_eq!(reader.take(), None);
        writer.send(&[&[1.0, 2.0], &[3.0]]);
        writer.send(&[&[4.0, 5.0], &[6.0]]);
        let got = reader.take().unwrap();
        assert_eq!(got["a"], Tensor { shape: vec![2], data: vec![4.0, 5.0] });
        assert_eq!(got["b"], Tensor { shape: vec![1, 1], data: vec![6.0] });
        assert_eq!(reader.take(), None);
    }
}

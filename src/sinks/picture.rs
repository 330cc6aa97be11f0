//! Pictures as PNG or JPEG: what a frame of [`Payload::Image`] holds, in 8 bits a colour.

use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use image::{ExtendedColorType, ImageEncoder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How good JPEG pictures are, from 1 to 100.
const JPEG_QUALITY: u8 = 90;

/// How pictures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// As they are, but for 256 steps from dark to bright.
    Png,
    /// Smaller, and not quite as they are.
    Jpeg,
}

/// The shape of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// Pixels of a line.
    pub width: usize,
    /// Lines.
    pub height: usize,
    /// 1 for grey, 3 for red, green and blue.
    pub colours: usize,
}

impl Picture {
    /// The shape of the pictures in frames of `spec`; `None` if they hold none.
    pub fn of(spec: &Spec) -> Option<Self> {
        let colours = if spec.channels.len() == 3 { 3 } else { 1 };
        let whole = spec.rows > 0 && spec.cols > 0 && spec.cols.is_multiple_of(colours);
        (spec.payload == Payload::Image && whole).then_some(Self {
            width: spec.cols / colours,
            height: spec.rows,
            colours,
        })
    }

    /// Whether `frame` holds one.
    pub fn fits(self, frame: &Frame) -> bool {
        frame.data.len() == self.width * self.height * self.colours
    }

    /// The file of the picture in `data`.
    pub fn encode(self, data: &[f64], format: Format) -> Result<Vec<u8>> {
        // What is not a number becomes 0.
        let bytes: Vec<u8> =
            data.iter().map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
        let colour =
            if self.colours == 3 { ExtendedColorType::Rgb8 } else { ExtendedColorType::L8 };
        let mut file = Vec::new();
        let length = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (width, height) = (length(self.width), length(self.height));
        let written = match format {
            Format::Png => image::codecs::png::PngEncoder::new(&mut file)
                .write_image(&bytes, width, height, colour),
            Format::Jpeg => {
                image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, JPEG_QUALITY)
                    .write_image(&bytes, width, height, colour)
            }
        };
        written.map_err(|e| Error::run(format!("a picture cannot be written: {e}")))?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Channel;

    #[test]
    fn pixels_come_back() {
        let spec = |colours: usize| Spec {
            payload: Payload::Image,
            rows: 2,
            cols: 3 * colours,
            channels: (0..colours).map(|c| Channel::named(c.to_string())).collect(),
            ..Spec::markers()
        };
        for colours in [1, 3] {
            let picture = Picture::of(&spec(colours)).unwrap();
            assert_eq!((picture.width, picture.height), (3, 2));
            let mut data: Vec<f64> = (0..6 * colours).map(|i| i as f64 / 20.0).collect();
            (data[0], data[1], data[2]) = (f64::NAN, -1.0, 7.0);
            let want: Vec<u8> =
                data.iter().map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
            let file = picture.encode(&data, Format::Png).unwrap();
            let got = image::load_from_memory(&file).unwrap();
            assert_eq!((got.width(), got.height()), (3, 2));
            let bytes =
                if colours == 3 { got.into_rgb8().into_raw() } else { got.into_luma8().into_raw() };
            assert_eq!(bytes, want);
            let file = picture.encode(&data, Format::Jpeg).unwrap();
            assert_eq!(image::load_from_memory(&file).unwrap().width(), 3);
        }
        assert!(Picture::of(&Spec { rows: 0, ..spec(1) }).is_none());
        assert!(Picture::of(&Spec::markers()).is_none());
    }
}

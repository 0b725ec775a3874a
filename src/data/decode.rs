//! One picture: JPEG or PNG as an image of bytes.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::Size;
use super::folder::Channels;
use crate::error::Error;

/// A decoded picture.
pub(super) struct Picture {
    planes: Vec<u8>, // [channels, height, width]
    /// `[height, width]`.
    pub size: [usize; 2],
    /// Whether it was a grey one.
    pub grey: bool,
}

/// Why a picture can't be used.
#[derive(Debug)]
pub(super) enum Unusable {
    Io(std::io::Error),
    Broken(String),
    /// Found, and wanted.
    Size([usize; 2], String),
}

impl Unusable {
    pub fn error(self, path: &Path) -> Error {
        let way_out = "or `skip_unusable = true` in [data]";
        match self {
            Self::Io(error) => Error::io(path)(error),
            Self::Broken(why) => {
                Error::corrupt(path, format!("found a broken picture ({why}), wanted a whole JPEG or PNG, {way_out}"))
            }
            Self::Size([height, width], wanted) => {
                Error::corrupt(path, format!("found {height} x {width} pixels, wanted {wanted}, {way_out}"))
            }
        }
    }
}

/// Decodes a file by its contents, whatever its ending says. Turned as its EXIF data say; 16 bits become 8.
pub(super) fn picture(path: &Path, channels: Channels) -> Result<Picture, Unusable> {
    let bytes = fs::read(path).map_err(Unusable::Io)?;
    let broken =
        |error: &dyn std::fmt::Display| Unusable::Broken(error.to_string().split_whitespace().collect::<Vec<_>>().join(" "));
    let reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format().map_err(Unusable::Io)?;
    if reader.format() == Some(ImageFormat::Jpeg) && !is_whole(&bytes) {
        return Err(Unusable::Broken("it ends too early".into()));
    }
    let mut decoder = reader.into_decoder().map_err(|error| broken(&error))?;
    let orientation = decoder.orientation().map_err(|error| broken(&error))?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| broken(&error))?;
    image.apply_orientation(orientation);
    let (size, grey) = ([image.height() as usize, image.width() as usize], !image.color().has_color());
    let planes = match channels {
        Channels::Grey => image.into_luma8().into_raw(),
        Channels::Colour => planar(&image.into_rgb8().into_raw()),
    };
    Ok(Picture { planes, size, grey })
}

/// Whether a JPEG has its end: decoders make up what is missing. What lies behind it is something else (a film, with some cameras).
fn is_whole(jpeg: &[u8]) -> bool {
    const END: u8 = 0xd9;
    // Others have no segment, and within a scan FF before 00 is a value.
    let has_segment = |pair: &[u8]| pair[0] == 0xff && matches!(pair[1], 0xc0..=0xcf | END..=0xdf | 0xe0..=0xef | 0xfe);
    let mut rest = jpeg;
    while let Some(at) = rest.windows(2).position(has_segment) {
        let marker = rest[at + 1];
        rest = &rest[at + 2..];
        if marker == END {
            return true;
        }
        let Some(length) = rest.first_chunk() else { return false };
        rest = rest.get(usize::from(u16::from_be_bytes(*length))..).unwrap_or_default();
    }
    false
}

/// [height, width, 3] as [3, height, width].
fn planar(pixels: &[u8]) -> Vec<u8> {
    (0..3).flat_map(|channel| pixels.iter().skip(channel).step_by(3).copied()).collect()
}

impl Picture {
    /// At `size`, all channels; `shrinks` says whether a larger picture is brought to it or refused.
    pub fn fitted(&self, size: Size, shrinks: bool) -> Result<Vec<u8>, Unusable> {
        let [height, width] = self.size;
        if !shrinks && self.size != [size.height, size.width] {
            return Err(Unusable::Size(self.size, format!("{size} as the first has, or a `size` for all in [data]")));
        }
        if height < size.height || width < size.width {
            return Err(Unusable::Size(self.size, format!("at least {size}, the `size` in [data]")));
        }
        let (shrinker, mut fitted) = (size.shrinker(self.size), vec![]);
        self.planes.chunks_exact(height * width).for_each(|plane| shrinker.shrink(plane, &mut fitted));
        Ok(fitted)
    }
}

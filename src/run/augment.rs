//! Random changes of training images, each a few operations for the whole batch: windows and mirror images by one gather on
//! bytes, enlarged parts by one bilinear reading, colours by one matrix per image.

use std::f64::consts::TAU;

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use super::images::floats;
use super::recipe::{Augment, Jitter};
use crate::arch::stream::stream;
use crate::graph::{channels_last, upload};

/// Where the chance of a batch comes from.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// Seed of the streams.
    pub seed: u64,
    /// Their step.
    pub step: u64,
    /// Which view of the same images: each is changed in other ways.
    pub view: usize,
}

impl Draw {
    /// What one kind of change draws from: the others don't disturb it.
    fn stream(self, name: &str) -> ChaCha8Rng {
        let name = if self.view == 0 { name.to_owned() } else { format!("{name}/{}", self.view) };
        stream(self.seed, &name, self.step)
    }
}

/// `pixels`, bytes `[count, channels, height, width]`, as floats in 0…1, changed as `augment` allows.
pub(super) fn augmented(pixels: &Tensor, augment: Augment, draw: Draw) -> Tensor {
    let count = pixels.size()[0];
    let mut images = match augment {
        Augment { crop: 0, flip: false, .. } => floats(pixels),
        _ => floats(&windows(pixels, augment, &mut draw.stream("augment"))),
    };
    if let Some(areas) = augment.zoom {
        let mut rng = draw.stream("augment/zoom");
        images = enlarged(&images, &(0..count).map(|_| Part::draw(areas, &mut rng)).collect::<Vec<_>>());
    }
    if augment.jitter.is_some() || augment.gray > 0.0 {
        let (mut rng, mut grays) = (draw.stream("augment/jitter"), draw.stream("augment/gray"));
        let colours = |_| Colours {
            gray: grays.random_bool(augment.gray),
            ..augment.jitter.map_or(Colours::SAME, |jitter| Colours::draw(jitter, &mut rng))
        };
        images = coloured(&images, &(0..count).map(colours).collect::<Vec<_>>());
    }
    images
}

/// One gather does crop and flip: each image reads the rows and columns that its draw says, out of a black border.
fn windows(pixels: &Tensor, augment: Augment, rng: &mut impl Rng) -> Tensor {
    let (size, device) = (pixels.size(), pixels.device());
    let [count, channels, height, width] = size[..] else { unreachable!("images have four axes") };
    let (mut rows, mut columns) = (vec![], vec![]);
    for _ in 0..count {
        let (top, left) = (rng.random_range(0..=2 * augment.crop), rng.random_range(0..=2 * augment.crop));
        let mirrored = augment.flip && rng.random_range(0..2) == 1;
        rows.extend(top..top + height);
        columns.extend((0..width).map(|x| left + if mirrored { width - 1 - x } else { x }));
    }
    let padded = pixels.constant_pad_nd([augment.crop; 4]);
    let axis = |values: &[i64], shape: [i64; 4]| upload(&Tensor::from_slice(values).view(shape), device);
    let along = |length: i64, shape: [i64; 4]| Tensor::arange(length, (Kind::Int64, device)).view(shape);
    padded.index(&[
        Some(along(count, [count, 1, 1, 1])),
        Some(along(channels, [1, channels, 1, 1])),
        Some(axis(&rows, [count, 1, height, 1])),
        Some(axis(&columns, [count, 1, 1, width])),
    ])
}

/// A part of an image, in shares of its sides.
#[derive(Clone, Copy, Debug)]
struct Part {
    top: f64,
    left: f64,
    height: f64,
    width: f64,
}

impl Part {
    /// Somewhere, with a share of the area in `areas`, and stretched by up to 4/3 in either direction as far as there is room
    /// (Szegedy et al., *Going deeper with convolutions*, 2015).
    fn draw([least, most]: [f64; 2], rng: &mut impl Rng) -> Self {
        let area = rng.random_range(least..=most);
        let room = f64::min(4.0 / 3.0, 1.0 / area);
        let stretch = room.powf(rng.random_range(-1.0..=1.0));
        let [height, width] = [area / stretch, area * stretch].map(|square| square.sqrt().min(1.0));
        let [top, left] = [height, width].map(|side| rng.random_range(0.0..=1.0 - side));
        Self { top, left, height, width }
    }
}

/// Each image's part in the size of the whole: between the middles of pixels values change linearly, at the border not at all.
fn enlarged(images: &Tensor, parts: &[Part]) -> Tensor {
    let [count, _, height, width] = images.size()[..] else { unreachable!("images have four axes") };
    // Where the middle of each pixel comes from, the image reaching from -1 to 1.
    let middles = |begin: f64, share: f64, length: i64| {
        (0..length).map(move |at| (2.0 * (begin + share * (at as f64 + 0.5) / length as f64) - 1.0) as f32)
    };
    let rows: Vec<f32> = parts.iter().flat_map(|part| middles(part.top, part.height, height)).collect();
    let columns: Vec<f32> = parts.iter().flat_map(|part| middles(part.left, part.width, width)).collect();
    let whole = |values: &[f32], shape: [i64; 3]| {
        upload(&Tensor::from_slice(values), images.device()).view(shape).expand([count, height, width], false)
    };
    let grid = Tensor::stack(&[whole(&columns, [count, 1, width]), whole(&rows, [count, height, 1])], 3);
    let (bilinear, border) = (0, 1);
    channels_last(&images.grid_sampler_2d(&grid, bilinear, border, false))
}

/// What becomes of the colours of an image, in this order.
#[derive(Clone, Copy, Debug)]
struct Colours {
    /// Factor on everything.
    brightness: f64,
    /// Factor on what differs from the image's mean grey.
    contrast: f64,
    /// Factor on what differs from the pixel's own grey.
    saturation: f64,
    /// Radians by which colours turn around the axis of greys.
    turn: f64,
    /// Whether only greys are left.
    gray: bool,
}

/// Rows of a square matrix.
type Matrix = Vec<Vec<f64>>;

impl Colours {
    const SAME: Self = Self { brightness: 1.0, contrast: 1.0, saturation: 1.0, turn: 0.0, gray: false };

    fn draw(Jitter { strength, hue, chance }: Jitter, rng: &mut impl Rng) -> Self {
        if !rng.random_bool(chance) {
            return Self::SAME;
        }
        let mut factor = || rng.random_range(1.0 - strength..=1.0 + strength);
        let (brightness, contrast, saturation) = (factor(), factor(), factor());
        Self { brightness, contrast, saturation, turn: TAU * rng.random_range(-hue..=hue), gray: false }
    }

    /// The changes as one map of `channels`: the first matrix is for the pixel, the second for the mean pixel of the image.
    fn map(&self, channels: usize) -> [Matrix; 2] {
        let Self { brightness, contrast, saturation, turn, gray } = *self;
        let [same, to_gray] = [identity(channels), gray_of(channels)];
        let pixel = scaled(brightness * contrast, &same);
        let mean = scaled(brightness * (1.0 - contrast), &to_gray);
        if channels != 3 {
            return [pixel, mean];
        }
        let mut then = product(&turned(turn), &sum(&scaled(saturation, &same), &scaled(1.0 - saturation, &to_gray)));
        if gray {
            then = product(&to_gray, &then);
        }
        [pixel, mean].map(|matrix| product(&then, &matrix))
    }
}

/// Every image by its own map, cut to 0…1.
fn coloured(images: &Tensor, colours: &[Colours]) -> Tensor {
    let [count, channels, height, width] = images.size()[..] else { unreachable!("images have four axes") };
    let maps: Vec<[Matrix; 2]> = colours.iter().map(|colours| colours.map(channels as usize)).collect();
    let matrices = |which: usize| {
        let values: Vec<f32> = maps.iter().flat_map(|map| map[which].iter().flatten().map(|&value| value as f32)).collect();
        upload(&Tensor::from_slice(&values), images.device()).view([count, channels, channels])
    };
    let pixels = images.reshape([count, channels, height * width]);
    let means = pixels.mean_dim([2].as_slice(), true, Kind::Float);
    let mut changed = matrices(0).bmm(&pixels) + matrices(1).bmm(&means);
    channels_last(&changed.clamp_(0.0, 1.0).view([count, channels, height, width]))
}

fn identity(channels: usize) -> Matrix {
    let row = |row: usize| (0..channels).map(|column| f64::from(u8::from(row == column))).collect();
    (0..channels).map(row).collect()
}

/// All channels become what a person sees as the brightness of the three (ITU-R BT.601); of others, the mean.
fn gray_of(channels: usize) -> Matrix {
    let row = if channels == 3 { vec![0.299, 0.587, 0.114] } else { vec![1.0 / channels as f64; channels] };
    vec![row; channels]
}

/// Red, green and blue turned by `angle` around the axis on which they are equal; a third of a circle makes red green (Rodrigues'
/// formula).
fn turned(angle: f64) -> Matrix {
    let (sine, cosine) = angle.sin_cos();
    let (common, apart) = ((1.0 - cosine) / 3.0, sine / 3.0_f64.sqrt());
    let [one, up, down] = [common + cosine, common + apart, common - apart];
    vec![vec![one, down, up], vec![up, one, down], vec![down, up, one]]
}

fn scaled(factor: f64, matrix: &Matrix) -> Matrix {
    matrix.iter().map(|row| row.iter().map(|value| factor * value).collect()).collect()
}

fn sum(a: &Matrix, b: &Matrix) -> Matrix {
    a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect()
}

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    let column = |row: &[f64], column: usize| row.iter().zip(b).map(|(value, of)| value * of[column]).sum();
    a.iter().map(|row| (0..b.len()).map(|at| column(row, at)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFF: Augment = Augment { crop: 0, flip: false, zoom: None, jitter: None, gray: 0.0 };

    #[test]
    fn a_crop_is_a_window_of_the_bordered_image_and_a_flip_its_mirror() {
        let (height, width) = (4i64, 5i64);
        let bytes: Vec<u8> = (1..=40).collect();
        let images = Tensor::from_data_size(&bytes, &[2, 1, height, width], Kind::Uint8);
        let pixel = |image: i64, y: i64, x: i64| {
            if (0..height).contains(&y) && (0..width).contains(&x) { image * 20 + y * width + x + 1 } else { 0 }
        };
        let mut seen = std::collections::BTreeSet::new();
        for step in 0..60 {
            let changed = windows(&images, Augment { crop: 1, flip: true, ..OFF }, &mut stream(3, "augment", step));
            for image in 0..2 {
                let draws = (-1..=1).flat_map(|dy| (-1..=1).flat_map(move |dx| [(dy, dx, false), (dy, dx, true)]));
                let is = |&(dy, dx, mirrored): &(i64, i64, bool)| {
                    (0..height * width).all(|at| {
                        let (y, x) = (at / width, at % width);
                        let from = if mirrored { width - 1 - x } else { x };
                        changed.int64_value(&[image, 0, y, x]) == pixel(image, y + dy, from + dx)
                    })
                };
                let draw = draws.clone().find(is);
                seen.insert(draw.unwrap_or_else(|| panic!("step {step} image {image} is no window")));
            }
        }
        assert_eq!(seen.len(), 18, "every window and its mirror is drawn");
    }

    /// `count` images of 3 × 5 × 7, whose pixels are chance.
    fn images(count: i64) -> Tensor {
        let mut rng = stream(1, "images", 0);
        let values: Vec<f32> = (0..count * 105).map(|_| rng.random_range(0.0..=1.0)).collect();
        Tensor::from_slice(&values).view([count, 3, 5, 7])
    }

    fn largest(difference: &Tensor) -> f64 {
        difference.abs().max().double_value(&[])
    }

    #[test]
    fn a_part_is_read_between_the_four_nearest_pixels() {
        let images = images(2);
        let whole = Part { top: 0.0, left: 0.0, height: 1.0, width: 1.0 };
        let part = Part { top: 0.3, left: 0.1, height: 0.5, width: 0.7 };
        let found = enlarged(&images, &[whole, part]);
        assert!(largest(&(found.get(0) - images.get(0))) < 1e-6);
        let clamped = |channel: i64, y: f64, x: f64| {
            let (y, x) = (y.clamp(0.0, 4.0) as i64, x.clamp(0.0, 6.0) as i64);
            images.double_value(&[1, channel, y, x])
        };
        for (channel, y, x) in (0..105).map(|at| (at / 35, at / 7 % 5, at % 7)) {
            let (from_y, from_x) =
                (5.0 * (0.3 + 0.5 * (y as f64 + 0.5) / 5.0) - 0.5, 7.0 * (0.1 + 0.7 * (x as f64 + 0.5) / 7.0) - 0.5);
            let (above, before) = (from_y.floor(), from_x.floor());
            let along = |y: f64| {
                let right = from_x - before;
                (1.0 - right) * clamped(channel, y, before) + right * clamped(channel, y, before + 1.0)
            };
            let down = from_y - above;
            let wanted = (1.0 - down) * along(above) + down * along(above + 1.0);
            assert!((found.double_value(&[1, channel, y, x]) - wanted).abs() < 1e-5, "{channel} {y} {x}");
        }
    }

    #[test]
    fn parts_lie_within_the_image_and_have_the_area_asked_for() {
        let mut rng = stream(2, "parts", 0);
        let mut areas = vec![];
        for _ in 0..2000 {
            let Part { top, left, height, width } = Part::draw([0.2, 0.5], &mut rng);
            assert!(top >= 0.0 && left >= 0.0 && top + height <= 1.0 + 1e-12 && left + width <= 1.0 + 1e-12);
            assert!((0.749..=1.334).contains(&(width / height)), "{width} {height}");
            areas.push(height * width);
        }
        areas.sort_by(f64::total_cmp);
        assert!((0.2 - 1e-12..0.202).contains(&areas[0]) && (0.498..0.5 + 1e-12).contains(&areas[1999]));
        assert!((areas[1000] - 0.35).abs() < 0.02, "areas are as likely as each other: {}", areas[1000]);
        for _ in 0..200 {
            let Part { height, width, .. } = Part::draw([0.9, 1.0], &mut rng);
            assert!((0.9 - 1e-12..=1.0).contains(&(height * width)), "{height} {width}");
        }
        let Part { top, left, height, width } = Part::draw([1.0, 1.0], &mut rng);
        assert_eq!([top, left, height, width], [0.0, 0.0, 1.0, 1.0]);
    }

    fn pixel(colours: Colours, pixel: [f64; 3], mean: [f64; 3]) -> [f64; 3] {
        let [of_pixel, of_mean] = colours.map(3);
        let times = |row: &[f64], values: [f64; 3]| row.iter().zip(values).map(|(a, b)| a * b).sum::<f64>();
        [0, 1, 2].map(|row| times(&of_pixel[row], pixel) + times(&of_mean[row], mean))
    }

    fn close(found: [f64; 3], wanted: [f64; 3]) {
        assert!(found.iter().zip(wanted).all(|(found, wanted)| (found - wanted).abs() < 1e-12), "{found:?}, wanted {wanted:?}");
    }

    #[test]
    fn colours_by_hand() {
        let (some, mean) = ([0.8, 0.5, 0.1], [0.4, 0.2, 0.6]);
        let gray = 0.299 * 0.8 + 0.587 * 0.5 + 0.114 * 0.1;
        let mean_gray = 0.299 * 0.4 + 0.587 * 0.2 + 0.114 * 0.6;
        close(pixel(Colours::SAME, some, mean), some);
        close(pixel(Colours { brightness: 0.5, ..Colours::SAME }, some, mean), [0.4, 0.25, 0.05]);
        close(pixel(Colours { contrast: 0.0, ..Colours::SAME }, some, mean), [mean_gray; 3]);
        let flatter = Colours { brightness: 2.0, contrast: 0.5, ..Colours::SAME };
        close(pixel(flatter, some, mean), some.map(|value| value + mean_gray));
        close(pixel(Colours { saturation: 0.0, ..Colours::SAME }, some, mean), [gray; 3]);
        close(pixel(Colours { gray: true, ..Colours::SAME }, some, mean), [gray; 3]);
        close(pixel(Colours { saturation: 1.5, turn: 1.0, ..Colours::SAME }, [0.3; 3], mean), [0.3; 3]);
        close(pixel(Colours { turn: TAU / 3.0, ..Colours::SAME }, [1.0, 0.0, 0.0], mean), [0.0, 1.0, 0.0]);
        close(pixel(Colours { turn: TAU, ..Colours::SAME }, some, mean), some);
        // Paler first, then turned, then grey: halfway to the grey of the pixel, green where red was, the grey of that.
        let paler = some.map(|value| (value + gray) / 2.0);
        let both = Colours { saturation: 0.5, turn: TAU / 3.0, ..Colours::SAME };
        close(pixel(both, some, mean), [paler[2], paler[0], paler[1]]);
        let of_turned = 0.299 * paler[2] + 0.587 * paler[0] + 0.114 * paler[1];
        close(pixel(Colours { gray: true, ..both }, some, mean), [of_turned; 3]);
    }

    #[test]
    fn every_image_has_its_own_colours_and_stays_within_0_and_1() {
        let (images, half) = (images(3), Colours { brightness: 0.5, ..Colours::SAME });
        let found = coloured(&images, &[Colours::SAME, half, Colours { brightness: 9.0, ..Colours::SAME }]);
        assert!(largest(&(found.get(0) - images.get(0))) < 1e-6);
        assert!(largest(&(found.get(1) - images.get(1) * 0.5)) < 1e-6);
        assert!(largest(&(found.get(2) - (images.get(2) * 9.0).clamp(0.0, 1.0))) < 1e-5);
        let flat = coloured(&images, &[Colours { contrast: 0.0, ..Colours::SAME }; 3]);
        assert!(largest(&(flat.amax([2, 3].as_slice(), false) - flat.amin([2, 3].as_slice(), false))) < 1e-6);
        let one = images.narrow(1, 0, 1);
        let flat = coloured(&one, &[Colours { contrast: 0.0, ..Colours::SAME }; 3]);
        assert!(largest(&(flat - one.mean_dim([2, 3].as_slice(), true, Kind::Float))) < 1e-6, "one channel is its own grey");
    }

    #[test]
    fn changes_are_drawn_each_by_itself() {
        let bytes: Vec<u8> = (0..8 * 3 * 16).map(|at| (at * 37 % 251) as u8).collect();
        let pixels = Tensor::from_data_size(&bytes, &[8, 3, 4, 4], Kind::Uint8);
        let draw = Draw { seed: 5, step: 2, view: 0 };
        let (jitter, moved) = (Some(Jitter::default()), Augment { crop: 1, flip: true, ..OFF });
        assert!(augmented(&pixels, OFF, draw).equal(&floats(&pixels)));
        // With a strength of nothing colours stay, and so do the windows.
        let still = Augment { jitter: Some(Jitter { strength: 0.0, hue: 0.0, chance: 1.0 }), ..moved };
        assert!(largest(&(augmented(&pixels, still, draw) - augmented(&pixels, moved, draw))) < 1e-6);
        let all = Augment { zoom: Some([0.2, 1.0]), jitter, gray: 0.2, ..moved };
        assert!(augmented(&pixels, all, draw).equal(&augmented(&pixels, all, draw)));
        for other in [Draw { step: 3, ..draw }, Draw { view: 1, ..draw }, Draw { seed: 6, ..draw }] {
            assert!(!augmented(&pixels, all, other).equal(&augmented(&pixels, all, draw)), "{other:?}");
        }
        // Enlarged after it was moved.
        let parts = {
            let mut rng = draw.stream("augment/zoom");
            (0..8).map(|_| Part::draw([0.2, 0.4], &mut rng)).collect::<Vec<_>>()
        };
        let zoomed = augmented(&pixels, Augment { zoom: Some([0.2, 0.4]), ..moved }, draw);
        assert!(zoomed.equal(&enlarged(&augmented(&pixels, moved, draw), &parts)));
        let gray = augmented(&pixels, Augment { gray: 1.0, ..OFF }, draw);
        assert!(largest(&(gray.amax([1].as_slice(), false) - gray.amin([1].as_slice(), false))) < 1e-6);
    }

    #[test]
    fn jitter_comes_as_often_and_goes_as_far_as_it_should() {
        let mut rng = stream(4, "colours", 0);
        let drawn: Vec<Colours> = (0..4000).map(|_| Colours::draw(Jitter::default(), &mut rng)).collect();
        let changed = drawn.iter().filter(|colours| colours.brightness != 1.0).count() as f64;
        assert!((changed / 4000.0 - 0.8).abs() < 0.02);
        let of = |part: fn(&Colours) -> f64| drawn.iter().map(part).collect::<Vec<_>>();
        let factors = [of(|colours| colours.brightness), of(|colours| colours.contrast), of(|colours| colours.saturation)];
        let turns = of(|colours| colours.turn / TAU);
        for (values, least, most) in factors.map(|factors| (factors, 0.6, 1.4)).into_iter().chain([(turns, -0.1, 0.1)]) {
            let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), &at| (low.min(at), high.max(at)));
            let near = (most - least) / 100.0;
            assert!(least <= low && low < least + near && most - near < high && high <= most, "{low} {high}");
        }
    }
}

//! Folders of pictures: real JPEG and PNG files, read, kept in a cache and refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use expect_test::{Expect, expect};
use image::codecs::png::PngEncoder;
use image::{GrayImage, ImageEncoder, Luma, Rgb, RgbImage};
use supernaut::data::{Channels, Dataset, Folder, Size, Source, Validation};
use tempfile::TempDir;

/// A folder of pictures and a folder for caches.
pub struct Pictures {
    pub folder: TempDir,
}

/// Brightness from 0 to 255, as a stripe in the place of its class over a pattern of its own.
fn colour(class: usize, index: usize, side: u32) -> RgbImage {
    RgbImage::from_fn(side, side, |x, y| {
        let stripe = if x * 4 / side == class as u32 { 150 } else { 0 };
        let noise = ((x * 7 + y * 13 + index as u32 * 31) % 60) as u8;
        Rgb([noise + stripe, noise, 60 - noise + stripe / 2])
    })
}

impl Pictures {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// `count` pictures of each class in a part, PNG and JPEG in turn.
    pub fn part(self, part: &str, classes: &[&str], count: usize) -> Self {
        for (class, name) in classes.iter().enumerate() {
            for index in 0..count {
                let ending = ["png", "jpg", "JPEG"][index % 3];
                self.save(&format!("{part}/{name}/{index}.{ending}"), &colour(class, index, 24));
            }
        }
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("pictures").join(name)
    }

    fn save(&self, name: &str, picture: &RgbImage) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        picture.save(self.path(name)).unwrap();
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), bytes).unwrap();
    }

    fn settings(&self) -> Folder {
        Folder { size: Some(Size { height: 8, width: 8 }), cache: Some(self.folder.path().join("cache")), ..Default::default() }
    }

    /// The data and what is told meanwhile, without the names of temporary folders.
    fn load(&self, settings: &Folder) -> supernaut::Result<(Dataset, Vec<String>)> {
        let mut told = vec![];
        let data = Source::Folder(settings.clone()).load(&self.path(""), &mut |remark| told.push(self.plain(remark)))?;
        Ok((data, told))
    }

    fn told(&self, settings: &Folder) -> Vec<String> {
        self.load(settings).unwrap().1
    }

    fn refused(&self, settings: &Folder) -> String {
        self.plain(&self.load(settings).unwrap_err().to_string())
    }

    fn plain(&self, text: &str) -> String {
        let text = text.replace(&*self.path("").to_string_lossy(), "DIR/").replace("DIR//", "DIR/");
        match self.cache_files().first() {
            Some(cache) => text.replace(&*cache.to_string_lossy(), "CACHE"),
            None => text,
        }
    }

    fn cache_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path().join("cache")).into_iter().flatten();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|ending| ending == "images")).collect()
    }
}

fn toy() -> Pictures {
    Pictures::new().part("train", &["ant", "bee"], 10).part("val", &["ant", "bee"], 2).part("test", &["ant", "bee"], 3)
}

#[test]
fn three_parts_are_read_as_they_are() {
    let pictures = toy();
    let (data, told) = pictures.load(&pictures.settings()).unwrap();
    let counts = [data.train().len(), data.validation().unwrap().len(), data.test().len()];
    assert_eq!((counts, data.train().shape(), data.classes()), ([20, 4, 6], [3, 8, 8], &["ant", "bee"].map(String::from)[..]));
    assert_eq!(data.train().labels(), [[0; 10], [1; 10]].concat());
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("reading 30 pictures of DIR/ into "), "{told:?}");
    // PNG keeps every pixel: 24 to 8 is the mean of 3 x 3.
    let png = colour(0, 0, 24);
    let mean = |channel: usize, x: u32, y: u32| {
        let sum: u32 = (0..9).map(|at| u32::from(png.get_pixel(3 * x + at % 3, 3 * y + at / 3)[channel])).sum();
        ((2 * sum + 9) / 18) as u8
    };
    let wanted: Vec<u8> =
        (0..3).flat_map(|channel| (0..64).map(move |at| (channel, at % 8, at / 8))).map(|(c, x, y)| mean(c, x, y)).collect();
    assert_eq!(data.train().iter().next().unwrap(), wanted);
    // JPEG nearly does.
    let jpeg = colour(0, 1, 24);
    let near = data.train().iter().nth(1).unwrap()[0].abs_diff(jpeg.get_pixel(1, 1)[0]);
    assert!(near < 60, "{near}");
}

#[test]
fn missing_parts_are_held_out_of_train() {
    let pictures = Pictures::new().part("train", &["ant", "bee"], 20);
    let (data, told) = pictures.load(&pictures.settings()).unwrap();
    assert_eq!(told[1], "DIR/ has no folder `test`: 4 images of `train`, a tenth of each class, are kept for testing");
    assert_eq!((data.train().len(), data.test().labels()), (36, &[0, 0, 1, 1][..]));
    let (train, validation) = data.holdout(Validation::Own, 0).unwrap();
    assert_eq!((train.len(), validation.labels()), (32, &[0, 0, 1, 1][..]));
    let other = pictures.load(&Folder { seed: 1, ..pictures.settings() }).unwrap().0;
    assert_ne!(other.test(), data.test());
}

#[test]
fn the_second_start_reads_no_picture() {
    let pictures = toy();
    let first = pictures.load(&pictures.settings()).unwrap().0;
    let written = fs::metadata(&pictures.cache_files()[0]).unwrap().modified().unwrap();
    let (second, told) = pictures.load(&pictures.settings()).unwrap();
    assert_eq!((told, second.hash()), (vec![], first.hash()));
    assert!(second.train() == first.train() && second.test() == first.test() && second.validation() == first.validation());
    let in_memory = Dataset::new(second.train().clone(), second.test().clone(), second.classes().to_vec());
    let worked_out = in_memory.with_validation(second.validation().unwrap().clone());
    assert_eq!(worked_out.hash(), second.hash(), "what the cache says of its pixels is true");
    assert_eq!(worked_out.channels_mean_std(), second.channels_mean_std());
    assert_eq!(fs::metadata(&pictures.cache_files()[0]).unwrap().modified().unwrap(), written);
}

#[test]
fn a_stale_or_damaged_cache_is_made_anew_with_a_word() {
    let pictures = toy();
    let good = pictures.load(&pictures.settings()).unwrap().0;
    let cache = pictures.cache_files().remove(0);
    let bytes = fs::read(&cache).unwrap();
    let damage = |bytes: &[u8], word: Expect| {
        fs::remove_file(&cache).unwrap(); // `good` still reads the old file
        fs::write(&cache, bytes).unwrap();
        let (data, told) = pictures.load(&pictures.settings()).unwrap();
        word.assert_eq(&told[0]);
        assert!(data.hash() == good.hash() && data.train() == good.train());
        assert!(pictures.told(&pictures.settings()).is_empty());
    };
    let mut flipped = bytes.clone();
    flipped[100] ^= 1;
    damage(&flipped, expect!["the cache CACHE is damaged (its contents differ from its checksum): the pictures are read again"]);
    damage(
        &bytes[..bytes.len() / 2],
        expect!["the cache CACHE is damaged (it ends too early, or is something else): the pictures are read again"],
    );
    damage(b"", expect!["the cache CACHE is damaged (it ends too early): the pictures are read again"]);
    let mut slots = bytes.clone();
    let at = bytes.windows(8).position(|word| word == b"\"slots\":").unwrap() + 9;
    slots[at] = b'9'; // [0,1,…] becomes [9,1,…]
    damage(&slots, expect!["the cache CACHE is damaged (its contents differ from its checksum): the pictures are read again"]);
    // Whole, only touched: it is checked and believed.
    let touched = || fs::metadata(&cache).unwrap().modified().unwrap();
    let stamp = touched();
    fs::File::options().write(true).open(&cache).unwrap().set_modified(SystemTime::now()).unwrap();
    assert!(pictures.told(&pictures.settings()).is_empty());
    assert_eq!(touched(), stamp, "next time it is believed at once");
    pictures.save("train/ant/new.png", &colour(0, 99, 24));
    let (data, told) = pictures.load(&pictures.settings()).unwrap();
    assert_eq!((data.train().len(), &*told[0]), (21, "DIR/ has changed since its pictures were read: they are read again"));
    assert_eq!(pictures.cache_files().len(), 1, "one file for each folder and settings");
    assert_eq!(fs::read_dir(cache.parent().unwrap()).unwrap().count(), 2, "the other is a lock");
}

#[test]
fn broken_pictures_are_named_and_skipped_only_if_asked() {
    let pictures = toy();
    let jpeg = fs::read(pictures.path("train/ant/1.jpg")).unwrap();
    let png = fs::read(pictures.path("train/ant/0.png")).unwrap();
    let check = |name: &str, bytes: &[u8], sentence: Expect| {
        let good = fs::read(pictures.path(name)).unwrap();
        pictures.write(name, bytes);
        sentence.assert_eq(&pictures.refused(&pictures.settings()));
        pictures.write(name, &good);
    };
    check(
        "train/bee/4.jpg",
        &jpeg[..jpeg.len() * 2 / 3],
        expect![
            "DIR/train/bee/4.jpg: found a broken picture (it ends too early), wanted a whole JPEG or PNG, or `skip_unusable = true` in [data]"
        ],
    );
    check(
        "train/bee/4.jpg",
        &jpeg[..20],
        expect![
            "DIR/train/bee/4.jpg: found a broken picture (it ends too early), wanted a whole JPEG or PNG, or `skip_unusable = true` in [data]"
        ],
    );
    check(
        "train/bee/4.jpg",
        b"<html>not found</html>",
        expect![
            "DIR/train/bee/4.jpg: found a broken picture (The image format could not be determined), wanted a whole JPEG or PNG, or `skip_unusable = true` in [data]"
        ],
    );
    check(
        "val/bee/0.png",
        &png[..png.len() * 2 / 3],
        expect![
            "DIR/val/bee/0.png: found a broken picture (unexpected end of file), wanted a whole JPEG or PNG, or `skip_unusable = true` in [data]"
        ],
    );
    check(
        "test/ant/1.jpg",
        b"",
        expect![
            "DIR/test/ant/1.jpg: found a broken picture (The image format could not be determined), wanted a whole JPEG or PNG, or `skip_unusable = true` in [data]"
        ],
    );
    // A film behind a whole picture, with a scan that begins and doesn't end, as in some cameras' files.
    pictures.write("train/bee/4.jpg", &[&jpeg[..], &[0xff, 0xda, 0x00, 0x00]].concat());
    assert!(pictures.load(&pictures.settings()).is_ok());
    pictures.save("train/ant/4.jpg", &colour(0, 0, 7));
    expect!["DIR/train/ant/4.jpg: found 7 x 7 pixels, wanted at least 8 x 8, the `size` in [data], or `skip_unusable = true` in [data]"].assert_eq(&pictures.refused(&pictures.settings()));
    pictures.write("train/bee/4.jpg", &jpeg[..200]);
    std::os::unix::fs::symlink("loop.png", pictures.path("train/bee/loop.png")).unwrap();
    let (data, told) = pictures.load(&Folder { skip_unusable: true, ..pictures.settings() }).unwrap();
    assert_eq!(data.train().len(), 18);
    expect!["3 unusable of 31 pictures left out, such as DIR/train/ant/4.jpg"].assert_eq(&told[1]);
    assert_eq!(pictures.told(&Folder { skip_unusable: true, ..pictures.settings() }), told[1..], "told at every start");
    (0..3).for_each(|index| pictures.write(&format!("test/ant/{index}.{}", ["png", "jpg", "JPEG"][index]), b"no"));
    expect!["DIR/test/ant: found no pictures that can be used, wanted at least one, or no such class in any part"]
        .assert_eq(&pictures.refused(&Folder { skip_unusable: true, ..pictures.settings() }));
}

#[test]
fn folders_that_make_no_data_set_are_refused() {
    let check = |change: &dyn Fn(&Pictures), sentence: Expect| {
        let pictures = toy();
        change(&pictures);
        sentence.assert_eq(&pictures.refused(&pictures.settings()));
    };
    let picture = colour(0, 0, 24);
    let link = |to: &str, at: PathBuf| std::os::unix::fs::symlink(to, at).unwrap();
    check(
        &|p| fs::remove_dir_all(p.path("")).unwrap(),
        expect!["data folder not found: DIR/; wanted a folder with train/<class>/*.jpg, .jpeg or .png, and val and test like it"],
    );
    check(
        &|p| fs::remove_dir_all(p.path("train")).unwrap(),
        expect![
            "data folder not found: DIR/train; wanted a folder with train/<class>/*.jpg, .jpeg or .png, and val and test like it"
        ],
    );
    check(
        &|p| fs::create_dir(p.path("train/cat")).unwrap(),
        expect!["DIR/train/cat: found no pictures, wanted at least one .jpg, .jpeg or .png, or no such folder"],
    );
    check(
        &|p| p.write("train/cat/notes.txt", b"soon"),
        expect!["DIR/train/cat: found no pictures, wanted at least one .jpg, .jpeg or .png, or no such folder"],
    );
    check(
        &|p| p.save("train/stray.png", &picture),
        expect!["DIR/train/stray.png: found a picture outside of a class, wanted it in the folder of its class"],
    );
    check(
        &|p| p.save("train/ant/deep/0.png", &picture),
        expect!["DIR/train/ant/deep: found a folder in a class, wanted pictures only"],
    );
    check(
        &|p| p.save("val/cat/0.png", &picture),
        expect!["DIR/val: found a class `cat`, wanted the classes of DIR/train: ant, bee"],
    );
    check(
        &|p| fs::remove_dir_all(p.path("test/bee")).unwrap(),
        expect!["DIR/test: found no class `bee`, wanted all classes of DIR/train"],
    );
    check(
        &|p| link("loop.png", p.path("train/ant/loop.png")),
        expect!["DIR/train/ant/loop.png: Too many levels of symbolic links (os error 40)"],
    );
    check(&|p| link("cat", p.path("train/cat")), expect!["DIR/train/cat: Too many levels of symbolic links (os error 40)"]);
    check(
        &|p| link(".", p.path("train/ant/again")),
        expect!["DIR/train/ant/again: found a folder in a class, wanted pictures only"],
    );
    check(&|p| link(".", p.path("train/all")), expect!["DIR/train/all/all: found a folder in a class, wanted pictures only"]);
    check(
        &|p| p.save("train/a\nb/0.png", &picture),
        expect![[r#"DIR/train/a\nb: found control characters, wanted a name of a class in UTF-8, without control characters"#]],
    );
    let bytes = |p: &Pictures| {
        let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"caf\xe9");
        fs::create_dir(p.path("train").join(name)).unwrap();
    };
    check(
        &bytes,
        expect!["DIR/train/caf�: found bytes that are not UTF-8, wanted a name of a class in UTF-8, without control characters"],
    );
}

#[test]
fn names_may_be_odd_and_files_may_hide_or_stray() {
    let odd = ["a b", "\"quoted\"", "été", "日本", "100%"];
    let pictures = Pictures::new().part("train", &odd, 4);
    for name in ["train/.DS_Store", "train/a b/.hidden.jpg", "train/a b/Thumbs.db", "README.txt", "train/labels.csv"] {
        pictures.write(name, b"stray");
    }
    let (data, told) = pictures.load(&pictures.settings()).unwrap();
    let mut sorted = odd;
    sorted.sort_unstable();
    assert_eq!(data.classes(), sorted);
    expect!["2 files that are no .jpg, .jpeg or .png are left out, such as DIR/train/labels.csv"].assert_eq(&told[1]);
}

#[test]
fn grey_pictures_among_coloured_ones_join_them() {
    let pictures = toy();
    let grey = GrayImage::from_fn(24, 24, |x, y| Luma([(x * 5 + y) as u8]));
    grey.save(pictures.path("train/ant/0.png")).unwrap();
    let (data, told) = pictures.load(&pictures.settings()).unwrap();
    assert_eq!(told[1], "1 grey of 30 pictures are taken as coloured ones");
    let first = data.train().iter().next().unwrap().to_vec();
    assert!(first[..64] == first[64..128] && first[..64] == first[128..]);
    let (data, told) = pictures.load(&Folder { channels: Channels::Grey, ..pictures.settings() }).unwrap();
    assert_eq!((data.train().shape(), &*told[1]), ([1, 8, 8], "29 coloured of 30 pictures are taken as grey ones"));
    assert_eq!(data.train().iter().next().unwrap(), &first[..64]);
}

#[test]
fn without_a_size_all_pictures_have_the_same() {
    let pictures = toy();
    let settings = Folder { size: None, ..pictures.settings() };
    let data = pictures.load(&settings).unwrap().0;
    assert_eq!(data.train().shape(), [3, 24, 24]);
    assert_eq!(data.train().iter().next().unwrap()[1], colour(0, 0, 24).get_pixel(1, 0)[0]);
    pictures.save("val/bee/0.png", &colour(0, 0, 25));
    expect!["DIR/val/bee/0.png: found 25 x 25 pixels, wanted 24 x 24 as the first has, or a `size` for all in [data], or `skip_unusable = true` in [data]"].assert_eq(&pictures.refused(&settings));
}

#[test]
fn tall_pictures_are_cut_in_the_middle() {
    let pictures = toy();
    let tall = RgbImage::from_fn(8, 16, |_, y| Rgb([16 * y as u8; 3]));
    pictures.save("train/ant/0.png", &tall);
    let data = pictures.load(&pictures.settings()).unwrap().0;
    let rows: Vec<u8> = data.train().iter().next().unwrap()[..64].iter().step_by(8).copied().collect();
    assert_eq!(rows, (4..12).map(|y| 16 * y).collect::<Vec<u8>>());
}

#[test]
fn pictures_are_turned_as_their_exif_data_say() {
    let pictures = toy();
    let upright = RgbImage::from_fn(8, 8, |x, y| Rgb([(10 * x + y) as u8; 3]));
    let mut encoder = PngEncoder::new(fs::File::create(pictures.path("train/ant/0.png")).unwrap());
    // One entry: orientation (0x112), a short, 6: what is shown is the picture turned right by 90 degrees.
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    encoder.set_exif_metadata(exif.to_vec()).unwrap();
    upright.write_with_encoder(encoder).unwrap();
    let data = pictures.load(&pictures.settings()).unwrap().0;
    let turned: Vec<u8> = (0..64).map(|at| upright.get_pixel(at / 8, 7 - at % 8)[0]).collect();
    assert_eq!(data.train().iter().next().unwrap()[..64], turned);
}

#[test]
fn classes_may_be_many_and_a_cache_needs_room() {
    let names: Vec<String> = (0..300).map(|class| format!("{class:03}")).collect();
    let pictures = Pictures::new();
    for name in &names {
        (0..2).for_each(|index| pictures.save(&format!("train/{name}/{index}.png"), &colour(0, index, 2)));
    }
    let settings = Folder { size: None, ..pictures.settings() };
    let data = pictures.load(&settings).unwrap().0;
    assert_eq!((data.classes().len(), *data.train().labels().last().unwrap()), (300, 299));
    let file = pictures.folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let said = pictures.refused(&Folder { cache: Some(file.join("cache")), ..settings });
    assert!(said.starts_with("data.cache: found ") && said.ends_with("wanted a folder to write files to"), "{said}");
}

#[test]
fn the_recipe_for_own_images_works_through_the_program() {
    let place = tempfile::tempdir().unwrap();
    sample(&place.path().join("pictures"));
    let mut recipe = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/own-images.toml")).unwrap();
    for (from, to) in [
        ("path = \"pictures\"", "path = \"pictures\"\ncache = \"cache\""),
        ("size = 32", "size = 16"),
        ("channels = 16", "channels = 4"),
        ("epochs = 50\nbatch = 64", "epochs = 1\nbatch = 36"), // of 72 images
        ("population = 30", "population = 4"),
        ("generations = 10", "generations = 1"),
        (", \"latency_ms\"]", "]"),
        ("epochs = 100", "epochs = 1"),
    ] {
        assert!(recipe.contains(from), "{from}");
        recipe = recipe.replace(from, to);
    }
    fs::write(place.path().join("recipe.toml"), recipe).unwrap();
    let works = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_supernaut"));
        let output = command.current_dir(place.path()).args(arguments).output().unwrap();
        let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        (stdout, stderr)
    };
    let told = works(&["train", "recipe.toml", "--out", "out"]).1;
    let said = |told: &str, what: &str| told.contains(what);
    assert!(said(&told, "note: reading 104 pictures of pictures into cache/"), "{told}");
    assert!(said(&told, "note: pictures has no folder `test`: 8 images of `train`"), "{told}");
    assert!(said(&told, "72 training, 24 validation and 8 test images; 4 classes"), "{told}");
    assert!(said(&told, "momentum: a buffer per option of "), "{told}");
    let (found, told) = works(&["search", "out/supernet.safetensors", "--out", "out"]);
    assert!(!said(&told, "reading"), "the second start reads no picture: {told}");
    let arch = found.lines().next().unwrap().rsplit(": ").next().unwrap();
    works(&["retrain", "out/supernet.safetensors", "--arch", arch, "--out", "out"]);
    works(&["export", "out/subnet-1.safetensors", "--out", "subnet.onnx"]);
    let proof = works(&["verify", "subnet.onnx", "out/subnet-1.safetensors"]).0;
    assert!(proof.contains("agree on 100.00 % of 8 images"), "{proof}");
}

/// Folders for other tests: four classes of coloured pictures, with `val` but without `test`.
pub fn sample(folder: &Path) {
    let pictures = Pictures::new().part("train", &["ant", "bee", "cat", "dog"], 20).part("val", &["ant", "bee", "cat", "dog"], 6);
    fs::rename(pictures.path(""), folder).unwrap();
}

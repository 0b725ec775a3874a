//! What an ONNX file computes is what the network in memory computes.

use supernaut::graph::{Device, Plan, Precision};
use supernaut::run::evaluate::{calibrate, cut_out};
use supernaut::run::export::{export, onnx_bytes, verify};
use supernaut::run::model::Model;
use supernaut::run::recipe::ExportConfig;

use crate::common::{archs, device_pictures, small_space, small_supernet, task};

#[test]
fn fifty_architectures_agree_with_onnx_runtime() {
    let supernet = small_supernet(11);
    let (train, test) = (device_pictures(64, 8, 1), device_pictures(40, 8, 2));
    for (index, arch) in archs(&supernet, 50).into_iter().enumerate() {
        let model = cut_out(&supernet, &arch, &train, 32, 0).unwrap();
        let opset = [17, 22][index % 2];
        let file = onnx_bytes(&model, "hash", opset).unwrap();
        let verification = verify(&file, &model, &test, 1e-4).unwrap_or_else(|error| panic!("{arch:?}: {error}"));
        assert_eq!((verification.top1_agreement, verification.images), (1.0, 40));
    }
}

#[test]
fn odd_sizes_and_grey_images_export_too() {
    let mut odd = task(7, 3);
    (odd.image, odd.mean, odd.deviation) = ([1, 7, 9], vec![0.3], vec![0.4]);
    let supernet = Model::supernet(small_space(), odd, 1, Device::Cpu).unwrap();
    let pixels: Vec<u8> = (0..20 * 63).map(|at| (at * 37 % 251) as u8).collect();
    let images = supernaut::data::Images::new("odd", pixels, [1u8; 20], [1, 7, 9], 3).unwrap();
    let images = supernaut::run::images::DeviceImages::new(&images, Device::Cpu);
    for arch in archs(&supernet, 10) {
        let model = cut_out(&supernet, &arch, &images, 20, 0).unwrap();
        verify(&onnx_bytes(&model, "hash", 17).unwrap(), &model, &images, 1e-4).unwrap();
    }
}

#[test]
fn a_file_that_differs_is_refused_with_the_node_and_never_written() {
    let arch = small_supernet(0)
        .parse("|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|")
        .unwrap();
    let images = device_pictures(30, 8, 4);
    let build = |seed| {
        let model = Model::standalone(small_space(), task(8, 10), arch.clone(), seed, Device::Cpu).unwrap();
        calibrate(&model.network, &Plan::new(model.graph(), &arch), &images, 30, Precision::Fp32);
        model
    };
    let (model, mut changed) = (build(1), build(1));
    changed.network.copy_from(&model.network);
    let slot = changed.network.slots().iter().position(|slot| slot.name == "stage1.cell0.3<-2.nor_conv_3x3.conv.weight").unwrap();
    let mut weight = changed.network.leaf(slot).detach();
    let _ = weight.g_mul_scalar_(1.5);
    let error = verify(&onnx_bytes(&changed, "hash", 17).unwrap(), &model, &images, 1e-4).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("`stage1.cell0.3<-2.nor_conv_3x3.norm`"), "{message}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    let impossible = ExportConfig { tolerance: 0.0, ..Default::default() };
    export(&path, &model, "hash", &images, &impossible).unwrap_err();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    export(&path, &model, "hash", &images, &ExportConfig::default()).unwrap();
    assert!(path.exists());
}

#[test]
fn a_supernet_without_statistics_is_refused() {
    let message = onnx_bytes(&small_supernet(0), "hash", 17).unwrap_err().to_string();
    assert!(message.contains("no running statistics"), "{message}");
}

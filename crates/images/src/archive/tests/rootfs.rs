//! Tarballs of root file systems.

use super::*;

#[test]
fn one_layer_with_a_shell() {
    let plain = tar(&[("./", b""), ("./bin/sh", b"#!")]);
    for (bytes, kind) in [
        (plain.clone(), media_type::LAYER),
        (gzip(&plain), media_type::LAYER_GZIP),
        (zstd(&plain), media_type::LAYER_ZSTD),
    ] {
        let fixture = Fixture::new();
        let path = fixture.file("root.tar", &bytes);
        assert_eq!(detect(&path).unwrap(), Transport::Rootfs);
        let outcome = fixture.import_path(Transport::Rootfs, &path);
        assert_eq!(outcome.told.len(), 1);
        let imported = outcome.result.unwrap();
        let (layer, diff_id) = &imported.layers[0];
        assert_eq!((layer.media_type.as_str(), diff_id), (kind, &Digest::of(&plain)));
        assert_eq!(layer.digest, Digest::of(&bytes));
        let contents = fixture.store.contents(&imported.manifest).unwrap();
        let config = contents.image_config.config.unwrap();
        assert_eq!(config.cmd.unwrap(), ["/bin/sh"]);
        assert_eq!(contents.platform, Platform::host());
        assert!(contents.created.is_some());
        // The same file is the same image.
        let again = fixture.import_path(Transport::Rootfs, &path).result.unwrap();
        assert_eq!(again, imported);
        let stream = Origin::Stream(Box::new(bytes.as_slice()));
        let streamed = fixture.import(Transport::Rootfs, stream, None).result.unwrap();
        assert_eq!(streamed.layers, imported.layers);
    }
}

#[test]
fn what_is_no_root() {
    let fixture = Fixture::new();
    let html = fixture.refused(Transport::Rootfs, b"<html>not found</html>");
    assert_eq!(html, "FILE is no tar archive: it does not begin with a header at byte 0");
    let html = fixture.refused(Transport::Rootfs, &gzip(b"<html>not found</html>"));
    assert_eq!(html, "FILE is no tar archive: it does not begin with a header at byte 0");
    let bytes = gzip(&tar(&[("./bin/sh", &[7; 9000])]));
    let cut = fixture.refused(Transport::Rootfs, &bytes[..bytes.len() - 9]);
    assert_eq!(cut, r#"FILE is cut off: it ends within "compressed data""#);
    let xz = fixture.refused(Transport::Rootfs, b"\xfd7zXZ\0....");
    assert!(xz.contains("compressed with xz"), "{xz}");
}

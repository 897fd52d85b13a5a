//! What `docker save` and `podman save` write.

use super::*;

/// `manifest.json` with some images.
fn list(images: &[Value]) -> Vec<u8> {
    Value::from(images.to_vec()).to_string().into_bytes()
}

/// The layout of Docker before 25: a directory for each layer.
fn old(image: &Image, tags: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let config = image.config();
    let config_name = format!("{}.json", Digest::of(&config).hex());
    let names: Vec<String> =
        (0..image.layers.len()).map(|number| format!("{number:064x}/layer.tar")).collect();
    let mut files: BTreeMap<String, Vec<u8>> =
        names.iter().cloned().zip(image.layers.iter().cloned()).collect();
    for number in 0..image.layers.len() {
        files.insert(format!("{number:064x}/VERSION"), b"1.0".to_vec());
        files.insert(format!("{number:064x}/json"), b"{}".to_vec());
    }
    let saved = json!({ "Config": config_name, "RepoTags": tags, "Layers": names });
    files.insert("manifest.json".to_owned(), list(&[saved]));
    files.insert("repositories".to_owned(), b"{}".to_vec());
    files.insert(config_name, config);
    files
}

/// The layout since Docker 25: blobs.
fn new(image: &Image, tags: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let config = image.config();
    let config_name = blob_name(&Digest::of(&config));
    let names: Vec<String> = image.diff_ids().iter().map(blob_name).collect();
    let mut files: BTreeMap<String, Vec<u8>> =
        names.iter().cloned().zip(image.layers.iter().cloned()).collect();
    let saved = json!({
        "Config": config_name, "RepoTags": tags, "Layers": names, "LayerSources": {},
    });
    files.insert("manifest.json".to_owned(), list(&[saved]));
    files.insert(config_name, config);
    files
}

#[test]
fn both_layouts_from_files_and_streams() {
    let image = Image::new("docker", 3);
    for files in [old(&image, &["a/b:1", "a/b:2"]), new(&image, &["a/b:1", "a/b:2"])] {
        let plain = tar_of(&files);
        let mut manifests = Vec::new();
        for bytes in [plain.clone(), gzip(&plain)] {
            let fixture = Fixture::new();
            let path = fixture.file("x", &bytes);
            assert_eq!(detect(&path).unwrap(), Transport::AnyArchive);
            let outcome = fixture.import_path(Transport::DockerArchive, &path);
            let imported = assert_imported(&fixture, outcome, &image);
            assert_eq!(imported.names, ["a/b:1", "a/b:2"]);
            manifests.push(imported.manifest);
            let fixture = Fixture::new();
            let stream = Origin::Stream(Box::new(bytes.as_slice()));
            let outcome = fixture.import(Transport::AnyArchive, stream, None);
            manifests.push(assert_imported(&fixture, outcome, &image).manifest);
        }
        manifests.dedup();
        assert_eq!(manifests.len(), 1, "one image, one manifest");
    }
}

/// Docker before 25 wrote a layer that occurs twice as a link to the first.
#[test]
fn links_between_layers() {
    let image = Image { layers: vec![tar(&[("x", b"x")]); 3], architecture: "amd64" };
    let mut files = old(&image, &[]);
    let link = |builder: &mut ::tar::Builder<Vec<u8>>, kind, name: &str, target: &str| {
        let mut header = ::tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        builder.append_link(&mut header, name, target).unwrap();
    };
    files.remove(&format!("{:064x}/layer.tar", 1));
    files.remove(&format!("{:064x}/layer.tar", 2));
    let mut builder = ::tar::Builder::new(Vec::new());
    for (name, bytes) in &files {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(u64::try_from(bytes.len()).unwrap());
        builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    let symbolic = format!("../{:064x}/layer.tar", 0);
    let hard = format!("{:064x}/layer.tar", 1);
    link(&mut builder, ::tar::EntryType::Symlink, &hard, &symbolic);
    link(&mut builder, ::tar::EntryType::Link, &format!("{:064x}/layer.tar", 2), &hard);
    let bytes = builder.into_inner().unwrap();
    let fixture = Fixture::new();
    let path = fixture.file("x", &bytes);
    let outcome = fixture.import_path(Transport::DockerArchive, &path);
    assert_imported(&fixture, outcome, &image);
    let fixture = Fixture::new();
    let stream = Origin::Stream(Box::new(bytes.as_slice()));
    let outcome = fixture.import(Transport::DockerArchive, stream, None);
    assert_imported(&fixture, outcome, &image);
}

/// Other programs compress: the bytes stay, and their first ones say what they are.
#[test]
fn compressed_layers_stay_as_they_are() {
    let image = Image::new("compressed", 3);
    let mut files = old(&image, &[]);
    let names: Vec<String> = (0..3).map(|number| format!("{number:064x}/layer.tar")).collect();
    files.insert(names[0].clone(), gzip(&image.layers[0]));
    files.insert(names[1].clone(), zstd(&image.layers[1]));
    let bytes = tar_of(&files);
    for is_file in [true, false] {
        let fixture = Fixture::new();
        let path = fixture.file("x", &bytes);
        let stream = Origin::Stream(Box::new(bytes.as_slice()));
        let origin = if is_file { Origin::Path(&path) } else { stream };
        let outcome = fixture.import(Transport::DockerArchive, origin, None);
        let imported = assert_imported(&fixture, outcome, &image);
        let kinds: Vec<&str> = imported.layers.iter().map(|(l, _)| l.media_type.as_str()).collect();
        let wanted = [media_type::LAYER_GZIP, media_type::LAYER_ZSTD, media_type::LAYER];
        assert_eq!(kinds, wanted);
        assert_eq!(imported.layers[0].0.digest, Digest::of(&gzip(&image.layers[0])));
    }
}

#[test]
fn one_of_several() {
    let (one, two) = (Image::new("one", 1), Image::new("two", 2));
    let mut files = new(&one, &["docker.io/library/one:latest"]);
    let mut saved: Vec<Value> = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let other = new(&two, &[]);
    saved.extend(serde_json::from_slice::<Vec<Value>>(&other["manifest.json"]).unwrap());
    files.extend(other);
    files.insert("manifest.json".to_owned(), list(&saved));
    let fixture = Fixture::new();
    let path = fixture.file("x", &tar_of(&files));
    let import = |name| fixture.import(Transport::DockerArchive, Origin::Path(&path), name);
    assert_imported(&fixture, import(Some("one")), &one);
    let id = Digest::of(&two.config());
    assert_imported(&fixture, import(Some(id.hex())), &two);
    let long = id.to_string();
    assert_imported(&fixture, import(Some(&long)), &two);
    let error = import(None).result.unwrap_err().to_string();
    assert!(error.contains(r#"has several images: "docker.io/library/one:latest", "#), "{error}");
    let error = import(Some("two")).result.unwrap_err().to_string();
    assert!(error.contains(r#"has no image "two"; it has "#), "{error}");
}

#[test]
fn what_does_not_fit_together() {
    let image = Image::new("bad", 2);
    let layer = format!("{:064x}/layer.tar", 1);
    type Files = BTreeMap<String, Vec<u8>>;
    let message = |change: &dyn Fn(&mut Files)| {
        let (fixture, mut files) = (Fixture::new(), old(&image, &[]));
        change(&mut files);
        fixture.refused(Transport::DockerArchive, &tar_of(&files))
    };
    let saved = |config: &str, layers: Value| {
        let config = config.to_owned();
        move |files: &mut BTreeMap<String, Vec<u8>>| {
            let saved = json!({ "Config": config, "RepoTags": null, "Layers": layers });
            files.insert("manifest.json".to_owned(), list(&[saved]));
        }
    };
    let config = format!("{}.json", Digest::of(&image.config()).hex());
    let mut wrong = image.layers[1].clone();
    wrong[600] ^= 1;
    let (wanted, got) = (Digest::of(&image.layers[1]), Digest::of(&wrong));
    let content = format!("FILE: {layer:?}: wrong content: {wanted} was wanted, {got} came");
    assert_eq!(message(&|files| drop(files.insert(layer.clone(), wrong.clone()))), content);
    let missing = format!("FILE has no {layer:?}");
    assert_eq!(message(&|files| drop(files.remove(&layer))), missing);
    assert_eq!(message(&|f| drop(f.remove("manifest.json"))), r#"FILE has no "manifest.json""#);
    let count = "FILE: 1 layers, and the configuration has 2 diff_ids";
    assert_eq!(message(&saved(&config, json!([layer]))), count);
    for name in ["../../etc/passwd", "/etc/passwd", "", "..", "nothing"] {
        assert_eq!(message(&saved(name, json!([]))), format!("FILE has no {name:?}"));
        let text = message(&saved(&config, json!([layer, name])));
        assert!(text.starts_with("FILE has no ") || text.contains("wrong content"), "{text}");
    }
    let many = vec![layer.clone(); 10_000];
    let text = message(&saved(&config, json!(many)));
    assert_eq!(text, r#"FILE: "manifest.json": 1 images, up to 10000 layers"#);
    let html = message(&|files| drop(files.insert(config.clone(), b"<html>".to_vec())));
    assert!(html.contains("is no image configuration: expected value at line 1"), "{html}");
    for (text, wanted) in [("[]", "FILE: it has no image"), ("{}", "is no list of saved images")] {
        let text = message(&|f| drop(f.insert("manifest.json".to_owned(), text.into())));
        assert!(text.contains(wanted), "{text}");
    }
    let xz = message(&|files| drop(files.insert(layer.clone(), b"\xfd7zXZ\0...".to_vec())));
    assert_eq!(xz, format!("FILE: {layer:?} is compressed with xz, which no layer is"));
}

#[test]
fn links_in_circles() {
    for (one, other) in [("b", "a"), ("a", "a"), ("../../../etc/passwd", "a")] {
        let mut builder = ::tar::Builder::new(Vec::new());
        for (name, target) in [("a", one), ("b", other)] {
            let mut header = ::tar::Header::new_gnu();
            header.set_entry_type(::tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, name, target).unwrap();
        }
        let saved = list(&[json!({ "Config": "a", "RepoTags": [], "Layers": ["b"] })]);
        let mut header = ::tar::Header::new_gnu();
        header.set_size(u64::try_from(saved.len()).unwrap());
        builder.append_data(&mut header, "manifest.json", saved.as_slice()).unwrap();
        let bytes = builder.into_inner().unwrap();
        let message = Fixture::new().refused(Transport::DockerArchive, &bytes);
        assert_eq!(message, r#"FILE has no "a""#);
    }
}

//! The files that an image is, in each of the forms in which images lie on disk.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io::BufWriter;
use std::io::Write;
use std::path::Path;

use serde_json::Value;
use serde_json::json;

use super::Entry;
use super::Image;
use super::Layer;
use super::digest;
use crate::verdict::Context;
use crate::verdict::Verdict;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The form in which an image lies on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An OCI image layout: `oci:` as a directory, `oci-archive:` as a file.
    Oci,
    /// What `docker save` writes since Docker 25: an OCI image layout with a `manifest.json`.
    Docker,
    /// What `docker save` wrote before: a directory for each layer.
    OldDocker,
    /// skopeo's `dir:`: a manifest and blobs side by side.
    Dir,
}

/// Files by their paths.
#[derive(Debug, Clone, Default)]
pub struct Files(pub BTreeMap<String, Vec<u8>>);

impl Files {
    /// The files of an image in a form. `tag` is what the form has room for: `1` or `name:1`.
    ///
    /// # Errors
    /// A failure when a layer that has to be unpacked for the form is damaged.
    pub fn of(image: &Image, form: Form, tag: &str) -> Verdict<Self> {
        let mut files = Self::default();
        match form {
            Form::Oci => {
                let manifest = files.add_oci(image)?;
                files.add_layout(manifest, tag)?;
            }
            Form::Docker => files.add_docker(image, tag)?,
            Form::OldDocker => files.add_old_docker(image, tag)?,
            Form::Dir => files.add_dir(image)?,
        }
        Ok(files)
    }

    /// An OCI image layout whose `tag` is a list of images for several platforms. A platform is an object
    /// as in an image index: `{"os": "linux", "architecture": "arm64", "variant": "v8"}`.
    ///
    /// # Errors
    /// Those of JSON.
    pub fn of_platforms(images: &[(Value, &Image)], tag: &str) -> Verdict<Self> {
        let mut files = Self::default();
        let mut manifests = Vec::new();
        for (platform, image) in images {
            let mut manifest = files.add_oci(image)?;
            manifest["platform"] = platform.clone();
            manifests.push(manifest);
        }
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
        let index = files.add_blob(INDEX, &serde_json::to_vec(&index)?);
        files.add_layout(index, tag)?;
        Ok(files)
    }

    /// Changes one file, which is made when it is not there.
    pub fn edit(&mut self, path: &str, change: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        change(self.0.entry(path.to_owned()).or_default());
        self
    }

    /// Writes them into `dir`, made here.
    ///
    /// # Errors
    /// A failure naming the path.
    pub fn write_dir(&self, dir: &Path) -> Verdict {
        for (name, content) in &self.0 {
            let path = dir.join(name);
            let parent = path.parent().unwrap_or(dir);
            fs::create_dir_all(parent).context(parent.display())?;
            fs::write(&path, content).context(path.display())?;
        }
        Ok(())
    }

    /// Writes them as a tar archive, directories before what is in them.
    ///
    /// # Errors
    /// A failure naming the file.
    pub fn write_archive(&self, file: &Path) -> Verdict {
        let mut out = BufWriter::new(File::create(file).context(file.display())?);
        let mut made = std::collections::BTreeSet::new();
        for (name, content) in &self.0 {
            for (at, _) in name.match_indices('/') {
                if made.insert(&name[..at]) {
                    Entry::directory(&name[..at]).write(&mut out).context(file.display())?;
                }
            }
            Entry::file(name, content).write(&mut out).context(file.display())?;
        }
        out.write_all(&[0; 1024]).and_then(|()| out.flush()).context(file.display())
    }

    /// Adds a blob; its descriptor.
    fn add_blob(&mut self, media_type: &str, content: &[u8]) -> Value {
        let digest = digest(content);
        self.0.insert(blob_path(&digest), content.to_vec());
        json!({ "mediaType": media_type, "digest": digest, "size": content.len() })
    }

    /// Adds the blobs of an image; the descriptor of its manifest.
    fn add_oci(&mut self, image: &Image) -> Verdict<Value> {
        let config = self.add_blob(CONFIG, &image.config_bytes()?);
        for layer in &image.layers {
            self.0.insert(blob_path(&layer.digest), layer.blob.clone());
        }
        let manifest = manifest(image, &config, &image.layers);
        Ok(self.add_blob(MANIFEST, &serde_json::to_vec(&manifest)?))
    }

    fn add_layout(&mut self, mut descriptor: Value, tag: &str) -> Verdict {
        descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
        let index = json!({ "schemaVersion": 2, "manifests": [descriptor] });
        self.0.insert("index.json".into(), serde_json::to_vec(&index)?);
        self.0.insert("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
        Ok(())
    }

    fn add_docker(&mut self, image: &Image, tag: &str) -> Verdict {
        let mut plain = image.clone();
        for layer in &mut plain.layers {
            *layer = Layer { diff_id: layer.diff_id.clone(), ..uncompressed(layer)? };
        }
        let config = blob_path(&digest(&image.config_bytes()?));
        let manifest = self.add_oci(&plain)?;
        self.add_layout(manifest, tag)?;
        let layers: Vec<String> =
            plain.layers.iter().map(|layer| blob_path(&layer.digest)).collect();
        self.add_docker_manifest(&config, &layers, tag)
    }

    fn add_old_docker(&mut self, image: &Image, tag: &str) -> Verdict {
        let config = image.config_bytes()?;
        let name = format!("{}.json", hex_of(&digest(&config)));
        let (mut layers, mut parent) = (Vec::new(), None);
        for layer in &image.layers {
            // Docker derives these names from the chain of layers, too; nobody looks behind them.
            let id = digest(format!("{parent:?} {}", layer.diff_id).as_bytes());
            let id = hex_of(&id).to_owned();
            let mut json = json!({ "id": id });
            if let Some(parent) = parent {
                json["parent"] = json!(parent);
            }
            self.0.insert(format!("{id}/json"), serde_json::to_vec(&json)?);
            self.0.insert(format!("{id}/VERSION"), b"1.0".to_vec());
            self.0.insert(format!("{id}/layer.tar"), layer.tar()?);
            layers.push(format!("{id}/layer.tar"));
            parent = Some(id);
        }
        self.0.insert(name.clone(), config);
        if let (Some((repository, tag)), Some(top)) = (tag.rsplit_once(':'), parent) {
            let repositories = json!({ repository: { tag: top } });
            self.0.insert("repositories".into(), serde_json::to_vec(&repositories)?);
        }
        self.add_docker_manifest(&name, &layers, tag)
    }

    fn add_docker_manifest(&mut self, config: &str, layers: &[String], tag: &str) -> Verdict {
        let list = json!([{ "Config": config, "RepoTags": [tag], "Layers": layers }]);
        self.0.insert("manifest.json".into(), serde_json::to_vec(&list)?);
        Ok(())
    }

    fn add_dir(&mut self, image: &Image) -> Verdict {
        let config = image.config_bytes()?;
        let descriptor =
            json!({ "mediaType": CONFIG, "digest": digest(&config), "size": config.len() });
        let manifest = manifest(image, &descriptor, &image.layers);
        self.0.insert(hex_of(&digest(&config)).into(), config);
        for layer in &image.layers {
            self.0.insert(hex_of(&layer.digest).into(), layer.blob.clone());
        }
        self.0.insert("manifest.json".into(), serde_json::to_vec(&manifest)?);
        self.0.insert("version".into(), b"Directory Transport Version: 1.1\n".to_vec());
        Ok(())
    }
}

/// The manifest of an image, with what [`Image::change_manifest`] does to it.
fn manifest(image: &Image, config: &Value, layers: &[Layer]) -> Value {
    let layer = |layer: &Layer| json!({ "mediaType": layer.media_type, "digest": layer.digest, "size": layer.size });
    let layers: Vec<Value> = layers.iter().map(layer).collect();
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers,
    });
    if let Some(change) = image.change_manifest {
        change(&mut manifest);
    }
    manifest
}

fn uncompressed(layer: &Layer) -> Verdict<Layer> {
    Layer::of_tar(&layer.tar()?, super::Compression::None)
}

fn hex_of(digest: &str) -> &str {
    digest.split_once(':').map_or(digest, |(_, hex)| hex)
}

fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

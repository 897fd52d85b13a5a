//! Labels of the image and the user, and the annotations that image-spec's conversion.md makes of
//! an image's configuration.

use std::collections::BTreeMap;

use lxcri_core::logging::printable;

use super::options::Options;
use crate::document::{Config, ImageConfig};

/// Beginnings of annotations that make a runtime, a manager or its hooks do something. A label
/// comes from whoever made the image, and must not choose the sandbox or reach systemd.
const STEERING: [&str; 9] = [
    "io.proxmox-lxcri.",
    "org.systemd.",
    "run.oci.",
    "org.criu.",
    "io.kubernetes.",
    "io.katacontainers.",
    "io.podman.",
    "module.wasm.",
    "dev.gvisor.",
];

/// All labels; the user's win.
pub(super) fn labels(image: &Config, options: &Options) -> BTreeMap<String, String> {
    let mut labels = image.labels.clone().unwrap_or_default();
    labels.extend(options.labels.clone());
    labels
}

/// The annotations: what the configuration implies, then the labels, which win. Those that would
/// steer somebody stay labels alone, and `warnings` says so.
pub(super) fn annotations(
    image: &ImageConfig,
    labels: &BTreeMap<String, String>,
    warnings: &mut Vec<String>,
) -> BTreeMap<String, String> {
    let mut annotations = implied(image);
    for (name, value) in labels {
        if STEERING.iter().any(|start| steers(name, start)) {
            warnings.push(format!(
                "label {:?} does not become an annotation: it would steer the runtime",
                printable(name)
            ));
        } else if !name.is_empty() {
            annotations.insert(name.clone(), value.clone());
        }
    }
    annotations
}

/// Whether a name begins like that, in whatever case, or is that without its dot.
fn steers(name: &str, start: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with(start) || start.strip_suffix('.') == Some(name.as_str())
}

/// conversion.md, "Annotation Fields".
fn implied(image: &ImageConfig) -> BTreeMap<String, String> {
    let config = image.config.as_ref();
    let ports = config.and_then(|config| config.exposed_ports.as_ref());
    let ports = ports.map(|ports| ports.keys().cloned().collect::<Vec<_>>().join(","));
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let fields = [
        ("os", some(&image.os)),
        ("architecture", some(&image.architecture)),
        ("variant", image.variant.clone()),
        ("author", image.author.clone()),
        ("created", image.created.clone()),
        ("stopSignal", config.and_then(|config| config.stop_signal.clone())),
        ("exposedPorts", ports),
    ];
    let named = |(name, value): (&str, Option<String>)| {
        let value = value.filter(|value| !value.is_empty())?;
        Some((format!("org.opencontainers.image.{name}"), value))
    };
    fields.into_iter().filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(image: &str, user: &[(&str, &str)]) -> (BTreeMap<String, String>, Vec<String>) {
        let image = ImageConfig::parse("i", image.as_bytes()).unwrap();
        let own = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        let options = Options { labels: user.iter().map(own).collect(), ..Options::default() };
        let labels = labels(image.config.as_ref().unwrap(), &options);
        let mut warnings = Vec::new();
        (annotations(&image, &labels, &mut warnings), warnings)
    }

    #[test]
    fn an_image_becomes_annotations() {
        let image = r#"{"os": "linux", "architecture": "arm", "variant": "v7", "author": "A",
            "created": "2026-01-02T03:04:05Z", "config": {"StopSignal": "SIGQUIT",
            "ExposedPorts": {"80/tcp": {}, "443/tcp": {}},
            "Labels": {"version": "1", "org.opencontainers.image.author": "B", "x": "image"}}}"#;
        let (found, warnings) = made(image, &[("x", "user")]);
        let text: Vec<_> = found.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let wanted = [
            "org.opencontainers.image.architecture=arm",
            "org.opencontainers.image.author=B",
            "org.opencontainers.image.created=2026-01-02T03:04:05Z",
            "org.opencontainers.image.exposedPorts=443/tcp,80/tcp",
            "org.opencontainers.image.os=linux",
            "org.opencontainers.image.stopSignal=SIGQUIT",
            "org.opencontainers.image.variant=v7",
            "version=1",
            "x=user",
        ];
        assert_eq!(text, wanted);
        assert!(warnings.is_empty());
    }

    #[test]
    fn nothing_of_an_image_steers() {
        let names = [
            "io.proxmox-lxcri.backend",
            "IO.Proxmox-LXCRI.backend",
            "org.systemd.property.ExecStop",
            "run.oci.hooks.stdout",
            "run.oci",
            "org.criu.config",
            "io.kubernetes.cri.x\u{1b}[2J",
            "module.wasm.image/variant",
        ];
        for name in names {
            let labels = serde_json::json!({name: "x"});
            let (found, warnings) = made(&format!(r#"{{"config": {{"Labels": {labels}}}}}"#), &[]);
            assert!(found.is_empty(), "{name}");
            assert!(warnings.len() == 1 && !warnings[0].contains('\u{1b}'), "{warnings:?}");
        }
        let (found, _) = made(r#"{"config": {"Labels": {"running.oci": "x"}}}"#, &[]);
        assert_eq!(found.len(), 1);
    }
}

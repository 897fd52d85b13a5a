//! An instrument: `unpack DIRECTORY COUNT FILE…` unpacks layers to the layers' directory, `COUNT` at
//! once, and says how long it took.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use flate2::read::MultiGzDecoder;
use lxcri_images::digest::{Algorithm, Digest, Hasher};
use lxcri_images::layer::{Blob, Layers, Limits, Workers, worker_main_if_asked};
use lxcri_images::progress::Silent;

/// The diff_id: kept beside the file, because it takes long.
fn diff_id(path: &Path) -> Digest {
    let kept = path.with_extension("diff-id");
    if let Ok(text) = std::fs::read_to_string(&kept) {
        return text.parse().unwrap();
    }
    let file = File::open(path).unwrap();
    let mut reader: Box<dyn Read> = match path.extension().and_then(|name| name.to_str()) {
        Some("gz") => Box::new(MultiGzDecoder::new(file)),
        Some("zst") => Box::new(zstd::stream::read::Decoder::new(file).unwrap()),
        _ => Box::new(file),
    };
    let (mut hasher, mut buffer) = (Hasher::new(Algorithm::Sha256), vec![0; 1 << 20]);
    loop {
        match reader.read(&mut buffer).unwrap() {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    let digest = hasher.finish();
    std::fs::write(kept, digest.to_string()).unwrap();
    digest
}

fn main() -> ExitCode {
    if let Some(code) = worker_main_if_asked() {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, count, files @ ..] = arguments.as_slice() else { return ExitCode::FAILURE };
    let layers = Layers::open(directory).unwrap();
    let workers = Workers::start(count.parse().unwrap(), &Limits::default());
    let files: Vec<_> = files.iter().map(|file| (diff_id(Path::new(file)), file)).collect();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for (diff_id, path) in &files {
            let (layers, workers) = (&layers, &workers);
            scope.spawn(move || {
                let open = || {
                    let file = File::open(path)?;
                    Ok(Blob { file, digest: None, compression: None })
                };
                layers.make(diff_id, workers, &open, &mut Silent).unwrap();
            });
        }
    });
    println!("{:.3} s", start.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}

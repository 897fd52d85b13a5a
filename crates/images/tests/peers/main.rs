//! Other programs read what we write, and we read what they write: skopeo, umoci and podman.

#[cfg(test)]
mod peers;

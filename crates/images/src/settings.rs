//! What can be configured about images and root filesystems.

use lxcri_core::config::{Key, Kind, Section};

/// `[images]`.
pub const IMAGES: Section = Section {
    name: "images",
    doc: "Where images come from, and how much one of them may ask for. They are kept in `images` \
          below `runtime.data_root`, as an OCI image layout.",
    keys: &[
        Key {
            name: "downloads",
            kind: Kind::Integer { min: 1, max: 64 },
            default: Some("4"),
            doc: "How many blobs are pulled or pushed at once.",
        },
        Key {
            name: "stall_timeout",
            kind: Kind::Duration,
            default: Some("30s"),
            doc: "How long a registry may be silent before the connection is given up and the rest \
                  is asked for anew.",
        },
        Key {
            name: "workers",
            kind: Kind::Integer { min: 0, max: 64 },
            default: Some("0"),
            doc: "How many layers are unpacked at once; 0 is one for each processor.",
        },
        Key {
            name: "sync",
            kind: Kind::Bool,
            default: Some("true"),
            doc: "Whether `image pull` and `image import` end only when everything is on the disk. \
                  What is not is unpacked again after the next boot. `run` never waits.",
        },
        Key {
            name: "registries_conf",
            kind: Kind::Path,
            default: None,
            doc: "Another file in place of `/etc/containers/registries.conf` and its directory: \
                  mirrors, aliases, blocked and insecure registries.",
        },
        Key {
            name: "auth_file",
            kind: Kind::Path,
            default: None,
            doc: "Where `login` writes credentials and where they are looked up first. Without it: \
                  `$REGISTRY_AUTH_FILE`, then the usual files of containers and Docker.",
        },
        Key {
            name: "max_layer_gib",
            kind: Kind::Integer { min: 1, max: 65_536 },
            default: Some("64"),
            doc: "The most GiB that one layer may unpack to.",
        },
        Key {
            name: "max_layer_entries",
            kind: Kind::Integer { min: 1_000, max: 1_000_000_000 },
            default: Some("5000000"),
            doc: "The most files, directories and links of one layer.",
        },
    ],
};

/// `[rootfs]`.
pub const ROOTFS: Section = Section {
    name: "rootfs",
    doc: "How the layers of an image become a root filesystem that a container can write to. It \
          is kept in `rootfs` below `runtime.data_root`.",
    keys: &[
        Key {
            name: "provider",
            kind: Kind::Choice(&["auto", "overlay", "btrfs", "zfs", "copy"]),
            default: Some("auto"),
            doc: "`overlay` shares every layer; `btrfs` and `zfs` clone one tree per image; `copy` \
                  works on every filesystem. `auto` is the first of these that works there.",
        },
        Key {
            name: "user_namespace_start",
            kind: Kind::Integer { min: 1, max: 4_294_901_760 },
            default: Some("100000"),
            doc: "The host's id of a container's root in a user namespace of its own.",
        },
        Key {
            name: "user_namespace_size",
            kind: Kind::Integer { min: 1, max: 4_294_967_294 },
            default: Some("65536"),
            doc: "How many ids such a container has.",
        },
    ],
};

/// `[zfs]`.
pub const ZFS: Section = Section {
    name: "zfs",
    doc: "Where the `zfs` provider of root filesystems works.",
    keys: &[Key {
        name: "dataset",
        kind: Kind::String,
        default: None,
        doc: "A dataset that is there, such as `rpool/lxcri`; everything is made below it.",
    }],
};

/// All sections of this crate.
pub const SECTIONS: [Section; 3] = [IMAGES, ROOTFS, ZFS];

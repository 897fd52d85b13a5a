#!/bin/bash
# Measures ours against crun, runc and the kernel alone, in the v1 and v2 views of /sys/fs/cgroup, and
# images against Podman, Docker, skopeo and umoci; writes docs/reference/performance.md. With OURS=FILE
# another build is measured, with ONLY=v1|v2|images one part: nothing is written then.
set -euo pipefail
cd "$(dirname "$0")/../.."

[ "$(id -u)" = 0 ] || { echo "bench: needs root" >&2; exit 2; }
peers=$(testing/scripts/peers.sh)
if [ "${ONLY:-images}" = images ]; then
    testing/scripts/docker.sh >/dev/null
    testing/scripts/bench-image.sh >/dev/null
fi
cargo build --locked --release -q -p lxcri-bench -p lxcri-floor
# At a fixed address, with nothing to relocate: the floor starts as cheaply as a static program can.
cargo rustc --locked --release -q -p lxcri-floor --bin lxcri-floor -- -C relocation-model=static
target=target/$(rustc -vV | sed -n 's/^host: //p')/release
document=(--document docs/reference)
[ -z "${OURS:-}" ] || document=()
[ -z "${ONLY:-}" ] || document=(--only "$ONLY")
exec "$target/lxcri-bench" --ours "${OURS:-dist/proxmox-lxcri}" --crun "$peers/bin/crun" \
    --runc "$peers/bin/runc" --floor "$target/lxcri-floor" --peak "$target/lxcri-peak" \
    --rounds "${ROUNDS:-30}" --image-rounds "${IMAGE_ROUNDS:-5}" "${document[@]}" "$@"

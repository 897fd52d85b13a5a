#!/bin/bash
# Measures ours against crun and runc in the v1 and v2 views of /sys/fs/cgroup.
set -euo pipefail
cd "$(dirname "$0")/../.."

peers=$(testing/scripts/peers.sh)
cargo build --locked --release -q -p lxcri-bench
target=$(rustc -vV | sed -n 's/^host: //p')
status=0
for view in v1 v2; do
    "target/$target/release/lxcri-bench" --view "$view" --ours dist/proxmox-lxcri \
        --crun "$peers/bin/crun" --runc "$peers/bin/runc" "$@" || status=1
done
exit "$status"

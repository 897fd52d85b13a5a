#!/bin/bash
# Builds target/fail-points/proxmox-lxcri: the program, able to be ended at each of its steps. It is
# for the crash tests alone. Libraries are shared with the other test builds; only the copy lasts.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=$(rustc -vV | sed -n 's/^host: //p')
cargo build --locked --quiet -p proxmox-lxcri --features fail-points
install -D -m 755 "target/$target/debug/proxmox-lxcri" target/fail-points/proxmox-lxcri

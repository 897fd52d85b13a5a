#!/bin/bash
# Runs every test of the workspace and ends with one line: `N passed, N failed, N skipped`.
# The whole output is kept in target/test.log. With CI=true a skip that tests/skips.toml does not
# name is a failure.
set -uo pipefail
cd "$(dirname "$0")/../.."

log=target/test.log
mkdir -p target
: >"$log"

if [ "$(id -u)" != 0 ]; then
    echo 'test: the tests make containers: run them as root' >&2
    exit 1
fi

# The guests wait for the network where the compiler waits for nothing: side by side.
tests/guests/build.sh >>"$log" &
guests=$!
if [ -z "${LXCRI_PROGRAM:-}" ]; then
    make --no-print-directory build || { kill "$guests"; exit 1; }
fi

# Fetched before the tests so that a missing network is said once, and early.
testing/scripts/peers.sh >>"$log" || echo 'test: no peers: the tests that need crun skip' >&2
testing/scripts/debian-root.sh >>"$log" || echo 'test: no Debian root: its tests skip' >&2
testing/scripts/docker.sh >>"$log" || echo 'test: no Docker: its tests skip' >&2

testing/scripts/fail-points.sh || { kill "$guests"; exit 1; }
cargo test --locked --workspace --no-run --quiet || true # what does not compile is reported below
# Without guests their tests fail, and say why.
wait "$guests" || echo 'test: there are no guests: their tests fail' >&2
echo "everything is built after $SECONDS s"

# --no-fail-fast: one program that fails must not hide the others.
start=$SECONDS
tests() {
    local status=0
    cargo test --locked --workspace --no-fail-fast "$@" || status=$?
    # Crash tests of a library: its own tests are what ends at a step.
    [ $# != 0 ] ||
        cargo test --locked -p lxcri-images --features fail-points --lib crash || status=$?
    # What needs a loaded liblxc cannot be static, as the rest is.
    [ $# != 0 ] || testing/scripts/libexec.sh test || status=$?
    return "$status"
}
tests "$@" 2>&1 | tee -a "$log" |
    grep --line-buffered -E '^(error|warning: unused)|^(running [1-9])|Running|FAILED|^SKIP |panicked|^test result: F|could not compile|nothing left, compared|^(fail points|random kills)'
status=${PIPESTATUS[0]}
echo "cargo test ended after $((SECONDS - start)) s; the whole output is in $log"

cargo run --locked --quiet -p lxcri-tests --bin test-summary -- "$log" tests/skips.toml || exit 1
# Whatever the sum overlooks.
[ "$status" = 0 ] || { echo "test: cargo test failed with $status" >&2; exit 1; }

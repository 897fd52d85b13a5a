#!/bin/bash
# Looks the dependencies up in the advisory database, and says so when it cannot be reached.
set -uo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if cargo deny check advisories >"$log" 2>&1; then
    echo 'audit: no known vulnerability'
    exit 0
fi
if grep -qiE 'failed to (fetch|clone)|unable to (fetch|clone)|could not resolve|failed to load advisory|network' "$log"; then
    echo 'audit: the advisory database cannot be reached from here; nothing was checked' >&2
    exit 1
fi
cat "$log" >&2
exit 1

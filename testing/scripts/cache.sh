# Sourced by the scripts that fetch or build something into the user's cache, once.
# The caller has set `name`, which stands before its messages. Needs bash with `set -euo pipefail`.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/proxmox-lxcri
# Seconds without a byte after which a mirror counts as dead.
stall=${LXCRI_MIRROR_TIMEOUT:-30}

say() { printf '%s: %s\n' "$name" "$*" >&2; }
die() { say "$*"; exit 1; }

# The mirror that this machine's own apt uses and trusts.
debian_mirror() {
    local mirror
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
        'Origin: Debian' 'Label: Debian' 2>/dev/null | head -n 1 || true)
    # Without package lists apt does not know the origin yet, only what it would fetch.
    [ -n "$mirror" ] || mirror=$(apt-get update --print-uris 2>/dev/null |
        sed -n "s#^'\(.*/debian/*\)dists/.*#\1#p" | head -n 1 || true)
    [ -n "$mirror" ] || die "no Debian mirror in apt's configuration"
    echo "$mirror"
}

# Makes $work, a directory beside the result $1, removed if the script does not get to the end.
half_built() {
    mkdir -p "$(dirname "$1")"
    work=$(mktemp -d "$(dirname "$1")/.half-built.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    chmod 755 "$work"
}

# Puts $1, which is complete, in its place $2. Another run may have been faster: its result is as
# good as ours.
complete() {
    mv -T "$1" "$2" 2>/dev/null || [ -e "$2" ] || die "cannot put $2 in place"
}

# Makes a Debian tree: `debian_tree SUITE DIRECTORY LOG [mmdebstrap's options…]`.
debian_tree() {
    local suite=$1 dir=$2 log=$3 mirror
    shift 3
    command -v mmdebstrap >/dev/null || die "mmdebstrap is missing: apt-get install mmdebstrap"
    mirror=$(debian_mirror)
    mmdebstrap --mode=root --variant=minbase \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Retries "1"' \
        --aptopt="Acquire::http::Timeout \"$stall\"" --aptopt="Acquire::https::Timeout \"$stall\"" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        "$@" "$suite" "$dir" "$mirror" >"$log" 2>&1 && return 0
    grep -E '^(E|W|Err|error|dpkg):?' "$log" | tail -n 5 >&2 || true
    die "cannot make a Debian $suite tree from $mirror: is there a network, is the mirror up?"
}

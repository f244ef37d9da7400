#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Boots a systemd of its own, with the units from deploy/, and runs a probe in it (test_units.py).
#
#   systemd_boot.sh TOP BIN DUCKDB_LIBRARY DIR     in new mount, pid, ipc, uts, net, cgroup namespaces
#
# The machine's root is the lower layer of an overlay, whose upper one is in memory and goes with the
# namespaces.  What the probe finds is in DIR/results.
set -euo pipefail
top=$1 bin=$2 duckdb=$3 dir=$4

mount --make-rprivate /
root=$dir/root
mkdir -p "$root" "$dir/probe"
mount -t tmpfs tmpfs "$root"
mkdir "$root/upper" "$root/work" "$root/merged"
mount -t overlay overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" "$root/merged"
new=$root/merged

# The file systems below /dev, /run, /sys are systemd's to mount.
mount -t proc proc "$new/proc"
mkdir "$new/probe"
mount --bind "$dir/probe" "$new/probe"

# Tracked connections, as on a host with a firewall; what sysctl.d does at boot is done here.
ip link set lo up
nft -f - <<'NFT'
table inet t {
    chain c {
        type filter hook output priority 0;
        ct state new
    }
}
NFT
sed -n 's/^\(net[a-z_.]*\) = \(.*\)/\1 \2/p' "$top/deploy/sysctl.d/60-flowtrail.conf" |
    while read -r name value; do echo "$value" >"/proc/sys/${name//.//}"; done

# As an installation with the prefix /usr has it.  Only these units: what else systemd does at boot
# (sysctl, binary formats) would reach the machine.
rm -rf "$new"/etc/systemd/system "$new"/lib/systemd/system-generators "$new"/etc/flowtrail \
    "$new"/lib/systemd/system/*.wants
mkdir -p "$new"/etc/systemd/system "$new"/etc/flowtrail/{conf.d,collector.d}
cp "$bin"/{flowtraild,flowtrail-collector} "$new/usr/sbin/"
cp "$bin/flowtrail" "$new/usr/bin/"
cp "$duckdb" "$new/usr/lib/libduckdb.so"
cp "$top"/deploy/systemd/*.service "$new/etc/systemd/system/"
cp "$top"/deploy/etc/*.yaml "$new/etc/flowtrail/"
systemd-sysusers --root="$new" "$top/deploy/sysusers.d/flowtrail.conf"
cp "$top/tests/integration/systemd_probe.py" "$new/probe.py"

cd "$new/etc/flowtrail"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout collector.key -out collector.crt 2>/dev/null
chown "$(awk -F: '$1 == "flowtrail-collector" { print $3 }' "$new/etc/passwd")" collector.key
chmod 400 collector.key
"$bin/flowtrail" token host --out token >tokens
cat >conf.d/collector.yaml <<'YAML'
collector:
  url: https://127.0.0.1:4319
  token_file: $CREDENTIALS_DIRECTORY/token
  ca_file: /etc/flowtrail/collector.crt
YAML

# What the agent says goes to a file, because there is no journal here.  A small spool, because what is
# on disk here is in memory, which the unit bounds.
mkdir "$new/etc/systemd/system/flowtraild.service.d"
printf '[Service]\nStandardError=append:/probe/flowtraild.err\n' \
    >"$new/etc/systemd/system/flowtraild.service.d/log.conf"
printf 'spool:\n  bytes_max: 32MiB\n' >conf.d/spool.yaml

# In a chroot the kernel allows no user namespaces; the rest of the unit is as it is.
if ! unshare --user true 2>/dev/null; then
    mkdir "$new/etc/systemd/system/flowtrail-collector.service.d"
    printf '[Service]\nPrivateUsers=no\n' >"$new/etc/systemd/system/flowtrail-collector.service.d/chroot.conf"
fi

cat >"$new/etc/systemd/system/probe.service" <<'UNIT'
[Unit]
Wants=flowtraild.service flowtrail-collector.service
After=flowtraild.service flowtrail-collector.service
[Service]
Type=oneshot
ExecStart=/usr/bin/python3 -B /probe.py /probe
ExecStopPost=/usr/bin/systemctl exit 0
UNIT

mkdir "$new/old"
cd "$new"
pivot_root . old
cd /
umount -l /old
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount --make-rshared /
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system \
    --unit=probe.service --show-status=no --log-target=journal

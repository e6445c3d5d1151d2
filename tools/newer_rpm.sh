#!/usr/bin/env bash
# Puts rpm 6 beside the system's, as `build/peers/rpm6 PROGRAM ARGUMENT...`: the first that makes and checks packages of version 6.
# Unpacked as tools/newer_openssl.sh does it; nothing of the system changes.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/apt.sh

into=build/peers
[ -x "$into/rpm6" ] && exit 0
rm -rf "$into/rpm6.root"
unpack_from_sid "$into/rpm6.root" rpm rpm-common librpm10 librpmbuild10 librpmio10 librpmsign10 librpm-sequoia-1 libarchive13t64 \
    libacl1 libaudit1 libbz2-1.0 libc6 libcap-ng0 libcap2 libdbus-1-3 libdw1t64 libelf1t64 libexpat1 libffi8 libfsverity0 libgcc-s1 libgmp10 \
    libgomp1 libhogweed6t64 liblua5.3-0 liblz4-1 liblzma5 libmagic-mgc libmagic1t64 libnettle8t64 libpcre2-8-0 libpopt0 libreadline8t64 \
    libselinux1 libsqlite3-0 libssl3t64 libstdc++6 libsystemd0 libtinfo6 libuuid1 libxxhash0 libzstd1 zlib1g

cat >"$into/rpm6" <<'WRAPPER'
#!/bin/sh
root=$(dirname "$(readlink -f "$0")")/rpm6.root
folder=$(echo "$root"/usr/lib/*-linux-gnu)
loader=$(find "$root/usr/lib" "$root/usr/lib64" -name 'ld-linux-*.so.*' 2>/dev/null | head -n 1)
program=$1
shift
export RPM_CONFIGDIR="$root/usr/lib/rpm" MAGIC="$root/usr/lib/file/magic.mgc"
exec "$loader" --library-path "$folder" "$root/usr/bin/$program" "$@"
WRAPPER
chmod 755 "$into/rpm6"
"$into/rpm6" rpm --version >&2

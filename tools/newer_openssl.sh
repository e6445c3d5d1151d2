#!/usr/bin/env bash
# Puts OpenSSL 3.6 or newer beside the system's, as .venv/peers/openssl: the oldest that signs CMS with ML-DSA. Debian has it in its newer
# suites, on the same mirror; it is unpacked and run through its own loader, and nothing of the system changes.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/apt.sh

into=.venv/peers
[ -x "$into/openssl" ] && exit 0
rm -rf "$into/openssl.root"
unpack_from_sid "$into/openssl.root" openssl libssl3t64 libc6 libzstd1 zlib1g

cat >"$into/openssl" <<'WRAPPER'
#!/bin/sh
root=$(dirname "$(readlink -f "$0")")/openssl.root
folder=$(echo "$root"/usr/lib/*-linux-gnu)
loader=$(find "$root/usr/lib" "$root/usr/lib64" -name 'ld-linux-*.so.*' 2>/dev/null | head -n 1)
OPENSSL_CONF=/dev/null exec "$loader" --library-path "$folder" "$root/usr/bin/openssl" "$@"
WRAPPER
chmod 755 "$into/openssl"
"$into/openssl" version >&2

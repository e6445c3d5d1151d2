#!/usr/bin/env bash
# Puts OpenSSL 3.6 or newer beside the system's, as .venv/peers/openssl: the oldest that signs CMS with ML-DSA. Debian has it in its newer
# suites, on the same mirror; it is unpacked and run through its own loader, and nothing of the system changes.
set -euo pipefail
cd "$(dirname "$0")/.."

into=.venv/peers
[ -x "$into/openssl" ] && exit 0
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $codename" | head -n 1)
[ -n "$mirror" ] || { echo "no Debian mirror is configured: no newer openssl" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work/lists/partial" "$work/parts" "$work/root"
echo "deb $mirror sid main" >"$work/parts/sid.list"
cp -r /etc/apt/sources.list.d/. "$work/parts/" 2>/dev/null || true
private=(-qq -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work/parts" -o "Dir::State::Lists=$work/lists"
    -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=" -o APT::Sandbox::User=root)
apt-get "${private[@]}" update
(cd "$work" && apt-get "${private[@]}" download openssl/sid libssl3t64/sid libc6/sid libzstd1/sid zlib1g/sid)
for package in "$work"/*.deb; do
    dpkg-deb -x "$package" "$work/root"
done

rm -rf "$into" && mkdir -p "$into"
mv "$work/root" "$into/openssl.root"
cat >"$into/openssl" <<'WRAPPER'
#!/bin/sh
root=$(dirname "$(readlink -f "$0")")/openssl.root
folder=$(echo "$root"/usr/lib/*-linux-gnu)
loader=$(find "$root/usr/lib" "$root/usr/lib64" -name 'ld-linux-*.so.*' 2>/dev/null | head -n 1)
OPENSSL_CONF=/dev/null exec "$loader" --library-path "$folder" "$root/usr/bin/openssl" "$@"
WRAPPER
chmod 755 "$into/openssl"
"$into/openssl" version >&2

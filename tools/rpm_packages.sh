#!/usr/bin/env bash
# Puts the packages and keys of rpm's own tests, as Debian's source package has them, into build/peers/rpm-tests. Nothing of it is installed.
set -euo pipefail
cd "$(dirname "$0")/.."

into=build/peers/rpm-tests
[ -d $into ] && exit 0
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $codename" | head -n 1)
[ -n "$mirror" ] || { echo "no Debian mirror is configured" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work/lists/partial" "$work/parts"
echo "deb-src $mirror $codename main" >"$work/parts/source.list"
private=(-qq -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work/parts" -o "Dir::State::Lists=$work/lists"
    -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=" -o APT::Sandbox::User=root)
apt-get "${private[@]}" update
(cd "$work" && apt-get "${private[@]}" source --download-only rpm)
mkdir "$work/data"
tar -xf "$work"/rpm_*.orig.tar.* -C "$work/data" --strip-components=3 --wildcards '*/tests/data/RPMS' '*/tests/data/SRPMS' '*/tests/data/keys'
mkdir -p build/peers
mv "$work/data" $into

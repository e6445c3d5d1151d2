#!/usr/bin/env bash
# Installs from apt the programs that `make interop` and `make bench` compare chopmark with. Does nothing when all are there.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/apt.sh

# program, and the smallest package that brings it (the win32 thread model suffices to make small PE files)
declare -A package=(
    [osslsigncode]=osslsigncode
    [sbsign]=sbsigntool
    [sbverify]=sbsigntool
    [sbvarsign]=sbsigntool
    [cert-to-efi-sig-list]=efitools
    [pesign]=pesign
    [openssl]=openssl
    [softhsm2-util]=softhsm2
    [pkcs11-tool]=opensc
    [ocsptool]=gnutls-bin
    [certtool]=gnutls-bin
    [swtpm]=swtpm
    [tpm2_createprimary]=tpm2-tools
    [ssh-agent]=openssh-client
    [gpg]=gpg
    [gpgv]=gpgv
    [gpg1]=gnupg1
    [debsigs]=debsigs
    [debsig-verify]=debsig-verify
    [gpgsm]=gpgsm
    [git]=git
    [minisign]=minisign
    [rpm]=rpm
    [db5.3_load]=db5.3-util
    [lz4]=lz4
    [unzip]=unzip
    [systemd-analyze]=systemd
    [evmctl]=ima-evm-utils
    [fsverity]=fsverity
    [veritysetup]=cryptsetup-bin
    [keyctl]=keyutils
    [mkfs.btrfs]=btrfs-progs
    [patchelf]=patchelf
    [powerpc-linux-gnu-gcc]=gcc-powerpc-linux-gnu
    [signify-openbsd]=signify-openbsd
    [curl]=curl
    [ab]=apache2-utils
    [wrk]=wrk
    [cc]=gcc
    [pg_ctlcluster]=postgresql
    [x86_64-w64-mingw32-gcc]=gcc-mingw-w64-x86-64-win32
    [i686-w64-mingw32-gcc]=gcc-mingw-w64-i686-win32
)
declare -A missing=()
for program in "${!package[@]}"; do
    command -v "$program" >/dev/null || missing[${package[$program]}]=1
done
# Not on the path, and named after the kernel that it comes with.
compgen -G '/usr/lib/linux-kbuild-*/scripts/sign-file' >/dev/null || missing[linux-kbuild-6.1]=1
# What makes programs for a big-endian machine.
[ -e /usr/include/stdio.h ] || missing[libc6-dev]=1
[ -e /usr/powerpc-linux-gnu/include/stdio.h ] || missing[libc6-dev-powerpc-cross]=1
# A provider of openssl's is no program.
compgen -G '/usr/lib/*/ossl-modules/tpm2.so' >/dev/null || missing[tpm2-openssl]=1
if [ ${#missing[@]} -gt 0 ]; then
    apt_install "peers for the interoperability tests" "${!missing[@]}"
fi

# osslsigncode reads and signs PowerShell since 2.8; Debian 12 has that only among its backports.
version() { osslsigncode --version 2>/dev/null | sed -nE '1s/^osslsigncode ([0-9.]+).*/\1/p'; }
recent() { [ "$(printf '%s\n' 2.8 "$(version)" | sort -V | head -n 1)" = 2.8 ]; }

from_backports() {
    local codename mirror lists
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $codename" | head -n 1)
    [ -n "$mirror" ] || return 1
    # The suite is added for this one command; the system's own sources stay as they are.
    lists=$(mktemp -d)
    trap 'rm -rf "$lists"' RETURN
    chmod 755 "$lists"
    mkdir -p "$lists/state/partial" "$lists/parts"
    echo "deb $mirror $codename-backports main" >"$lists/parts/backports.list"
    cp -r /etc/apt/sources.list.d/. "$lists/parts/" 2>/dev/null || true
    local -a with=(-o "Dir::Etc::SourceParts=$lists/parts" -o "Dir::State::Lists=$lists/state")
    apt_get "${with[@]}" update && apt_get "${with[@]}" install --yes --no-install-recommends -t "$codename-backports" osslsigncode
}

if ! recent; then
    echo "osslsigncode $(version) cannot read PowerShell; trying the backports" >&2
    from_backports || true
    recent || echo "osslsigncode is still $(version): its PowerShell cross-checks need 2.8 or newer" >&2
fi

# OpenSSL signs CMS with ML-DSA since 3.6, which no stable Debian has.
tools/newer_openssl.sh || echo "no newer openssl: the cross-checks of ML-DSA are skipped" >&2

# fapolicyd's package starts a service that judges the whole host: it is unpacked, and never installed.
peer=build/peers/fapolicyd
if [ ! -x $peer/usr/sbin/fapolicyd ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    download() { (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download fapolicyd libcap-ng0 liblmdb0 libmagic1 libmagic-mgc 2>/dev/null); }
    if download || { apt_get update && download; }; then
        mkdir -p $peer
        for each in "$work"/*.deb; do dpkg -x "$each" $peer; done
    else
        echo "no fapolicyd: the guard is not compared with it" >&2
    fi
fi

# rpm 6 makes and checks packages of its new format; Debian 12 has 4.18.
tools/newer_rpm.sh || echo "no newer rpm: the cross-checks of RPM packages of version 6 are skipped" >&2
tools/rpm_packages.sh || echo "no packages of rpm's own tests: the cross-checks with them are skipped" >&2

# Sourced by the other scripts here: installs Debian packages, or says what the reader has to install.
# shellcheck shell=bash

# apt_get ARGUMENT...: apt-get without questions, as root or through a sudo that asks no password.
apt_get() {
    local -a as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || return 1
        as_root=(sudo -n)
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" >/dev/null
}

# apt_install REASON PACKAGE...: returns 1 after a clear message when it cannot.
apt_install() {
    local reason=$1
    shift
    if command -v apt-get >/dev/null; then
        echo "Installing $* ($reason)" >&2
        if apt_get update && apt_get install --yes --no-install-recommends "$@"; then
            return 0
        fi
    fi
    printf '%s\n' "" "Missing: $reason." "Install it as root and try again, on Debian and Ubuntu with:" \
        "    apt-get install --no-install-recommends $*" >&2
    return 1
}

# unpack_from_sid FOLDER PACKAGE...: packages of Debian's newest suite, unpacked and not installed. They run through their own loader.
unpack_from_sid() {
    local into=$1 codename mirror work package
    shift
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $codename" | head -n 1)
    [ -n "$mirror" ] || { echo "no Debian mirror is configured" >&2; return 1; }
    work=$(mktemp -d)
    trap 'rm -rf "$work"' RETURN
    chmod 755 "$work"
    mkdir -p "$work/lists/partial" "$work/parts" "$into"
    echo "deb $mirror sid main" >"$work/parts/sid.list"
    cp -r /etc/apt/sources.list.d/. "$work/parts/" 2>/dev/null || true
    local -a private=(-qq -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work/parts" -o "Dir::State::Lists=$work/lists"
        -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=" -o APT::Sandbox::User=root)
    apt-get "${private[@]}" update
    (cd "$work" && apt-get "${private[@]}" download "${@/%//sid}")
    for package in "$work"/*.deb; do
        dpkg-deb -x "$package" "$into"
    done
}

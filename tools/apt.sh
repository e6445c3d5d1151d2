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

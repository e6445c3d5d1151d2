#!/usr/bin/env bash
# Brings what `make vm` boots into build/vm: QEMU and compilers from apt, and, only unpacked, never installed, Debian's signed
# kernels, its boot loaders and the firmware OVMF. Does nothing when all are there; `rm -rf build/vm` brings newer ones.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/apt.sh

declare -A package=(
    [qemu-system-x86_64]=qemu-system-x86
    [gcc]=gcc
    [x86_64-w64-mingw32-gcc]=gcc-mingw-w64-x86-64-win32
    [zstd]=zstd
    [lz4]=lz4
    [mke2fs]=e2fsprogs
    [objcopy]=binutils
)
declare -A missing=()
for program in "${!package[@]}"; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || missing[${package[$program]}]=1
done
[ -f /usr/lib/x86_64-linux-gnu/libc.a ] || missing[libc6-dev]=1
if [ ${#missing[@]} -gt 0 ]; then
    apt_install "what the tests in virtual machines need" "${!missing[@]}"
fi

lab=build/vm
# Made anew when this script asks for something else.
wanted=$(cksum <tools/vm_peers.sh)
[ "$(cat $lab/complete 2>/dev/null)" != "$wanted" ] || exit 0
rm -rf $lab
mkdir -p $lab
lab=$(realpath $lab)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' | head -n 1)
security=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm-security' | head -n 1)
mirror=${mirror:-http://deb.debian.org/debian}
security=${security:-http://deb.debian.org/debian-security}

# private NAME LINE...: an apt list and state of its own, so that the system neither sees nor installs anything.
private() {
    local name=$1
    shift
    mkdir -p "$work/$name/lists/partial" "$work/$name/cache/archives/partial"
    printf "deb [signed-by=$keyring] %s\n" "$@" >"$work/$name/sources.list"
    with=(-o "Dir::Etc::SourceList=$work/$name/sources.list" -o Dir::Etc::SourceParts=- -o Acquire::Languages=none
        -o "Dir::State::Lists=$work/$name/lists" -o "Dir::Cache=$work/$name/cache" -o APT::Sandbox::User=root)
    apt-get -qq "${with[@]}" update
}

# unpack FOLDER PACKAGE...: downloads them from the private list and unpacks them into one folder.
unpack() {
    local folder=$1
    shift
    mkdir -p "$folder"
    (cd "$folder" && apt-get -qq "${with[@]}" download "$@")
    for each in "$folder"/*.deb; do
        dpkg -x "$each" "$folder"
        basename "$each" >>"$lab/versions"
        rm "$each"
    done
}

# The packages of the kernel that the suite's metapackage names: one up to 6.12, three of its parts since.
kernel() {
    local image parts
    image=$(apt-cache "${with[@]}" depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | tail -n 1)
    parts=$(apt-cache "${with[@]}" depends "$image" | sed -n 's/^ *Depends: \(linux-\(base\|binary\|modules\)-.*\)/\1/p')
    case $parts in
    *linux-binary-*) echo "$parts" ;;
    *) echo "$image" ;;
    esac
}

echo "Downloading kernels, boot loaders and firmware for the virtual machines (about 75 MB) into build/vm" >&2
private old "$mirror bookworm main" "$security bookworm-security main"
mapfile -t parts < <(kernel)
unpack "$lab/linux-old" "${parts[@]}"
unpack "$lab/loaders" shim-signed systemd-boot-efi grub-efi-amd64-signed
private firmware "$mirror trixie main"
unpack "$lab/ovmf" ovmf
private new "$mirror trixie-backports main"
mapfile -t parts < <(kernel)
unpack "$lab/linux-new" "${parts[@]}"
echo "$wanted" >"$lab/complete"

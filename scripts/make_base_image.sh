#!/bin/sh
# Stand in for Docker Hub's Python image where no registry can be reached: a small Debian with its
# own Python 3.11, which gets packages from where this machine gets its own.
# usage: scripts/make_base_image.sh NAME   (root)
set -eu

echo "Making $1 out of Debian's packages."
root=$(mktemp -d)
trap 'rm -rf --one-file-system "$root"' EXIT
debootstrap --variant=minbase --include=ca-certificates,python3.11,python3.11-venv,python3-distutils \
    bookworm "$root" >/dev/null
for name in python python3; do
    ln -s /usr/bin/python3.11 "$root/usr/local/bin/$name"
done
for settings in /etc/pip.conf /etc/xdg/pip "${HOME:-/root}/.config/pip" /etc/ssl/certs/ca-certificates.crt; do
    [ ! -e "$settings" ] || { mkdir -p "$root$(dirname "$settings")" && cp -rT "$settings" "$root$settings"; }
done
# Wheels that pip is told to look for on this disk.
for wheels in $(python3 -m pip config get global.find-links 2>/dev/null || true); do
    [ ! -d "$wheels" ] || { mkdir -p "$root$wheels" && cp "$wheels"/*.whl "$root$wheels/"; }
done
tar -C "$root" --one-file-system -c . | docker import - "$1" >/dev/null

#!/bin/sh
# A Docker engine with compose and a network, from Debian's packages: scripts/install_docker.sh FOLDER
# The compose of Debian 12 is too old for compose.yaml, so that of Debian 13, one program, comes into
# FOLDER/config.
set -eu

plugins=$1/config/cli-plugins
command -v dockerd >/dev/null && command -v slirp4netns >/dev/null && command -v debootstrap >/dev/null &&
    DOCKER_CONFIG=$1/config docker compose version >/dev/null 2>&1 && exit 0

echo "Installing Docker for the tests of containers (not started as a service)."
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >/dev/null
for unit in docker.service docker.socket containerd.service; do
    ln -s /dev/null "/etc/systemd/system/$unit" 2>/dev/null || true # so that none is started
done
apt-get install -y -qq --no-install-recommends docker.io iptables iproute2 slirp4netns debootstrap >/dev/null
for unit in docker.service docker.socket containerd.service; do
    [ "$(readlink "/etc/systemd/system/$unit")" != /dev/null ] || rm "/etc/systemd/system/$unit"
done

apt=$1/apt
mkdir -p "$plugins" "$apt/lists/partial"
# shellcheck disable=SC2016 -- apt replaces it
mirror=$(apt-get indextargets --format '$(REPO_URI)' | head -n 1)
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$apt/sources.list"
set -- -qq -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$apt/lists"
apt-get "$@" update
(cd "$apt" && apt-get "$@" -o APT::Sandbox::User=root download docker-compose)
dpkg-deb --extract "$apt"/docker-compose_*.deb "$apt/root"
mv "$apt/root/usr/libexec/docker/cli-plugins/docker-compose" "$plugins/"
rm -r "$apt"

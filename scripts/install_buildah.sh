#!/bin/sh
# What builds the image without a Docker engine: buildah and debootstrap, from Debian's packages.
set -eu
command -v buildah > /dev/null && command -v debootstrap > /dev/null && command -v ip > /dev/null && exit 0
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends buildah crun debootstrap iproute2

#!/bin/sh
# What makes hosts out of network namespaces: iproute2 and nftables, from Debian's packages.
set -eu
command -v ip > /dev/null && command -v nft > /dev/null && exit 0
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends iproute2 nftables

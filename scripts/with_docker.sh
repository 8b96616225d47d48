#!/bin/sh
# Run a command with a Docker engine: scripts/with_docker.sh FOLDER COMMAND...
# The engine is the one that is here. Where none answers, root gets Debian's, with all it keeps in
# FOLDER and in a network of its own, so that no port of this machine is taken; it ends with the
# command. The Python image that the Dockerfile builds on comes from the registry, or where that
# can't be reached is made of Debian's packages.
set -eu

folder=$1
shift
base=python:3.11-slim-bookworm
here=$(dirname "$0")

ask() {
    docker "$@" >/dev/null 2>&1
}

in_engine=""
if ! ask info; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "No Docker engine answers, and starting one takes root." >&2
        exit 1
    fi
    mkdir -p "$folder"
    folder=$(cd "$folder" && pwd)
    "$here/install_docker.sh" "$folder"
    # Without BuildKit, which Debian's client would need one more plugin for.
    export DOCKER_HOST="unix://$folder/docker.sock" DOCKER_CONFIG="$folder/config" DOCKER_BUILDKIT=0
    unshare --net sh -c 'ip link set lo up && exec "$@"' - dockerd \
        --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/docker.pid" \
        --host "$DOCKER_HOST" >"$folder/engine.log" 2>&1 &
    engine=$!
    trap 'kill "$engine" 2>/dev/null; wait "$engine" || true' EXIT
    trap 'exit 130' INT TERM
    until ask info; do
        kill -0 "$engine" 2>/dev/null || { tail "$folder/engine.log" >&2; exit 1; }
        sleep 0.5
    done
    # The way out of that network, which ends with it.
    slirp4netns --configure --mtu 65520 --disable-host-loopback "$engine" tap0 >/dev/null 2>&1 &
    in_engine="nsenter --net=/proc/$engine/ns/net"
fi

ask image inspect "$base" || ask pull "$base" || "$here/make_base_image.sh" "$base"
$in_engine "$@"

#!/bin/sh
# Give the tests of several replicas an nginx: the one that is here, or Debian's package, which is
# not started. Never fails: without one the tests say so themselves.
set -u

for nginx in nginx /usr/sbin/nginx; do
    command -v "$nginx" >/dev/null 2>&1 && exit 0
done

cannot() {
    echo "No nginx for the tests of several replicas: $1." >&2
    exit 0
}

command -v apt-get >/dev/null 2>&1 || cannot "none is installed and there is no apt-get here"
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo"
else
    cannot "none is installed and installing it takes root"
fi

echo "Installing nginx for the tests of several replicas."
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq >/dev/null || cannot "apt-get update failed (see above)"
# The package would start a server on port 80; while the unit is masked it does not.
$as_root ln -s /dev/null /etc/systemd/system/nginx.service 2>/dev/null && masked=yes || masked=no
$as_root apt-get install -y -qq --no-install-recommends nginx-light >/dev/null ||
    cannot "apt-get install nginx-light failed (see above)"
[ "$masked" = no ] || $as_root rm /etc/systemd/system/nginx.service

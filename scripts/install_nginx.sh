#!/bin/sh
# Give the tests of several replicas an nginx: the one that is here, or Debian's package, which is
# not started. Never fails: without one the tests say so themselves.
set -u

for nginx in nginx /usr/sbin/nginx; do
    command -v "$nginx" >/dev/null 2>&1 && exit 0
done

missing="No nginx for the tests of several replicas"
. "$(dirname "$0")/debian.sh"

prepare_apt "Installing nginx for the tests of several replicas."
# The package would start a server on port 80; while the unit is masked it does not.
$as_root ln -s /dev/null /etc/systemd/system/nginx.service 2>/dev/null && masked=yes || masked=no
apt_install nginx-light
[ "$masked" = no ] || $as_root rm /etc/systemd/system/nginx.service

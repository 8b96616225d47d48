#!/bin/sh
# Give the browser tests a Chromium: the one that is here, or Debian's package.
# Never fails: without a browser the tests say so themselves (they skip; under CI=true they fail).
set -u

for browser in "${CHROMIUM:-chromium}" chromium-browser google-chrome; do
    command -v "$browser" >/dev/null 2>&1 && exit 0
done

missing="No Chromium for the browser tests"
remedy="Install one, or name it in CHROMIUM."
. "$(dirname "$0")/debian.sh"

prepare_apt "Installing Chromium for the browser tests."
apt_install chromium

#!/bin/sh
# Give the browser tests a Chromium: the one that is here, or Debian's package.
# Never fails: without a browser the tests say so themselves (they skip; under CI=true they fail).
set -u

for browser in "${CHROMIUM:-chromium}" chromium-browser google-chrome; do
    command -v "$browser" >/dev/null 2>&1 && exit 0
done

cannot() {
    echo "No Chromium for the browser tests: $1. Install one, or name it in CHROMIUM." >&2
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

echo "Installing Chromium for the browser tests."
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq >/dev/null || cannot "apt-get update failed (see above)"
$as_root apt-get install -y -qq --no-install-recommends chromium >/dev/null ||
    cannot "apt-get install chromium failed (see above)"

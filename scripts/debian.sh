# Sourced by the scripts that give tests one of Debian's packages. They set `missing`, the sentence for
# when there is none; this finds out how to become root and makes the list of packages fresh.

cannot() {
    echo "$missing: $1.${remedy:+ $remedy}" >&2
    exit 0
}

prepare_apt() {
    command -v apt-get >/dev/null 2>&1 || cannot "none is installed and there is no apt-get here"
    if [ "$(id -u)" -eq 0 ]; then
        as_root=""
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root="sudo"
    else
        cannot "none is installed and installing it takes root"
    fi
    echo "$1"
    export DEBIAN_FRONTEND=noninteractive
    $as_root apt-get update -qq >/dev/null || cannot "apt-get update failed (see above)"
}

apt_install() {
    $as_root apt-get install -y -qq --no-install-recommends "$1" >/dev/null ||
        cannot "apt-get install $1 failed (see above)"
}

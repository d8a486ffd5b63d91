#!/bin/sh
# Install Debian packages, given as COMMAND=PACKAGE, whose command is missing. Without apt-get, print what to install.
set -eu

PATH=$PATH:/usr/sbin:/sbin # daemons are here, also for users who may not start them
missing=""
for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null 2>&1 || missing="$missing ${pair#*=}"
done
[ -z "$missing" ] && exit 0

explain() {
    echo "Missing packages:$missing" >&2
    echo "$1" >&2
    echo "On other systems than Debian and Ubuntu:" >&2
    echo "  skopeo (1.9 or later)    https://github.com/containers/skopeo/blob/main/install.md" >&2
    echo "  docker-registry (2.8+)   https://github.com/distribution/distribution/releases, as 'docker-registry' on PATH" >&2
    echo "  dockerd, containerd      https://docs.docker.com/engine/install/" >&2
    echo "  docker-compose, slirp4netns, mmdebstrap, gnupg, chromium, prometheus, redis: your distribution's packages" >&2
    exit 1
}

command -v apt-get >/dev/null 2>&1 || explain "apt-get was not found; install them with this system's package manager."
if [ "$(id -u)" = 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1; then
    as_root="sudo"
else
    explain "Run as root, or with sudo installed: apt-get install$missing"
fi
echo "Installing Debian packages:$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# Debian starts a server when its package is installed. Tests start servers themselves, on their own ports and networks.
# https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap '$as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod +x "$policy"
fi
# shellcheck disable=SC2086 # a list of words
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
[ -d /run/systemd/system ] || exit 0
for package in $missing; do
    case "$package" in # nor at boot
        docker-registry | containerd | prometheus) $as_root systemctl disable --quiet "$package" ;;
        docker.io) $as_root systemctl disable --quiet docker.socket docker.service ;;
    esac
done

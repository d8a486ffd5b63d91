#!/bin/sh
# Put runtimes that are newer than the distribution's into folders below $1, for `make drill-new`. Nothing is installed.
#   debian/  dockerd and containerd of Debian's unstable suite
#   go/      the newest containerd, built from its Go module
set -eu

folder=$1
containerd=v2.4.2

mkdir -p "$folder"
if [ ! -e "$folder/debian/dockerd" ]; then
    echo "Unpacking dockerd and containerd of Debian's unstable suite"
    rm -rf "$folder/root" # of an interrupted run
    # A mirror of Debian may be older than its lists are valid.
    mmdebstrap --quiet --variant=extract --aptopt='Acquire::Check-Valid-Until "false"' \
        --include=docker.io,containerd --format=directory sid "$folder/root"
    mkdir -p "$folder/debian"
    for name in containerd containerd-shim-runc-v2 runc docker-init dockerd docker-proxy; do
        mv "$folder/root/usr/bin/$name" "$folder/debian/" 2>/dev/null || mv "$folder/root/usr/sbin/$name" "$folder/debian/"
    done
    rm -rf "$folder/root"
fi
if [ ! -e "$folder/go/containerd" ]; then
    echo "Building containerd $containerd from its Go module"
    GOBIN="$folder/go" CGO_ENABLED=0 GOTOOLCHAIN=auto go install -ldflags="-s -w" \
        "github.com/containerd/containerd/v2/cmd/containerd@$containerd"
fi
for daemon in "$folder/debian/dockerd" "$folder/debian/containerd" "$folder/go/containerd"; do
    "$daemon" --version || { echo "$daemon does not run on this system" >&2; exit 1; }
done

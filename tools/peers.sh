#!/usr/bin/env bash
# Makes sure that the real programs the tests talk to are there: registries, clients, servers.
# As root on Debian it installs what is missing, and leaves no new service running or enabled.
# Otherwise it says what is missing; under CI=true that is a failure.
set -euo pipefail

packages=(docker-registry skopeo buildah podman runc crun containerd umoci conmon catatonit
    netavark aardvark-dns fuse-overlayfs iptables nftables iproute2 busybox-static nginx-light
    wrk dnsutils curl openssl varnish squid trafficserver ffmpeg swupdate
    unbound knot knot-dnsutils prometheus chromium)
services=(docker-registry nginx containerd podman varnish varnishncsa squid trafficserver swupdate
    unbound knot prometheus prometheus-node-exporter)

find_missing() {
    missing=()
    for package in "${packages[@]}"; do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        # Debian's other nginx flavours give the same program.
        [[ $package == nginx-light && -x /usr/sbin/nginx ]] && status=installed
        [[ $status == installed ]] || missing+=("$package")
    done
}

install_missing() {
    local policy=/usr/sbin/policy-rc.d ours=no
    if [[ ! -e $policy ]]; then
        # docker-registry would take port 5000, nginx port 80: the tests start their own.
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        ours=yes
    fi
    # shellcheck disable=SC2064  # the value of now is what is meant
    trap "[[ $ours == no ]] || rm -f $policy" EXIT
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    if [[ -d /run/systemd/system ]]; then
        for service in "${services[@]}"; do
            [[ " ${missing[*]} " != *" $service"* ]] || systemctl disable --quiet "$service" || true
        done
    fi
}

find_missing
if [[ ${#missing[@]} -gt 0 && $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
    echo "make test: installing ${missing[*]}"
    install_missing
    find_missing
fi
[[ ${#missing[@]} -eq 0 ]] && exit 0

echo "make test: not installed: ${missing[*]}" >&2
echo "make test: as root: apt-get install --no-install-recommends ${missing[*]}" >&2
if [[ ${CI:-} == true ]]; then
    exit 1
fi
echo "make test: the tests that need them will be skipped" >&2

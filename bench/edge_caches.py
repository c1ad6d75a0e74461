"""The node's edge and three other caches in front of one origin, tuned alike.

Owns their configuration for benches. Each runs on the servers' core, keeps its connections to the
origin, writes no access log, and may store everything it is asked for.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from bench.machine import SERVERS, started_on
from bench.stage import Stage
from skerry.app.drill.processes import Setting, free_port
from tests.rig.processes import need


@dataclass(frozen=True)
class Cache:
    """One of them: where it is, and which process group it is."""

    name: str
    authority: str
    pid: int


def skerry_edge(stage: Stage, origin: str) -> Cache:
    """A node with one site, as delivered."""
    site: Setting = {
        "hosts": ["*"],
        "origins": [f"http://{origin}"],
        "plain_http": True,
        "route": [{"prefix": "/", "data_class": "public"}],
    }
    with started_on(SERVERS):
        node = stage.rig.node({"site": [site]})
    return Cache("skerry", node.edge, node.child.pid)


def nginx_cache(stage: Stage, origin: str, *, lock: bool) -> Cache:
    """nginx with proxy_cache, one worker; with `lock` one request an object goes to the origin."""
    folder = stage.rig.place("nginx-cache")
    folder.chmod(0o777)
    authority = f"127.0.0.1:{free_port()}"
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
        "events { worker_connections 1024; }\n"
        f"http {{ access_log off; sendfile on; client_body_temp_path {folder}/b;\n"
        f"  proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;\n"
        f"  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"  proxy_cache_path {folder}/cache levels=1:2 keys_zone=c:64m max_size=8g inactive=1h"
        " use_temp_path=off;\n"
        "  open_file_cache max=10000 inactive=1h; open_file_cache_valid 1h;\n"
        f"  upstream o {{ server {origin}; keepalive 64; keepalive_requests 1000000; }}\n"
        f"  server {{ listen {authority}; keepalive_requests 1000000;\n"
        "    location / { proxy_pass http://o; proxy_http_version 1.1;"
        ' proxy_set_header Connection ""; proxy_set_header Host $host;\n'
        f"      proxy_cache c; proxy_cache_lock {'on' if lock else 'off'}; }} }} }}\n"
    )
    name = "nginx-lock" if lock else "nginx"
    return _started(stage, name, [need("nginx"), "-c", str(config)], authority)


def varnish(stage: Stage, origin: str) -> Cache:
    """varnishd with 2 GiB of memory."""
    folder = stage.rig.place("varnish")
    folder.chmod(0o755)
    host, _, port = origin.partition(":")
    vcl = folder / "default.vcl"
    vcl.write_text(f'vcl 4.1;\nbackend default {{ .host = "{host}"; .port = "{port}"; }}\n')
    authority = f"127.0.0.1:{free_port()}"
    argv = [need("varnishd"), "-F", "-a", authority, "-f", str(vcl), "-n", str(folder / "n")]
    return _started(stage, "varnish", [*argv, "-s", "malloc,4g", "-T", "none"], authority)


def squid(stage: Stage, origin: str) -> Cache:
    """Squid as an accelerator, with Debian's memory cache and a folder on the disk."""
    folder = stage.rig.place("squid")
    folder.chmod(0o777)
    host, _, port = origin.partition(":")
    authority = f"127.0.0.1:{free_port()}"
    config = folder / "squid.conf"
    config.write_text(
        f"http_port {authority} accel no-vhost defaultsite=bench.test\n"
        f"cache_peer {host} parent {port} 0 no-query originserver name=o no-digest\n"
        f"http_access allow all\ncache_mem 256 MB\nmaximum_object_size 1 GB\n"
        f"cache_dir aufs {folder}/cache 8192 16 256\n"
        f"pid_filename {folder}/pid\naccess_log none\ncache_log {folder}/cache.log\n"
        f"cache_effective_user {'proxy' if os.geteuid() == 0 else ''}\n"
        f"coredump_dir {folder}\nshutdown_lifetime 1 seconds\npinger_enable off\n"
    )
    made = stage.rig.child([need("squid"), "-z", "-N", "-f", str(config)], folder)
    made.wait_until(lambda: not made.alive or (folder / "cache" / "0F").exists())
    made.stop()
    argv = [need("squid"), "-N", "-f", str(config)]
    return _started(stage, "squid", argv, authority)


def _started(stage: Stage, name: str, argv: list[str], authority: str) -> Cache:
    with started_on(SERVERS):
        service = stage.rig.service(argv, authority, stage.rig.place(f"{name}-log"))
    return Cache(name, authority, service.child.pid)

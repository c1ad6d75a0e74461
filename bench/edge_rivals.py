"""The four HTTP caches of Debian as a correctness comparison wants them.

Owns their configuration: as shipped, with those documented switches on that bring a cache closer to
RFC 9111 (validation instead of refetching, stale answers where the response allows them, guesses by
Last-Modified). Nothing is switched on that overrides what an origin says.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from skerry.app.drill.processes import free_port
from tests.rig.processes import Rig, need

Start = Callable[[Rig, int], int]


def nginx(rig: Rig, origin_port: int) -> int:
    """nginx's proxy_cache; what it does when errors come is left to the response's own windows."""
    folder = _folder(rig, "nginx")
    port = free_port()
    config = folder / "nginx.conf"
    temporary = " ".join(
        f"{name}_temp_path {folder}/{name};" for name in ("fastcgi", "uwsgi", "scgi")
    )
    config.write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
        "events { worker_connections 1024; }\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; {temporary}\n"
        f"  proxy_temp_path {folder}/proxy;\n"
        f"  proxy_cache_path {folder}/cache keys_zone=c:16m;\n"
        f"  server {{ listen 127.0.0.1:{port}; location / {{\n"
        f"    proxy_pass http://127.0.0.1:{origin_port}; proxy_http_version 1.1;\n"
        "    proxy_set_header Host $host; proxy_cache c; proxy_cache_lock on;\n"
        "    proxy_cache_revalidate on; proxy_cache_background_update on; } } }\n"
    )
    return _started(rig, [need("nginx"), "-c", str(config)], port)


def varnish(rig: Rig, origin_port: int) -> int:
    """Varnish with its built-in VCL, keeping what is stale for validation."""
    folder = _folder(rig, "varnish")
    port = free_port()
    vcl = folder / "default.vcl"
    vcl.write_text(
        f'vcl 4.1;\nbackend default {{ .host = "127.0.0.1"; .port = "{origin_port}"; }}\n'
        "sub vcl_backend_response { set beresp.keep = 1h; }\n"
    )
    argv = [need("varnishd"), "-F", "-a", f"127.0.0.1:{port}", "-f", str(vcl), "-T", "none"]
    return _started(rig, [*argv, "-n", str(folder / "n"), "-s", "malloc,64m"], port)


def squid(rig: Rig, origin_port: int) -> int:
    """Squid as an accelerator, with the refresh pattern that it is shipped with."""
    folder = _folder(rig, "squid")
    port = free_port()
    config = folder / "squid.conf"
    config.write_text(
        f"http_port 127.0.0.1:{port} accel vhost\n"
        f"cache_peer 127.0.0.1 parent {origin_port} 0 no-query no-digest originserver name=o\n"
        "http_access allow all\ncache_mem 64 MB\nrefresh_pattern . 0 20% 4320\n"
        f"pid_filename {folder}/pid\naccess_log none\ncache_log {folder}/cache.log\n"
        f"cache_effective_user proxy\ncoredump_dir {folder}\n"
        "shutdown_lifetime 1 seconds\npinger_enable off\n"
    )
    return _started(rig, [need("squid"), "-N", "-f", str(config)], port)


def trafficserver(rig: Rig, origin_port: int) -> int:
    """Traffic Server as a reverse proxy, guessing where there is a Last-Modified."""
    folder = _folder(rig, "trafficserver")
    port = free_port()
    etc = folder / "etc"
    shutil.copytree("/etc/trafficserver", etc)
    for place in ("run", "log", "cache"):
        (folder / place).mkdir()
        (folder / place).chmod(0o777)
    places = {"sysconfdir": etc, "runtimedir": folder / "run", "logdir": folder / "log"}
    places |= {"localstatedir": folder, "cachedir": folder / "cache", "prefix": Path("/usr")}
    places |= {
        "exec_prefix": Path("/usr"),
        "bindir": Path("/usr/bin"),
        "sbindir": Path("/usr/sbin"),
    }
    places |= {"datadir": folder / "cache", "libdir": Path("/usr/lib/trafficserver")}
    places |= {"libexecdir": Path("/usr/lib/trafficserver/modules")}
    places |= {"includedir": Path("/usr/include")}
    layout = folder / "runroot.yaml"
    layout.write_text("".join(f"{name}: {path}\n" for name, path in places.items()))
    (etc / "remap.config").write_text(f"map / http://127.0.0.1:{origin_port}/\n")
    (etc / "storage.config").write_text(f"{folder}/cache 64M\n")
    with (etc / "records.config").open("a") as out:
        out.write(
            f"CONFIG proxy.config.http.server_ports STRING {port}:ip-in=127.0.0.1\n"
            "CONFIG proxy.config.url_remap.pristine_host_hdr INT 1\n"
            "CONFIG proxy.config.reverse_proxy.enabled INT 1\n"
            "CONFIG proxy.config.http.cache.required_headers INT 1\n"
            "CONFIG proxy.config.http.insert_response_via_str INT 1\n"
            "CONFIG proxy.config.http.insert_request_via_str INT 1\n"
            "CONFIG proxy.config.http.down_server.cache_time INT 0\n"
            "CONFIG proxy.config.http.connect_attempts_max_retries INT 0\n"
        )
    return _started(rig, [need("traffic_server"), f"--run-root={layout}"], port)


RIVALS: dict[str, Start] = {
    "nginx": nginx,
    "varnish": varnish,
    "squid": squid,
    "trafficserver": trafficserver,
}


def _folder(rig: Rig, name: str) -> Path:
    folder = rig.place(name)
    folder.chmod(0o777)  # they give their rights away
    return folder


def _started(rig: Rig, argv: list[str], port: int) -> int:
    rig.service(argv, f"127.0.0.1:{port}", rig.place("log"))
    return port

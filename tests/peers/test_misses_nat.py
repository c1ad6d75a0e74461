"""Fifty clients and an attacker behind one router: whoever is no attacker notices nothing.

Real sockets through a real masquerading router: the node sees one address. What counts is who is
refused and what the upstream was asked, never how long anything took (requirements L1, D5).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from skerry.app.drill.client import RegistryClient
from skerry.app.drill.images import image, noise, push
from skerry.app.drill.processes import NodeProcess
from tests.rig.nat import SERVER_ADDRESS, Nat
from tests.rig.nodes import HOST
from tests.rig.processes import Rig

CLIENTS, ATTACK_CONNECTIONS, ATTACK_REQUESTS = 50, 8, 6000
PER_MINUTE = 1200
HITS = 20

_BEHIND = """
import http.client, json, sys, threading
address, port, clients, connections, requests, hits = sys.argv[1], *map(int, sys.argv[2:])

def get(connection, path):
    connection.request("GET", path, headers={"Accept": "*/*"})
    reply = connection.getresponse()
    reply.read()
    return reply.status, reply.getheader("Retry-After")

def connect():
    return http.client.HTTPConnection(address, port, timeout=60)

attack, legit, lock = {}, [], threading.Lock()
half = threading.Barrier(connections + 1)

def attacker(number):
    connection = connect()
    for n in range(requests // connections):
        if n == requests // connections // 2:
            half.wait()
        shape = n % 3
        if shape == 0:
            path = f"/v2/up.test/team/app/manifests/v{number}-{n}"
        elif shape == 1:
            path = f"/v2/up.test/made-{number}-{n}/up/manifests/latest"
        else:
            path = f"/v2/up.test/team/app/blobs/sha256:{number:032x}{n:032x}"
        status, retry = get(connection, path)
        with lock:
            attack[status] = attack.get(status, 0) + 1
            if status == 429:
                attack["said_when"] = attack.get("said_when", 0) + bool(retry)

def client(number):
    connection, seen = connect(), []
    seen.append(get(connection, f"/v2/up.test/team/tool-{number}/manifests/1")[0])
    for _ in range(hits):
        seen.append(get(connection, "/v2/up.test/team/app/manifests/1")[0])
    with lock:
        legit.append(seen)

get(connect(), "/v2/up.test/team/app/manifests/1")
threads = [threading.Thread(target=attacker, args=(n,)) for n in range(connections)]
for each in threads: each.start()
half.wait()  # half of the flood is over: what it could use up is used up
others = [threading.Thread(target=client, args=(n,)) for n in range(clients)]
for each in others: each.start()
for each in (*others, *threads): each.join()
print(json.dumps({"attack": attack, "legit": legit}))
"""


def reachable(node: NodeProcess) -> str:
    """Has the registry's door listen on every address of its namespace; its port."""
    port = node.registry.rpartition(":")[2]
    node.stop()
    text = node.config.read_text()
    there = f'registry = "{node.registry}"'
    assert there in text
    node.config.write_text(text.replace(there, f'registry = "0.0.0.0:{port}"'))
    node.start()
    return port


def test_no_neighbour_of_an_attacker_is_refused(rig: Rig, tmp_path: Path) -> None:
    script = tmp_path / "behind.py"
    script.write_text(_BEHIND)
    with Nat() as nat:
        with nat.server():
            upstream = rig.registry()
            client = upstream.client()
            push(client, "team/app", image([{"f": noise(1, 2000)}]), "1")
            for n in range(CLIENTS):
                push(client, f"team/tool-{n}", image([{"f": noise(100 + n, 2000)}]), "1")
            source = {"name": "origin", "url": upstream.url, "plain_http": True}
            upstreams = [{"name": HOST, "misses_per_minute": PER_MINUTE, "source": [source]}]
            node = rig.node({"upstream": upstreams})
            port = reachable(node)
        numbers = (CLIENTS, ATTACK_CONNECTIONS, ATTACK_REQUESTS, HITS)
        argv = nat.client_argv(
            sys.executable, str(script), SERVER_ADDRESS, port, *map(str, numbers)
        )
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        with nat.server():
            exposed = RegistryClient(node.admin).get("/metrics").body.decode()
    assert len(said["legit"]) == CLIENTS
    refused = [seen for seen in said["legit"] if set(seen) != {200}]
    assert not refused, f"{len(refused)} neighbours were refused"
    attack = said["attack"]
    assert attack["429"] == attack["said_when"] > ATTACK_REQUESTS / 2
    assert set(attack) <= {"404", "429", "said_when"}
    asked = re.findall(r'skerry_misses_total\{[^}]*outcome="asked"[^}]*\} (\d+)', exposed)
    assert sum(map(int, asked)) < PER_MINUTE / 2
    assert nat_address_is_told_nowhere(exposed)


def nat_address_is_told_nowhere(exposed: str) -> bool:
    return "10.79.0." not in exposed

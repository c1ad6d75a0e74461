"""A whole node in this process that knows people, and what an attacker makes of its tokens.

Owns the people, the images they pushed, and forged tokens. The node's clock can be moved.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from pathlib import Path

import bcrypt
import jwt

from skerry.adapters.file_keys import FileKeys
from skerry.app.drill.client import Got, RegistryClient
from skerry.app.drill.images import push
from skerry.app.drill.processes import Setting, toml_text
from skerry.app.node import Node
from skerry.app.settings.load import load
from skerry.base.clock import SystemClock
from skerry.telemetry.validation import Cause
from skerry.trust.tokens.core.ring import signing
from skerry.trust.tokens.signing import Key
from tests.rig import images

PEOPLE = {"ann": "deep-water", "bob": "shallow-water", "cat": "rip-tide"}
A, B = images.small(501), images.small(502)
CAUSES = (Cause.TOKEN_INVALID, Cause.TOKEN_EXPIRED, Cause.TOKEN_REPLAYED, Cause.SCOPE_EXCEEDED)
RULES: list[Setting] = [
    {
        "repositories": ["local/a"],
        "identities": ["ann"],
        "groups": ["crew"],
        "actions": ["pull", "push", "delete"],
    },
    {"repositories": ["local/b"], "identities": ["bob"], "actions": ["pull", "push"]},
]


class MovedClock(SystemClock):
    """The machine's clock, set as a test likes; monotonic time runs on with `pass_by`."""

    def __init__(self) -> None:
        self.offset = self.passed = 0.0

    def now(self) -> float:
        return super().now() + self.offset

    def monotonic(self) -> float:
        return super().monotonic() + self.passed

    def pass_by(self, seconds: float) -> None:
        """Time goes on."""
        self.offset += seconds
        self.passed += seconds

    def set_back(self, seconds: float) -> None:
        """The wall clock is set back."""
        self.offset -= seconds


class Crew:
    """The node. `local/a` is ann's and the crew's (cat), `local/b` is bob's."""

    def __init__(self, folder: Path, *, name: str = "rock", **access: Setting) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.name = folder, name
        self.clock = MovedClock()
        self.secrets = dict(PEOPLE)
        self.lines: dict[tuple[str, str], str] = {}
        self.access: dict[str, Setting] = {
            "rule": RULES,
            "group": [{"name": "crew", "members": ["cat"]}],
            **access,
        }
        self.doors: dict[str, Setting] = {}
        self.more: dict[str, Setting] = {}
        self.node: Node

    async def start(self) -> None:
        """The node as it is described, over what an earlier start has left."""
        users = self.folder / "users"
        self.write_users(PEOPLE)
        local = {"enabled": True, "namespaces": ["local/*"]}
        written: dict[str, Setting] = {
            "node": {"name": self.name, "data_dir": str(self.folder / "data")},
            "doors": {"registry": "127.0.0.1:0", "admin": "127.0.0.1:0", **self.doors},
            "registry": {"users_file": str(users), "local": local},
            "upstream": [],
            "access": self.access,
            **self.more,
        }
        config = self.folder / "skerry.toml"
        config.write_text(toml_text(written))
        self.node = Node(
            load(config, {}, {}), clock=self.clock, reread=lambda: load(config, {}, {})
        )
        await self.node.start()

    def write_users(self, people: Mapping[str, str]) -> None:
        """The users file; whoever has the password from before keeps the line."""
        lines = {}
        for name, word in people.items():
            line = self.lines.get((name, word)) or f"{name}:{hashed(word)}\n"
            lines[name, word] = line
        self.lines = lines
        (self.folder / "users").write_text("".join(lines.values()))

    async def reload(self) -> Got:
        """What `skerry reload` does."""
        token = (self.folder / "data" / "admin.token").read_text().strip()
        return await self.admin(
            "POST", "/api/v1/reload", ("Authorization", f"Bearer {token}"), body={}
        )

    async def stop(self) -> None:
        await self.node.stop()

    async def fill(self) -> None:
        """ann pushes A to local/a, bob pushes B to local/b."""
        for who, name, image in (("ann", "local/a", A), ("bob", "local/b", B)):
            client = RegistryClient(self.authority, user=who, password=self.secrets[who])
            await asyncio.to_thread(push, client, name, image, "1")

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.node.registry_port}"

    async def send(
        self, method: str, target: str, *fields: tuple[str, str], body: bytes = b""
    ) -> Got:
        client = RegistryClient(self.authority)
        return await asyncio.to_thread(client.send, method, target, fields=fields, body=body)

    async def ask(self, target: str, token: str = "", *, method: str = "GET") -> Got:
        """With a token, or as nobody."""
        fields = (("Authorization", f"Bearer {token}"),) if token else ()
        return await self.send(method, target, *fields)

    async def token(self, who: str, *scopes: str, **more: str) -> str:
        """The token that somebody gets for scopes. Raises KeyError when there is none."""
        got = await self.token_answer(who, *scopes, **more)
        return str(json.loads(got.body)["token"])

    async def token_answer(self, who: str, *scopes: str, **more: str) -> Got:
        query = "&".join([*(f"scope={scope}" for scope in scopes),
                          *(f"{name}={value}" for name, value in more.items())])  # fmt: skip
        fields = (basic(who, self.secrets[who]),) if who else ()
        return await self.send("GET", f"/auth/token?{query}", *fields)

    async def post(self, **form: str) -> Got:
        text = "&".join(f"{name}={value}" for name, value in form.items()).encode()
        kind = ("Content-Type", "application/x-www-form-urlencoded")
        return await self.send("POST", "/auth/token", kind, body=text)

    async def admin(
        self, method: str, path: str, *fields: tuple[str, str], body: object = None
    ) -> Got:
        """One request to the admin door."""
        client = RegistryClient(f"127.0.0.1:{self.node.admin_port}")
        data = b"" if body is None else json.dumps(body).encode()
        return await asyncio.to_thread(client.send, method, path, fields=fields, body=data)

    async def admin_token(self, who: str, role: str) -> str:
        """A token of the admin door; who is "" has the admin token."""
        fields = await self.login(who)
        got = await self.admin("POST", "/api/v1/tokens", *fields, body={"role": role})
        return str(json.loads(got.body)["token"])

    async def login(self, who: str) -> tuple[tuple[str, str], ...]:
        """The fields of a browser that has logged in: its cookie and its secret."""
        password = self.secrets[who] if who else (self.folder / "data" / "admin.token").read_text()
        body = {"name": who, "password": password.strip()}
        got = await self.admin("POST", "/api/v1/session", body=body)
        cookie = (got.headers.get("Set-Cookie") or "").partition(";")[0]
        return (("Cookie", cookie), ("X-CSRF-Token", json.loads(got.body)["csrf"]))

    def counted(self) -> dict[Cause, int]:
        """How many refusals of tokens there were, by cause; those that were none left out."""
        found = self.node.failures.statistics()
        return {cause: found[cause] for cause in CAUSES if found[cause]}

    def key(self) -> Key:
        """The node's own signing key, as a thief of its disk has it."""
        file = FileKeys(self.folder / "data").read()
        assert file is not None
        current = signing(file.ring)
        assert current is not None
        return Key.load(dict(file.private)[current.name])

    async def forged(
        self,
        who: str = "ann",
        scope: str = "repository:local/a:pull",
        *,
        key: object = None,
        algorithm: str = "",
        headers: Mapping[str, object] | None = None,
        **claims: object,
    ) -> str:
        """A good token changed and signed anew, by the node's own key unless given."""
        good = await self.token(who, scope)
        payload = {**jwt.decode(good, options={"verify_signature": False}), **claims}
        named = {**jwt.get_unverified_header(good), **(headers or {})}
        named.pop("alg")
        own = self.key()
        return jwt.encode(
            {name: value for name, value in payload.items() if value is not None},
            own._private if key is None else key,  # type: ignore[arg-type]
            algorithm=algorithm or own.algorithm,
            headers=named,
        )


def basic(name: str, password: str) -> tuple[str, str]:
    """The field of a name and a password."""
    pair = base64.b64encode(f"{name}:{password}".encode()).decode()
    return ("Authorization", f"Basic {pair}")


def hashed(password: str) -> str:
    """As a users file has it, made quickly."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def part(data: object) -> str:
    """One part of a token."""
    return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()

"""A node under a root of trust, with real doors: rotation, its end, graces, and broken glass."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from skerry.app.drill.client import RegistryClient
from skerry.app.drill.images import push
from skerry.app.drill.processes import toml_text
from skerry.app.node import Node
from skerry.app.settings.load import load
from skerry.app.trust.signing_keys import Kind, make
from skerry.base.clock import SystemClock
from skerry.cli.main import make_app
from skerry.telemetry.horizon import Expires
from skerry.telemetry.validation import Cause
from skerry.trust.core.root import RootRefused
from tests.rig import images, nodes
from tests.rig.nodes import PASSWORD, USER
from tests.rig.telling import sample_of

IMAGE, OTHER = images.multi_arch(410), images.multi_arch(411)
NAME = "local/shop/web"
DAY = 86_400.0


class Steered(SystemClock):
    """The machine's clock, some seconds ahead or behind."""

    ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead

    def monotonic(self) -> float:
        return super().monotonic() + max(0.0, self.ahead)


class Scene:
    """A node, the folder of its root, and people with keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.clock = Steered()
        for name in ("ann", "bob", "cat", "dora", "devi", "eve"):
            make(folder / f"{name}.key", Kind.ECDSA, b"")
        self.node: Node

    def run(self, *words: str) -> tuple[int, str]:
        """A command, as typed; what it ended with and said."""
        done = CliRunner().invoke(make_app(), list(words))
        return done.exit_code, done.output

    def file(self, name: str) -> str:
        return str(self.folder / name)

    def first_root(self, *, expires: str = "30d") -> None:
        draft = self.file("1.json")
        holders = [
            word
            for name in ("ann", "bob", "cat")
            for word in ("--holder", f"{name}={self.file(name)}.pub")
        ]
        assert self.run("root", "new", draft, *holders, "--expires", expires)[0] == 0
        for owner in ("dora", "devi"):
            assert self.run("keys", "add", draft, owner, self.file(f"{owner}.pub"))[0] == 0
        self.signed_and_published(draft, "ann", "bob")

    def next_root(self, *change: str, signers: tuple[str, ...] = ("bob", "cat")) -> None:
        draft = self.file("next.json")
        Path(draft).unlink(missing_ok=True)
        assert self.run("root", "next", str(self.root), draft)[0] == 0
        command, verb, *rest = change
        assert self.run(command, verb, draft, *rest)[0] == 0
        self.signed_and_published(draft, *signers)

    def signed_and_published(self, draft: str, *signers: str) -> None:
        for name in signers:
            code, said = self.run(
                "root", "sign", draft, "--key", self.file(f"{name}.key"), "--folder", str(self.root)
            )
            assert code == 0, said
        code, said = self.run("root", "publish", draft, str(self.root))
        assert code == 0, said

    async def open(self) -> None:
        base = nodes.settings("http://127.0.0.1:9")
        base["doors"] = {"registry": "127.0.0.1:0", "admin": "127.0.0.1:0"}
        base["node"] = {"name": "rock", "data_dir": self.file("data")}
        base["trust"] = {
            "root": str(self.root),
            "policy": [{"name": "prod", "repositories": ["local/*"], "threshold": 1}],
        }
        config = self.folder / "skerry.toml"
        config.write_text(toml_text(nodes.with_local(base, self.folder)))
        self.node = Node(
            load(config, {}, {}), clock=self.clock, reread=lambda: load(config, {}, {})
        )
        await self.node.start()

    async def close(self) -> None:
        await self.node.stop()

    async def command(self, *words: str) -> tuple[int, str]:
        """One that talks to the node."""
        where = (
            "--node",
            f"http://127.0.0.1:{self.node.admin_port}",
            "--data-dir",
            self.file("data"),
        )
        return await asyncio.to_thread(self.run, *words, *where)

    async def pushed(self, image: object = IMAGE, tag: str = "1") -> None:
        client = RegistryClient(
            f"127.0.0.1:{self.node.registry_port}", user=USER, password=PASSWORD
        )
        await asyncio.to_thread(push, client, NAME, image, tag)  # type: ignore[arg-type]

    async def status(self, reference: object = "1") -> int:
        client = RegistryClient(f"127.0.0.1:{self.node.registry_port}")
        return (await asyncio.to_thread(client.manifest, NAME, reference)).status

    async def statuses(self) -> set[int]:
        """Of three pulls: the later ones come from ready answers if they may."""
        return {await self.status(each) for each in ("1", IMAGE.digest) for _ in range(3)}

    async def signed(self, who: str, tag: str = "1") -> None:
        code, said = await self.command("sign", f"{NAME}:{tag}", "--key", self.file(f"{who}.key"))
        assert code == 0, said

    def sample(self, line: str) -> float | None:
        return sample_of(self.node.metrics, line)

    def standing(self) -> list[float | None]:
        """Of the root in the metrics: valid, under a grace, expired."""
        kinds = ("valid", "grace", "expired")
        return [self.sample(f'skerry_trust_root{{standing="{each}"}}') for each in kinds]

    def counted(self) -> dict[Cause, int]:
        return {c: n for c, n in self.node.failures.statistics().items() if n}


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path)
    made.first_root()
    await made.open()
    yield made
    await made.close()


async def test_a_revocation_takes_ready_answers_away_at_the_reload(scene: Scene) -> None:
    await scene.pushed()
    assert await scene.status() == 403
    await scene.signed("dora")
    assert await scene.statuses() == {200}
    scene.next_root("keys", "revoke", "dora")
    assert await scene.statuses() == {200}, "nobody has told the node yet"
    code, said = await scene.command("reload")
    assert (code, said.split("\n")[0]) == (0, "taken: root 2")
    assert await scene.statuses() == {403}
    assert "nothing has changed" in (await scene.command("reload"))[1]
    assert scene.counted()[Cause.SIGNATURE_INVALID] >= 1
    await scene.signed("devi")
    assert await scene.statuses() == {200}


async def test_a_key_that_is_rotated_counts_beside_the_new_one(scene: Scene) -> None:
    await scene.pushed()
    await scene.signed("dora")
    scene.next_root("keys", "rotate", "dora", scene.file("eve.pub"))
    assert (await scene.command("reload"))[0] == 0
    assert await scene.statuses() == {200}
    await scene.pushed(OTHER, "2")
    assert await scene.status("2") == 403
    await scene.signed("eve", "2")
    assert await scene.status("2") == 200


async def test_a_root_that_is_not_signed_enough_is_told_by_the_reload(scene: Scene) -> None:
    draft = scene.file("bad.json")
    assert scene.run("root", "next", str(scene.root), draft)[0] == 0
    scene.run("root", "sign", draft, "--key", scene.file("ann.key"))
    assert scene.run("root", "publish", draft, str(scene.root))[0] == 2
    (scene.root / "2.root.json").write_bytes(Path(draft).read_bytes())
    code, said = await scene.command("reload")
    assert code == 0
    assert "lacks signatures of 1 more holders" in said
    assert scene.counted() == {Cause.ROOT_INVALID: 1}
    code, said = await scene.command("root", "status")
    assert "root 1  valid" in said


async def test_a_restart_with_an_old_folder_goes_on_with_the_newer_root(scene: Scene) -> None:
    await scene.pushed()
    await scene.signed("dora")
    scene.next_root("keys", "revoke", "dora")
    await scene.command("reload")
    await scene.close()
    (scene.root / "2.root.json").unlink()
    await scene.open()
    assert await scene.status() == 403
    assert scene.counted()[Cause.ROOT_ROLLBACK] == 1


async def test_when_the_root_ends_what_was_admitted_stays_and_a_grace_goes_on(
    scene: Scene,
) -> None:
    await scene.pushed()
    await scene.signed("dora")
    assert await scene.statuses() == {200}
    await scene.pushed(OTHER, "2")
    assert scene.standing() == [1, 0, 0]
    scene.clock.ahead = 31 * DAY
    assert scene.standing() == [0, 0, 1]
    [end] = [each for each in scene.node.horizon.expiries() if each.kind is Expires.TRUST_ROOT]
    assert end.what == "root 1"
    assert await scene.statuses() == {200}
    await scene.signed("dora", "2")
    assert await scene.status("2") == 403
    code, said = await scene.command("root", "status")
    assert (code, "root 1  expired" in said) == (1, True)
    code, said = await scene.command("verify", f"{NAME}:2")
    assert (code, "has expired" in said) == (1, True)
    keys = ("--key", scene.file("dora.key"), "--key", scene.file("devi.key"))
    words = ("break-glass", f"{NAME}:2", "--for", "2h", "--reason", "in need")
    assert (await scene.command(*words, *keys))[0] == 2
    assert scene.sample('skerry_trust_glass_total{outcome="refused"}') == 1
    assert scene.sample('skerry_trust_glass_total{outcome="broken"}') is None
    # Time that was seen stays seen: the clock set back revives nothing.
    scene.clock.ahead = 0.0
    assert await scene.status("2") == 403
    await scene.close()
    await scene.open()
    assert await scene.status("2") == 403
    grace = scene.file("grace.json")
    code, said = scene.run(
        "root", "grace", str(scene.root), grace, "--for", "10d", "--reason", "the link is cut"
    )
    assert code == 0, said
    scene.signed_and_published(grace, "ann", "cat")
    assert (await scene.command("reload"))[0] == 0
    assert scene.standing() == [0, 1, 0]
    assert await scene.status("2") == 200
    code, said = await scene.command("verify", f"{NAME}:2")
    assert (code, "by the word of ann and cat: the link is cut" in " ".join(said.split())) == (
        0,
        True,
    )
    code, said = await scene.command("root", "status")
    assert code == 0
    assert "grace" in said
    assert "the link is cut" in said


async def test_two_owners_break_the_glass_for_their_time_and_the_audit_has_it(
    scene: Scene,
) -> None:
    await scene.pushed()
    image, statement = f"{NAME}:1", scene.file("open.json")
    dora, devi = scene.file("dora.key"), scene.file("devi.key")
    words = ("break-glass", image, "--for", "2h", "--reason", "payment is down")
    code, said = await scene.command(*words, "--key", dora)
    assert (code, "one owner is not enough" in said) == (2, True)
    code, said = await scene.command(*words, "--key", dora, "--key", dora, "--statement", statement)
    assert code == 0, said
    assert "nothing is open yet" in said
    assert await scene.statuses() == {403}
    code, said = await scene.command(
        "break-glass", image, "--statement", statement, "--key", scene.file("eve.key")
    )
    assert (code, "two owners" in said) == (2, True)
    code, said = await scene.command("break-glass", image, "--statement", statement, "--key", devi)
    assert code == 0, said
    assert await scene.statuses() == {200}
    assert scene.sample('skerry_trust_glass_total{outcome="broken"}') == 1
    code, said = await scene.command("verify", image)
    assert (code, "may leave for now" in said) == (0, True)
    scene.clock.ahead = 2 * 3600.0 + 1
    assert await scene.statuses() == {403}
    scene.clock.ahead = 0.0
    assert await scene.statuses() == {403}, "a clock that is set back opens nothing again"
    code, said = await scene.command("audit", "--json")
    assert code == 0
    told = json.loads(said)
    assert told["holds"] is True
    assert [each["deed"] for each in told["entries"]] == ["root.taken", "glass.broken"]
    assert told["entries"][1]["who"] == ["devi", "dora"]
    assert (await scene.command("audit", "--head", told["head"]))[0] == 0
    assert (await scene.command("audit", "--head", "f" * 64))[0] == 1


async def test_a_statement_for_one_node_opens_nothing_at_another(
    scene: Scene, tmp_path: Path
) -> None:
    await scene.pushed()
    statement = scene.file("open.json")
    image = f"{NAME}:1"
    code, _ = await scene.command(
        "break-glass",
        image,
        "--reason",
        "x",
        "--key",
        scene.file("dora.key"),
        "--statement",
        statement,
    )
    assert code == 0
    await scene.close()
    Path(scene.file("data"), "node.key").unlink()  # another node with the same content
    await scene.open()
    code, said = await scene.command(
        "break-glass", image, "--statement", statement, "--key", scene.file("devi.key")
    )
    assert (code, "another image, policy or node" in said) == (2, True)
    assert scene.sample('skerry_trust_glass_total{outcome="broken"}') is None
    assert await scene.status() == 403


async def test_an_empty_folder_is_no_root(tmp_path: Path) -> None:
    made = Scene(tmp_path)
    made.root.mkdir()
    with pytest.raises(RootRefused, match="no root in the folder"):
        await made.open()

"""Whatever clients, origins and operators do: no sensitive byte is in the vault, sealed or not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.cdn.core.route import Route, Site
from skerry.cdn.ports import DataClass, RoutePolicy
from skerry.cdn.vault.records import read
from skerry.cdn.vault.sealing import Unsealable
from skerry.upstream.ports import Trouble
from tests.cdn.vault.vault_world import Vaulted
from tests.cdn.world import ANY_METHOD, PUBLIC

CANARY = b"canary-7d41-of-a-patient "
SENSITIVE = RoutePolicy(data_class=DataClass.SENSITIVE)
PATHS = ("/open/a", "/open/b?x=1", "/closed/a", "/closed/open/b", "/quiet/c", "/else")
ORIGIN_FIELDS = (
    ("Cache-Control: max-age=600, public",),
    ("Cache-Control: max-age=600", "Surrogate-Key: open"),
    ("Cache-Control: private",),
    ("Cache-Control: no-store",),
    ("Cache-Control: max-age=600", "Set-Cookie: id=secret"),
    ("Cache-Control: max-age=600", "Vary: Cookie"),
)


def routes(*, closed: bool) -> tuple[Route, ...]:
    """`/closed` is sensitive, and public for a while when the operator errs."""
    policy = SENSITIVE if closed else PUBLIC
    return (
        Route("/open", "site", PUBLIC, None, ANY_METHOD),
        Route("/closed", "site", policy, None, ANY_METHOD),
        Route("/closed/open", "site", SENSITIVE, None, ANY_METHOD),
        Route("/quiet", "site", PUBLIC, None, ANY_METHOD, vaulted=False),
        Route("/", "site", RoutePolicy(), None, ANY_METHOD),
    )


def sensitive(path: str) -> bool:
    return not path.startswith("/open")


async def everything_in(node: Vaulted) -> bytes:
    """All that the key opens in the vault, and all that lies there as it is."""
    seen = "".join(node.memory.objects).encode() + b"".join(node.memory.objects.values())
    for name in list(node.memory.objects):
        if "." in name:
            continue
        try:
            header = await node.rooms.bodies.header(name)
        except Unsealable:
            continue
        if name.startswith("r/"):
            assert read(header.meta).data_class is DataClass.PUBLIC
        seen += header.meta + b"".join([c async for c in node.rooms.bodies.read(header)])
    return seen


Action = Callable[[Vaulted], Coroutine[None, None, None]]


@st.composite
def actions(draw: st.DrawFn) -> tuple[str, object]:
    kind = draw(st.sampled_from(("get", "get", "get", "step", "down", "crash", "evict", "clock")))
    if kind == "get":
        path, fields = draw(st.sampled_from(PATHS)), draw(st.sampled_from(ORIGIN_FIELDS))
        asked = draw(st.sampled_from(((), ("Authorization: Bearer x",), ("Cookie: id=1",))))
        return kind, (path, fields, asked)
    return kind, draw(st.booleans())


async def act(node: Vaulted, kind: str, what: object) -> None:
    match kind, what:
        case "get", (str(path), tuple(fields), tuple(asked)):
            body = CANARY * 20 if sensitive(path) else b"open to all " * 20
            node.world.page(path, body, *fields)
            await node.world.get(path, *asked)
            await node.world.settle()
        case "step", _:
            await node.rooms.writeback.step()
        case "down", bool(down):
            node.memory.down = down
            node.world.origin.down = Trouble.REFUSED if not down else None
        case "crash", _:
            node.start()
        case "evict", _:
            for entry in list(node.world.variants.all())[:1]:
                await node.world.variants.remove([entry])
        case "clock", _:
            node.world.clock.advance(1000.0)


@settings(max_examples=60)
@given(st.lists(actions(), min_size=3, max_size=25))
def test_random_flows_never_put_a_sensitive_byte_into_the_vault(
    flow: list[tuple[str, object]],
) -> None:
    async def run() -> None:
        node = Vaulted(*routes(closed=True))
        for kind, what in flow:
            await act(node, kind, what)
        node.memory.down = False
        node.world.clock.advance(5000.0)
        await node.rooms.writeback.step()
        seen = await everything_in(node)
        for secret in (CANARY, b"/closed", b"/quiet", b"/else", b"id=secret"):
            assert secret not in seen
        await node.close()

    asyncio.run(run())


async def test_what_becomes_sensitive_while_it_waits_is_not_sent() -> None:
    node = Vaulted(*routes(closed=False))
    node.memory.down = True
    await node.fill("/closed/a", CANARY * 20)
    assert node.rooms.copies.statistics().waiting_count == 1
    node.world.rooms.front.use([Site("site", ("www.example.org",), routes(closed=True))])
    node.memory.down = False
    await node.wait_for(lambda: node.rooms.copies.statistics().waiting_count == 0)
    assert not node.memory.put_names
    await node.close()


async def test_what_becomes_sensitive_in_mid_upload_stops_at_the_next_part() -> None:
    node = Vaulted(*routes(closed=False), part_chunks=1)
    node.memory.cut_after = 2
    await node.fill("/closed/a", CANARY * 60_000)
    assert len(node.memory.objects) == 2
    node.world.rooms.front.use([Site("site", ("www.example.org",), routes(closed=True))])
    node.memory.cut_after, node.memory.down = None, False
    await node.wait_for(lambda: node.rooms.copies.statistics().waiting_count == 0)
    await node.wait_for(lambda: not node.memory.objects)
    assert len(node.memory.put_names) == 2
    await node.close()


async def test_the_wall_clock_stepped_back_holds_up_nothing_and_revives_nothing() -> None:
    node = Vaulted(*routes(closed=True))
    body = b"open to all " * 20
    await node.fill("/open/a", body, "Cache-Control: max-age=60")
    node.world.clock.step(-86400.0 * 30)
    await node.fill("/open/b", body + b"b", "Cache-Control: max-age=60")
    assert node.rooms.copies.statistics().there_count == 2
    await node.evict("/open/a", body)
    asked = node.world.origin.count()
    assert (await node.world.get("/open/a"))[1] == body
    assert node.world.origin.count() == asked + 1  # as it may be of any age: validated
    await node.close()

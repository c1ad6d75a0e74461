"""Who may push."""

from __future__ import annotations

import base64

import bcrypt
import pytest
from argon2 import PasswordHasher

from skerry.base.errors import BadInput
from skerry.registry.core.users import PROVEN_MAX, Users, parse_basic, parse_htpasswd

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()


def users(text: str = f"ann:{HASH}\n") -> Users:
    return Users(parse_htpasswd(text), key=b"k" * 32)


def test_the_right_password_is_proven_once_and_then_known() -> None:
    people = users()
    assert not people.proven("ann", "secret")
    assert people.check("ann", "secret")
    assert people.proven("ann", "secret")
    assert not people.proven("ann", "Secret")


def test_an_argon2id_line_is_read_beside_bcrypt_and_unknown_names_take_as_long() -> None:
    hashed = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("deep")
    people = users(f"ann:{HASH}\nbob:{hashed}\n")
    assert people.check("bob", "deep")
    assert people.check("ann", "secret")
    for name, password in (("bob", "secret"), ("ann", "deep"), ("cat", "deep"), ("bob", "")):
        assert not people.check(name, password)
    assert people._nobody == hashed.encode()
    assert people.knows("bob")
    assert not people.knows("cat")


def test_a_broken_argon2id_line_lets_nobody_in() -> None:
    people = users("bob:$argon2id$v=19$m=64,t=1,p=1$AAAA\n")
    assert not people.check("bob", "")


@pytest.mark.parametrize("name", ["robot+ci", "@crew"])
def test_no_person_is_called_like_a_robot_or_a_group(name: str) -> None:
    with pytest.raises(BadInput, match="line 1"):
        parse_htpasswd(f"{name}:{HASH}\n")


def test_a_wrong_name_or_password_is_refused_and_never_remembered() -> None:
    people = users()
    # "nobody" is the password that unknown names are compared with, so that they take as long.
    wrong = (("ann", "x"), ("bob", "secret"), ("bob", "nobody"), ("", ""), ("ann", "secret\0"))
    for name, password in wrong:
        assert not people.check(name, password)
        assert not people.proven(name, password)
    assert people.statistics().refused_count == 5


def test_the_form_that_apache_writes_is_read() -> None:
    assert users(f"# people\n\nann:{HASH.replace('$2b$', '$2y$')}\n").check("ann", "secret")


def test_name_and_password_cannot_be_shifted_into_each_other() -> None:
    people = users()
    assert people.check("ann", "secret")
    assert not people.proven("anns", "ecret")


def test_what_is_remembered_is_bounded() -> None:
    cheap = bcrypt.hashpw(b"p", bcrypt.gensalt(4))
    people = Users({f"u{n}": cheap for n in range(PROVEN_MAX + 1)}, key=b"k")
    for number in range(PROVEN_MAX + 1):
        assert people.check(f"u{number}", "p")
    assert people.statistics().proven_count == PROVEN_MAX
    assert not people.proven("u0", "p")


@pytest.mark.parametrize("line", ["ann", "ann:secret", ":x", "ann:$apr1$x", "ann:{SHA}x"])
def test_a_line_that_is_no_bcrypt_is_named_by_number_without_its_content(line: str) -> None:
    with pytest.raises(BadInput, match="line 2") as caught:
        parse_htpasswd(f"bob:{HASH}\n{line}")
    assert "secret" not in str(caught.value)


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (basic("ann:se:cret"), ("ann", "se:cret")),
        (basic("ann:").replace("Basic", "bAsIc"), ("ann", "")),
        (basic("ann"), None),
        ("Basic !!!", None),
        ("Basic /////w==", None),
        ("Bearer x", None),
        ("Basic " + "A" * 9000, None),
        ("", None),
        (None, None),
    ],
)
def test_a_basic_header_is_read(header: str | None, wanted: tuple[str, str] | None) -> None:
    assert parse_basic(header) == wanted

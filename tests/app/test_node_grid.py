"""The grid of nodes says each node's state and leads to its page, whatever a node is called."""

from __future__ import annotations

from html.parser import HTMLParser

from app.web.grid import grid

WORDS = {"ready": "ready", "dead": "ausgefallen"}


class Squares(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag == "a"
        self.found.append(dict(attrs))


def node(name: str, state: str = "ready", in_sync: bool = True) -> dict[str, object]:
    return {"name": name, "state": state, "in_sync": in_sync}


def test_each_node_is_a_link_that_says_its_state() -> None:
    found = Squares(
        str(grid([node("a"), node("b", "dead"), node("c", in_sync=False)], "/x/nodes", WORDS))
    ).found
    assert [(s["class"], s["href"], s["aria-label"]) for s in found] == [
        ("ready", "/x/nodes/a", "a: ready"),
        ("dead", "/x/nodes/b", "b: ausgefallen"),
        ("lagging", "/x/nodes/c", "c: ready"),
    ]
    assert all(s["title"] == s["aria-label"] for s in found)


def test_a_name_cannot_leave_its_attribute_or_its_folder() -> None:
    for name in ('"><script>alert(1)</script>', "a/../../settings", "2001:db8::1", "a&b", "{0}"):
        (square,) = Squares(str(grid([node(name)], "/nodes", WORDS))).found
        assert square["title"] == f"{name}: ready"
        assert square["href"].count("/") == 2
        assert set(square) == {"class", "href", "title", "aria-label"}

"""Block Kit's limits as the look-alike holds them."""

from typing import Any

import pytest

from alertbot.demo.slack.limits import Surface, check_blocks, check_message, check_view
from alertbot.demo.slack.records import JsonObject
from tests.demo.slack_apps import modal, plain, section


def text(length: int) -> JsonObject:
    return {"type": "mrkdwn", "text": "x" * length}


def button(**more: Any) -> JsonObject:
    return {"type": "button", "action_id": "a", "text": plain("x"), **more}


def option(value: str = "v", label: str = "x") -> JsonObject:
    return {"text": plain(label), "value": value}


def actions(*elements: JsonObject) -> JsonObject:
    return {"type": "actions", "elements": list(elements)}


def rich(*elements: JsonObject) -> JsonObject:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": list(elements)}]}


def table(rows: int, columns: int, cell: str = "x") -> JsonObject:
    return {"type": "table", "rows": [[{"type": "raw_text", "text": cell}] * columns] * rows}


GOOD = {
    "150 emoji in a header": {"type": "header", "text": plain("🔥" * 150)},
    "ten fields of 2000": {"type": "section", "fields": [text(2000)] * 10},
    "a table of 100 x 20": table(100, 20),
    "25 buttons": actions(*(button(action_id=str(number)) for number in range(25))),
    "rich text": rich({"type": "text", "text": "<!channel> *x*"}, {"type": "broadcast", "range": "here"}),
    "overflow": {"type": "section", "text": text(1), "accessory": {"type": "overflow", "options": [option()] * 5}},
    "an image by address": {"type": "image", "image_url": "https://acme.example/x.png", "alt_text": "x"},
    "a plain context": {"type": "context", "elements": [text(1), plain("x")]},
}
BAD = {
    "151 characters in a header": ({"type": "header", "text": plain("x" * 151)}, "/text/text"),
    "markup in a header": ({"type": "header", "text": text(1)}, "/text"),
    "an empty section": ({"type": "section"}, ""),
    "a section of 3001": (section("x" * 3001), "/text/text"),
    "an empty text": (section(""), "/text/text"),
    "eleven fields": ({"type": "section", "fields": [text(1)] * 11}, "/fields"),
    "a field of 2001": ({"type": "section", "fields": [text(2001)]}, "/fields/0/text"),
    "a button of 76": (actions(button(text=plain("x" * 76))), "/elements/0/text/text"),
    "a value of 2001": (actions(button(value="x" * 2001)), "/elements/0/value"),
    "a third style": (actions(button(style="warning")), "/elements/0/style"),
    "an unknown field": (actions(button(colour="red")), "/elements/0"),
    "26 buttons": (actions(*(button(action_id=str(number)) for number in range(26))), "/elements"),
    "no buttons": (actions(), "/elements"),
    "an action id twice": (actions(button(), button()), "/elements/1/action_id"),
    "an option's value of 151": (
        actions({"type": "static_select", "options": [option("x" * 151)]}),
        "/elements/0/options/0/value",
    ),
    "an option of 76": (
        actions({"type": "static_select", "options": [option(label="x" * 76)]}),
        "/elements/0/options/0/text/text",
    ),
    "101 options": (actions({"type": "static_select", "options": [option()] * 101}), "/elements/0/options"),
    "six overflow options": (actions({"type": "overflow", "options": [option()] * 6}), "/elements/0/options"),
    "eleven in a context": ({"type": "context", "elements": [text(1)] * 11}, "/elements"),
    "an image without words": ({"type": "image", "image_url": "https://acme.example/x.png"}, ""),
    "an image with two sources": (
        {"type": "image", "image_url": "https://x", "slack_file": {"id": "F1"}, "alt_text": "x"},
        "",
    ),
    "a confirm title of 101": (
        actions(
            button(confirm={"title": plain("x" * 101), "text": text(1), "confirm": plain("x"), "deny": plain("x")})
        ),
        "/elements/0/confirm/title/text",
    ),
    "a table of 101 rows": (table(101, 1), "/rows"),
    "a table of 21 columns": (table(1, 21), "/rows/0"),
    "an empty cell": (table(1, 1, ""), "/rows/0/0/text"),
    "an empty rich text": (rich({"type": "text", "text": ""}), "/elements/0/elements/0/text"),
    "an unknown block": ({"type": "sections"}, "/type"),
    "a modal's block in a message": ({"type": "alert", "text": text(1)}, "/type"),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_at_the_limit_passes(name):
    assert check_blocks([GOOD[name]], Surface.MESSAGE) == []


@pytest.mark.parametrize("name", BAD)
def test_what_is_past_the_limit_is_refused_at_its_place(name):
    block, place = BAD[name]
    assert [problem.pointer for problem in check_blocks([block], Surface.MESSAGE)] == [f"/blocks/0{place}"]


@pytest.mark.parametrize(
    ("blocks", "attachments", "error"),
    [
        pytest.param([section("x")] * 50, [], None, id="50 blocks"),
        pytest.param([section("x" * 2500)] * 5, [], None, id="12,500 characters"),
        pytest.param(
            [section("x" * 2500)] * 5, [{"blocks": [section("x" * 1000)]}], "msg_blocks_too_long", id="13,500"
        ),
        pytest.param([{**section("x"), "block_id": "a"}] * 2, [], "invalid_blocks", id="a block id twice"),
        pytest.param([table(1, 1)], [{"blocks": [table(1, 1)]}], "invalid_attachments", id="two tables"),
        pytest.param([table(6, 20, "x" * 100)], [], "invalid_blocks", id="12,000 characters in cells"),
        pytest.param([{"type": "markdown", "text": "x" * 6001}] * 2, [], "invalid_blocks", id="12,002 of markdown"),
        pytest.param([], [{"blocks": [section("x")] * 21}], "invalid_attachments", id="21 blocks in an attachment"),
        pytest.param([{"type": "data_visualization"}] * 3, [], "invalid_blocks", id="three charts"),
    ],
)
def test_a_message_is_judged_as_a_whole(blocks, attachments, error):
    refusal = check_message(blocks, attachments)
    assert (refusal and refusal.error) == error


@pytest.mark.parametrize(
    ("view", "pointers"),
    [
        pytest.param(modal(), [], id="a good modal"),
        pytest.param(modal("x" * 25), ["/view/title/text"], id="a title of 25"),
        pytest.param({**modal(), "private_metadata": "x" * 3001}, ["/view/private_metadata"], id="private metadata"),
        pytest.param({k: v for k, v in modal().items() if k != "submit"}, ["/view"], id="inputs without submit"),
        pytest.param({**modal(), "blocks": [table(1, 1)]}, ["/view/blocks/0/type"], id="a table in a modal"),
        pytest.param({"type": "home", "blocks": [section("x")] * 100}, [], id="a Home of 100 blocks"),
        pytest.param({"type": "home", "blocks": [section("x")] * 101}, ["/view/blocks"] * 2, id="a Home of 101"),
        pytest.param({"type": "home", "title": plain("x"), "blocks": []}, ["/view"], id="a Home with a title"),
    ],
)
def test_views_are_held_to_their_limits(view, pointers):
    assert [problem.pointer for problem in check_view(view)] == pointers

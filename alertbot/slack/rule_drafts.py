"""The fields of the form of a rule → the rule's keys, and back. Pure."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from alertbot.domain.rules import Comparison
from alertbot.domain.stored_rules import StoredRule
from alertbot.errors import Mistake, UsageError
from alertbot.slack.typed_text import split, typed_text
from alertbot.slack.views.rule_form import ANY, FIELDS, MORE_LIMIT, Field, RuleDraft, fields_of, switches_of

Keys = dict[str, Any]
# How the fields of the levels begin, and below which key they stand; of what is compared that depends on the
# comparison.
_LEVELS = {"spike": ("times_", "factor"), "burn": ("times_", "factor"), "budget": ("percent_", "at")}
_KEYS = {"lasts": "period"}  # fields that are called otherwise than their key
# Where a mistake stands that is one between fields.
_BETWEEN = {"spike": "baseline", "absence": "window", "budget": "percent_warning", "burn": "times_warning"}


class MistakesInRule(Exception):
    """What is wrong with a rule that was filled in, by the fields of the form."""

    def __init__(self, by_field: Mapping[str, str]) -> None:
        super().__init__("; ".join(by_field.values()))
        self.by_field = dict(by_field)


def new_draft(kind: str, *, timezone: str) -> RuleDraft:
    """A new form: every field has its default."""
    return RuleDraft(kind, {**_initial(kind), "timezone": timezone, "enabled": "true"})


def draft_in(body: Mapping[str, Any], *, about: str, version: int, timezone: str) -> RuleDraft:
    """What somebody has filled in. Fields that were not there before begin as in a new form."""
    blocks: Mapping[str, Mapping[str, Any]] = body["view"]["state"]["values"]
    held: dict[str, Mapping[str, Any]] = {name: next(iter(block.values()), {}) for name, block in blocks.items()}
    kind = _option(held.get("type", {})) or "threshold"
    fields = {**_initial(kind), "timezone": timezone}
    for name, state in held.items():
        if name == "switches":
            on = {option["value"] for option in state.get("selected_options") or ()}
            fields |= {switch: "true" if switch in on else "false" for switch, _ in switches_of(kind)}
        else:
            fields[name] = (
                _option(state) if "selected_option" in state else typed_text(str(state.get("value") or "")).strip()
            )
    menus = {field.name: {value for value, _ in field.choices} for field in fields_of(kind) if field.choices}
    for name, offered in menus.items():
        if fields[name] not in offered:  # chosen from the menu of another type
            fields[name] = _initial(kind)[name]
    return RuleDraft(kind, fields, about, version)


def _option(state: Mapping[str, Any]) -> str:
    return str((state.get("selected_option") or {}).get("value") or "")


def _initial(kind: str) -> dict[str, str]:
    return {field.name: field.initially for field in fields_of(kind)}


# --- fields → keys


def keys_of(draft: RuleDraft, more: Mapping[str, Any]) -> Keys:
    """The keys that a draft means; `more` are those typed as YAML. Raises MistakesInRule."""
    keys: Keys = {"name": draft.about or draft.fields.get("name", ""), "type": draft.type}
    for field in fields_of(draft.type):
        text = draft.fields.get(field.name, "")
        if text and text != ANY and field.name not in {"where", "more", "comparison"} and not _is_level(field):
            keys[_KEYS.get(field.name, field.name)] = text
    if draft.type == "burn":
        keys["windows"] = [word for word in re.split(r"[,\s]+", draft.fields.get("windows", "")) if word]
    if draft.type == "absence" and "metric" not in keys and "window" in keys:
        keys["for"] = keys.pop("window")
    where = _where(draft.fields.get("where", ""))
    if where:
        keys["where"] = where
    keys |= _levels(draft, more)
    for switch, _ in switches_of(draft.type):
        if (draft.fields.get(switch, "true") == "true") is not (switch == "enabled"):
            keys[switch] = "true" if switch != "enabled" else "false"
    twice = [name for name in more if name in keys]
    if twice:
        raise MistakesInRule({"more": f"{' and '.join(twice)} is already set above; leave it out here"})
    return keys | dict(more)


def _is_level(field: Field) -> bool:
    return field.name.endswith(("warning", "critical"))


def _levels(draft: RuleDraft, more: Mapping[str, Any]) -> Keys:
    if draft.type == "absence":
        return {}
    prefix, key = _LEVELS.get(draft.type, ("", draft.fields.get("comparison", "")))
    levels = {name: text for name in ("warning", "critical") if (text := draft.fields.get(f"{prefix}{name}", ""))}
    elsewhere = any(name in more for name in ({key} if prefix else set(Comparison)))
    # Without any, what reads the keys says what is missing; of a budget nothing is: it has usual levels.
    return {} if not levels and (elsewhere or key == "at") else {key: levels}


def _where(text: str) -> dict[str, str | list[str]]:
    """Which ones are meant: `support-* provider=OPENAI`. A word alone is a configuration."""
    patterns_by_name: dict[str, list[str]] = {}
    for word in split(text):
        name, is_named, pattern = word.partition("=")
        patterns_by_name.setdefault(name if is_named else "ai_llm", []).append(pattern if is_named else word)
    return {name: patterns[0] if len(patterns) == 1 else patterns for name, patterns in patterns_by_name.items()}


# --- keys → fields


def draft_of(stored: StoredRule) -> RuleDraft:
    """The form of a stored rule. Keys without a field stand among the other keys. Raises UsageError if they are too long."""
    rest = {name: value for name, value in stored.keys.items() if name not in {"name", "type"}}
    kind = str(stored.keys.get("type") or "threshold")
    if kind not in FIELDS:  # of a later version of the bot
        raise UsageError(f"{stored.name} has the type {kind}, which this version does not know")
    fields = {field.name: ANY if field.choices and field.choices[0][0] == ANY else "" for field in fields_of(kind)}
    if kind == "absence" and "metric" not in rest and "for" in rest:
        rest["window"] = rest.pop("for")
    if rest.get("per") == "ai_llm":
        del rest["per"]
    for field in fields_of(kind):
        text = _shown(field, rest.get(_KEYS.get(field.name, field.name)))
        if text and not _is_level(field):
            fields[field.name] = text
            del rest[_KEYS.get(field.name, field.name)]
    fields |= dict(_taken_levels(kind, rest))
    for switch, _ in switches_of(kind):
        fields[switch] = str(rest.pop(switch, "true" if switch == "enabled" else "false")).lower()
    more = yaml.safe_dump(rest, allow_unicode=True, sort_keys=False) if rest else ""
    if len(more) > MORE_LIMIT:
        raise UsageError(f"{stored.name} is too long for a form")
    usual = {field.name: field.initially for field in FIELDS[kind] if field.choices and not fields[field.name]}
    return RuleDraft(kind, {**fields, **usual, "more": more}, stored.name, stored.version)


def _shown(field: Field, value: Any) -> str:
    """What a field shows of a key; empty where it cannot be shown there."""
    text = ""
    if field.name == "where" and isinstance(value, Mapping):
        text = " ".join(_words_of(value))
        text = text if _where(text) == dict(value) else ""
    elif field.name == "windows" and isinstance(value, list):
        text = ", ".join(str(each) for each in value)
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, str | int | float):
        text = str(value)
    offered = [choice for choice, _ in field.choices]
    if len(text) > field.limit or text != text.strip() or (offered and text not in offered):
        return ""
    return text


def _words_of(where: Mapping[str, Any]) -> Iterator[str]:
    for name, patterns in where.items():
        for pattern in patterns if isinstance(patterns, list) else [patterns]:
            word = str(pattern) if name == "ai_llm" and "=" not in str(pattern) else f"{name}={pattern}"
            yield shlex.quote(word) if re.search(r"[\s\"'\\]", word) else word


def _taken_levels(kind: str, rest: Keys) -> Iterator[tuple[str, str]]:
    """The fields of the levels; what they take is no longer in `rest`."""
    prefix, key = _LEVELS.get(kind, ("", ""))
    used = [key] if key else [name.value for name in Comparison if name.value in rest]
    for name in used[:1] if kind != "absence" else ():
        levels = rest.get(name)
        if not isinstance(levels, Mapping) or not set(levels) <= {"warning", "critical"}:
            continue
        if all(isinstance(text, str | int | float) for text in levels.values()):
            yield from ((f"{prefix}{level}", str(text)) for level, text in levels.items())
            del rest[name]
            if not key:
                yield "comparison", name


# --- what is wrong, by field


def by_field(draft: RuleDraft, mistakes: Sequence[Mistake]) -> dict[str, str]:
    """The sentences of `alertbot check`, each for the field that it belongs to."""
    sentences_by_field: dict[str, list[str]] = {}
    for mistake in mistakes:
        place, sentence = mistake
        known = _field_of(draft, place)
        if known.endswith("warning") and place in {*Comparison, "factor", "at"} and not draft.fields.get(known):
            sentence = "expected a number for warning, for critical, or for both, got neither"
        sentences_by_field.setdefault(known or "more", []).append(sentence if known else str(mistake))
    return {name: "; ".join(sentences) for name, sentences in sentences_by_field.items()}


def _field_of(draft: RuleDraft, place: str) -> str:
    """The field in which a key stands; empty where there is none."""
    key, _, inner = re.sub(r"\[.*", "", place).partition(".")
    prefix, container = _LEVELS.get(draft.type, ("", draft.fields.get("comparison", "")))
    shown = {field.name for field in fields_of(draft.type)} - {"more"} | {"name", "type"}
    if not place:
        return _BETWEEN.get(draft.type, "warning")
    if key == container and f"{prefix}warning" in shown and inner in {"", "warning", "critical"}:
        return f"{prefix}{inner or 'warning'}"
    if draft.type == "absence" and key == "for":
        return "window"
    if draft.type == "burn" and key == "period":
        return "lasts"
    return key if key in shown and not _is_level_name(key) else ""


def _is_level_name(key: str) -> bool:
    return key in {"comparison", "warning", "critical"}

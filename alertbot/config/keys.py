"""What every part of the configuration has in common: its keys, and how mistakes in them are told, all at once."""

from collections.abc import Iterator, Mapping
from typing import Any, Self, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails

from alertbot.config.mistakes import Location, mistakes_at, nearest, quoted
from alertbot.config.raw_values import InvalidValue
from alertbot.config.values import ValueType


class Section(BaseModel):
    """Some keys that belong together. Unknown ones are mistakes; one mistake hides no other."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def keys(cls) -> dict[str, FieldInfo]:
        """The fields by the name that they have in the file."""
        return {field.alias or name: field for name, field in cls.model_fields.items()}

    @classmethod
    def secret_keys(cls) -> dict[str, ValueType]:
        """The keys that may be given as `KEY_file`, too, with their kind of value."""
        return {
            name: kind
            for name, field in cls.keys().items()
            for kind in field.metadata
            if isinstance(kind, ValueType) and kind.secret
        }

    @classmethod
    def mistakes_between(cls, keys: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
        """What is wrong between keys, whether or not each of them can be read; the values are as they were written."""
        del keys
        yield from ()

    @classmethod
    def report_unknown(cls, key: str) -> str:
        """The sentence about a key that does not exist."""
        known = [*cls.keys(), *(f"{name}_file" for name in cls.secret_keys())]
        meant = nearest(key, known)
        if meant:
            return f'expected a known key, got "{key}"; did you mean "{meant}"?'
        return f'expected one of {", ".join(cls.keys())}, got "{key}"'

    @model_validator(mode="wrap")
    @classmethod
    def _tell_all(cls, value: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        keys = {} if value is None else value
        if isinstance(keys, Mapping):  # a section or a list whose whole content is commented out is not there
            fields = cls.keys()
            keys = {
                name: inner
                for name, inner in keys.items()
                if inner is not None or name not in fields or not is_list(fields[name])
            }
        found = list(cls.mistakes_between(keys)) if isinstance(keys, Mapping) else []
        try:
            section = read(keys)
        except ValidationError as error:
            lines = ((line["loc"], cls._sentence(line)) for line in error.errors(include_url=False))
            found += [(location, sentence) for location, sentence in lines if sentence]
            raise mistakes_at(found) from error
        if found:
            raise mistakes_at(found)
        return section

    @classmethod
    def _sentence(cls, line: ErrorDetails) -> str:
        """Our words for one of pydantic's errors; empty for one that only follows from another."""
        value = line["input"]
        key = str(line["loc"][-1]) if line["loc"] else ""
        if line["type"] == "mistake":
            return line["msg"]
        if line["type"] == "extra_forbidden":
            return cls.report_unknown(key)
        if isinstance(value, InvalidValue):
            return value.sentence
        if line["type"] == "missing":
            return f"expected {_expectation(cls.keys()[key])}, got nothing"
        sentences = {
            "default_factory_not_called": "",
            "tuple_type": f"expected a list, got {quoted(value)}",
            # Of the elements only those count that could be read; the others are told themselves.
            "too_short": "" if value else "expected a list of at least one, got an empty one",
        }
        return sentences.get(line["type"], f"expected keys with values, got {quoted(value)}")

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name in cls.secret_keys():
            properties[f"{name}_file"] = {"type": "string", "description": f"A file that holds {name}, in place of it."}
        return schema


def _expectation(field: FieldInfo) -> str:
    kinds = (str(kind.expected) for kind in field.metadata if hasattr(kind, "expected"))
    return next(kinds, "a list" if is_list(field) else "keys with values")


def is_list(field: FieldInfo) -> bool:
    """Whether a list is written there."""
    return _holds_tuple(field.annotation) and not any(hasattr(kind, "expected") for kind in field.metadata)


def _holds_tuple(annotation: Any) -> bool:
    """Also as one of the choices of a union, and behind Annotated."""
    if get_origin(annotation) is tuple:
        return True
    return get_origin(annotation) is not dict and any(_holds_tuple(inner) for inner in get_args(annotation))


def sections_in(annotation: Any) -> tuple[type[Section], ...]:
    """The sections that a field of this type holds, directly or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return (annotation,)
    return tuple(section for inner in get_args(annotation) for section in sections_in(inner))


def given(value: object) -> bool:
    """Whether something stands there: not nothing, and not an empty text as `${NAME:-}` leaves it."""
    if isinstance(value, SecretStr):
        return bool(value.get_secret_value())
    return isinstance(value, InvalidValue) or (value is not None and value != "")


def repeated(listed: object, key: str, *, place: str) -> Iterator[tuple[Location, str]]:
    """The values of `key` that an earlier one in the list, which stands at `place`, has already."""
    first: dict[str, int] = {}
    for index, keys in enumerate(listed if isinstance(listed, list) else []):
        name = keys.get(key) if isinstance(keys, Mapping) else None
        if not isinstance(name, str) or not given(name) or isinstance(name, InvalidValue):
            continue
        if name in first:
            yield (
                (index, key),
                f"expected a {key} that is used once, got {quoted(name)}, which {place}[{first[name]}] has",
            )
        first.setdefault(str(name), index)

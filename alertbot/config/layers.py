"""Where the configuration comes from: the environment's overrides, the file, the customary variables; and its secrets' files.

Each layer is a source of pydantic-settings, which lays one over the other.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from alertbot.config.keys import Section, given, is_list, sections_in
from alertbot.config.mistakes import Location, place_of, quoted
from alertbot.config.raw_values import InvalidValue, RawScalar, fill_variables, read_yaml
from alertbot.config.sections import ConfigFile
from alertbot.config.values import NOT_NEEDED, without_line_ends
from alertbot.errors import ConfigError, Mistake

PREFIX = "ALERTBOT_"
_NOT_A_KEY = frozenset({"ALERTBOT_CONFIG"})  # names the file itself
SECRETS_FOLDER = Path("/run/secrets")
_CUSTOMARY = {
    "SLACK_BOT_TOKEN": "bot_token",
    "SLACK_APP_TOKEN": "app_token",
    "SLACK_SIGNING_SECRET": "signing_secret",
}
_CUSTOMARY_SOURCE = {
    "FLASHBACK_TOKEN": "access_token",
    "FLASHBACK_REFRESH_TOKEN": "refresh_token",
    "FLASHBACK_URL": "base_url",
}
DEFAULT_SOURCE = "flashback"
_FILE = FieldInfo(annotation=str)  # a KEY_file


class Need(StrEnum):
    """What a command is going to use; the secrets of everything else may be missing."""

    DATABASE = "database"
    SOURCES = "sources"
    SLACK = "slack"


EVERYTHING = frozenset(Need)
NOTHING: frozenset[Need] = frozenset()
# The heartbeat is pinged after a cycle, which only a command that reads sources has.
_NEED_OF = {"database": Need.DATABASE, "sources": Need.SOURCES, "slack": Need.SLACK, "heartbeat": Need.SOURCES}


@dataclass(frozen=True, slots=True)
class Layer:
    """Keys from one origin. `origins` has the name to tell in place of a key's own, for keys that come from elsewhere."""

    keys: Mapping[str, Any]
    origins: Mapping[Location, str] = field(default_factory=dict)

    def place(self, location: Location) -> str | None:
        """How a person finds what stands at `location`; None where this layer has nothing there."""
        value: Any = self.keys
        for step in location:
            if not isinstance(value, Mapping):
                break  # layers are merged by key: what is no mapping hides everything that lies below other layers
            if step not in value:
                return None
            value = value[step]
        for length in range(len(location), 0, -1):
            if location[:length] in self.origins:
                return place_of(self.origins[location[:length]], location[length:])
        return place_of("", location)


class LayerSource(PydanticBaseSettingsSource):
    """Hands a layer to pydantic-settings."""

    def __init__(self, layer: Layer) -> None:
        super().__init__(ConfigFile)
        self._layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        del field
        return self._layer.keys.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return dict(self._layer.keys)


def file_layer(path: Path, environ: Mapping[str, str]) -> Layer:
    """The keys of a file, its variables filled in.

    Raises ConfigError where the file cannot be read as YAML.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigError(Mistake(str(path), "expected a config file, got nothing there")) from error
    except OSError as error:
        raise ConfigError(
            Mistake(str(path), f"expected a config file that can be read, got {_os_fault(error)}")
        ) from error
    tree = fill_variables(read_yaml(content, origin=str(path)), environ)
    if tree is None:
        return Layer({})
    if not isinstance(tree, dict):
        got = tree.sentence if isinstance(tree, InvalidValue) else f"expected keys with values, got {quoted(tree)}"
        raise ConfigError(Mistake(str(path), got))
    return Layer(tree)


def wellknown_env_layer(environ: Mapping[str, str]) -> Layer:
    """Variables that work with no key at all: Slack's, and Flashback's for one source."""
    keys: dict[str, Any] = {}
    origins: dict[Location, str] = {}
    for name, key in _CUSTOMARY.items():
        if environ.get(name):
            keys.setdefault("slack", {})[key] = RawScalar(environ[name])
            origins["slack", key] = name
    source = {key: (name, RawScalar(environ[name])) for name, key in _CUSTOMARY_SOURCE.items() if environ.get(name)}
    if "access_token" in source:
        keys["sources"] = [{"name": RawScalar(DEFAULT_SOURCE), **{key: value for key, (_, value) in source.items()}}]
        origins |= {("sources", 0, key): name for key, (name, _) in source.items()}
    return Layer(keys, origins)


@dataclass(frozen=True, slots=True)
class Overrides:
    """Keys from the environment. `ignored` are variables of our prefix that mean no key."""

    layer: Layer
    mistakes: tuple[Mistake, ...] = ()
    ignored: tuple[str, ...] = ()


def override_layer(environ: Mapping[str, str]) -> Overrides:
    """`ALERTBOT_` and a key's path. Values are taken as they stand, `${` and all.

    A name that means no key is a mistake only where somebody tried to write a path: it has `__`, or it is close to a key.
    Others are not ours: Kubernetes gives each container `ALERTBOT_PORT`, `ALERTBOT_SERVICE_HOST` and more for a Service
    that is called alertbot.
    """
    keys: dict[str, Any] = {}
    origins: dict[Location, str] = {}
    mistakes: list[Mistake] = []
    ignored: list[str] = []
    known = dict(_override_names(ConfigFile, ()))
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in _NOT_A_KEY:
            continue
        if name.upper() not in known:
            mistake = _unknown_override(name, known)
            (mistakes.append(mistake) if mistake else ignored.append(name))
            continue
        path, key = known[name.upper()]
        try:
            value = _override_value(environ[name], key, name)
        except ConfigError as error:
            mistakes += error.mistakes
            continue
        holder: Any = keys
        for step in path[:-1]:
            holder = holder.setdefault(step, {}) if isinstance(holder, dict) else holder
        if isinstance(holder, dict):  # ALERTBOT_DATABASE may have brought something else, which is told
            holder[path[-1]] = value
            origins[path] = name
    return Overrides(Layer(keys, origins), tuple(mistakes), tuple(ignored))


def _override_names(
    section: type[Section], above: tuple[str, ...]
) -> Iterator[tuple[str, tuple[tuple[str, ...], FieldInfo]]]:
    for key, known in section.keys().items():
        path = (*above, key)
        yield PREFIX + "__".join(path).upper(), (path, known)
        if isinstance(known.annotation, type) and issubclass(known.annotation, Section):
            yield from _override_names(known.annotation, path)
    for key in section.secret_keys():
        path = (*above, f"{key}_file")
        yield PREFIX + "__".join(path).upper(), (path, _FILE)


def _unknown_override(name: str, known: Mapping[str, tuple[tuple[str, ...], FieldInfo]]) -> Mistake | None:
    """The mistake in a name that means no key; None where nobody meant one."""
    steps = name.upper().split("__")
    path = ".".join(steps).removeprefix(PREFIX).lower()
    for length in range(1, len(steps)):
        holder = "__".join(steps[:length])
        if holder in known and is_list(known[holder][1]):
            text = f'expected a key outside a list, got "{path}"; the list is given whole, as {holder}'
            return Mistake(name, text)
    paths = [other.removeprefix(PREFIX) for other in known]
    meant = get_close_matches(name.upper().removeprefix(PREFIX), paths, n=1, cutoff=0.75)
    if not meant and len(steps) == 1:
        return None
    hint = f"; did you mean {PREFIX}{meant[0]}?" if meant else ""
    return Mistake(name, f'expected the path of a key, got "{path}"{hint}')


def _override_value(text: str, known: FieldInfo, name: str) -> Any:
    """By the key's type: sections and lists as YAML (JSON is YAML), a list also as `a,b`; all else as the text itself."""
    if not is_list(known) and not sections_in(known.annotation):
        return RawScalar(text)
    value = read_yaml(text, origin=name)
    if is_list(known) and isinstance(value, RawScalar):
        return [RawScalar(part.strip()) for part in text.split(",") if part.strip()]
    return value


@dataclass(frozen=True, slots=True)
class SecretReader:
    """Puts the content of files in the place of `KEY_file` and of paths below `folder`."""

    needs: Collection[Need]
    folder: Path

    def fill(self, layer: Layer) -> Layer:
        origins = dict(layer.origins)
        keys = self._section(layer.keys, ConfigFile, (), origins)
        return Layer(keys, origins)

    def _section(self, value: Any, section: type[Section], location: Location, origins: dict[Location, str]) -> Any:
        if isinstance(value, list):
            return [self._section(each, section, (*location, index), origins) for index, each in enumerate(value)]
        if not isinstance(value, Mapping):
            return value
        # A section or a list whose whole content is commented out hides nothing that another layer has.
        fields = section.keys()
        keys = {name: inner for name, inner in value.items() if inner is not None or not _is_holder(fields.get(name))}
        for name, known in fields.items():
            for inner in sections_in(known.annotation):
                if name in keys:
                    keys[name] = self._section(keys[name], inner, (*location, name), origins)
        for name, kind in section.secret_keys().items():
            if name in keys or f"{name}_file" in keys:
                self._secret(keys, name, (*location, name), origins)
                # Left empty, as ${NAME:-} leaves it: another layer may have it.
                if kind.optional and not given(keys[name]) and keys[name] is not NOT_NEEDED:
                    del keys[name]
        return keys

    def _secret(self, keys: dict[str, Any], name: str, location: Location, origins: dict[Location, str]) -> None:
        """Replace one secret, whichever way it is written, by a SecretStr, or by the sentence why that cannot be."""
        written, file = keys.pop(name, None), keys.pop(f"{name}_file", None)
        secret: Any = written
        if given(written) and given(file):
            secret = InvalidValue(f"expected {name} or {name}_file, got both")
        elif given(file):
            file_location = (*location[:-1], f"{name}_file")
            origins[location] = origins.get(file_location) or place_of("", file_location)
            secret = _content(file)
        elif isinstance(written, RawScalar) and written.startswith(f"{self.folder}/"):
            secret = _content(written)
        need = _NEED_OF.get(str(location[0]))
        waived = need is not None and need not in self.needs
        absent = secret.absent if isinstance(secret, InvalidValue) else not given(secret)
        if waived and absent:
            keys[name] = NOT_NEEDED
        else:
            keys[name] = SecretStr(secret) if isinstance(secret, RawScalar) and secret else secret


def _is_holder(known: FieldInfo | None) -> bool:
    return known is not None and (is_list(known) or bool(sections_in(known.annotation)))


def _content(path: Any) -> Any:
    """The text of a secret's file."""
    if not isinstance(path, RawScalar):
        return (
            path if isinstance(path, InvalidValue) else InvalidValue(f"expected the path of a file, got {quoted(path)}")
        )
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return InvalidValue(f"expected a file with text, got {quoted(path)}, which is not UTF-8")
    except (OSError, ValueError) as error:
        fault = _os_fault(error) if isinstance(error, OSError) else "not a path"
        return InvalidValue(f"expected a file that can be read, got {quoted(path)} ({fault})", absent=True)
    text = without_line_ends(text)
    return (
        RawScalar(text) if text else InvalidValue(f"expected a secret in the file, got {quoted(path)}, which is empty")
    )


def _os_fault(error: OSError) -> str:
    faults: Mapping[type[OSError], str] = {
        FileNotFoundError: "no such file",
        IsADirectoryError: "a folder",
        PermissionError: "no permission to read it",
    }
    return faults.get(type(error), (error.strerror or "an error of the system").lower())

"""What Slack gets is compared with the files in `__snapshots__/`."""

import json
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension


class PayloadExtension(JSONSnapshotExtension):
    """One JSON file for each payload. The order of the keys counts, and a value that JSON does not have is an error."""

    def serialize(self, data: Any, **_: Any) -> str:
        return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


@pytest.fixture
def snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(PayloadExtension)


@pytest.fixture
def kept(snapshot: SnapshotAssertion) -> set[str]:
    """The names of the snapshots of this module.

    syrupy itself reports one that no test uses, but not where a path was given; and with --snapshot-update it deletes it.
    """
    if snapshot.update_snapshots:
        return set()
    folder = Path(snapshot.extension.dirname(test_location=snapshot.test_location))
    return {path.stem for path in folder.iterdir()}

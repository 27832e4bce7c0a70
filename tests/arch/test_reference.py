"""Documents that are made from the code say what the code says."""

from pathlib import Path

import pytest

from tools import reference


@pytest.mark.parametrize("file", sorted(reference.DOCUMENTS), ids=lambda file: file.name)
def test_a_generated_document_is_fresh(file: Path, request: pytest.FixtureRequest) -> None:
    fresh = reference.DOCUMENTS[file]()
    if request.config.getoption("--rewrite"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(fresh)
    assert file.read_text() == fresh, "run `make reference` and read the diff"

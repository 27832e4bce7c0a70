"""What becomes of whole configurations of other tools.

``pytest --rewrite`` writes the drafts of today into the samples; read the diff.
"""

import pytest

from hapair.config.grammar import LATER
from tests.migrate.samples import EXPECTED, FOLDER, SAMPLES, drafts_of, problems_of, sources_of

SECRETS = ("s3cr et", "no one may see it", "geheim", "hidden", "unspoken")


def told(sample: str) -> str:
    drafts = drafts_of(sample)
    parts = [f"==== {draft.name}\n{draft.text}" for draft in drafts.files]
    opened = [f"{draft.name}: {each}" for draft in drafts.files for each in draft.opened]
    notes = [str(note) for note in drafts.notes]
    return "\n".join((*parts, "==== left open", *opened, "", "==== notes", *notes, ""))


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_configuration_becomes_these_drafts(sample: str, request: pytest.FixtureRequest) -> None:
    file = FOLDER / sample / EXPECTED
    if request.config.getoption("--rewrite"):
        file.write_text(told(sample))
    assert file.read_text() == told(sample), "run pytest with --rewrite and read the diff"


@pytest.mark.parametrize("sample", SAMPLES)
def test_our_own_readers_find_nothing_wrong_but_what_is_left_open(sample: str) -> None:
    for draft in drafts_of(sample).files:
        problems = [each.what for each in problems_of(draft)]
        assert [e for e in problems if "the draft leaves it open" not in e and LATER not in e] == []
        for place in draft.opened:
            question = place.partition(": ")[2][:40]
            assert any(question in each or LATER in each for each in problems)
        assert draft.opened or not any("leaves it open" in each for each in problems)


@pytest.mark.parametrize("sample", SAMPLES)
def test_no_secret_is_copied_into_a_draft_or_a_note(sample: str) -> None:
    assert [secret for secret in SECRETS if secret in told(sample)] == []


def test_the_samples_hold_secrets_at_all() -> None:
    """The test above would pass over files without any."""
    whole = b"".join(each.content for name in SAMPLES for each in sources_of(name))
    include = (FOLDER / "keepalived-include/conf.d/inside.conf").read_bytes()
    assert [secret for secret in SECRETS if secret.encode() not in whole + include] == []

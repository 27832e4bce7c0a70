"""What a draft leaves open is refused with the question itself, wherever it stands."""

from hapair.config.appconf import read_appconf
from hapair.model.problem import Problem

DRAFT = """<application name="CHANGE: a name" preferred="node1">
  <network name="public"><address> CHANGE:  an address </address></network>
  <run><ocf agent="ocf:heartbeat:x"><parameter name="a" value="CHANGE: the value of a"/></ocf></run>
</application>"""


def test_each_open_value_is_named_with_its_question_and_what_may_be_written() -> None:
    problems = read_appconf(DRAFT.encode(), file="appconf.xml")
    assert isinstance(problems, tuple)
    assert all(isinstance(each, Problem) for each in problems)
    assert [(each.where, each.field, each.what) for each in problems] == [
        ("appconf.xml:1", "<application> name", 'the draft leaves it open: "a name"'),
        ("appconf.xml:2", "<address>", 'the draft leaves it open: "an address"'),
        ("appconf.xml:3", "<parameter> value", 'the draft leaves it open: "the value of a"'),
    ]
    assert problems[1].mend == "write an IP address, or a range: first-last"


def test_the_word_alone_is_a_value_like_any_other() -> None:
    text = DRAFT.replace("CHANGE: a name", "CHANGE").replace("CHANGE:", "10.0.0.9 <!--", 1)
    problems = read_appconf(text.replace("an address ", "-->").encode(), file="appconf.xml")
    assert isinstance(problems, tuple)
    assert [each.where for each in problems] == ["appconf.xml:3"]

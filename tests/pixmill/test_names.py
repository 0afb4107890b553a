from hypothesis import given
from hypothesis import strategies as st

from pixmill.names import did_you_mean, suggestion

words = st.lists(st.text("abcdefgh", min_size=1, max_size=12), min_size=1, max_size=6)


@given(words, st.data())
def test_a_known_name_suggests_itself(choices: list[str], data: st.DataObject) -> None:
    word = data.draw(st.sampled_from(choices))
    assert did_you_mean(word, choices) == word


@given(st.text(max_size=12), words)
def test_a_suggestion_names_only_what_can_be_chosen(word: str, choices: list[str]) -> None:
    close = did_you_mean(word, choices)
    assert close is None or close in choices
    hint = suggestion(word, choices)
    assert repr(close) in hint if close else all(choice in hint for choice in choices)


def test_two_swapped_letters_are_found() -> None:
    assert suggestion("imgaes", ["images", "seed"]) == "did you mean 'images'?"

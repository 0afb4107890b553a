import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixmill.arrays import (
    LARGEST_INDEX,
    MOST_ELEMENTS,
    ArrayRange,
    index_text,
    parse_array,
    parse_element,
    parse_values,
)

INDICES = st.sets(st.integers(0, LARGEST_INDEX), min_size=1, max_size=30).map(sorted)


@given(INDICES, st.none() | st.integers(1, 10_000))
def test_what_is_written_reads_back(indices: list[int], limit: int | None) -> None:
    text = index_text(indices) + ("" if limit is None else f"%{limit}")
    assert parse_array(text) == ArrayRange(tuple(indices), limit)


@given(st.integers(0, 1000), st.integers(0, 5000), st.integers(1, 50))
def test_a_range_with_a_step_is_that_of_python(first: int, length: int, step: int) -> None:
    text = f"{first}-{first + length}:{step}"
    assert list(parse_array(text).indices) == list(range(first, first + length + 1, step))


@given(st.integers(1, 40).flatmap(lambda most: st.tuples(st.just(most), INDICES)))
def test_a_shortened_list_has_no_more_pieces_than_asked_for_and_both_ends(case: tuple[int, list[int]]) -> None:
    most, indices = max(3, case[0]), case[1]
    pieces = index_text(indices, most).split(",")
    assert len(pieces) <= most
    assert int(pieces[0].split("-")[0]) == indices[0]
    assert int(pieces[-1].split("-")[-1]) == indices[-1]


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    try:
        found = parse_array(text)
    except ValueError:
        return
    assert found.indices
    assert list(found.indices) == sorted(set(found.indices))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no list of indices; write it like 0-15"),
        ("a", "is no list of indices"),
        ("0-", "is no list of indices"),
        ("-1", "is no list of indices"),
        ("5-3", "holds no index"),
        ("0-9:0", "holds no index"),
        ("0-5,3", "names index 3 twice"),
        ("0-5%0", "'%0' is no limit"),
        ("0-5%x", "'%x' is no limit"),
        ("0-5%", "'%' is no limit"),
        (f"{LARGEST_INDEX + 1}", "an index is at most 2,147,483,647"),
        ("0-10000", "asks for 10,001 jobs; an array has at most 10,000"),
        ("0-2147483647", "asks for 2,147,483,648 jobs"),
        ("٣", "is no list of indices"),
        ("1" * 5000, "is no list of indices"),
        ("0-3%٣", "'%٣' is no limit"),
        ("0-3%" + "1" * 5000, "is no limit"),
    ],
)
def test_what_is_no_array_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        parse_array(text)


def test_the_largest_array_can_be_written() -> None:
    assert len(parse_array(f"0-{MOST_ELEMENTS - 1}%4").indices) == MOST_ELEMENTS


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=9))
def test_values_of_a_sweep_read_back(values: list[int]) -> None:
    assert parse_values(",".join(map(str, values))) == list(map(str, values))


def test_values_hold_ranges_with_both_ends() -> None:
    assert parse_values("-2..1") == ["-2", "-1", "0", "1"]
    assert parse_values("vae, sngan") == ["vae", "sngan"]
    for text in ("", "1,,2", "4..1", "1..3,", "0..4:0"):
        with pytest.raises(ValueError, match="holds no value"):
            parse_values(text)
    with pytest.raises(ValueError, match="asks for 1,000,001 jobs"):
        parse_values("0..1000000")
    for text in ("0..9223372036854775807", "-" + "9" * 5000 + "..0", "0..1:" + "9" * 19):
        with pytest.raises(ValueError, match="has at most 18 digits"):
            parse_values(text)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_an_element_is_written_in_two_ways(array_id: int, index: int) -> None:
    assert parse_element(f"{array_id}_{index}") == parse_element(f"{array_id}[{index}]") == (array_id, index)
    assert parse_element(f"{array_id}") is None
    assert parse_element(f"{array_id}_{'1' * 5000}") is None

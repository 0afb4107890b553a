import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixmill.errors import InvalidMove
from pixmill.states import ACTIVE, ALLOWED_MOVES, TERMINAL, State, check_move, job_state

states = st.lists(st.sampled_from(State), min_size=1, max_size=8)

TABLE = {
    "pending": "queued running held cancelled failed",
    "held": "pending cancelled",
    "queued": "running pending held cancelled failed",
    "running": "succeeded failed cancelled pending held",
    "failed": "pending",
    "cancelled": "pending",
    "succeeded": "",
}


@pytest.mark.parametrize("source", State)
@pytest.mark.parametrize("target", State)
def test_every_pair_of_states_is_allowed_or_refused_as_the_table_says(source: State, target: State) -> None:
    if target.value in TABLE[source.value].split():
        check_move("task 7", source, target)
    else:
        with pytest.raises(InvalidMove, match=f"task 7 cannot go from {source} to {target}"):
            check_move("task 7", source, target)


def test_every_state_can_be_reached_and_only_success_is_final() -> None:
    reached = {State.PENDING}
    while (more := reached | {target for state in reached for target in ALLOWED_MOVES[state]}) != reached:
        reached = more
    assert reached == set(State)
    assert [state for state in State if not ALLOWED_MOVES[state]] == [State.SUCCEEDED]


def test_terminal_and_active_part_the_states() -> None:
    assert set(State) == TERMINAL | ACTIVE
    assert not TERMINAL & ACTIVE
    assert [state for state in State if state.is_terminal] == [State.SUCCEEDED, State.FAILED, State.CANCELLED]


@given(states)
def test_a_job_has_ended_exactly_when_all_its_tasks_have(tasks: list[State]) -> None:
    assert job_state(tasks).is_terminal == all(state.is_terminal for state in tasks)


@given(states)
def test_a_job_succeeded_exactly_when_all_its_tasks_did(tasks: list[State]) -> None:
    assert (job_state(tasks) is State.SUCCEEDED) == (set(tasks) == {State.SUCCEEDED})


@given(states)
def test_a_job_runs_while_any_task_runs(tasks: list[State]) -> None:
    assert job_state([*tasks, State.RUNNING]) is State.RUNNING


@given(states.flatmap(lambda tasks: st.tuples(st.just(tasks), st.permutations(tasks))))
def test_the_order_and_number_of_tasks_does_not_matter(both: tuple[list[State], list[State]]) -> None:
    tasks, shuffled = both
    assert job_state(tasks) is job_state(shuffled) is job_state(tasks * 2)


@pytest.mark.parametrize("state", State)
def test_a_job_of_one_task_is_as_its_task(state: State) -> None:
    assert job_state([state]) is state


@given(states)
def test_a_failure_outweighs_a_cancel_once_all_have_ended(tasks: list[State]) -> None:
    ended = [state for state in tasks if state.is_terminal]
    assert job_state([*ended, State.FAILED, State.CANCELLED]) is State.FAILED

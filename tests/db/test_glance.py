from db.control import hold_job, top_job
from db.engine import Database
from db.glance import first_waiting, last_events
from db.listing import waiting_lines
from db.queues import pause_queue
from db.tables.fleet import DeviceKind
from tests import rows
from tests.rows import act


def waiting(database: Database, count: int = 10, *, collapses: bool = False) -> list[int]:
    with database.read() as session:
        return first_waiting(session, count, collapses=collapses)


def test_what_is_sent_stands_before_what_is_next_and_that_before_what_is_held_back(database: Database) -> None:
    running = rows.running(database).job_id
    sent = rows.add(database)
    rows.queue(database)
    paused = rows.add(database, queue="lab")
    act(database, pause_queue, "lab", actor="olga", why=None)
    held, second, first = rows.add(database, hold=True), rows.add(database), rows.add(database, tasks=rows.CHAIN)
    child = rows.add(database, parents={running: False})
    act(database, top_job, first, actor="olga")
    assert waiting(database) == [sent, first, second, paused, held, child]
    assert waiting(database, 2) == [sent, first]


def test_one_job_stands_for_all_of_its_array_that_wait_as_it_does(database: Database) -> None:
    many, few = rows.add_array(database, range(20)), rows.add_array(database, (3, 4, 7), limit=2)
    alone, kept = rows.add(database), rows.add_array(database, range(2), hold=True)
    worker = rows.add_worker(database)
    ran = rows.claimed(database, worker).job_id
    act(database, hold_job, few[1], actor="olga")
    assert ran == many[0]
    assert waiting(database, 4) == many[1:5]
    found = waiting(database, collapses=True)
    assert found == [many[1], few[0], few[1], alone, kept[0]]
    assert waiting(database, 2, collapses=True) == found[:2]
    with database.read() as session:
        assert [line.alike for line in waiting_lines(session, found)] == [tuple(range(1, 20)), (3, 7), (), (), (0, 1)]


def test_where_no_worker_runs_all_kinds_have_their_turn(database: Database) -> None:
    late = rows.add(database, device_kind=DeviceKind.CUDA)
    early = rows.add(database, device_kind=DeviceKind.CUDA, priority=100)
    other = rows.add(database, device_kind=DeviceKind.CPU)
    found = waiting(database)
    assert sorted(found) == [late, early, other]
    assert found.index(early) < found.index(late)


def test_the_last_events_of_all_jobs_are_told_the_newest_first(database: Database) -> None:
    jobs = [rows.add(database) for _ in range(3)]
    with database.read() as session:
        assert [event.job_id for event in last_events(session, 2)] == [jobs[2], jobs[1]]

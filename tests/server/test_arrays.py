"""What the dashboard shows of arrays."""

from pathlib import Path

from pixmill.specs import JobOptions, PingSpec
from scheduler.groups import Group
from scheduler.submit import submit_groups
from tests.cli.world import World
from tests.server.standing import asked, settings_file


def test_what_waits_of_an_array_stands_in_one_line_that_leads_to_all(world: World, tmp_path: Path) -> None:
    requests = [(PingSpec(seed=number), JobOptions(name="many")) for number in range(70)]
    submit_groups(world.database, world.settings, [Group(requests=requests, indices=range(70), limit=2)], user="olga")
    world.train(name="alone")
    world.claim(world.worker())
    with asked(settings_file(tmp_path, world.home)) as dashboard:
        page = dashboard.page("/jobs")
        assert '<a href="/jobs?array=1&amp;state=pending">1[1-69]</a>' in page
        assert '<a href="/jobs/1">many[0]</a>' in page
        assert page.count('data-title="ID"') == 3
        each = dashboard.page("/jobs?array=1&state=pending")
        assert each.count('data-title="ID"') == 50
        assert '<a href="/jobs/70">many[69]</a>' in each
        assert "array=1&amp;before=" in each or "before=21&amp;array=1" in each
        job = dashboard.page("/jobs/1")
        assert "many[0]" in job
        assert '<a href="/jobs?array=1">element 0 of array 1, which has 70 jobs, 1 of at most 2 at once run</a>' in job
        assert dashboard.get("/jobs?array=x").status_code == 400

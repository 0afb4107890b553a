"""What the pages show; each is made of a home with jobs in all states."""

import re
from collections.abc import Callable
from html import unescape

import httpx2
import pytest
from sqlalchemy.orm import Session

from server.guard import POLICY, REPORT_POLICY
from server.pages.models import metric_chart
from tests.server.standing import EVALUATE, FAILED, GENERATE, HELD, ODD, RUNNING, TRAIN, Dashboard, Tags, follow


def is_inline(tag: str, values: dict[str, str | None]) -> bool:
    """Whether it brings style or script with it, which the policy forbids."""
    is_script = tag == "script" and not str(values.get("src", "")).startswith("/static/")
    return tag == "style" or is_script or any(name == "style" or name.startswith("on") for name in values)


@pytest.fixture(scope="session")
def answers(dashboard: Dashboard) -> dict[str, httpx2.Response]:
    return follow(dashboard)


def test_every_link_of_every_page_leads_somewhere(answers: dict[str, httpx2.Response]) -> None:
    assert {path: answer.status_code for path, answer in answers.items() if answer.status_code != 200} == {}
    parts = {path.split("?")[0].split("/")[1] for path in answers}
    assert parts >= {"jobs", "devices", "models", "outputs", "pipelines", "schedules", "reports", "static", ""}
    assert f"/jobs/{TRAIN}/curves.json" in answers
    assert f"/outputs/{GENERATE}/images/7" in answers
    assert f"/outputs/{GENERATE}/7" in answers


def test_nothing_comes_from_elsewhere_or_stands_in_the_line(answers: dict[str, httpx2.Response]) -> None:
    assert [path for path in answers if not path.startswith("/")] == []
    for path, answer in answers.items():
        policy = REPORT_POLICY if path.startswith("/reports/") else POLICY
        assert answer.headers["content-security-policy"] == policy, path
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        if "text/html" in answer.headers["content-type"] and not path.startswith("/reports/"):
            assert [tag for tag, values in Tags(answer.text).found if is_inline(tag, values)] == [], path


def test_odd_names_are_text_wherever_they_stand(answers: dict[str, httpx2.Response]) -> None:
    shown = [path for path, answer in answers.items() if ODD in unescape(answer.text)]
    assert {f"/jobs/{FAILED}", "/models/digits-vae", f"/reports/{FAILED}"} <= set(shown)
    assert [path for path, answer in answers.items() if ODD in answer.text] == []


def test_every_page_has_its_landmarks_and_names(answers: dict[str, httpx2.Response]) -> None:
    for path, answer in answers.items():
        if "text/html" not in answer.headers["content-type"] or path.startswith("/reports/"):
            continue
        assert answer.text.count("<h1>") == 1, path
        assert '<a class="skip" href="#main">' in answer.text
        assert '<main id="main"' in answer.text
        assert '<html lang="en">' in answer.text


def test_the_first_page_tells_how_things_stand(dashboard: Dashboard) -> None:
    page = dashboard.page("/")
    assert "Needs attention" in page  # there is no broker in this home
    assert "<b>broker</b>" in page
    for state, count in (("running", 1), ("succeeded", 3), ("failed", 1), ("held", 1), ("pending", 1)):
        assert re.search(rf'href="/jobs\?state={state}"><b>{count}</b>', page), state
    assert "running-now" in page
    assert "nightly" in page
    assert 'href="/pipelines/1"' in page
    assert 'hx-trigger="every 5s"' in page


def test_jobs_are_filtered_by_the_address(dashboard: Dashboard) -> None:
    everything = dashboard.page("/jobs")
    assert all(f'href="/jobs/{number}"' in everything for number in range(1, 8))
    failed = dashboard.page("/jobs?state=failed&kind=train")
    assert ids_of(failed) == [FAILED]
    assert "<option selected>failed</option>" in failed
    assert ids_of(dashboard.page("/jobs?queue=night")) == [RUNNING]
    assert ids_of(dashboard.page("/jobs?user=nobody")) == []
    assert ids_of(dashboard.client.get("/jobs", params={"label": f"team={ODD}"}).text) == [FAILED]
    assert ids_of(dashboard.page(f"/jobs?before={EVALUATE}")) == [GENERATE, TRAIN]


def ids_of(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'<td class="number" data-title="ID"><a href="/jobs/(\d+)">', page)]


def test_a_job_says_where_it_stands_and_why(dashboard: Dashboard) -> None:
    running = dashboard.page(f"/jobs/{RUNNING}")
    assert '<progress value="2500" max="10000"' in running
    assert "812 images a second" in running
    assert "left</dd>" in running
    held = dashboard.page(f"/jobs/{HELD}")
    assert "<b>Held</b>" in held
    assert f"pixmill job release {HELD}" in held
    failed = dashboard.page(f"/jobs/{FAILED}")
    assert "<b>OOM</b>" in failed
    assert "--batch-size 16" in failed
    assert "kid@cnn-1a2b3c4d" in dashboard.page(f"/jobs/{EVALUATE}")
    made = dashboard.page(f"/jobs/{GENERATE}")
    assert f'href="/outputs/{GENERATE}"' in made
    assert f'href="/reports/{GENERATE}"' in made


def test_curves_are_there_without_a_script_and_for_one(dashboard: Dashboard) -> None:
    page = dashboard.page(f"/jobs/{TRAIN}")
    assert page.count('<svg class="plot"') == 2
    assert "As numbers" in page
    found = dashboard.get(f"/jobs/{TRAIN}/curves.json").json()
    assert [line["name"] for line in found["losses"]] == ["kl", "rec"]
    assert found["losses"][0]["images_seen"][:2] == [100.0, 200.0]
    assert len(found["losses"][1]["values"]) == 59
    assert found["quality"]["values"] == [0.5, 0.25]
    picture = dashboard.get(f"/jobs/{TRAIN}/samples/3000.png")
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    assert dashboard.get(f"/jobs/{TRAIN}/samples/4000.png").status_code == 404


def test_devices_have_their_day(dashboard: Dashboard) -> None:
    page = dashboard.page("/devices")
    assert "test device" in page
    bars = re.findall(r'<rect class="stay kind-\d outcome-(\w+)" x="([\d.]+)%"', page)
    assert [outcome for outcome, _ in bars].count("failed") == 1
    assert [outcome for outcome, _ in bars][-1] == "running"
    assert all(0 <= float(place) <= 100 for _, place in bars)


def test_models_show_aliases_metrics_and_history(dashboard: Dashboard) -> None:
    assert 'href="/models/digits-vae"' in dashboard.page("/models")
    page = dashboard.page("/models/digits-vae")
    assert "<b>champion</b> @1" in page
    assert "promote" in page
    assert page.count('<svg class="plot"') == 2
    assert "version</text>" in page


def test_the_chart_of_a_metric_has_the_lines_of_its_gate() -> None:
    limits = {"kid": {"max": 0.02, "worse_by": 0.01}, "speed": {"min": 9.0}}
    shown = metric_chart(0, "kid@digits", {1: 0.03, 3: 0.025}, "lower", limits)
    assert "gate: at most 0.0200" in shown["chart"]
    assert shown["note"] == "The last gate asks: at most 0.02; worse than the champion by no more than 0.01."
    assert "gate: at least" in metric_chart(1, "speed", {1: 8.0}, "higher", limits)["chart"]
    assert "gate" not in metric_chart(2, "fd@digits", {1: 8.0}, "lower", limits)["chart"]


def test_plans_are_shown(dashboard: Dashboard) -> None:
    assert "30 2 * * *" in dashboard.page("/schedules")
    assert "/pipelines/1" in dashboard.page("/pipelines")
    assert 'href="/jobs/7"' in dashboard.page("/pipelines/1")


def test_a_report_is_that_of_the_command(dashboard: Dashboard) -> None:
    answer = dashboard.get(f"/reports/{TRAIN}")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; img-src data:")
    assert "digits-vae – job 1 – pixmill" in answer.text


def test_a_page_that_many_look_at_is_made_once(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    real = dashboard.app.site.reader.read

    def counting(act: Callable[[Session], object]) -> object:
        made.append(act)
        return real(act)

    monkeypatch.setattr(dashboard.app.site.reader, "read", counting)
    pages = {dashboard.page("/jobs?before=424242") for _ in range(5)}
    assert (len(pages), len(made)) == (1, 1)

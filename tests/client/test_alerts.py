"""Alerts and the dashboard ask for metrics that there are, by labels that these have."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from client.monitoring.families import FAMILIES, PREFIX

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
DASHBOARDS = MONITORING / "grafana" / "dashboards"
NAME = re.compile(r"\bpixmill_[a-z_]+\b")
GROUPED = re.compile(r"\bby \(([a-z_, ]*)\)")
MATCHED = re.compile(r"(pixmill_[a-z_]+)\{([^}]*)\}")
LABELS = {PREFIX + each.name + ("_total" if each.kind == "counter" else ""): set(each.labels) for each in FAMILIES}
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"] for rule in group["rules"]
]
DASHBOARD = json.loads((DASHBOARDS / "pixmill.json").read_text())
TARGETS = [target for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
OWN = {"instance", "job"}  # of Prometheus


def queries() -> Iterator[str]:
    yield from (rule["expr"] for rule in RULES)
    yield from (target["expr"] for target in TARGETS)


@pytest.mark.parametrize("query", dict.fromkeys(queries()))
def test_a_query_asks_for_what_there_is(query: str) -> None:
    names = set(NAME.findall(query))
    assert names, query
    assert names <= set(LABELS)
    known = OWN.union(*(LABELS[name] for name in names))
    grouped = {label.strip() for group in GROUPED.findall(query) for label in group.split(",")}
    assert grouped <= known
    for name, matchers in MATCHED.findall(query):
        assert {matcher.partition("=")[0].strip("!~ ") for matcher in matchers.split(",")} <= LABELS[name] | OWN


def test_every_metric_is_shown_on_the_dashboard() -> None:
    shown = {name for target in TARGETS for name in NAME.findall(target["expr"])}
    assert set(LABELS) - shown == set()


def test_each_alert_says_how_bad_it_is_what_it_means_and_where_to_read_on() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    for rule in RULES:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["runbook"] == f"docs/operations.md#alert-{rule['alert'].lower()}"
        assert {"summary", "description"} <= set(rule["annotations"])
    handbook = ROOT / "docs" / "operations.md"
    if handbook.exists():
        text = handbook.read_text(encoding="utf-8")
        assert [name for name in names if f"### Alert {name}\n" not in text] == []


def test_each_alert_is_tried_with_series_of_its_own() -> None:
    tried = yaml.safe_load((MONITORING / "rules.test.yml").read_text())["tests"]
    fired = {each["alertname"] for test in tried for each in test["alert_rule_test"] if each["exp_alerts"]}
    assert fired == {rule["alert"] for rule in RULES}


def test_panels_have_places_of_their_own_and_the_source_that_is_provided() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    source = yaml.safe_load((MONITORING / "grafana" / "datasources" / "prometheus.yml").read_text())["datasources"][0]
    assert {target["datasource"]["uid"] for target in TARGETS} == {source["uid"]}
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _y in cells) < 24
    provider = yaml.safe_load((DASHBOARDS / "provider.yml").read_text())["providers"][0]
    assert Path(provider["options"]["path"]).name == DASHBOARDS.name


@pytest.mark.long
def test_prometheus_reads_the_rules_and_they_fire_when_they_should() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        assert not os.environ.get("CI"), "promtool is missing: apt install prometheus"
        pytest.skip("promtool is not installed")
    for words in (
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "rules.yml"),
        ("test", "rules", "rules.test.yml"),
    ):
        found = subprocess.run([promtool, *words], cwd=MONITORING, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout + found.stderr

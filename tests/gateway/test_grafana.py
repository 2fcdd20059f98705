"""The dashboards agree with /metrics: every panel's names and labels are ones the gate exports."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from sample_records import all_outcomes, new_metrics

GRAFANA = Path(__file__).resolve().parents[2] / "grafana"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
VARIABLES = {"$__rate_interval": "5m", "$__interval": "1m", "$__range": "1h", "$model": ".*"}


def exported() -> dict[str, set[str]]:
    """Every sample name of /metrics after all kinds of requests, with its labels."""
    metrics = new_metrics(breakers={"openai/gpt": lambda: False})
    for record in all_outcomes():
        metrics.observe(record)
    metrics.threshold_passed("key", 80)
    names: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics.render()[0].decode()):
        for sample in family.samples:
            names.setdefault(sample.name, set()).update(sample.labels)
    return names


def panels(path: Path) -> list[dict[str, Any]]:
    return [panel for panel in json.loads(path.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[Any]:
    for path in DASHBOARDS:
        for panel in panels(path):
            for target in panel["targets"]:
                name = f"{path.stem}: {panel['title']} {target['refId']}"
                yield pytest.param(target["expr"], target["legendFormat"], id=name)


def within(tree: Any, kind: type) -> list[Any]:
    """Every node of a kind in a parsed expression."""
    found: list[Any] = []

    def visit(node: Any) -> None:
        if isinstance(node, kind):
            found.append(node)

    promql_parser.walk(tree, visit)
    return found


@pytest.mark.parametrize(("expression", "legend"), expressions())
def test_a_panel_asks_only_for_names_and_labels_that_are_exported(expression: str, legend: str) -> None:
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression
    tree = promql_parser.parse(expression)
    names = exported()
    found = within(tree, promql_parser.VectorSelector)
    assert found
    for selector in found:
        assert selector.name in names
        assert {matcher.name for matcher in selector.matchers.matchers} <= names[selector.name]
    grouped: set[str] = set()
    for aggregation in within(tree, promql_parser.AggregateExpr):
        labels = set(aggregation.modifier.labels) if aggregation.modifier else set()
        grouped |= labels
        for selector in within(aggregation, promql_parser.VectorSelector):
            assert labels <= names[selector.name]
    assert set(re.findall(r"{{(\w+)}}", legend)) <= grouped


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_are_labelled_placed_and_read_the_chosen_datasource(path: Path) -> None:
    dashboard = json.loads(path.read_text())
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert set(variables) == {"datasource", "model"}
    assert dashboard["schemaVersion"] >= 38
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    for panel in panels(path):
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert {json.dumps(part["datasource"]) for part in [panel, *panel["targets"]]} == {
            json.dumps({"type": "prometheus", "uid": "${datasource}"})
        }


def test_the_model_variable_lists_a_label_that_is_exported() -> None:
    for path in DASHBOARDS:
        model = json.loads(path.read_text())["templating"]["list"][1]
        matched = re.fullmatch(r"label_values\((\w+), (\w+)\)", model["definition"])
        assert matched
        assert matched[2] in exported()[matched[1]]
        assert model["query"]["query"] == model["definition"]


def test_the_overview_shows_every_metric_of_the_gate() -> None:
    text = "\n".join(target["expr"] for panel in panels(DASHBOARDS[0]) for target in panel["targets"])
    ours = {name for name in exported() if name.startswith(("sluicegate_", "gen_ai_"))}
    families = {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in ours}
    assert {family for family in families if family not in text} == set()


def test_provisioning_reads_as_yaml_and_points_at_what_is_there() -> None:
    source = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text())
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/sluicegate.yaml").read_text())
    scrape = yaml.safe_load((GRAFANA / "prometheus.yml").read_text())
    assert source["datasources"][0]["type"] == "prometheus"
    assert provider["providers"][0]["options"]["path"].endswith("/dashboards")
    assert scrape["scrape_configs"][0]["metrics_path"] == "/metrics"

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixmill.errors import PathEscape
from storage.paths import Layout


def test_folders_of_one_claim_and_of_an_output_lie_below_the_root(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert layout.run_folder(12, 34, 5) == tmp_path / "runs/12/34/5"
    assert layout.run_folder(12, 34, 5) == layout.resolve(layout.run_path(12, 34, 5))
    assert layout.output_folder("12") == tmp_path / "outputs/12"
    assert {layout.features, layout.logs} == {tmp_path / name for name in ("features", "logs")}


@pytest.mark.parametrize("identity", ["..", ".", "", "a/b", "/etc", "a\0", "-rf", "x" * 129])
def test_an_identity_that_is_no_plain_name_is_refused(tmp_path: Path, identity: str) -> None:
    with pytest.raises(PathEscape, match="cannot name a folder"):
        Layout(tmp_path).output_folder(identity)


@pytest.mark.parametrize("relative", ["../x", "a/../../x", "/etc/passwd", "", "a\0b", "runs/../.."])
def test_a_path_that_climbs_out_is_refused(tmp_path: Path, relative: str) -> None:
    with pytest.raises(PathEscape, match="outside the storage root"):
        Layout(tmp_path).resolve(relative)


def test_a_symbolic_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(PathEscape):
        Layout(root).resolve("link/secret")
    with pytest.raises(PathEscape):
        Layout(root).relative(root / "link" / "secret")


def test_a_root_that_is_itself_a_link_and_links_inside_it_are_fine(tmp_path: Path) -> None:
    (tmp_path / "real" / "runs").mkdir(parents=True)
    (tmp_path / "root").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "latest").symlink_to(tmp_path / "real" / "runs")
    layout = Layout(tmp_path / "root")
    assert layout.resolve("latest/1").resolve() == tmp_path / "real/runs/1"


def test_a_path_outside_the_root_has_no_relative_form(tmp_path: Path) -> None:
    with pytest.raises(PathEscape):
        Layout(tmp_path / "root").relative(tmp_path / "elsewhere")
    with pytest.raises(PathEscape):
        Layout(tmp_path / "root").relative(tmp_path / "root" / ".." / "elsewhere")


@given(st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True), min_size=1, max_size=5))
def test_relative_and_resolve_are_inverse(parts: list[str]) -> None:
    layout = Layout(Path("/srv/pixmill"))
    assert layout.relative(layout.resolve("/".join(parts))) == "/".join(parts)

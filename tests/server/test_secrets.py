"""No secret of settings, environment or rows stands in any page."""

from pathlib import Path

import pytest

from db.control import hold_job
from server.secrets import Secrets
from tests.cli.world import World
from tests.server.standing import asked, follow, settings_file

HOOK = "https://hooks.example/services/T0123456789/verySecretPathOfAHook"
SECRETS = (
    "verySecretPathOfAHook",
    "brokerPassword1",
    "awsSecretAccessKey99",
    "passwordInASpec",
    "signatureInASpec",
    "signingSecretOfHooks",
    "tokenOfTheDashboard",
)


def test_nothing_secret_is_shown_wherever_it_stands(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "awsSecretAccessKey99")
    signing = tmp_path / "signing"
    signing.write_text("signingSecretOfHooks\n")
    source = "https://olga:passwordInASpec@data.example/x?X-Amz-Signature=signatureInASpec"
    world.scheduler()
    job_id = world.train(name="secretive", labels={"from": source})
    told = f"{HOOK} brokerPassword1 awsSecretAccessKey99 signingSecretOfHooks tokenOfTheDashboard {source}"
    world.database.transact(lambda session: hold_job(session, job_id, actor="olga", why=told))
    config = settings_file(
        tmp_path,
        world.home,
        notify={"url": HOOK, "secret_file": str(signing)},
        broker={"url": "redis://:brokerPassword1@127.0.0.1:1/0"},
    )
    with asked(config, token="tokenOfTheDashboard") as dashboard:
        dashboard.client.headers["authorization"] = "Bearer tokenOfTheDashboard"
        answers = follow(dashboard)
    assert {f"/jobs/{job_id}", f"/reports/{job_id}", "/"} <= set(answers)
    assert "•••" in answers[f"/jobs/{job_id}"].text
    found = [(path, secret) for path, answer in answers.items() for secret in SECRETS if secret in answer.text]
    assert found == []


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("s3://bucket/made", "s3://bucket/made"),
        ("postgresql://olga@db/pixmill", "postgresql://olga@db/pixmill"),
        ("postgresql://olga:pw@db/pixmill", "postgresql://olga:•••@db/pixmill"),
        ("redis://:p%40w@host:1/0", "redis://:•••@host:1/0"),
        ("https://x/y?a=1&amp;token=abc&amp;b=2", "https://x/y?a=1&amp;token=•••&amp;b=2"),
        ("a<b> hunter2222 &lt;", "a<b> ••• &lt;"),
        ("q&amp;a-secret", "•••"),
        ("12:30 at http://host:80/", "12:30 at http://host:80/"),
    ],
)
def test_addresses_lose_their_passwords(text: str, masked: str) -> None:
    assert Secrets(["hunter2222", "q&a-secret", "short", None]).masked(text) == masked

"""The image that `deploy/build-image` has built: who runs in it, what is there and what not, and that it serves."""

from __future__ import annotations

import shlex
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.deploy.material import DEPLOY, ROOT, program, run
from tests.layout.tree import project

IMAGE = f"localhost/evercrew:{project()['project']['version']}"
SERVICES = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())["services"]
HEALTH = SERVICES["evercrew"]["healthcheck"]["test"]
# Whoever starts a container inside one has no other way.
WAY = ("--isolation", "chroot")


class Container:
    """A container of the image; commands run in it as its user."""

    def __init__(self, buildah: str, identity: str) -> None:
        self._buildah = buildah
        self.identity = identity

    def run(self, *command: str, mount: str = "", seconds: float = 60) -> subprocess.CompletedProcess[str]:
        options = ("--volume", mount) if mount else ()
        return run(self._buildah, "run", *WAY, *options, self.identity, "--", *command, seconds=seconds)


@pytest.fixture(scope="module")
def container() -> Iterator[Container]:
    buildah = program("buildah")
    if run(buildah, "inspect", "--type", "image", IMAGE).returncode != 0:
        pytest.skip(f"there is no image {IMAGE}: deploy/build-image makes it, in ten minutes or so")
    made = run(buildah, "from", "--pull-never", IMAGE)
    assert made.returncode == 0, made.stderr
    identity = made.stdout.strip()
    try:
        yield Container(buildah, identity)
    finally:
        run(buildah, "rm", identity)


@pytest.mark.slow
def test_the_image_holds_the_command_and_its_user_is_nobody_special(container: Container) -> None:
    assert container.run("evercrew", "--version").stdout.split() == ["evercrew", project()["project"]["version"]]
    assert container.run("id", "-u").stdout.strip() == "10001"
    assert container.run("sh", "-c", "touch /opt/evercrew/x").returncode != 0


@pytest.mark.slow
def test_the_image_holds_what_is_called_and_nothing_of_how_it_was_built(container: Container) -> None:
    for called in ("git", "bwrap", "setpriv", "tini", "ssh", "python"):
        assert container.run("sh", "-c", f"command -v {called}").returncode == 0, called
    packages = "/opt/evercrew/lib/python3.11/site-packages"
    for gone in ("/src", f"{packages}/tests", "/usr/bin/gcc"):
        assert container.run("test", "-e", gone).returncode != 0, gone
    assert container.run("cat", "/etc/pip.conf").stdout == "", "what pip is told where it was built"
    assert container.run("sh", "-c", f"ls {packages}/service/__pycache__/cli.*.pyc").returncode == 0


@pytest.mark.slow
def test_a_container_serves_is_found_well_by_its_check_and_ends_in_order(container: Container, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    config = yaml.safe_load((DEPLOY / "compose" / "evercrew.yaml").read_text())
    del config["store_url"], config["workflow_url"], config["audit_url"]
    config["tracking"]["uri"] = "sqlite:////var/lib/evercrew/mlflow.db"
    config["serve"]["port"] = port
    tmp_path.chmod(0o755)
    (tmp_path / "evercrew.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    check = shlex.join(HEALTH[1:]).replace("8080", str(port))
    script = (
        f"tini -s -- evercrew serve & p=$!; n=0; until {check} 2>/dev/null; do "
        "n=$((n+1)); [ $n -lt 60 ] || exit 99; kill -0 $p || exit 98; sleep 1; done; kill -TERM $p; wait $p"
    )
    done = container.run("sh", "-c", script, mount=f"{tmp_path}:/etc/evercrew:ro", seconds=150)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "its password is" in done.stdout
    assert f"evercrew serves at http://0.0.0.0:{port}" in done.stdout


def test_the_image_is_built_by_what_is_documented() -> None:
    helped = run(str(DEPLOY / "build-image"), "--help", folder=ROOT)
    assert helped.returncode == 0
    assert "--local-base" in helped.stdout
    refused = run(str(DEPLOY / "build-image"), "--nonsense")
    assert (refused.returncode, refused.stderr) == (
        2,
        "[image] --nonsense: is no option. See deploy/build-image --help\n",
    )

"""Provenance: what is recorded is true of this process and fits into JSON."""

import json
import platform
import subprocess

import torch

from adamw_lab.provenance import cores, git_state, hardware, installed, provenance


def test_the_record_is_json_and_says_what_runs_here():
    record = json.loads(json.dumps(provenance()))
    assert record["python"] == platform.python_version()
    assert record["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert record["hardware"] == hardware() and f"{cores()} cores" in record["hardware"]


def test_a_package_that_is_not_there_is_absent():
    assert installed("no-such-package-anywhere") == "absent"


def test_the_commit_and_whether_files_were_changed(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false", "-c", "core.hooksPath="]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    assert git_state(tmp_path) == {"commit": "", "dirty": False}
    git("init")
    assert git_state(tmp_path) == {"commit": "", "dirty": False}
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-m", "first")
    state = git_state(tmp_path)
    assert len(state["commit"]) == 40 and state["dirty"] is False
    (tmp_path / "file").write_text("two")
    assert git_state(tmp_path)["dirty"] is True

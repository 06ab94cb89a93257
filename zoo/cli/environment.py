"""The command that describes this machine: env."""

from collections.abc import Iterator, Mapping
from typing import Any

import typer

from zoo.cli import render
from zoo.cli.command_function import command
from zoo.cli.config_file import ConfigFile
from zoo.cli.options import Json
from zoo.safe_text import one_line

LIBRARIES = {"cuda": "CUDA", "hip": "ROCm", "cudnn": "cuDNN"}


@command
def env(ctx: typer.Context, as_json: Json = False) -> None:
    """Print versions, devices and settings for a bug report.

    The report has no tokens and no passwords; your home folder is printed as ~.

    Example: zoo env
    """
    from harness.models.machine import describe_machine
    from harness.models.private_text import without_secrets
    from zoo.cli.command import CONFIG

    config = ctx.meta.get(CONFIG)
    path = without_secrets(str(config.path)) if isinstance(config, ConfigFile) else None
    data = {**describe_machine(), "config": path}
    render.emit(data, "\n".join(_lines(data)), as_json=as_json)


def _lines(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield the report: the machine and torch, then packages, variables and folders under a heading each."""
    width = max(map(len, [*data["packages"], *data["variables"], *data["folders"]]))
    for name, text in _machine(data):
        yield f"{name:9} {one_line(text)}"
    folders = {
        name: f"{folder['path']} ({_size(folder['free_bytes'])} free)" for name, folder in data["folders"].items()
    }
    sections = {"Packages": data["packages"], "Environment variables": data["variables"], "Folders": folders}
    for title, values in sections.items():
        yield f"\n{title}"
        yield from (f"  {name:{width}} {one_line(value)}" for name, value in values.items())


def version_text() -> str:
    """Return the version, and for a checkout its commit, such as `0.2.0 (commit 1a2b3c4d5e6f)`."""
    from harness.models.provenance import git_commit
    from zoo import paths
    from zoo.tracebacks import project_version

    commit, dirty = git_commit(paths.checkout())
    changes = ", with uncommitted changes" if dirty else ""
    return project_version() + (f" (commit {commit[:12]}{changes})" if commit else "")


def _machine(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    zoo, python, cpu, torch = data["zoo"], data["python"], data["cpu"], data["torch"]
    commit = f"commit {zoo['commit']}" if zoo["commit"] else "no commit"
    yield "zoo", f"{zoo['version']}, {commit}{', with uncommitted changes' if zoo['dirty'] else ''}"
    yield "Python", f"{python['version']} ({python['implementation']}), {python['executable']}"
    yield "platform", data["platform"]
    yield "config", data["config"] or "no configuration file"
    yield "CPU", f"{cpu['name']}, {cpu['usable_cores']} of {cpu['cores']} cores, {_size(cpu['memory_bytes'])}"
    if "error" in torch:
        yield "torch", f"fails: {torch['error']}"
        return
    builds = [f"{name} {torch[key]}" for key, name in LIBRARIES.items() if torch[key]]
    threads = f"{torch['threads']} intra-op and {torch['interop_threads']} inter-op threads"
    yield "torch", ", ".join([torch["version"], *(builds or ["without CUDA"]), torch["cpu_capability"], threads])
    yield "driver", torch["driver"] or "no NVIDIA driver"
    yield from (("device", _device(device)) for device in torch["devices"])


def _device(device: Mapping[str, Any]) -> str:
    if "name" not in device:
        return str(device["device"])
    memory, capability = _size(device["memory_bytes"]), device["compute_capability"]
    return f"{device['device']}, {device['name']}, {memory}, compute capability {capability}"


def _size(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 2**30:,.1f} GiB"

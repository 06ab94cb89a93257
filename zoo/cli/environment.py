"""The command that describes this machine: env."""

from collections.abc import Iterator, Mapping
from typing import Any

from zoo.cli import render
from zoo.cli.options import Json, command
from zoo.safe_text import one_line

LIBRARIES = {"cuda": "CUDA", "hip": "ROCm", "cudnn": "cuDNN"}


@command
def env(as_json: Json = False) -> None:
    """Print versions, devices and settings for a bug report.

    The report has no tokens and no passwords; your home folder is printed as ~.

    Example: zoo env
    """
    from harness.models.machine import describe_machine

    data = describe_machine()
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


def _machine(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    zoo, python, cpu, torch = data["zoo"], data["python"], data["cpu"], data["torch"]
    commit = f"commit {zoo['commit']}" if zoo["commit"] else "no commit"
    yield "zoo", f"{zoo['version']}, {commit}{', with uncommitted changes' if zoo['dirty'] else ''}"
    yield "Python", f"{python['version']} ({python['implementation']}), {python['executable']}"
    yield "platform", data["platform"]
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

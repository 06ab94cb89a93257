"""A real Slurm with one node: slurmctld and slurmd in a temporary folder, without services, accounting or munge.

`python -m tests.slurm.cluster DIR` downloads Debian's packages and unpacks them into DIR; nothing is installed. The
tests use the Slurm in the folder of ZOO_SLURM, else in .venv/slurm, else on PATH.
"""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.helpers.project import ROOT

PACKAGES = (
    "slurmctld", "slurmd", "slurm-client", "slurm-wlm-basic-plugins", "libmunge2", "libhwloc15", "liblua5.1-0",
)  # fmt: skip
CLIENTS = ("sbatch", "squeue", "scontrol", "scancel", "sinfo")
START_SECONDS = 60
CONFIG = """\
ClusterName=zoo
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
{plugins}
SlurmctldPort={port}
SlurmdPort={node_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
KillWait=20
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=60 State=UP
"""


@dataclass(frozen=True, kw_only=True)
class Binaries:
    """Where the programs of Slurm lie."""

    slurmctld: Path
    slurmd: Path
    slurmstepd: Path
    clients: Path
    """The folder of sbatch."""
    unpacked: Path | None = None
    """The folder of Debian's packages, if they are not installed."""

    @property
    def libraries(self) -> str:
        """The value of LD_LIBRARY_PATH that they need."""
        root = self.unpacked
        return f"{root}/usr/lib/x86_64-linux-gnu:{root}/usr/lib/x86_64-linux-gnu/slurm-wlm" if root else ""


def find_slurm() -> Binaries | None:
    """Return the programs of Slurm, or None if they are not there."""
    root = Path(os.environ.get("ZOO_SLURM") or ROOT / ".venv" / "slurm")
    if (daemons := root / "usr" / "sbin").is_dir():
        names = {name: daemons / f"{name}-wlm" for name in ("slurmctld", "slurmd", "slurmstepd")}
        return Binaries(**names, clients=root / "usr" / "bin", unpacked=root)
    searched = os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin"
    found = {name: shutil.which(name, path=searched) for name in ("slurmctld", "slurmd", "slurmstepd", "sbatch")}
    if not all(found.values()):
        return None
    paths = {name: Path(str(path)) for name, path in found.items()}
    return Binaries(clients=paths.pop("sbatch").parent, **paths)


@dataclass
class Cluster:
    """The two daemons, in a folder."""

    binaries: Binaries
    folder: Path
    cpus: int = 2
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of commands that use this cluster."""
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def start(self) -> None:
        """Start the daemons, and return once the node accepts jobs."""
        for name in ("state", "spool", "bin"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "slurm.conf").write_text(self._config())
        for name in CLIENTS:
            self._write_client(name)
        libraries = {"LD_LIBRARY_PATH": self.binaries.libraries} if self.binaries.libraries else {}
        environment = {**self.environment, **libraries}
        node = [self.binaries.slurmd, "-D", "-d", self.binaries.slurmstepd]
        for command in ([self.binaries.slurmctld, "-D"], node):
            with (self.folder / "daemons.log").open("ab") as log:
                started = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
            self.processes.append(started)
        end = time.monotonic() + START_SECONDS
        while self.call("sinfo", "-h", "-o", "%T") != "idle":
            if time.monotonic() > end:
                raise TimeoutError(f"Slurm does not start; see the logs in {self.folder}")
            time.sleep(0.2)

    def call(self, *command: str) -> str:
        """Return what a command of Slurm prints."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def stop(self) -> None:
        """Cancel all jobs and end the daemons."""
        self.call("scancel", "--signal=KILL", "--full", f"--user={os.getuid()}")
        self.call("scancel", f"--user={os.getuid()}")
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait(30)

    def _config(self) -> str:
        plugins = f"PluginDir={self.binaries.unpacked}/usr/lib/x86_64-linux-gnu/slurm-wlm"
        return CONFIG.format(
            host=socket.gethostname().partition(".")[0], user=getpass.getuser(), folder=self.folder,
            plugins=plugins if self.binaries.unpacked else "", port=_free_port(), node_port=_free_port(),
            cpus=self.cpus,
        )  # fmt: skip

    def _write_client(self, name: str) -> None:
        """Write a command that starts a client with its libraries, which the jobs do not get."""
        variables = f"LD_LIBRARY_PATH='{self.binaries.libraries}' " if self.binaries.libraries else ""
        client = self.folder / "bin" / name
        client.write_text(f"#!/bin/sh\n{variables}exec '{self.binaries.clients / name}' \"$@\"\n")
        client.chmod(0o755)


def download(folder: Path) -> None:
    """Download Debian's packages of Slurm and unpack them into a folder."""
    packages = folder / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "-q", "download", *PACKAGES], cwd=packages, check=True)
    for package in packages.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, folder], check=True)


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


if __name__ == "__main__":
    download(Path(sys.argv[1]))

"""A Ray cluster of several nodes on this machine: `python -m tests.helpers.ray_nodes 3` prints its address.

It reads commands from stdin, one a line: `kill` ends the newest node at once, as if its machine lost power. The cluster
ends with the input.
"""

import os
import socket
import sys
from contextlib import ExitStack

SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_agent_register_timeout_ms": "200000"}
NODE = {
    "num_cpus": 1, "include_dashboard": False, "object_store_memory": 80_000_000, "include_log_monitor": False,
    "no_monitor": True,
}  # fmt: skip
PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
"""Ray waits only 15 s until a node's agents have chosen their ports; a busy machine takes longer."""


def free_ports() -> dict[str, int]:
    """Return a free port for each agent of a node."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in PORTS]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return {name: each.getsockname()[1] for name, each in zip(PORTS, sockets, strict=True)}


def main() -> None:
    """Start the nodes, and do what stdin says."""
    os.environ.update(SETTINGS)
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - it reads the settings

    for attempt in range(3):  # Ray gives a node 30 s to start
        try:
            cluster = Cluster()
            nodes = [cluster.add_node(wait=False, **NODE, **free_ports()) for _ in range(int(sys.argv[1]))]
            cluster.wait_for_nodes(300)
            break
        except Exception:
            if attempt == 2:
                raise
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "kill":
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            print("killed", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()

"""A Ray cluster of two nodes on this machine: prints its address and the second node, and kills that one when told to."""

import sys


def main():
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    cluster.add_node(num_cpus=1, include_dashboard=False)
    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    raylet = second.all_processes["raylet"][0].process.pid
    print(f"address {cluster.address} {raylet}", flush=True)
    for line in sys.stdin:
        if line.strip() == "kill":
            cluster.remove_node(second, allow_graceful=False)
            print("killed", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()

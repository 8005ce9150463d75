"""Run a study on a SLURM cluster, on as many jobs as asked for, each with one worker a core.

    pip install 'imcsim[dask]' dask-jobqueue cryptography
    python slurm.py studies/accuracy_vs_bits/study.toml --jobs 8 --cores 16 --memory 32GB --walltime 02:00:00

Start it on a login node, or as a small job of its own, and start it again with the same words to go on. `--out` is best
on a file system that all nodes share: results are written where they are found. They come back through the scheduler
where it is not. What goes between the nodes is encrypted, with certificates that live as long as this process.
"""

from __future__ import annotations

import argparse
import sys

import dask
from dask_jobqueue import SLURMCluster
from distributed import Client, Security

from imcsim.cli import main


def run(options: argparse.Namespace, rest: list[str]) -> int:
    """Ask SLURM for workers, and run the study on them as they come; the exit code of `imcsim run`."""
    security = Security.temporary()
    certificates = {
        "ca-file": security.tls_ca_file,
        "client.cert": security.tls_client_cert,
        "client.key": security.tls_client_key,
    }
    dask.config.set({f"distributed.comm.tls.{name}": text for name, text in certificates.items()})
    dask.config.set({"distributed.scheduler.allowed-failures": 0})  # the study tries again by itself
    with (
        SLURMCluster(
            queue=options.queue,
            account=options.account,
            cores=options.cores,
            processes=options.cores,
            memory=options.memory,
            walltime=options.walltime,
            job_extra_directives=options.sbatch,
            protocol="tls://",
            security=security,
            shared_temp_directory=options.shared,
            scheduler_options={"dashboard_address": None},
        ) as cluster,
        Client(cluster) as client,
    ):
        cluster.adapt(minimum_jobs=options.jobs, maximum_jobs=options.jobs)  # what SLURM ends is asked for again
        print(f"{cluster.scheduler_address}: waiting for SLURM", file=sys.stderr, flush=True)
        client.wait_for_workers(1)
        return main(["run", options.study, "--scheduler", cluster.scheduler_address, *rest])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(epilog="What else is given goes to `imcsim run`: --out DIR, --set path=value.")
    parser.add_argument("study")
    parser.add_argument("--jobs", type=int, default=1, help="SLURM jobs (default: 1)")
    parser.add_argument("--cores", type=int, default=1, help="cores, and workers, of each (default: 1)")
    parser.add_argument("--memory", default="4GB", help="of each (default: 4GB)")
    parser.add_argument("--walltime", default="01:00:00", help="of each (default: 01:00:00)")
    parser.add_argument("--queue", help="the partition")
    parser.add_argument("--account")
    parser.add_argument("--sbatch", action="append", default=[], help="a line more for sbatch: --constraint=avx512")
    parser.add_argument("--shared", default=".", help="where all nodes read certificates (default: this folder)")
    sys.exit(run(*parser.parse_known_args()))

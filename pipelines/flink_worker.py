"""A Python worker that a Flink task manager starts as a process of its own.

Beam's images start theirs through a program that is not in its Python package; this
does the same where Python and the project are there already.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from typing import Optional

from apache_beam.portability.api import (
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
)
from apache_beam.runners.worker.channel_factory import GRPCChannelFactory
from apache_beam.runners.worker.sdk_worker import SdkHarness

_ANSWER_SECONDS = 60


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Works until the task manager is gone.

    Args:
      arguments: `--id`, and `--control_endpoint` or the `--provision_endpoint` that
        knows it; others of Beam's contract with worker programs are not needed.
    """
    parser = argparse.ArgumentParser(description="A Beam worker for Flink.")
    parser.add_argument("--id", required=True)
    parser.add_argument("--control_endpoint")
    parser.add_argument("--provision_endpoint")
    chosen, _ = parser.parse_known_args(arguments)
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    control = chosen.control_endpoint or _control(chosen.provision_endpoint, chosen.id)
    status = 1
    try:
        SdkHarness(control, worker_id=chosen.id).run()
        status = 0
    finally:
        # Without its task manager nobody waits for the unit under way; another worker
        # may be at it already.
        os._exit(status)


def _control(provision_endpoint: str, worker: str) -> str:
    """Asks the task manager where work comes from."""
    with GRPCChannelFactory.insecure_channel(provision_endpoint) as channel:
        service = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        answer = service.GetProvisionInfo(
            beam_provision_api_pb2.GetProvisionInfoRequest(),
            metadata=[("worker_id", worker)],
            timeout=_ANSWER_SECONDS,
        )
    url: str = answer.info.control_endpoint.url
    return url


if __name__ == "__main__":
    main()

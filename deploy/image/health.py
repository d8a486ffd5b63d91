"""Health check of the process in this container, for Docker. Ends with 1 when the process is not at work.

    python3 health.py http URL        something answers there
    python3 health.py job TYPE        this container's job, such as SchedulerJob, has told the database so lately
    python3 health.py worker          this container's Celery worker answers through Redis

`airflow jobs check` and `celery inspect ping` say the same, but each needs seconds of a core to start.
"""

from __future__ import annotations

import os
import socket
import sys
import urllib.request
from collections.abc import Callable

LATELY_SECONDS = 60
TIMEOUT_SECONDS = 5


def answers(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
        return bool(response.status == 200)


def is_at_work(job_type: str) -> bool:
    """Return what Airflow's own /monitor/health reports, for this container alone."""
    import psycopg2

    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "", 1)
    query = """
        SELECT count(*) FROM job WHERE job_type = %s AND hostname = ANY(%s) AND state = 'running'
        AND latest_heartbeat > now() - make_interval(secs => %s)"""
    with psycopg2.connect(url, connect_timeout=TIMEOUT_SECONDS) as connection, connection.cursor() as cursor:
        cursor.execute(query, (job_type, [socket.gethostname(), socket.getfqdn()], LATELY_SECONDS))
        return bool(cursor.fetchone()[0])


def worker_answers() -> bool:
    from celery import Celery

    app = Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"])
    return bool(app.control.ping(destination=[f"celery@{socket.gethostname()}"], timeout=TIMEOUT_SECONDS))


CHECKS: dict[str, Callable[..., bool]] = {"http": answers, "job": is_at_work, "worker": worker_answers}

if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    sys.exit(0 if CHECKS[what](*arguments) else 1)

"""Ids of DAGs and tasks, and keys of XComs."""

from __future__ import annotations

from registry_sync.state.runs import is_push_run


def dag_id(mirror_name: str) -> str:
    """The id of a mirror's DAG.

    >>> dag_id("quay_to_acr")
    'mirror_quay_to_acr'
    """
    return f"mirror_{mirror_name}"


_PUSHES = "_pushes"


def pushes_dag_id(mirror_name: str) -> str:
    """The id of the DAG that copies what was pushed to the source of a mirror. No mirror has a name with this ending.

    >>> pushes_dag_id("quay_to_acr")
    'mirror_quay_to_acr_pushes'
    """
    return f"{dag_id(mirror_name)}{_PUSHES}"


def is_of_pushes(dag: str | None) -> bool:
    """Return whether a DAG of a mirror is the one for pushes, by its id.

    >>> is_of_pushes(pushes_dag_id("quay_to_acr")), is_of_pushes(dag_id("quay_to_acr")), is_of_pushes(None)
    (True, False, False)
    """
    return dag is not None and dag.endswith(_PUSHES)


def dag_of_run(mirror_name: str, run_id: str) -> str:
    """The id of the DAG that a run of a mirror belongs to.

    >>> dag_of_run("quay_to_acr", "asset_triggered__2026-11-29T10:00:00+00:00_x7Kq")
    'mirror_quay_to_acr_pushes'
    >>> dag_of_run("quay_to_acr", "scheduled__2026-11-29T10:00:00+00:00")
    'mirror_quay_to_acr'
    """
    return (pushes_dag_id if is_push_run(run_id) else dag_id)(mirror_name)


def is_of_mirror(dag: str) -> bool:
    """Return whether a DAG may be that of a mirror, by its id.

    >>> is_of_mirror(dag_id("quay_to_acr")), is_of_mirror("quay_to_acr")
    (True, False)
    """
    return dag.startswith("mirror_")


def mirror_name(dag: str | None) -> str | None:
    """The mirror that a DAG with this id belongs to; ``None`` for ``None``.

    >>> mirror_name("mirror_quay_to_acr"), mirror_name("mirror_quay_to_acr_pushes")
    ('quay_to_acr', 'quay_to_acr')
    """
    return dag.removeprefix("mirror_").removesuffix(_PUSHES) if dag is not None else None


def reads_rules(task: str | None) -> bool:
    """Return whether a task works by the rules of the mirrors file; ``True`` for ``None``, which is not a task.

    Only the tasks that list routes and the task that reads the pushes do. The others work on the listed routes,
    whatever the file has now.

    >>> reads_rules(routes_task("acr")), reads_rules(copy_task("acr")), reads_rules(REPORT_TASK), reads_rules(None)
    (True, False, False, True)
    """
    return task is None or task == PUSHES_TASK or task.startswith("routes_to_")


def is_copy_task(task: str | None) -> bool:
    """Return whether a task is the one that is mapped over the routes to a destination; ``False`` for ``None``.

    >>> is_copy_task(copy_task("acr")), is_copy_task(routes_task("acr")), is_copy_task(REPORT_TASK), is_copy_task(None)
    (True, False, False, False)
    """
    return task is not None and task.startswith("to_")


WATCH_DAG = "mirror_watch"
"""The DAG that watches all mirrors. routes/checks/names.py refuses a mirror of the name watch."""

MISTAKES_TAG = "mistakes in the mirrors file"
"""The tag that the DAG mirror_watch has while the mirrors file has mistakes."""

READINESS_DAG = "mirror_readiness"
"""The DAG that checks node pools. routes/checks/names.py refuses a mirror of the name readiness."""

CHECK_DAG = "mirrors_check"
"""The DAG that checks workers. The ids of mirrors begin with mirror_, so none has this id."""

FINDINGS_KEY = "findings"
"""The XCom key of the findings of a check on a worker, with its host name."""

PUSHES_TASK = "pushes"
"""The first task of the DAG for pushes: it reads the events of its run, and waits until the pushes have settled."""

PUSHED_KEY = "pushed"
"""The XCom key of the repositories that were pushed to, each with its tags."""

CHANGES_TASK = "changes"
"""The task of a mirror's DAG that emits asset events."""

REPORT_TASK = "report"
"""The last task of a mirror's DAG, and of the readiness DAG."""

REPORT_KEY = "report"
"""The XCom key of a route's report and row. It is pushed whether the task then succeeds or fails."""

DISABLED_KEY = "disabled_routes"
ALL_ROUTES = "*"
LISTED_KEY = "listed_routes"
"""The XCom key of the names of all routes, of a run that listed them completely; of another, the listed namespaces."""

LISTING_ERROR_KEY = "listing_error"
"""The XCom key of the reason that the routes to a destination could not be listed."""

UNMODIFIED_KEY = "unmodified"
"""The XCom key of the route keys that a run skips because their source repositories had no push in its window."""


FAILED_KEY = "failed_repositories"
"""The XCom key of the reports of repositories that get no mapped task, because their names cannot be mirrored."""


FOUND_KEY = "found_repositories"
"""The XCom key of the source repositories that a run found, with those that it must not forget."""


def routes_task(destination: str) -> str:
    """The id of the task that lists the routes to a destination."""
    return f"routes_to_{destination}"


def copy_task(destination: str) -> str:
    """The id of the task that is mapped over the routes to a destination."""
    return f"to_{destination}"


def routes_task_of(copying: str) -> str:
    """The task that lists the routes of a mapped task.

    >>> routes_task_of(copy_task("acr")) == routes_task("acr")
    True
    """
    return routes_task(copying.removeprefix("to_"))


def watermark_key(destination: str) -> str:
    """The XCom key of a destination's watermark, pushed by the task ``report``."""
    return f"watermark_{destination}"


def deletion_plans_key(destination: str) -> str:
    """The XCom key of the deletions planned at a destination, pushed by the task ``report``."""
    return f"planned_deletions_{destination}"


DAMAGED_KEY = "damaged"
"""The XCom key of the images that deep checks found damaged, by destination, pushed by the task ``report``."""


def last_look_key(destination: str) -> str:
    """The XCom key of the repositories that runs found for a destination, pushed by the task ``report``."""
    return f"last_look_{destination}"


LIST_IMAGES_TASK = "list_images"
"""The task of the readiness DAG that lists the bootstrap images and the registries that must have them."""

CHECK_TASK = "check"
"""The task of the readiness DAG that is mapped over the images and registries."""

RESULTS_KEY = "results"
"""The XCom key of the results of one readiness check. They are pushed whether the task then succeeds or fails."""

NOTES_KEY = "notes"
"""The XCom key of the notes that go with a list of images or routes."""

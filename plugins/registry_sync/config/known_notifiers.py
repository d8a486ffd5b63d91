"""Airflow's own notifiers that need no arguments for the text: their default arguments, and where their secret goes.

The arguments are Jinja templates, which Airflow's notifiers render with the context of the task that sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SUBJECT, TEXT, HTML = "{{ registry_sync.subject }}", "{{ registry_sync.text }}", "{{ registry_sync.html }}"

_ESCAPED = "| replace('&', '&amp;') | replace('<', '&lt;') | replace('>', '&gt;')"
"""https://docs.slack.dev/messaging/formatting-message-text#escaping"""

SLACK_TEXT = f"*{{{{ registry_sync.subject }}}}*\n{{{{ registry_sync.text {_ESCAPED} }}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownNotifier:
    """A notifier of one of Airflow's providers.

    :ivar connection: name of the argument that takes the id of its Airflow Connection.
    :ivar defaults: arguments for what the mirrors file does not write.
    """

    connection: str
    defaults: Mapping[str, str]


_PROVIDERS = "airflow.providers"

KNOWN_NOTIFIERS: Mapping[str, KnownNotifier] = {
    # https://airflow.apache.org/docs/apache-airflow-providers-smtp/stable/_api/airflow/providers/smtp/notifications/smtp/
    f"{_PROVIDERS}.smtp.notifications.smtp.SmtpNotifier": KnownNotifier(
        connection="smtp_conn_id", defaults={"subject": SUBJECT, "html_content": HTML}
    ),
    # https://airflow.apache.org/docs/apache-airflow-providers-slack/stable/notifications/
    f"{_PROVIDERS}.slack.notifications.slack.SlackNotifier": KnownNotifier(
        connection="slack_conn_id", defaults={"text": SLACK_TEXT}
    ),
    f"{_PROVIDERS}.slack.notifications.slack_webhook.SlackWebhookNotifier": KnownNotifier(
        connection="slack_webhook_conn_id", defaults={"text": SLACK_TEXT}
    ),
    # https://airflow.apache.org/docs/apache-airflow-providers-pagerduty/stable/notifications/pagerduty_notifier_howto_guide.html
    f"{_PROVIDERS}.pagerduty.notifications.pagerduty.PagerdutyNotifier": KnownNotifier(
        connection="pagerduty_events_conn_id",
        defaults={
            "summary": SUBJECT,
            "severity": "{{ registry_sync.severity }}",
            "action": "{{ 'resolve' if registry_sync.event == 'recovered' else 'trigger' }}",
            "dedup_key": "registry_sync/{{ registry_sync.about }}",
            "custom_details": TEXT,
        },
    ),
}
"""By class path."""

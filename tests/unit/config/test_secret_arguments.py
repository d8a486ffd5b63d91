"""Secrets among the arguments of a notifier: by name, by text, and what is not one."""

from __future__ import annotations

from typing import Any

import pytest

from registry_sync.config.secret_arguments import find_secret

NAMES = """password smtp_password token slackToken api_key apiKey X-Api-Key integration_key routing_key client_secret
Authorization webhook_url webhook webhook_endpoint credentials"""


@pytest.mark.parametrize("name", NAMES.split())
def test_names_of_secrets(name: str) -> None:
    assert find_secret({name: "abc"}) == name
    assert find_secret({"custom_headers": {name: "abc"}}) == f"custom_headers.{name}"
    assert find_secret({name: ["abc"]}) == name
    assert find_secret({name: "{{ conn.ops.password }}"}) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("smtp_conn_id", "smtp_token"),
        ("slack_conn_id", "slack_default"),
        ("slack_webhook_conn_id", "slack_webhook"),
        ("pagerduty_events_conn_id", "pagerduty_events"),
        ("to", "token-rotation@example.com"),
        ("to", ["a@example.com", "b@example.com"]),
        ("from_email", "airflow@example.com"),
        ("channel", "#secrets"),
        ("username", "Mirror of passwords"),
        ("dedup_key", "mirror"),
        ("auth_type", "oauth2"),
        ("token_url", "https://login.example.com/oauth2/token"),
        ("max_tokens", 5),
        ("password", ""),
        ("subject", "{{ registry_sync.subject }}"),
        ("text", "the token of {{ registry_sync.mirror }} may have expired: bearer tokens last an hour"),
        ("text", "see https://wiki.example.com/webhooks/how-to-configure-webhooks?page=2&key=short"),
        ("icon_url", "https://example.com:8443/a@2x.png"),
        ("links", [{"href": "https://airflow.example.com/dags/mirror_quay_to_acr/runs/scheduled__2026-11-29T03"}]),
        ("target_arn", "arn:aws:sns:eu-west-1:123456789012:mirrors"),
        ("text", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ],
)
def test_no_false_alarm(name: str, value: Any) -> None:
    assert find_secret({name: value}) is None


@pytest.mark.parametrize(
    "text",
    [
        "https://user:hunter2@hooks.example.com/",
        "https://hooks.slack.com/services/T00/B00/XXXX",
        "https://discord.com/api/webhooks/1/abc",
        "https://example.webhook.office.com/webhookb2/1",
        "https://open.feishu.cn/open-apis/bot/v2/hook/1",
        "https://oapi.dingtalk.com/robot/send?access_token=0123456789",
        "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa",
        "https://mattermost.example.com/hooks/xmgno1r3zjbuxgzp1ut4hw8yqy",
        "https://example.com/webhook/693a91f6-7123-4bc4-97a0-0ec21fa5aaab",
        "https://prod.logic.azure.com/workflows/1?api-version=1&sig=abcdefghijklmnopq",
        "https://events.pagerduty.com/integration/abc/enqueue",
        "xoxb-1234567890-abcdef",
        "ghp_0123456789abcdefghij",
        "Bearer abcdefghijklmnopqrst",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIi",
        "-----BEGIN RSA PRIVATE KEY-----",
    ],
)
def test_texts_of_secrets(text: str) -> None:
    assert find_secret({"address": text}) == "address"

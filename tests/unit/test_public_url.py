"""Addresses towards the outside: their form, their one spelling, and the names that must stay apart."""

import pytest

from billing.settings import BillingSettings
from deploy.addresses import SharedName, check_names
from deploy.cli import run
from deploy.settings import DeploySettings, WrongSetting, read
from meter.public_url import public_url


@pytest.mark.parametrize(
    ("given", "spelled"),
    [
        ("", ""),
        ("https://my.example.coop", "https://my.example.coop"),
        ("https://My.Example.coop:443/", "https://my.example.coop"),
        ("http://127.0.0.1:9001", "http://127.0.0.1:9001"),
        ("http://[::1]:9001", "http://[::1]:9001"),
        ("HTTP://localhost:80", "http://localhost"),
        ("https://coop:8443", "https://coop:8443"),
    ],
)
def test_an_address_has_the_spelling_that_browsers_send(given: str, spelled: str) -> None:
    assert spelled == public_url(given)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ("my.example.coop", "begin with http"),
        ("ftp://my.example.coop", "begin with http"),
        ("https://", "begin with http"),
        ("https:///login", "begin with http"),
        ("None", "begin with http"),
        ("https://anna:pw@my.example.coop", "no user"),
        ("https://my.example.coop/portal", "no path"),
        ("https://my.example.coop?x=1", r"with \? or #"),
        ("https://my.example.coop#x", r"with \? or #"),
        ("https://my.example.coop/?", r"with \? or #"),
        ("https://my example.coop", "spaces"),
        ("https://my.example.coop\n", "spaces"),
        ("https://münchen.example", "xn--"),
        ("https://my.example.coop:99999", "no address"),
        ("https://my.example.coop:x", "no address"),
        ("https://my.example.coop:0", "no host"),
        ("https://*.example.coop", "no host"),
        ("https://[::1", "no address"),
    ],
)
def test_anything_else_is_refused_with_its_rule(given: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        public_url(given)


@pytest.mark.parametrize(("kind", "name"), [
    (BillingSettings, "portal_url"), (BillingSettings, "gateway_url"), (DeploySettings, "gateway_url"),
])  # fmt: skip
def test_the_settings_ask_for_an_address(
    kind: type[BillingSettings] | type[DeploySettings], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"WEIR_{name.upper()}", "my.example.coop")
    with pytest.raises(
        WrongSetting, match=f"setting {name} is 'my.example.coop' .*must be an address as https://"
    ):
        read(kind)


def names(portal: str, gateway: str = "https://s3.example.coop", **more: str) -> None:
    told = {"host_suffix": "", "website_suffix": "", "website_domains": ""} | more
    check_names(gateway_url=gateway, portal_url=portal, **told)


@pytest.mark.parametrize(
    ("portal", "gateway", "more"),
    [
        ("", "https://s3.example.coop", {}),
        ("https://my.example.coop", "https://s3.example.coop", {"website_suffix": "web.example.coop"}),
        ("https://my.example.coop", "https://s3.example.coop", {"host_suffix": "s3.example.coop"}),
        (
            "https://my.example.coop",
            "https://s3.example.coop",
            {"website_domains": "www.example.coop,shop.example"},
        ),
        ("http://127.0.0.1:9001", "http://127.0.0.1:9000", {}),
        ("http://localhost:9001", "http://localhost:9000", {"website_suffix": "web.localhost"}),
        ("http://nas:9001", "http://nas:9000", {}),
        ("https://notweb.example.coop", "https://s3.example.coop", {"website_suffix": "web.example.coop"}),
    ],
)
def test_names_that_are_apart_pass(portal: str, gateway: str, more: dict[str, str]) -> None:
    names(portal, gateway, **more)


@pytest.mark.parametrize(
    ("portal", "gateway", "more", "sentence"),
    [
        ("https://s3.example.coop", "https://s3.example.coop", {}, "are both at s3.example.coop"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000", {}, "are both at 127.0.0.1:9000"),
        ("https://s3.example.coop:8443", "https://s3.example.coop", {}, "another port is not enough"),
        (
            "https://a.web.example.coop",
            "https://s3.x",
            {"website_suffix": "web.example.coop"},
            "website_suffix has",
        ),
        (
            "https://web.example.coop",
            "https://s3.x",
            {"website_suffix": "Web.example.coop"},
            "website_suffix has",
        ),
        (
            "https://example.coop",
            "https://s3.x",
            {"website_suffix": "web.example.coop"},
            "website_suffix has",
        ),
        (
            "https://example.coop",
            "https://s3.x",
            {"website_domains": "a.b, www.example.coop"},
            "website_domains has",
        ),
        ("https://my.s3.x", "https://s3.x", {"host_suffix": "s3.x"}, "gives to buckets"),
    ],
)
def test_names_that_touch_are_refused(portal: str, gateway: str, more: dict[str, str], sentence: str) -> None:
    with pytest.raises(SharedName, match=sentence):
        names(portal, gateway, **more)


def test_a_start_is_refused_where_one_name_is_for_both(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    monkeypatch.setenv("WEIR_DATA", f"{tmp_path}/data")
    for name in ("WEIR_PORTAL_URL", "WEIR_GATEWAY_URL"):
        monkeypatch.setenv(name, "https://coop.example")
    assert 2 == run(["up"])
    assert "portal_url and gateway_url are both at coop.example" in capsys.readouterr().err

"""weir engine: the storage engines behind the gateways, each tried before it is used."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import asyncpg
import click

from deploy.commands.inventory import inventory, usage
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_operator, at_desk
from deploy.instants import instant_text
from deploy.output import print_json, print_table, say
from gateway import engine_store
from gateway.engine_store import DISK_KIND, S3_KIND, EngineRow, find, sealed_under
from gateway.storage.upstream.cold import Cold
from gateway.storage.upstream.trial import Trial, try_out
from gateway.upstream_store import UpstreamUse, upstream_use
from meter.refusal import Refusal
from meter.window import Month

MONTH = ("month_requests", "month_bytes_to", "month_bytes_from")
SECRET_VARIABLE = "WEIR_ENGINE_SECRET"  # noqa: S105 - the name of a variable
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_ENDPOINT = re.compile(r"https?://[^/\s]+")
_PREFIX = re.compile(r"([a-z0-9][a-z0-9-]{0,19})?")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@click.group()
def engine() -> None:
    """Storage engines: this machine's disk, and S3 systems that others run."""


def document(row: EngineRow, buckets: int, use: Sequence[UpstreamUse] = ()) -> dict[str, object]:
    """An engine as JSON, without its secret; use is what was asked of it in this month."""
    return {
        "name": row.name,
        "kind": row.kind,
        "endpoint": row.endpoint or None,
        "region": row.region or None,
        "access_key": row.access_key or None,
        "prefix": row.bucket_prefix,
        "location": row.location or None,
        "storage_class": row.storage_class or None,
        "default": row.is_default,
        "buckets": buckets,
        "closed": None if row.closed_us is None else instant_text(row.closed_us),
        "checked": None if row.checked_us is None else instant_text(row.checked_us),
        "features": dict(row.features),
        "usage_uid": row.usage_uid or None,
        "month_requests": sum(one.requests for one in use),
        "month_bytes_to": sum(one.bytes_in for one in use),
        "month_bytes_from": sum(one.bytes_out for one in use),
    }


@engine.command("list")
@json_option
@data_option
def list_(as_json: bool) -> None:
    """All engines, and how many buckets each holds."""

    async def work(desk: Desk) -> list[dict[str, object]]:
        async with desk.connected("weir_gateway") as connection:
            counts = await engine_store.buckets_on(connection)
            month = Month.of(desk.now_us)
            use = await upstream_use(connection, start_us=month.start_us, end_us=month.end_us)
            return [
                document(row, counts.get(row.name, 0), [one for one in use if one.engine == row.name])
                for row in await engine_store.engines(connection)
            ]

    told = at_desk(work)
    if as_json:
        print_json({"engines": told})
        return
    columns = ("name", "kind", "endpoint", "location", "storage_class", "buckets", *MONTH)
    rows = [[*(one[name] for name in columns), _standing(one)] for one in told]
    print_table((*columns, " "), rows, numbers=("buckets", *MONTH))


def _standing(one: dict[str, object]) -> str:
    words = ["default"] if one["default"] else []
    if one["closed"] is not None:
        words.append(f"closed since {one['closed']}")
    return ", ".join(words)


@engine.command("add")
@click.argument("name")
@click.option("--endpoint", required=True, metavar="URL", help="Where it is, as https://s3.example.org.")
@click.option("--region", required=True, help="The region requests are signed for.")
@click.option("--access-key", required=True, help="Of the one account that is ours there.")
@click.option(
    "--secret-file", type=click.Path(path_type=Path), metavar="FILE",
    help=f"Its secret, the first line of FILE; else of {SECRET_VARIABLE}; else you are asked.",
)  # fmt: skip
@click.option("--prefix", default="", help="How the names of our buckets begin there.")
@click.option("--location", default="", help="The location constraint by which members choose it.")
@click.option("--storage-class", default="", help="The storage class by which members choose it.")
@json_option
@data_option
def add(
    name: str, endpoint: str, region: str, access_key: str, secret_file: Path | None, prefix: str, location: str,
    storage_class: str, as_json: bool,
) -> None:  # fmt: skip
    """Try the S3 system at URL, and keep it as engine NAME if it does what it must."""
    check_words(name=name, endpoint=endpoint, prefix=prefix, location=location, storage_class=storage_class)
    secret = read_secret(secret_file)

    async def work(desk: Desk) -> tuple[EngineRow, Trial]:
        sealed = desk.vault().seal(secret, access_key=sealed_under(name))
        row = EngineRow(
            name, S3_KIND, endpoint, region, access_key, sealed, prefix, storage_class, location,
            added_us=desk.now_us,
        )  # fmt: skip
        async with desk.connected("weir_gateway") as connection:
            _check_free(await engine_store.engines(connection), row)
        trial = await tried(row, secret)
        row = replace(row, features=trial.features, checked_us=desk.now_us)
        async with desk.acting("weir_gateway", as_operator(f"add the storage engine {name}")) as connection:
            try:
                await engine_store.add_engine(connection, row)
            except asyncpg.UniqueViolationError:
                raise Refusal("somebody else just added an engine of that name, location or class") from None
        return row, trial

    row, trial = at_desk(work)
    _tell_trial(row, trial, as_json=as_json, words=f"{name} is kept; gateways know it within seconds")


def check_words(*, name: str, endpoint: str, prefix: str, location: str, storage_class: str) -> None:
    """Raises Refusal naming what is not as it must be."""
    if _NAME.fullmatch(name) is None:
        raise Refusal(
            f"'{name[:40]}' is not a name; use small letters, digits and '-', at most 32, as ceph-a"
        )
    if _ENDPOINT.fullmatch(endpoint) is None:
        raise Refusal(f"endpoint: '{endpoint[:80]}' is not an address; write it like https://s3.example.org")
    if _PREFIX.fullmatch(prefix) is None:
        raise Refusal("prefix: small letters, digits and '-', at most 20, not beginning with '-'")
    for field, word in (("location", location), ("storage-class", storage_class)):
        if word and _WORD.fullmatch(word) is None:
            raise Refusal(f"{field}: letters, digits, '.', '_' and '-', at most 63")


def _check_free(rows: list[EngineRow], asked: EngineRow) -> None:
    for row in rows:
        if row.name == asked.name:
            raise Refusal(f"there is an engine named '{row.name}' already; `weir engine set` changes its key")
        if row.is_open and asked.location and row.location == asked.location:
            raise Refusal(f"the location '{row.location}' is that of {row.name}; close it first")
        if row.is_open and asked.storage_class and row.storage_class == asked.storage_class:
            raise Refusal(f"the storage class '{row.storage_class}' is that of {row.name}; close it first")


def read_secret(file: Path | None) -> str:
    """The secret out of a file, the environment, or a prompt: never an argument, which others could see."""
    if file is not None:
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Refusal(f"the secret cannot be read from {file}: {error}") from None
        secret = text.partition("\n")[0].strip()
    else:
        secret = os.environ.get(SECRET_VARIABLE, "") or click.prompt("secret", hide_input=True, err=True)
    if not secret:
        raise Refusal("the secret is empty")
    return secret


async def tried(row: EngineRow, secret: str) -> Trial:
    """What a trial of the engine found. Raises Refusal."""
    cold = Cold(row, secret)
    try:
        return await asyncio.to_thread(try_out, cold, prefix=row.bucket_prefix)
    finally:
        cold.close()


@engine.command("check")
@click.argument("name")
@json_option
@data_option
def check(name: str, as_json: bool) -> None:
    """Try engine NAME again, and keep what it is able to."""

    async def work(desk: Desk) -> tuple[EngineRow, Trial]:
        async with desk.connected("weir_gateway") as connection:
            row = _upstream(find(await engine_store.engines(connection), name))
        trial = await tried(row, desk.vault().reveal(row.secret, access_key=row.sealed_under))
        async with desk.acting(
            "weir_gateway", as_operator(f"try the storage engine {name} again")
        ) as connection:
            await engine_store.note_features(connection, name, trial.features, now_us=desk.now_us)
        return row, trial

    row, trial = at_desk(work)
    _tell_trial(row, trial, as_json=as_json, words=f"{name} does what it must")


def _upstream(row: EngineRow) -> EngineRow:
    if row.kind == DISK_KIND:
        raise Refusal("the disk is this machine's own; `weir audit` checks it")
    return row


def _tell_trial(row: EngineRow, trial: Trial, *, as_json: bool, words: str) -> None:
    if as_json:
        print_json({"name": row.name, "clock_skew_s": trial.skew_s, "features": trial.features})
        return
    say(words)
    able = [name for name, is_able in trial.features.items() if is_able]
    unable = [name for name, is_able in trial.features.items() if not is_able]
    say(f"able to: {', '.join(able) or 'nothing beyond plain objects'}")
    if unable:
        say(f"not able to, so refused there by name: {', '.join(unable)}")


@engine.command("default")
@click.argument("name")
@data_option
def default(name: str) -> None:
    """New buckets go to engine NAME unless they say where."""

    async def work(desk: Desk) -> None:
        async with desk.acting(
            "weir_gateway", as_operator(f"let new buckets go to the storage engine {name}")
        ) as connection:
            if not find(await engine_store.engines(connection), name).is_open:
                raise Refusal(f"{name} takes no new buckets")
            await engine_store.make_default(connection, name)

    at_desk(work)
    say(f"new buckets go to {name}; those that are there stay where they are")


@engine.command("close")
@click.argument("name")
@data_option
def close(name: str) -> None:
    """Engine NAME takes no new buckets; those that are there stay, and can be moved."""

    async def work(desk: Desk) -> int:
        async with desk.acting(
            "weir_gateway", as_operator(f"close the storage engine {name} to new buckets")
        ) as connection:
            if find(await engine_store.engines(connection), name).is_default:
                raise Refusal(f"{name} is the default; make another one the default first")
            await engine_store.close_engine(connection, name, now_us=desk.now_us)
            return (await engine_store.buckets_on(connection)).get(name, 0)

    left = at_desk(work)
    say(f"{name} takes no new buckets; {left:,} are there, `weir bucket move` takes them elsewhere")


@engine.command("set")
@click.argument("name")
@click.option("--endpoint", metavar="URL", help="Another address of the same storage.")
@click.option("--region", help="Another region to sign for.")
@click.option("--access-key", help="Another key of the same account.")
@click.option(
    "--secret-file", type=click.Path(path_type=Path), metavar="FILE", help="Its secret, as for add."
)
@json_option
@data_option
def set_(
    name: str,
    endpoint: str | None,
    region: str | None,
    access_key: str | None,
    secret_file: Path | None,
    as_json: bool,
) -> None:
    """Give engine NAME another key or address, once it was tried."""
    if endpoint is not None and _ENDPOINT.fullmatch(endpoint) is None:
        raise Refusal(f"endpoint: '{endpoint[:80]}' is not an address; write it like https://s3.example.org")
    given = (
        read_secret(secret_file)
        if access_key or secret_file is not None or SECRET_VARIABLE in os.environ
        else None
    )

    async def work(desk: Desk) -> tuple[EngineRow, Trial]:
        vault = desk.vault()
        async with desk.connected("weir_gateway") as connection:
            old = _upstream(find(await engine_store.engines(connection), name))
            held = await engine_store.upstream_names(connection, name)
        secret = given or vault.reveal(old.secret, access_key=old.sealed_under)
        row = replace(
            old, endpoint=endpoint or old.endpoint, region=region or old.region,
            access_key=access_key or old.access_key,
            secret=vault.seal(secret, access_key=old.sealed_under),
        )  # fmt: skip
        trial = await tried(row, secret)
        await _check_same(row, secret, held)
        async with desk.acting(
            "weir_gateway", as_operator(f"change address or account of the storage engine {name}")
        ) as connection:
            await engine_store.change_account(connection, row)
            await engine_store.note_features(connection, name, trial.features, now_us=desk.now_us)
        return row, trial

    row, trial = at_desk(work)
    _tell_trial(row, trial, as_json=as_json, words=f"{name} is changed; gateways know it within seconds")


async def _check_same(row: EngineRow, secret: str, held: list[str]) -> None:
    """Another storage under the same name would be a loss of everything: our buckets must be seen there."""
    cold = Cold(row, secret)
    try:
        seen = await asyncio.to_thread(cold.bucket_names)
    finally:
        cold.close()
    missing = sorted(set(held) - seen)
    if missing:
        raise Refusal(
            f"with that key or address {row.name} does not show {len(missing)} of our {len(held)} buckets, such as"
            f" {missing[0]}; nothing was changed"
        )


engine.add_command(inventory)
engine.add_command(usage)

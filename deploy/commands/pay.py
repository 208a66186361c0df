"""weir pay: members paid through the bank, and the bank's statement into the books."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import click

from billing.ledger import books
from billing.money import format_amount, parse_amount
from billing.payments import run as payments
from billing.payments import store
from billing.payments.ordering import NAMES_SHOWN_MAX
from billing.payments.run import Exported, Imported, Unmatched
from billing.payments.store import KeptBatch
from deploy.commands.ledger import tell_of_costs
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_treasurer, at_desk
from deploy.instants import instant_text
from deploy.output import counted, number_of, print_json, print_table, say
from gateway.vault import Vault
from meter.refusal import Refusal
from meter.store import find_member
from meter.window import to_datetime


class MasterSeal:
    """Names and account numbers under the co-op's master key, as members' S3 secrets are."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def close(self, text: str, label: str) -> bytes:
        """Encrypt; opens under the same label only."""
        return self._vault.seal(text, access_key=label)

    def open(self, sealed: bytes, label: str) -> str:
        """Decrypt. Raises Refusal when the master key is another one."""
        return self._vault.reveal(sealed, access_key=label)


@click.group()
def pay() -> None:
    """Payments: a file for the bank, its statement back, and what is on it that nobody knows."""


@pay.command("account")
@click.argument("member")
@click.argument("iban")
@click.option("--name", required=True, help="The name the account is kept under.")
@json_option
@data_option
def account(member: str, iban: str, name: str, as_json: bool) -> None:
    """Pay MEMBER to this account from now on."""

    async def work(desk: Desk) -> dict[str, object]:
        act = as_treasurer("set the account at which a member is paid")
        async with desk.acting("weir_office", act) as connection:
            found = await find_member(connection, member)
            act.subject = found.id
            party = await payments.set_account(
                connection, found.id, name=name, iban=iban, seal=MasterSeal(desk.vault()), now_us=desk.now_us
            )
            return {"member": found.name, "account_ends": party.last_four}

    _say_account(at_desk(work), as_json=as_json)


@pay.command("own-account")
@click.argument("iban")
@click.option("--name", required=True, help="The name the account is kept under: the co-op's.")
@json_option
@data_option
def own_account(iban: str, name: str, as_json: bool) -> None:
    """The co-op's own account, from which members are paid."""

    async def work(desk: Desk) -> dict[str, object]:
        async with desk.acting("weir_office", as_treasurer("set the co-op's own account")) as connection:
            party = await payments.set_account(
                connection, None, name=name, iban=iban, seal=MasterSeal(desk.vault()), now_us=desk.now_us
            )
            return {"member": None, "account_ends": party.last_four}

    _say_account(at_desk(work), as_json=as_json)


def _say_account(told: Mapping[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
    else:
        say(f"{told['member'] or 'the co-op'} is paid at the account that ends in {told['account_ends']}")


@pay.command("export")
@click.option(
    "--to", "file", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Into FILE."
)
@click.option("--on", "day", metavar="YYYY-MM-DD", help="The day the bank pays; else today.")
@click.option("--minimum", default="0", help="Who is owed less waits for more.")
@click.option("--batch", type=click.IntRange(min=1), help="The file of this earlier batch once more.")
@json_option
@data_option
def export(file: Path, day: str | None, minimum: str, batch: int | None, as_json: bool) -> None:
    """Everything owed to members, and not ordered yet, as a file for the bank (pain.001)."""
    wanted = None if day is None else _day(day)

    async def work(desk: Desk) -> tuple[Exported | None, str]:
        seal = MasterSeal(desk.vault())
        if batch is not None:
            async with desk.connected("weir_billing") as connection:
                again = await payments.export_again(connection, batch, seal=seal)
                currency = await books.currency(connection)
            await desk.note("weir_billing", as_treasurer(f"make the file of payment batch {batch} once more"))
            return again, currency
        act = as_treasurer("order the payment of what is owed to members")
        async with desk.acting("weir_office", act) as connection:
            currency = await books.currency(connection)
            done = await payments.export(
                connection,
                execute_on=to_datetime(desk.now_us).date() if wanted is None else wanted,
                minimum_minor=parse_amount(minimum, currency, field="--minimum"),
                seal=seal,
                now_us=desk.now_us,
            )
            act.nothing = done is None
            if done is not None:
                total_number = format_amount(done.batch.total_minor, currency)
                act.what = (
                    f"order payment batch {done.batch.number}: {done.batch.orders:,} payments, {total_number}"
                )
            return done, currency

    done, currency = at_desk(work)
    if done is None:
        if as_json:
            print_json({"batch": None})
        else:
            say("nobody is owed anything that is not ordered already")
        return
    _write(file, done)
    if as_json:
        left_out = done.left_out
        print_json({**_batch_document(done.batch), "without_account": list(left_out.without_account),
                    "contact_lost": list(left_out.lost)})  # fmt: skip
        return
    amount = format_amount(done.batch.total_minor, currency)
    say(
        f"batch {done.batch.number}: {number_of(done.batch.orders, 'payment', 'payments')}, {amount}, in {file}"
    )
    _say_left_out(done.left_out.without_account, "owed without an account here")
    _say_left_out(done.left_out.lost, "owed and left out, because contact was lost")


def _say_left_out(names: Sequence[str], why: str) -> None:
    if names:
        shown = ", ".join(names[:NAMES_SHOWN_MAX])
        more = "" if len(names) <= NAMES_SHOWN_MAX else ", …"
        say(f"{number_of(len(names), 'member is', 'members are')} {why}: {shown}{more}")


def _write(file: Path, done: Exported) -> None:
    """Only for its owner: it holds names and account numbers. The batch is kept whatever happens here."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(done.file)
    except OSError as error:
        raise Refusal(
            f"{file} cannot be written: {error.strerror}; `weir pay export --batch {done.batch.number}` gives it again"
        ) from None


@pay.command("list")
@json_option
@data_option
def list_(as_json: bool) -> None:
    """All batches, and what became of their payments."""

    async def work(desk: Desk) -> tuple[list[KeptBatch], str]:
        async with desk.connected("weir_billing") as connection:
            return await store.batches(connection), await books.currency(connection)

    found, currency = at_desk(work)
    if as_json:
        print_json({"currency": currency, "batches": [_batch_document(one) for one in found]})
        return
    columns = ("batch", "message", "on", "payments", "amount", "waiting", "paid", "returned", "cancelled")
    rows = [
        (
            one.number, one.message_id, one.execute_on, one.orders, format_amount(one.total_minor, currency),
            one.waiting, one.paid, one.returned, one.cancelled,
        )
        for one in found
    ]  # fmt: skip
    print_table(columns, rows, numbers=("batch", "payments", "amount", *columns[5:]))


def _batch_document(one: KeptBatch) -> dict[str, object]:
    return {
        "batch": one.number,
        "message_id": one.message_id,
        "execute_on": str(one.execute_on),
        "made": instant_text(one.made_us),
        "orders": one.orders,
        "total_minor": one.total_minor,
        "waiting": one.waiting,
        "paid": one.paid,
        "returned": one.returned,
        "cancelled": one.cancelled,
    }


@pay.command("cancel")
@click.argument("batch", type=click.IntRange(min=1))
@json_option
@data_option
def cancel(batch: int, as_json: bool) -> None:
    """The bank will not execute what still waits of BATCH: it is owed again."""

    async def work(desk: Desk) -> KeptBatch:
        async with desk.acting(
            "weir_office", as_treasurer(f"cancel what waits of payment batch {batch}")
        ) as connection:
            return await payments.cancel(connection, batch, now_us=desk.now_us)

    done = at_desk(work)
    if as_json:
        print_json(_batch_document(done))
    else:
        say(
            f"batch {done.number}: {number_of(done.cancelled, 'payment', 'payments')} cancelled, to be in the next export again"
        )


@pay.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
@data_option
def import_(file: Path, as_json: bool) -> None:
    """Read the bank's statement FILE (camt.053 or CSV); what was read before is known again."""

    async def work(desk: Desk) -> Imported:
        body = _read(file, desk.billing.bank_file_bytes_max)
        async with desk.acting("weir_office", as_treasurer("read a statement of the bank")) as connection:
            with counted("lines") as tell:
                return await payments.import_statement(
                    connection, body, seal=MasterSeal(desk.vault()), now_us=desk.now_us, tell=tell
                )

    done = at_desk(work)
    if as_json:
        print_json(
            {"lines": done.lines, "known": done.known, "booked": done.booked, "unmatched": done.unmatched}
        )
        return
    say(
        f"{number_of(done.lines, 'line', 'lines')}: {done.booked:,} booked, {done.known:,} known already, {done.unmatched:,} unmatched"
    )
    if done.unmatched:
        say("`weir pay unmatched` shows those; `weir pay assign LINE ACCOUNT` books one")


def _read(file: Path, bytes_max: int) -> bytes:
    try:
        with file.open("rb") as opened:
            body = opened.read(bytes_max + 1)
    except OSError as error:
        raise Refusal(f"{file} cannot be read: {error.strerror}") from None
    if len(body) > bytes_max:
        raise Refusal(
            f"{file} has more than {bytes_max} bytes (bank_file_bytes_max); ask the bank for shorter spans"
        )
    return body


@pay.command("unmatched")
@json_option
@data_option
def unmatched(as_json: bool) -> None:
    """Lines of the bank that are not in the books yet."""

    async def work(desk: Desk) -> tuple[list[Unmatched], str]:
        async with desk.connected("weir_billing") as connection:
            found = await payments.unmatched(connection, seal=MasterSeal(desk.vault()))
            return found, await books.currency(connection)

    found, currency = at_desk(work)
    if as_json:
        print_json({"currency": currency, "lines": [_line_document(one) for one in found]})
        return
    rows = [
        (
            one.line.number, one.line.booked_on, format_amount(one.line.amount_minor, currency), one.name,
            one.text or one.line.end_to_end,
        )
        for one in found
    ]  # fmt: skip
    print_table(("line", "day", "amount", "name", "text"), rows, numbers=("line", "amount"))


def _line_document(one: Unmatched) -> dict[str, object]:
    return {
        "line": one.line.number,
        "booked_on": str(one.line.booked_on),
        "amount_minor": one.line.amount_minor,
        "end_to_end": one.line.end_to_end,
        "name": one.name,
        "iban": one.iban,
        "text": one.text,
    }


@pay.command("assign")
@click.argument("line", type=click.IntRange(min=1))
@click.argument("account", required=False)
@click.option("--entry", type=click.IntRange(min=1), help="An entry that has moved this money already.")
@click.option("--memo", default="", help="What it is, in a line.")
@json_option
@data_option
def assign(line: int, account: str | None, entry: int | None, memo: str, as_json: bool) -> None:
    """Book LINE of the bank against ACCOUNT, or tie it to an entry that is there."""
    if (account is None) == (entry is None):
        raise Refusal("give an account, like payable:suppliers, or --entry with the number of an entry")

    async def work(desk: Desk) -> int:
        async with desk.acting("weir_office", as_treasurer(f"book line {line} of the bank")) as connection:
            if account is not None:
                return await payments.assign(connection, line, account, memo=memo, now_us=desk.now_us)
            assert entry is not None, "one of both was given"
            await payments.assign_entry(connection, line, entry)
            return entry

    done = at_desk(work)
    if as_json:
        print_json({"line": line, "entry": done})
    else:
        say(f"line {line} is entry {done}")
        tell_of_costs([] if account is None else [account])


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refusal(f"--on: '{text[:20]}' is not a day; write it as YYYY-MM-DD") from None

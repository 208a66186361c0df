"""The demo's story: found, let the clients work, book invented invoices, close for trial, compare the sums."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from signal import SIGKILL

from billing import year_run
from billing.costs.costing import add_cost
from billing.money import format_number, parse_amount
from billing.month.closing import Closing
from billing.month.member_month import MemberMonth
from billing.run import set_tariff, trial
from billing.year_run import YearDone
from deploy.children import PACKAGE_ROOT
from deploy.demo.order import Account, Order, cut_bucket
from deploy.desk import Desk, ship_up_to_now
from deploy.founding import login_link
from deploy.instants import Window, window
from deploy.privilege import launched
from gateway.keys import create_key, list_keys, reveal_secret
from gateway.settings import GatewaySettings
from gateway.store import bucket_names
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.store import add_member, find_member
from meter.usage import Member, MemberClass
from meter.usage_store import usage_between, usage_rows
from meter.window import Month

NEWCOMERS = (
    ("bakery", MemberClass.USER),
    ("choir", MemberClass.USER),
    ("library", MemberClass.USER),
    ("radio", MemberClass.SUPPORTER),
)
"""With the founder they are five. The radio only supports: it pays at cost and shares no surplus."""
# A thousandfold of real prices, so that half a minute of traffic is worth whole euros.
TARIFF = """
currency = "EUR"
effective_from = "{month}"
gb_out = "12.00"
gb_in = "3.00"
gb_month = "8.00"
requests_a_1000 = "2.50"
requests_b_1000 = "0.40"
"""
INVOICES = (
    ("transit", 45, "uplink, the month's share"),
    ("power", 22, "two machines in the cellar"),
    ("disks", 13, "put aside for the next ones"),
)
"""(pool, percent of what was charged, memo): what is left is the surplus."""
SETTLE_S = 10
POLL_S = 0.1
Progress = Callable[[Mapping[str, object]], None]


@dataclass(frozen=True, slots=True)
class Told:
    """One sum worked out on both sides."""

    name: str
    left: int
    right: int
    agree: bool


@dataclass(frozen=True, slots=True)
class MemberLine:
    """What the table says of one member. Bytes, and minor units of the currency."""

    name: str
    member_class: str
    bytes_in: int
    bytes_out: int
    requests: int
    charged_minor: int
    share_minor: int
    login_link: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything the demo prints."""

    members: tuple[MemberLine, ...]
    closing: Closing
    sums: tuple[Told, ...]
    exchanges: int
    cuts: int

    @property
    def agree(self) -> bool:
        """Whether every sum agrees."""
        return all(told.agree for told in self.sums)


async def play(desk: Desk, *, seconds: int, seed: int, progress: Progress) -> Outcome:
    """Play the whole story on a running co-op. Raises Refusal when a client fails."""
    month = Month.of(desk.now_us)
    async with desk.connected("weir_office") as connection:
        await set_tariff(connection, TARIFF.format(month=month), now_us=desk.now_us)
    members = await _register(desk)
    accounts = [await _account(desk, member) for member in members]
    gateway_url = str(desk.running.facts["gateway_url"]) if desk.running else ""
    order = Order(gateway_url, GatewaySettings.read().region, seconds, seed, tuple(accounts))
    counted = await run_clients(order, progress)
    await _settle(desk, members, counted)
    await _book_invoices(desk, month)
    charged: dict[MemberId, MemberMonth] = {}
    async with desk.connected("weir_billing") as connection:
        closing = await trial(
            connection, month, now_us=desk.now_us, each=lambda one: charged.update({one.member.id: one})
        )
        year = await year_run.trial(connection, month.year, now_us=desk.now_us)
    return await _outcome(desk, members, counted, closing, charged, year)


async def run_clients(order: Order, progress: Progress) -> dict[str, dict[str, int]]:
    """Run the clients as a process of their own; what each member counted. Raises Refusal."""
    command = launched([sys.executable, "-P", "-m", "deploy.demo.clients"], death_signal=SIGKILL)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, env={"PYTHONPATH": str(PACKAGE_ROOT)}
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(asdict(order)).encode())
    process.stdin.close()
    counted: dict[str, dict[str, int]] | None = None
    failed = "it ended without a word"
    async for line in process.stdout:
        told = json.loads(line)
        if "counted" in told:
            counted = told["counted"]
        elif "failed" in told:
            failed = told["failed"]
        else:
            progress(told)
    if await process.wait() != 0 or counted is None:
        raise Refusal(f"a client of the demo failed: {failed}")
    return counted


async def _register(desk: Desk) -> list[Member]:
    async with desk.connected(None) as connection:
        found = [await find_member(connection, "1")]
        for name, member_class in NEWCOMERS:
            found.append(
                await add_member(
                    connection, name=name, member_class=member_class, email="", now_us=desk.now_us
                )
            )
        return found


async def _account(desk: Desk, member: Member) -> Account:
    vault = desk.vault()
    async with desk.connected("weir_gateway") as connection:
        known = await list_keys(connection, member.id)
        if known:
            access_key = known[0].access_key
            return Account(member.name, access_key, await reveal_secret(connection, access_key, vault=vault))
        pair = await create_key(connection, member.id, vault=vault, now_us=desk.now_us)
        return Account(member.name, *pair)


async def _settle(desk: Desk, members: Sequence[Member], counted: Mapping[str, Mapping[str, int]]) -> None:
    """Wait until what the clients counted has arrived: an exchange ends at the server an instant later."""
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        left = await ship_up_to_now(desk)
        if left == 0 and all(told.agree for told in await _bytes_told(desk, members, counted)):
            return
        await asyncio.sleep(POLL_S)


async def _book_invoices(desk: Desk, month: Month) -> None:
    async with desk.connected("weir_office") as connection:
        closing = await trial(connection, month, now_us=desk.now_us)
        for pool, percent, memo in INVOICES:
            amount = format_number(max(1, closing.result.charges_minor * percent // 100), closing.currency)
            await add_cost(
                connection, month=month, pool=pool, amount=amount.replace(",", ""), memo=memo,
                now_us=desk.now_us,
            )  # fmt: skip


async def _outcome(
    desk: Desk,
    members: Sequence[Member],
    counted: Mapping[str, Mapping[str, int]],
    closing: Closing,
    charged: Mapping[MemberId, MemberMonth],
    year: YearDone,
) -> Outcome:
    shares = {number: amount for number, _, amount in year.shares()}
    lines = [
        MemberLine(
            member.name,
            member.member_class.value,
            charged[member.id].usage.bytes_in,
            charged[member.id].usage.bytes_out,
            charged[member.id].usage.requests_a + charged[member.id].usage.requests_b,
            charged[member.id].charge.amount_minor,
            shares.get(member.id, 0),
            await _link(desk, member.id),
        )
        for member in members
    ]
    sums = [*await _bytes_told(desk, members, counted), *_money_told(closing, lines, year)]
    exchanges = sum(one["exchanges"] for one in counted.values())
    return Outcome(
        tuple(lines), closing, tuple(sums), exchanges, sum(one["cuts"] for one in counted.values())
    )


async def _link(desk: Desk, member: MemberId) -> str:
    portal_url = str(desk.running.facts["portal_url"]) if desk.running else ""
    return await login_link(
        desk.dsn, member, portal_url=portal_url, ttl_minutes=desk.billing.login_link_ttl_minutes,
        now_us=desk.now_us, timeout_s=desk.meter.database_timeout_s,
    )  # fmt: skip


async def _bytes_told(
    desk: Desk, members: Sequence[Member], counted: Mapping[str, Mapping[str, int]]
) -> list[Told]:
    """The clients' bytes against the meter's; cut downloads by themselves."""
    asked = window(None, None, now_us=desk.now_us)
    bytes_in = bytes_out = cut_out = 0
    async with desk.connected("weir_meter") as connection:
        for member in members:
            used = await usage_between(connection, member.id, start_us=asked.start_us, end_us=asked.end_us)
            bytes_in += used.bytes_in
            bytes_out += used.bytes_out
            cut_out += await _cut_bytes(desk, connection, member, asked)
    clients_in = sum(one["bytes_in"] for one in counted.values())
    clients_out = sum(one["bytes_out"] for one in counted.values())
    delivered = sum(one["cut_delivered"] for one in counted.values())
    completed_out = bytes_out - cut_out
    return [
        Told("bytes sent by clients = bytes in of usage", clients_in, bytes_in, clients_in == bytes_in),
        Told(
            "bytes received by clients = bytes out of usage",
            clients_out,
            completed_out,
            clients_out == completed_out,
        ),
        Told("cut downloads: delivered ≥ billed", delivered, cut_out, 0 <= cut_out <= delivered),
    ]


async def _cut_bytes(desk: Desk, connection: Connection, member: Member, asked: Window) -> int:
    rows = await usage_rows(connection, member.id, start_us=asked.start_us, end_us=asked.end_us, by="bucket")
    async with desk.connected("weir_gateway") as gateway:
        names = await bucket_names(gateway, [int(str(number)) for number, _ in rows])
    own = cut_bucket(member.name)
    return sum(used.bytes_out for number, used in rows if names.get(int(str(number))) == own)


def _money_told(closing: Closing, lines: Sequence[MemberLine], year: YearDone) -> list[Told]:
    """The sums of the books, each worked out anew from the parts."""
    charges = sum(line.charged_minor for line in lines)
    shares = sum(line.share_minor for line in lines)
    pool = parse_amount(year.page["pool"], closing.currency, negative=True)
    revenue, result = closing.result.charges_minor, closing.result.amount_minor
    surplus = revenue - sum(closing.costs.values())
    return [
        Told("charges of all members = revenue", charges, revenue, charges == revenue),
        Told("revenue − invoices = result", surplus, result, surplus == result),
        Told("if the year ended now: shares of all members = what they share", shares, pool, shares == pool),
    ]

"""The treasurer's page of pools and the keys they are shared by: what is in force, and a key set from a month on.

What is done here is done by the function of the command, and stands in the log of acts.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from billing.acts.act import Doing, Office
from billing.costs import store as cost_store
from billing.costs.costing import checked_key, list_costs, set_pool
from billing.costs.invoices import MEMO_CHARACTERS_MAX
from billing.costs.pools import KEY_CHARACTERS_MAX
from billing.pages import render
from billing.portal import treasury
from billing.portal.desk import PORTAL, html_page
from billing.portal.office import act_once, form_of, holding, is_sure
from billing.portal.once import form_name
from meter.postgres import Connection
from meter.window import Month

TREASURER = Office.TREASURER
PATH = "/treasurer/pools"
FIELDS = ("pool", "key", "start", "memo")
EXAMPLES: Mapping[str, str] = {
    "gb_out": "by bytes sent; gb_out:internet counts what went to the internet alone",
    "gb_month": "by what is kept in storage, and for how long",
    "requests": "by requests",
    "p95:internet": "by the share in the line’s 95th percentile, for transit with commit and burst",
    "equal": "every member alike",
    "40 % equal + 60 % gb_month": "a mix, whose parts are the whole",
}
"""Key → what it does, for who types one; docs/costs.md has all there are."""


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [web.get(PATH, _pools), web.post(PATH, _set)]


async def _pools(request: web.Request) -> web.Response:
    async with holding(request, TREASURER) as holder:
        month = Month.of(holder.now_us)
        keys = await _keys(holder.connection, month)
    context = {
        "month": month, "keys": keys, "examples": EXAMPLES, "pool": request.query.get("pool", "")[:63],
        "changed": request.query.get("changed", "")[:63], "key_max": KEY_CHARACTERS_MAX, "memo_max": MEMO_CHARACTERS_MAX,
    }  # fmt: skip
    return html_page(render("pools.html", visitor=holder.visitor, **context))


async def _keys(connection: Connection, month: Month) -> list[tuple[str, str]]:
    """(pool, its key in a month, or nothing) of those that have a key or cost something lately."""
    found = await cost_store.pool_keys(connection, month)
    for back in treasury.looked_back(month):
        for one in await list_costs(connection, back):
            found.setdefault(one.pool, "")
    return sorted(found.items())


async def _set(request: web.Request) -> web.Response:
    form = await form_of(request, TREASURER)
    fields = {name: form.get(name, "").strip() for name in FIELDS}
    name, key, memo, month = fields["pool"], fields["key"], fields["memo"], Month.parse(fields["start"])
    if not is_sure(form):
        async with holding(request, TREASURER) as holder:
            read = await checked_key(holder.connection, name=name, month=month, key=key, memo=memo)
            before = (await cost_store.pool_keys(holder.connection, month)).get(name, "")
        context = {"fields": fields, "month": month, "key": read.text, "before": before, "form": form_name()}
        return html_page(render("pool_sure.html", visitor=holder.visitor, **context))
    doing = Doing(TREASURER, "pool set", f"share pool {name} by the key '{key}' from {month} on")

    async def share(connection: Connection) -> str:
        await set_pool(
            connection, name=name, month=month, key=key, memo=memo, now_us=request.app[PORTAL].clock()
        )
        return f"{PATH}?changed={name}"

    return await act_once(request, doing, form, share)

"""One year's usage closed by the rules of three countries: docs/year.md shows it, and the law's own figures by hand."""

from tests.ordinary import ROOT
from tests.three_countries import COUNTRIES, charges, closed, simulation, tables


def test_the_tables_of_the_page_are_those_that_follow_from_the_usage() -> None:
    page = ROOT.joinpath("docs", "year.md").read_text("utf-8")
    shown = page.partition("<!-- three countries -->\n")[2].partition("<!-- end -->")[0]
    assert "\n" + tables() + "\n" == shown


def test_each_country_takes_what_its_law_says() -> None:
    """The result is 21,492.15 − 16,480.00 + 120.00 = 5,132.15, of it 5,012.15 by members' use; percentages by hand."""
    accounts = {rules: closed(rules)["accounts"] for rules in COUNTRIES}
    # SELC: a quarter of 5,132.15 is 1,283.0375, rounded up; side income is part of it.
    assert "1283.04" == accounts["us-selc"]["collective:main"]
    # Italy: 30 % and 3 % of 5,132.15 are 1,539.645 and 153.9645.
    assert ("1539.65", "153.97") == (accounts["it"]["reserve:compulsory"], accounts["it"]["fund:mutual"])
    # Spain: 20 % of 5,012.15 and 50 % of 120.00; 5 % of 5,012.15 is 250.6075.
    assert ("1062.43", "250.61") == (accounts["es"]["reserve:compulsory"], accounts["es"]["fund:education"])
    for one in accounts.values():
        assert "15.00" == one["interest:shares"]  # 2 × 250.00 × 3 %


def test_the_usage_is_the_same_in_all_three() -> None:
    assert 2_149_215 == sum(charges().values())
    members = [simulation(rules)["members"] for rules in COUNTRIES]
    assert members[0] == members[1] == members[2]
    assert {"user": 12, "worker": 3, "supporter": 2} == {
        name: sum(one["class"] == name for one in members[0]) for name in ("user", "worker", "supporter")
    }


def test_the_same_hours_and_charges_share_alike_everywhere() -> None:
    """What differs is the pool: each country's 80 % goes by charges, largest remainder, to the cent."""
    for rules in COUNTRIES:
        done = closed(rules)
        pool = int(done["class_pools"]["user"].replace(".", ""))
        own = charges()
        for row in done["allocations"]:
            if row["class"] == "user":
                exact = pool * own[row["id"]]
                assert abs(int(row["amount"].replace(".", "")) * sum(own.values()) - exact) < sum(
                    own.values()
                )

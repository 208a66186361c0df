"""obstore, which is Rust's object_store: ranges, conditions, listings, copies."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from tests.gateway import Credentials, RunningGateway
from tests.integration.clients.kit import (
    CONTROL,
    LARGE,
    MIB,
    ODD_KEYS,
    came_in_parts,
    made_by_page,
    sha256,
    with_wrong_secret,
)
from tests.integration.s3_kit import fetch

pytestmark = pytest.mark.every_engine

CLIENT = "obstore"


def store_for(gateway: RunningGateway, credentials: Credentials, bucket: str, **more: Any) -> Any:
    """The store that the page makes, for a bucket."""
    return made_by_page(CLIENT, gateway.url, credentials)["store"](bucket, **more)


@pytest.fixture
def store(s3_gateway: RunningGateway, anna: Credentials, bucket: str) -> Any:
    """Anna's, for a bucket of this test."""
    return store_for(s3_gateway, anna, bucket)


def read(store: Any, name: str) -> bytes:
    """A whole object."""
    return bytes(store.get(name).bytes())


@pytest.mark.journey
def test_a_large_object_goes_in_parts_and_comes_in_ranges(
    store: Any, s3: Any, bucket: str, engine: str
) -> None:
    store.put("a dir/large", LARGE, use_multipart=True, chunk_size=5 * MIB, max_concurrency=4)
    assert came_in_parts(s3.head_object(Bucket=bucket, Key="a dir/large")["ETag"], 4, engine)
    assert sha256(LARGE) == sha256(read(store, "a dir/large"))
    ranges = store.get_ranges("a dir/large", starts=[0, 9 * MIB], ends=[10, 9 * MIB + 5])
    assert [LARGE[:10], LARGE[9 * MIB : 9 * MIB + 5]] == [bytes(one) for one in ranges]
    assert len(LARGE) == store.head("a dir/large")["size"]
    assert sha256(LARGE) == sha256(b"".join(bytes(chunk) for chunk in store.get("a dir/large").stream()))


def test_odd_names_are_put_listed_and_deleted(store: Any) -> None:
    names = set(ODD_KEYS) - {CONTROL}  # it refuses control characters itself
    for name in names:
        store.put(name, name.encode(), attributes={"Content-Type": "text/x-odd", "colour": "blue"})
    assert names == {one["path"] for page in store.list(chunk_size=5) for one in page}
    level = store.list_with_delimiter()
    assert {name.partition("/")[0] for name in names if "/" in name} == set(level["common_prefixes"])
    assert {name for name in names if "/" not in name} == {one["path"] for one in level["objects"]}
    for name in names:
        got = store.get(name)
        assert (name.encode(), "blue") == (bytes(got.bytes()), got.attributes["colour"])
    store.delete(sorted(names))
    assert [] == [one for page in store.list() for one in page]


@pytest.mark.needs("conditional_put")
def test_conditions_are_kept(store: Any) -> None:
    first = store.put("key", b"first", mode="create")
    with pytest.raises(AlreadyExistsError):
        store.put("key", b"second", mode="create")
    store.put("key", b"second", mode={"e_tag": first["e_tag"]})
    with pytest.raises(PreconditionError):
        store.put("key", b"third", mode={"e_tag": first["e_tag"]})
    assert b"second" == read(store, "key")
    with pytest.raises(PreconditionError):
        store.get("key", options={"if_match": first["e_tag"]})


@pytest.mark.needs("conditional_copy")
def test_objects_are_copied_and_renamed(
    store: Any, s3_gateway: RunningGateway, anna: Credentials, bucket: str
) -> None:
    store.put("from ü+", b"data")
    store.copy("from ü+", "to")
    store.rename("to", "renamed")
    assert b"data" == read(store, "renamed")
    careful = store_for(s3_gateway, anna, bucket, copy_if_not_exists="multipart")
    careful.copy("from ü+", "new", overwrite=False)
    store.put("from ü+", b"changed")
    with pytest.raises(AlreadyExistsError):
        careful.copy("from ü+", "new", overwrite=False)
    assert b"data" == read(store, "new")
    assert {"from ü+", "new", "renamed"} == {one["path"] for page in store.list() for one in page}


def test_a_link_needs_no_key(store: Any) -> None:
    store.put("a b+ü", b"shared")
    assert b"shared" == fetch(obstore.sign(store, "GET", "a b+ü", timedelta(minutes=1))).body


def test_refusals_are_told(store: Any, s3_gateway: RunningGateway, anna: Credentials, bucket: str) -> None:
    with pytest.raises(FileNotFoundError):
        store.get("gone")
    with pytest.raises(BaseError, match="SignatureDoesNotMatch"):
        store_for(s3_gateway, with_wrong_secret(anna), bucket).get("gone")

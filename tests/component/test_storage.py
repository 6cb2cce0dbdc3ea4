"""A bucket and a folder keep files in the same way."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

from shared.domain.refusals import TemporarilyUnavailable
from shared.journal.storage import Bucket, Folder, NoSuchFile, Storage
from tools import engine

DAY = "days/day=2100-01-01"


@pytest.fixture(scope="module")
def client() -> Any:
    """Of use inside `mock_aws` only. It lists three names at a time."""
    made: Any = botocore.session.Session().create_client(
        "s3", region_name=engine.REGION, aws_access_key_id=engine.KEY, aws_secret_access_key=engine.KEY
    )
    made.list_objects_v2 = partial(made.list_objects_v2, MaxKeys=3)
    return made


@pytest.fixture(params=["bucket", "folder"])
def storage(request: pytest.FixtureRequest, client: Any, tmp_path: Path) -> Iterator[Storage]:
    with mock_aws():
        client.create_bucket(Bucket="journal")
        yield Bucket(client, "journal") if request.param == "bucket" else Folder(tmp_path / "journal")


def test_what_is_put_is_got_until_it_is_deleted(storage: Storage) -> None:
    storage.put(f"{DAY}/1.parquet", b"\0one")
    storage.put(f"{DAY}/1.parquet", b"more")
    storage.put("empty", b"")
    assert (storage.get(f"{DAY}/1.parquet"), storage.get("empty")) == (b"more", b"")
    storage.delete(f"{DAY}/1.parquet")
    storage.delete(f"{DAY}/1.parquet")
    with pytest.raises(NoSuchFile):
        storage.get(f"{DAY}/1.parquet")
    with pytest.raises(NoSuchFile):
        storage.get("days")
    assert storage.names("") == ["empty"]


def test_names_are_those_that_begin_so(storage: Storage) -> None:
    assert storage.names("days/") == []
    names = [f"{DAY}/{number:04}.parquet" for number in range(8)]
    for name in ["daytime", "dead/1", *reversed(names)]:
        storage.put(name, b"")
    assert storage.names("days/") == storage.names("day" + "s") == names
    assert storage.names("da") == [*names, "daytime"]
    assert storage.names(f"{DAY}/0007") == names[7:]


@pytest.mark.parametrize(
    "name",
    ["", "/", "/etc/passwd", "../outside", "days/../../outside", "days//1", "days/", ".", "days/.", "a\0b", "é", "~/a",
     "a\n"],
)  # fmt: skip
def test_no_name_leaves_the_folder(storage: Storage, tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").write_bytes(b"not ours")
    for act in (storage.get, storage.delete, lambda name: storage.put(name, b"")):
        with pytest.raises(ValueError, match="is no name of a file"):
            act(name)
    assert (tmp_path / "outside").read_bytes() == b"not ours"


def test_only_the_owner_reads_a_file_of_a_folder(tmp_path: Path) -> None:
    Folder(tmp_path).put("days/1", b"")
    assert (tmp_path / "days/1").stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_leaves_the_one_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(tmp_path)
    folder.put("days/1", b"old")

    def full(_: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        folder.put("days/1", b"new")
    assert (folder.get("days/1"), [*(tmp_path / "days").iterdir()]) == (b"old", [tmp_path / "days/1"])


def test_what_a_writer_that_died_has_left_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "days").mkdir()
    (tmp_path / "days/.half").write_bytes(b"")
    assert Folder(tmp_path).names("") == []


class Failing:
    """A client for S3 whose calls all fail."""

    def __init__(self, fault: Exception) -> None:
        self.fault = fault

    def __getattr__(self, _: str) -> Any:
        def call(**_: object) -> None:
            raise self.fault

        return call


def _refused(code: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        (EndpointConnectionError(endpoint_url="https://s3.example"), TemporarilyUnavailable),
        (_refused("SlowDown", 503), TemporarilyUnavailable),
        (_refused("AccessDenied", 403), ClientError),
    ],
)
def test_a_bucket_that_does_not_answer_is_temporarily_unavailable(fault: Exception, raised: type[Exception]) -> None:
    bucket = Bucket(Failing(fault), "journal")
    for act in (bucket.get, bucket.delete, bucket.names, lambda name: bucket.put(name, b"")):
        with pytest.raises(raised):
            act("days/1")

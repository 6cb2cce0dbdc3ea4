"""Where the journal's files are: a bucket in AWS, a folder in the local run.

A name is a path of plain words, `days/day=2100-01-01/0a1b.parquet`. What is put is there as a whole or not at all, and
over what was there.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.refusals import TemporarilyUnavailable

NAME = re.compile(r"\w[\w=:.+-]*(/\w[\w=:.+-]*)*", re.ASCII)


class NoSuchFile(Exception):
    """The storage has no file of this name."""


class Storage(Protocol):
    """Methods raise `ValueError` for what is no name."""

    def put(self, name: str, content: bytes) -> None: ...

    def get(self, name: str) -> bytes:
        """Raises `NoSuchFile`."""

    def delete(self, name: str) -> None:
        """What is not there is no error."""

    def names(self, prefix: str) -> list[str]:
        """All that begin so, in order."""


class Bucket:
    """`client` is botocore's for S3. Where S3 does not answer, methods raise `TemporarilyUnavailable`."""

    def __init__(self, client: Any, bucket: str) -> None:
        self.client = client
        self.bucket = bucket

    def put(self, name: str, content: bytes) -> None:
        with _answers():
            self.client.put_object(Bucket=self.bucket, Key=_checked(name), Body=content)

    def get(self, name: str) -> bytes:
        try:
            with _answers():
                found: bytes = self.client.get_object(Bucket=self.bucket, Key=_checked(name))["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
            raise NoSuchFile(name) from None
        return found

    def delete(self, name: str) -> None:
        with _answers():
            self.client.delete_object(Bucket=self.bucket, Key=_checked(name))

    def names(self, prefix: str) -> list[str]:
        found: list[str] = []
        request = {"Bucket": self.bucket, "Prefix": prefix}
        while True:
            with _answers():
                answer = self.client.list_objects_v2(**request)
            found += [each["Key"] for each in answer.get("Contents", ())]
            if not answer["IsTruncated"]:
                return sorted(found)
            request["ContinuationToken"] = answer["NextContinuationToken"]


@contextmanager
def _answers() -> Iterator[None]:
    try:
        yield
    except BotoCoreError as error:
        raise TemporarilyUnavailable from error
    except ClientError as error:
        if error.response["ResponseMetadata"].get("HTTPStatusCode", 0) < 500:
            raise
        raise TemporarilyUnavailable from error


class Folder:
    """Files that only their owner reads. One that is not written to its end is not among the names."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, name: str, content: bytes) -> None:
        file = self.path / _checked(name)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, new = mkstemp(dir=file.parent, prefix=".")
        try:
            with open(descriptor, "wb") as written:
                written.write(content)
                written.flush()
                os.fsync(descriptor)
            os.replace(new, file)
        except BaseException:
            os.unlink(new)
            raise

    def get(self, name: str) -> bytes:
        try:
            return (self.path / _checked(name)).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise NoSuchFile(name) from None

    def delete(self, name: str) -> None:
        (self.path / _checked(name)).unlink(missing_ok=True)

    def names(self, prefix: str) -> list[str]:
        files = (file.relative_to(self.path).as_posix() for file in self.path.rglob("*") if file.is_file())
        return sorted(name for name in files if name.startswith(prefix) and NAME.fullmatch(name))


def _checked(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a file")
    return name

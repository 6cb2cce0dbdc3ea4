"""What is uploaded to Lambda: the dependencies with `functions/` and `shared/` beside them. The functions that
publishers call have a bundle of a fifth of the size of the operators': it is fetched at every cold start.

Built without Docker: pip fetches the wheels of Lambda's platform whatever the platform of this machine is. The same
sources, compiled by the same Python, give the same bundle, byte for byte.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import jsii
from aws_cdk import AssetHashType, BundlingOptions, DockerImage, ILocalBundling
from aws_cdk.aws_lambda import Architecture, Code, Runtime

from shared.functions import FUNCTIONS, Bundle

ROOT = Path(__file__).parent.parent
PACKAGES = ("functions", "shared")
PAPERS = (Path("LICENSE"), Path("NOTICE"))
NOTICES = "THIRD-PARTY-NOTICES"
"""In the bundle: the license texts of its packages."""
REQUIREMENTS = Path("requirements/functions.txt")
RUNTIME = Runtime.PYTHON_3_13
ARCHITECTURE = Architecture.ARM_64
VERSION = "3.13"

PIP = ("--only-binary=:all:", "--require-hashes", "--no-compile")

# Of botocore's four hundred services these are called. Making a client looks through all that are there, and reads the
# addresses of all.
SERVICES = ("dynamodb", "dynamodbstreams", "s3", "secretsmanager")
ADDRESSES = {"dynamodb", "s3", "secretsmanager", "streams.dynamodb"}
"""What the list of addresses calls them."""
# What nothing of ours opens: names of places and carriers (half of the whole), numbers too short for a caller, a
# compiler of bindings, other ways to sign in, to be called and to look addresses up, type stubs, papers of packages but
# for the one that says its version.
TRIMMED = (
    "bin",
    "aiohttp/.hash",
    "aiohttp/*.p[xy][xd]",
    "aiohttp/_websocket/*.so",
    "aiohttp/_websocket/*.p[xy][xd]",
    "aiohttp/pytest_plugin.py",
    "aiohttp/test_utils.py",
    "aiohttp/web*.py",
    "aiohttp/worker.py",
    "authlib/integrations",
    "authlib/jose",
    "authlib/oauth1",
    "aws_lambda_powertools/event_handler",
    "aws_lambda_powertools/utilities/[!jt_]*",
    "cffi",
    "dateutil/zoneinfo/*.tar.gz",
    "dns",
    "frozenlist/*.pyx",
    "multidict/_testcapi*",
    "phonenumbers/carrierdata",
    "phonenumbers/geodata",
    "phonenumbers/shortdata/region_*",
    "phonenumbers/tzdata",
    "propcache/*.pyx",
    "pycparser",
    "pydantic/mypy.py",
    "pydantic/v1",
    "tzdata/zoneinfo/*.tab",
    "tzdata/zoneinfo/tzdata.zi",
    "tzdata/zoneinfo/leap*",
    "*.dist-info/licenses",
    "*.dist-info/[!M]*",
    "**/tests",
    "**/*.pyi",
    "**/py.typed",
    "botocore/data/*/*/examples-1.json",
    "yarl/*.pyx",
)
# What publishers' functions do not open either: the checks of a configuration, signing in to the dashboard, and the
# journal.
OPERATORS_ONLY = (
    "_duckdb*",
    "_yaml",
    "adbc_driver_duckdb*",
    "annotated_types*",
    "authlib*",
    "botocore/data/dynamodbstreams",
    "botocore/data/s3",
    "duckdb*",
    "itsdangerous*",
    "joserfc*",
    "pydantic*",
    "pyyaml*",
    "typing_inspection*",
    "yaml",
)
# What checks the signatures of Telnyx (Ed25519). It would make the bundle of PING and POST larger by 60 percent.
SIGNATURES = ("_cffi_backend*", "cffi*", "cryptography*", "pycparser*")
PAPER = re.compile(r"(LICEN[CS]E|NOTICE|COPYING)", re.IGNORECASE)
"""The files of a package that have its licenses and notices."""
OFFICE = (
    *(f"functions/{name}" for name, function in FUNCTIONS.items() if function.bundle == "operators"),
    "shared/configuration",
    "shared/journal",
    "shared/office",
    "shared/operators",
    "shared/pages/dashboard",
    "shared/runtime/journal.py",
    "shared/runtime/office.py",
)
"""The folders and files of ours that publishers' functions do not open."""
FIXED_TIME = 315_532_800
"""1980-01-01 UTC, the oldest that a zip can say."""

NO_CACHES = (
    f"WARNING: no Python {VERSION} was found, so the bundle has no compiled caches and every cold start of a function "
    f"compiles what it imports, which takes several times as long. Put a python{VERSION} on the PATH for a release."
)


class BundleFailed(Exception):
    """There is no bundle; the message says why in one sentence."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a bundle is built for. `compiler` makes its caches; None where no Python of the target's version is. The
    folders `left_out` are ours."""

    name: str
    wheels: tuple[str, ...]
    compiler: str | None
    trimmed: tuple[str, ...] = TRIMMED
    left_out: tuple[str, ...] = ()


Codes = Mapping[Bundle, Code]


def wheels(cpu: str) -> tuple[str, ...]:
    """What makes pip fetch those of Lambda's Python. Both platforms: most are built for the older C library, google-re2
    only for the newer; Lambda has 2.34."""
    platforms = (f"--platform=manylinux2014_{cpu}", f"--platform=manylinux_2_28_{cpu}")
    return (*platforms, "--implementation=cp", f"--python-version={VERSION}")


def target(name: str = "lambda") -> Target:
    """`lambda`, or `host`: this Python on this CPU, for an emulator that runs functions as processes of its own.

    Raises `BundleFailed` for any other name.
    """
    if name == "lambda":
        return Target(name, wheels("aarch64"), compiler())
    if name == "host":
        return Target(name, (), sys.executable)
    raise BundleFailed(f"There is no bundle {name!r}: it is built for lambda or for host")


def targets(target: Target) -> dict[Bundle, Target]:
    """The target of each bundle."""
    return {"publishers": for_publishers(target), "telephony": _for_telephony(target), "operators": target}


def for_publishers(target: Target) -> Target:
    return replace(target, trimmed=(*TRIMMED, *OPERATORS_ONLY, *SIGNATURES), left_out=OFFICE)


def _for_telephony(target: Target) -> Target:
    return replace(target, trimmed=(*TRIMMED, *OPERATORS_ONLY), left_out=OFFICE)


def codes(target: Target) -> Codes:
    """The bundles as the code of functions."""
    return {name: _code(each) for name, each in targets(target).items()}


def _code(target: Target) -> Code:
    """It is built only where no bundle of the same sources lies in `cdk.out`."""
    return Code.from_asset(
        str(ROOT),
        asset_hash=fingerprint(target),
        asset_hash_type=AssetHashType.CUSTOM,
        bundling=BundlingOptions(image=RUNTIME.bundling_image, local=LocalBundling(target)),
    )


def sources(target: Target) -> Iterator[Path]:
    """Our own files in the bundle, relative to the root of the repository and in a fixed order."""
    yield from PAPERS
    left_out = [ROOT / folder for folder in target.left_out]
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and not any(map(path.is_relative_to, left_out)):
                yield path.relative_to(ROOT)


def fingerprint(target: Target) -> str:
    """Changes with whatever changes the bundle: target, compiler, the locked requirements, our sources, this file."""
    trimmed = " ".join(target.trimmed)
    compiled_by = version_of(target.compiler) if target.compiler else "nobody"
    digest = hashlib.sha256(f"{target.name} {sys.platform} {compiled_by} {trimmed}\n".encode())
    for path in (REQUIREMENTS, *sources(target), Path(__file__).relative_to(ROOT)):
        content = (ROOT / path).read_bytes()
        digest.update(f"{path.as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def compiler() -> str | None:
    """A Python of Lambda's version: this one, one on the PATH, or one of pyenv's or uv's; the first that runs."""
    kept = (
        Path.home().glob(f".pyenv/versions/{VERSION}.*/bin/python{VERSION}"),
        Path.home().glob(f".local/share/uv/python/cpython-{VERSION}.*/bin/python{VERSION}"),
    )
    candidates = [sys.executable, shutil.which(f"python{VERSION}")]
    candidates += [str(path) for paths in kept for path in sorted(paths, reverse=True)]
    return next((found for found in candidates if found and _is_of_lambda(version_of(found))), None)


def _is_of_lambda(version: str) -> bool:
    """A final release: the compiled form is fixed from the first one on."""
    return re.fullmatch(rf"cpython-{re.escape(VERSION)}\.\d+-final", version) is not None


@cache
def version_of(python: str) -> str:
    """As `cpython-3.13.0-final`; empty if it does not run (pyenv puts commands on the PATH that do not)."""
    says = "import sys; v = sys.version_info; print(f'{sys.implementation.name}-{v[0]}.{v[1]}.{v[2]}-{v[3]}')"
    try:
        run = subprocess.run([python, "-I", "-c", says], capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return ""
    return run.stdout.strip()


@jsii.implements(ILocalBundling)
class LocalBundling:
    """Called by the CDK in place of Docker."""

    def __init__(self, target: Target) -> None:
        self._target = target

    # jsii hands the options over as keywords, and only if at least one of them has a name here.
    def try_bundle(self, output_dir: str, *, image: DockerImage, **_options: Any) -> bool:  # noqa: ARG002
        """Always true: with a false the CDK would try Docker. Ends the program where there is no bundle: as an
        exception the sentence would come back with two stack traces."""
        try:
            publish(self._target, Path(output_dir))
        except BundleFailed as fault:
            raise SystemExit(str(fault)) from None
        return True


def publish(target: Target, folder: Path) -> None:
    """Puts a whole bundle in the place of the empty `folder`, or nothing: what lies there the next run takes for whole.

    Raises `BundleFailed`.
    """
    folder.rmdir()
    with tempfile.TemporaryDirectory(prefix="bundle.", dir=folder.parent) as place:
        made = Path(place) / "made"
        build(target, made)
        made.rename(folder)


def build(target: Target, folder: Path) -> None:
    """Fills `folder`, which is new. Raises `BundleFailed`."""
    _install(target, folder)
    (folder / NOTICES).write_text(notices(folder))
    trim(folder, target.trimmed)
    _trim_services(folder / "botocore" / "data")
    for path in sources(target):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, folder / path)
    if target.compiler:
        _compile(target.compiler, folder)
    _settle(folder)


def _install(target: Target, folder: Path) -> None:
    pip = (sys.executable, "-m", "pip", "install", "-qq", "--no-color", "--disable-pip-version-check")
    wanted = (f"--requirement={ROOT / REQUIREMENTS}", f"--target={folder}")
    run = subprocess.run(  # noqa: S603 -- nothing in it comes from outside
        (*pip, *PIP, *target.wheels, *wanted), capture_output=True, text=True, check=False
    )
    if run.returncode:
        last = next((line for line in reversed(run.stderr.splitlines()) if line.startswith("ERROR")), "it did not say")
        raise BundleFailed(
            f"The bundle for {target.name} was not built, because pip could not install {REQUIREMENTS}: "
            f"{last.removeprefix('ERROR: ')}"
        )


def notices(folder: Path) -> str:
    """Each license text of the packages in `folder` once, below the names and versions of its packages.

    Raises `BundleFailed` if a package has none.
    """
    packages: dict[str, list[str]] = {}
    for about in sorted(folder.glob("*.dist-info")):
        papers = sorted(path for path in about.rglob("*") if path.is_file() and PAPER.match(path.name))
        if not papers:
            raise BundleFailed(f"The bundle was not built, because {about.stem} has no text of its license")
        for path in papers:
            text = path.read_text(errors="replace").strip()
            packages.setdefault(text, []).append(about.stem.replace("-", " "))
    rule = "-" * 80
    return "\n".join(f"{rule}\n{', '.join(names)}\n{rule}\n\n{text}\n" for text, names in packages.items())


def trim(folder: Path, patterns: Iterable[str]) -> None:
    for path in [found for pattern in patterns for found in folder.glob(pattern)]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _trim_services(data: Path) -> None:
    """Of botocore's services those that are not called, and their addresses."""
    for path in data.glob("*/"):
        if path.name not in SERVICES:
            shutil.rmtree(path)
    addresses = json.loads((data / "endpoints.json").read_text())
    for partition in addresses["partitions"]:
        partition["services"] = {name: at for name, at in partition["services"].items() if name in ADDRESSES}
    (data / "endpoints.json").write_text(json.dumps(addresses))


def _compile(python: str, folder: Path) -> None:
    """Caches that are valid by themselves: Lambda rejects those that hold the time of their source. One process and one
    seed, so that every run writes the same bytes."""
    command = (python, "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", "-s", str(folder), str(folder))
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if run.returncode:
        raise BundleFailed(f"The bundle was not built, because {python} could not compile all of it: {run.stdout}")


def _settle(folder: Path) -> None:
    """The same modes and times whatever the umask and the hour, so that the zip is the same too."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (FIXED_TIME, FIXED_TIME))

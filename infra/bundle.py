"""What is uploaded to Lambda: the dependencies with `functions/` and `shared/` beside them, one bundle for all.

Built without Docker: pip fetches the wheels of Lambda's platform whatever the platform of this machine is.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsii
from aws_cdk import AssetHashType, BundlingOptions, DockerImage, ILocalBundling
from aws_cdk.aws_lambda import Architecture, Code, Runtime

ROOT = Path(__file__).parent.parent
PACKAGES = ("functions", "shared")
REQUIREMENTS = Path("requirements/functions.txt")
RUNTIME = Runtime.PYTHON_3_13
ARCHITECTURE = Architecture.ARM_64

# Both platforms: most wheels are built for the older C library, google-re2 only for the newer; Lambda has 2.34.
WHEELS = (
    "--platform=manylinux2014_aarch64",
    "--platform=manylinux_2_28_aarch64",
    "--implementation=cp",
    "--python-version=3.13",
    "--only-binary=:all:",
    "--require-hashes",
    "--no-compile",
)


def code() -> Code:
    """The bundle as the code of a function. It is built only where no bundle of the same sources lies in `cdk.out`."""
    return Code.from_asset(
        str(ROOT),
        asset_hash=fingerprint(),
        asset_hash_type=AssetHashType.CUSTOM,
        bundling=BundlingOptions(image=RUNTIME.bundling_image, local=LocalBundling()),
    )


def sources() -> Iterator[Path]:
    """Our own files in the bundle, relative to the root of the repository and in a fixed order."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(ROOT)


def fingerprint() -> str:
    """Changes with whatever changes the bundle: the locked requirements, our sources, this file."""
    digest = hashlib.sha256()
    for path in (REQUIREMENTS, *sources(), Path(__file__).relative_to(ROOT)):
        content = (ROOT / path).read_bytes()
        digest.update(f"{path.as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


@jsii.implements(ILocalBundling)
class LocalBundling:
    """Called by the CDK in place of Docker."""

    # jsii hands the options over as keywords, and only if at least one of them has a name here.
    def try_bundle(self, output_dir: str, *, image: DockerImage, **_options: Any) -> bool:  # noqa: ARG002
        """Always true: with a false the CDK would try Docker. Raises when pip fails."""
        build(Path(output_dir))
        return True


def build(target: Path) -> None:
    """Fills `target`. The output of pip goes to stderr; only errors are shown."""
    pip = (sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check")
    subprocess.run(  # noqa: S603 -- nothing in it comes from outside
        (*pip, *WHEELS, f"--requirement={ROOT / REQUIREMENTS}", f"--target={target}"), check=True, stdout=sys.stderr
    )
    for path in sources():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, target / path)

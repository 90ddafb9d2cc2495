#!/usr/bin/env python3
"""The bill of materials of the s3ferry binary: CycloneDX 1.5, JSON, on standard output.

`cross/sbom.py [TARGET]`. Lists the crates that are linked into the binary for TARGET (by default
x86-64), with licences, and the checksums of Cargo.lock; not what only builds or tests it.
The same commit makes the same bytes: the time is SOURCE_DATE_EPOCH, or that of the commit.
"""

import json
import os
import pathlib
import subprocess
import sys
import time
import tomllib
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
CARGO = os.environ.get("CARGO", "cargo")


def output(*command):
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def linked(metadata):
    """The ids of the crates that normal dependencies lead to from the root, and their edges.

    A procedural macro is a normal dependency, too, but runs in the compiler.
    """
    macros = {
        package["id"]
        for package in metadata["packages"]
        if any("proc-macro" in target["kind"] for target in package["targets"])
    }
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    edges, waiting = {}, [root]
    while waiting:
        crate = waiting.pop()
        if crate in edges:
            continue
        edges[crate] = sorted(
            dependency["pkg"]
            for dependency in nodes[crate]["deps"]
            if dependency["pkg"] not in macros
            and any(kind["kind"] is None for kind in dependency["dep_kinds"])
        )
        waiting.extend(edges[crate])
    return root, edges


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksums):
    entry = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
    }
    if package.get("description"):
        entry["description"] = " ".join(package["description"].split())
    if package.get("license"):
        # Old crates write "MIT/Apache-2.0".
        entry["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    checksum = checksums.get((package["name"], package["version"]))
    if checksum:
        entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package.get("repository"):
        entry["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return entry


def commit_time():
    try:
        return output("git", "log", "-1", "--format=%ct").strip()
    except (OSError, subprocess.CalledProcessError):
        return str(int((ROOT / "Cargo.toml").stat().st_mtime))


def main():
    target = sys.argv[1] if sys.argv[1:] else "x86_64-unknown-linux-musl"
    command = [CARGO, "metadata", "--format-version=1", "--locked", "--filter-platform", target]
    metadata = json.loads(output(*command))
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    checksums = {
        (package["name"], package["version"]): package["checksum"]
        for package in lock["package"]
        if "checksum" in package
    }
    packages = {package["id"]: package for package in metadata["packages"]}
    root, edges = linked(metadata)
    main_component = component(packages[root], checksums) | {"type": "application"}
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or commit_time())
    crates = sorted((packages[crate] for crate in edges if crate != root), key=purl)
    content = {
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)),
            "component": main_component,
        },
        "components": [component(package, checksums) for package in crates],
        "dependencies": sorted(
            (
                {
                    "ref": purl(packages[crate]),
                    "dependsOn": sorted({purl(packages[other]) for other in others}),
                }
                for crate, others in edges.items()
            ),
            key=lambda entry: entry["ref"],
        ),
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content, sort_keys=True))
    bill = {"bomFormat": "CycloneDX", "specVersion": "1.5", "serialNumber": f"urn:uuid:{serial}", "version": 1}
    json.dump(bill | content, sys.stdout, indent=2, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()

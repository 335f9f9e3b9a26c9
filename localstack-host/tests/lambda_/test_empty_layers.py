"""The list of layers."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from harness import Instance, archive, unique


def test_a_layer_whose_last_version_was_deleted_is_not_listed(localstack: Instance) -> None:
    client, kept, gone = localstack.client("lambda"), unique("kept"), unique("gone")

    def publish(name: str) -> int:
        found: int = client.publish_layer_version(LayerName=name, Content={"ZipFile": archive({"python/a.py": ""})})[
            "Version"
        ]
        return found

    def listed() -> dict[str, Any]:
        return {
            layer["LayerName"]: layer["LatestMatchingVersion"]["Version"] for layer in client.list_layers()["Layers"]
        }

    publish(kept)
    assert (publish(gone), publish(gone)) == (1, 2)
    for version in (1, 2):
        client.delete_layer_version(LayerName=gone, VersionNumber=version)

    assert listed().get(kept) == 1
    assert gone not in listed()
    assert publish(gone) == 3, "a number is not given out again"
    assert listed()[gone] == 3


def test_a_layer_that_is_listed_while_its_first_version_is_stored_keeps_it(localstack: Instance) -> None:
    client, lister = localstack.client("lambda"), localstack.client("lambda")
    name, ended = unique("layer"), threading.Event()
    content = archive({f"python/{number}.py": "#" * 100_000 for number in range(20)})

    def keep_listing() -> None:
        while not ended.is_set():
            lister.list_layers()

    with ThreadPoolExecutor() as pool:
        listing = pool.submit(keep_listing)
        try:
            for number in range(20):
                client.publish_layer_version(LayerName=f"{name}-{number}", Content={"ZipFile": content})
        finally:
            ended.set()
        listing.result()

    for number in range(20):
        assert client.get_layer_version(LayerName=f"{name}-{number}", VersionNumber=1)["Version"] == 1

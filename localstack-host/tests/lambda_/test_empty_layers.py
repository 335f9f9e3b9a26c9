"""The list of layers."""

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

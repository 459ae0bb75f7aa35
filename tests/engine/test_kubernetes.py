"""The Kubernetes example of docs/builders.md, as far as buildx goes without a cluster."""

from __future__ import annotations

import json
import re
from pathlib import Path

from cluster import cluster
from suite import Suite, last

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "builders.md").read_text(encoding="utf-8")


def test_buildx_makes_the_deployments_of_the_example(project: Suite, tmp_path: Path) -> None:
    (example,) = re.findall(
        r'^```toml\n([^`]*driver = "kubernetes".*?)^```$', TEXT, re.MULTILINE | re.DOTALL
    )
    (project.root / "images.toml").write_text(example)
    kubeconfig = tmp_path / "kubeconfig"
    with cluster(kubeconfig) as api:
        there = project.having(KUBECONFIG=str(kubeconfig))
        done = there.good("builder.create")
        try:
            assert last(done.stderr).startswith("builder cluster is ready")
            amd64, arm64 = sorted(api.texts("deployments"))
            assert "cluster-amd64" in amd64
            assert "kubernetes.io/arch amd64" in amd64
            assert "16Gi" in amd64
            assert "8Gi" in amd64
            assert "kubernetes.io/arch arm64" in arm64
            assert re.search(r"pool\s+builds", arm64)
            assert re.search(r'arch\s+arm64"\s+NoSchedule', arm64)
            files = api.texts("configmaps")
            assert len(files) == 2
            assert all("maxUsedSpace = 100000000000" in text for text in files)
            # Four pods and two, as a field of the deployment's protobuf: number 1, a varint.
            bodies = sorted(body for path, body in api.made if path.endswith("deployments"))
            replicas = [re.search(rb"\x08([\x02\x04])\x12", body) for body in bodies]
            assert [found and found[1][0] for found in replicas] == [4, 2]
            seen = json.loads(
                there.good("builder.inspect", "--builder", "cluster", "--json").stdout
            )
            assert seen["differences"] == []
            assert [node["options"]["replicas"] for node in seen["nodes"]] == ["4", "2"]
            # Nothing runs in these pods, and who asks again is told.
            again = there.invoke("builder.create")
            assert again.returncode == 3
            assert "node cluster-amd64: listing workers: " in last(again.stderr)
        finally:
            there.good("builder.remove", "--builder", "cluster")
        assert [path.rpartition("/")[2] for path in api.removed] == [
            *("cluster-amd64", "cluster-amd64-config", "cluster-arm64", "cluster-arm64-config")
        ]

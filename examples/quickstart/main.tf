# One control plane and one worker, on this machine's container engine, and the apiserver verifies the kubelets that
# it fetches logs from and runs commands through. A stock cluster doesn't.

terraform {
  required_providers {
    kubecomm = {
      source = "kubecomm/kubecomm"
    }
  }
}

resource "kubecomm_kind_cluster" "dev" {
  name       = var.name
  node_image = var.node_image
  nodes      = [{ role = "control-plane" }, { role = "worker" }]
}

resource "kubecomm_hardening" "dev" {
  cluster = kubecomm_kind_cluster.dev.name

  # A cluster that is made anew keeps its name but not its CA: harden it in the same apply, not in the next.
  lifecycle {
    replace_triggered_by = [kubecomm_kind_cluster.dev.cluster_ca_certificate]
  }
}

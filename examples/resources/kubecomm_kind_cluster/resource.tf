resource "kubecomm_kind_cluster" "dev" {
  name  = "dev"
  nodes = [{ role = "control-plane" }, { role = "worker" }]
}

# Other providers reach the cluster by its outputs, without a kubeconfig on disk.
provider "kubernetes" {
  host                   = kubecomm_kind_cluster.dev.endpoint
  cluster_ca_certificate = kubecomm_kind_cluster.dev.cluster_ca_certificate
  client_certificate     = kubecomm_kind_cluster.dev.client_certificate
  client_key             = kubecomm_kind_cluster.dev.client_key
}

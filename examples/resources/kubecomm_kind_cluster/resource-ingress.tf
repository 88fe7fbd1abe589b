# A cluster that serves on this machine's ports and sees one of its folders.
resource "kubecomm_kind_cluster" "ingress" {
  name = "ingress"

  nodes = [
    {
      role                = "control-plane"
      extra_port_mappings = [{ container_port = 80, host_port = 8080, listen_address = "127.0.0.1" }]
    },
    {
      role         = "worker"
      labels       = { "example.com/tier" = "data" }
      extra_mounts = [{ host_path = abspath("${path.module}/data"), container_path = "/data", read_only = true }]
    },
  ]

  networking = {
    pod_subnet      = "10.245.0.0/16"
    service_subnet  = "10.97.0.0/16"
    kube_proxy_mode = "nftables"
  }
}

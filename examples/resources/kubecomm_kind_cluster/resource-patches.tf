# Flags of the control plane and settings of all kubelets. A patch that kind would drop in silence, such as one for
# another version of kubeadm's configuration, is refused.
resource "kubecomm_kind_cluster" "audited" {
  name       = "audited"
  node_image = "kindest/node:v1.37.0"

  kubeadm_config_patches = [
    yamlencode({
      kind = "ClusterConfiguration"
      # Without an apiVersion, a map of arguments fits every Kubernetes version.
      apiServer = { extraArgs = { "audit-log-path" = "/var/log/audit.log", "audit-log-maxage" = "7" } }
    }),
    yamlencode({ kind = "KubeletConfiguration", maxPods = 50 }),
  ]

  kubeadm_config_patches_json6902 = [{
    group   = "kubeadm.k8s.io"
    version = "v1beta4"
    kind    = "ClusterConfiguration"
    patch   = jsonencode([{ op = "add", path = "/apiServer/certSANs/-", value = "dev.example.com" }])
  }]
}

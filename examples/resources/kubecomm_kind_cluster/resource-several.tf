# Three control planes behind kind's load balancer, with a CNI of your own: nodes become Ready when you have installed
# it, so creation doesn't wait for that.
resource "kubecomm_kind_cluster" "ha" {
  name            = "ha"
  nodes           = concat([for _ in range(3) : { role = "control-plane" }], [{ role = "worker" }])
  networking      = { disable_default_cni = true }
  feature_gates   = { AllAlpha = false }
  runtime_config  = { "api/alpha" = "false" }
  kubeconfig_path = pathexpand("~/.kube/config")
  timeouts        = { create = "20m" }
}

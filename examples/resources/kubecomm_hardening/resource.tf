# Works on any kind cluster on this machine, whoever made it.
resource "kubecomm_hardening" "dev" {
  cluster = "dev"
}

# The same, with everything that can be set at its default but the certificates' lifetime.
resource "kubecomm_hardening" "staging" {
  cluster = "staging"

  apiserver = {
    verify_kubelets = true
  }

  kubelet = {
    serving_certificates = {
      source   = "dedicated_ca"
      validity = "720h" # renewed by the first apply after two thirds of it
    }
  }

  timeouts = {
    create = "15m"
  }
}

# A precondition of its own for whatever must not run on a cluster that is not hardened.
output "staging_is_safe" {
  value = kubecomm_hardening.staging.cluster

  precondition {
    condition     = alltrue([for node in kubecomm_hardening.staging.nodes : node.kubelet_serving_certificate.verified])
    error_message = "A kubelet of the cluster is not verified."
  }
}

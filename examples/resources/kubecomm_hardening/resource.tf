# Works on any kind cluster on this machine, whoever made it.
resource "kubecomm_hardening" "dev" {
  cluster = "dev"
}

# With more than the defaults. What is left out stays as it was before, and goes back to that when it is taken out.
resource "kubecomm_hardening" "staging" {
  cluster = "staging"

  apiserver = {
    verify_kubelets         = true
    kubelet_client_identity = "kubelet_api_admin" # and no longer one that may do anything
    tls_min_version         = "VersionTLS13"
  }

  kubelet = {
    serving_certificates = {
      source   = "dedicated_ca"
      validity = "720h" # renewed by the first apply after two thirds of it
    }
    tls_min_version = "VersionTLS12"
    tls_cipher_suites = [
      "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", # which HTTP/2 demands
      "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
      "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
      "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    ]
    max_parallel_restarts = 5

    # What a node has in place of what is set for all.
    nodes = {
      "staging-worker2" = {
        streaming_idle_timeout = "15m"
      }
    }
  }

  timeouts = {
    create = "15m"
  }
}

# With a CA of your own. Its key is in no plan and no state, and on no node. Needs Terraform 1.11.
variable "kubelet_ca_key" {
  type      = string
  ephemeral = true
  sensitive = true
}

resource "kubecomm_hardening" "production" {
  cluster = "production"

  kubelet_serving_ca = {
    certificate    = file("kubelet-ca.crt")
    private_key_wo = var.kubelet_ca_key
  }
}

# Kubelets renew their certificates also where nobody applies anything for a year.
resource "kubecomm_hardening" "lasting" {
  cluster = "lasting"

  kubelet = {
    serving_certificates = { source = "csr" }
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

# A warning of every plan for each thing that was found on paths that kubecomm doesn't change.
check "nothing_else_was_found" {
  assert {
    condition     = length(kubecomm_hardening.staging.findings) == 0
    error_message = join("\n", [for f in kubecomm_hardening.staging.findings : "${f.path}: ${f.subject}: ${f.problem}"])
  }
}

# Nodes need not be reachable from control planes: agents on them connect to these, and carry what apiservers have to say.
resource "kubecomm_hardening" "remote" {
  cluster = "remote"

  tunnel = {
    mode = "konnectivity"
    konnectivity = {
      image_archives = ["${path.module}/konnectivity.tar"] # as docker save writes it; without, nodes pull the images
      keepalive      = "2m"
    }
  }
}

# Nodes are reachable at one port alone: control planes connect to it by SSH, with keys that each side knows the other by.
resource "kubecomm_hardening" "guarded" {
  cluster = "guarded"

  tunnel = {
    mode = "ssh"
    ssh = {
      port                     = 2222
      rotate_keys_when_changed = "2026-12" # any text: another one, and every key is exchanged
    }
  }
}

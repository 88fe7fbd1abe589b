output "nodes" {
  description = "Each node, and whether a connection to its kubelet was verified by the cluster's kubelet CA."
  value = {
    for name, node in kubecomm_hardening.dev.nodes : name => {
      role        = node.role
      issuer      = node.kubelet_serving_certificate.issuer
      not_after   = node.kubelet_serving_certificate.not_after
      renew_after = node.kubelet_serving_certificate.renew_after
      verified    = node.kubelet_serving_certificate.verified
      problem     = node.kubelet_serving_certificate.problem
      verifies    = node.verifies_kubelets # of control planes only
    }
  }
}

output "kubeconfig" {
  description = "Credentials of the cluster's administrator."
  value       = kubecomm_kind_cluster.dev.kubeconfig
  sensitive   = true
}

output "summary" {
  description = "What is verified now, in a few lines."
  value       = <<-EOT
    Cluster "${kubecomm_hardening.dev.cluster}": apiserver → kubelet is ${local.verified ? "verified on every node" : "NOT verified on every node"}.

    ${join("\n", local.rows)}

    Logs, exec, attach and port-forward ${local.verified ? "fail" : "do not fail"} when anything but the node's own kubelet answers.
  EOT
}

locals {
  nodes = kubecomm_hardening.dev.nodes

  # An apiserver verifies each kubelet only where both are so: it has been told to, and the kubelet can be verified.
  verified = alltrue([
    for node in local.nodes : node.kubelet_serving_certificate.verified && coalesce(node.verifies_kubelets, true)
  ])

  width = max([for name in keys(local.nodes) : length(name) + 2]...)
  rows = [
    for name, node in local.nodes : format(
      "  %-${local.width}s%-15s%s",
      name,
      node.role,
      node.kubelet_serving_certificate.verified ? "verified, renewed by an apply after ${node.kubelet_serving_certificate.renew_after}" : "NOT VERIFIED",
    )
  ]
}

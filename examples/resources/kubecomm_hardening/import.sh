# By the name of the kind cluster (`kind get clusters` lists them).
terraform import kubecomm_hardening.dev dev

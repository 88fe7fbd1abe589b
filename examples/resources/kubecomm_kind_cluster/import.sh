# By its name. Roles and images of its nodes are read from the cluster; the first apply takes everything else from the
# configuration, with a warning and without replacing the cluster.
terraform import kubecomm_kind_cluster.dev dev

variable "name" {
  description = "The cluster's name; its containers are called <name>-control-plane and <name>-worker."
  type        = string
  default     = "kubecomm"
}

variable "node_image" {
  description = "The kindest/node image, which decides Kubernetes' version. Null takes kind's default."
  type        = string
  default     = null
}

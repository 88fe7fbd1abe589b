terraform {
  required_providers {
    kubecomm = {
      source = "kubecomm/kubecomm"
    }
  }
}

# Nothing to configure: the container engine is found as kind finds it.
provider "kubecomm" {}

#!/bin/bash
# Fits a node to the machine that it runs on, before containerd and kubelet
# start. Each part looks first whether it is needed.
set -o errexit -o nounset -o pipefail

# Without CAP_SYS_RESOURCE (bit 24) no process may lower its OOM score, and
# containerd fails each pod whose score is lower than its own, unless told to
# use its own then.
bounding=$(sed -n 's/^CapBnd:[[:space:]]*//p' /proc/self/status)
if (( (16#$bounding >> 24 & 1) == 0 )); then
  echo 'no CAP_SYS_RESOURCE: containerd keeps to the OOM scores that it may set'
  sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' /etc/containerd/config.toml
fi

# kubelet 1.35 and later refuses to start on cgroup v1 unless told otherwise
# (kubernetes v1.37.1, pkg/kubelet/cm/container_manager_linux.go). A drop-in
# leaves the configuration that kubeadm writes as it is.
rm -f /etc/kubernetes/kubelet.conf.d/10-cgroup-v1.conf
if [[ ! -f /sys/fs/cgroup/cgroup.controllers ]]; then
  echo 'cgroup v1: kubelet is told to run on it'
  printf '%s\n' 'apiVersion: kubelet.config.k8s.io/v1beta1' 'kind: KubeletConfiguration' 'failCgroupV1: false' \
    > /etc/kubernetes/kubelet.conf.d/10-cgroup-v1.conf
fi

# What is meant for a pod or service that does not exist, or that has no route
# yet, must not follow the default route out of the machine. A bridge without
# ports swallows it: nobody answers there, and the sender is told "no route to
# host". Routes of type blackhole would do for pods but not for services: the
# kernel routes what a node's own process sends before kube-proxy's rules see
# it. The container network and the pods' routes are more specific and win.
sink=kubecomm-sink
ip link show "$sink" >/dev/null 2>&1 || ip link add "$sink" type bridge
ip link set "$sink" up
device=$(ip -4 route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
source=$(ip -4 -o address show dev "${device:-eth0}" scope global | awk '{sub("/.*", "", $4); print $4; exit}')
for range in 10.0.0.0/8 100.64.0.0/10 169.254.0.0/16 172.16.0.0/12 192.168.0.0/16; do
  ip -4 route replace "$range" dev "$sink" ${source:+src "$source"}
done
if [[ "$(cat /proc/sys/net/ipv6/conf/all/disable_ipv6 2>/dev/null || echo 1)" == 0 ]]; then
  source=$(ip -6 -o address show dev "${device:-eth0}" scope global | awk '{sub("/.*", "", $4); print $4; exit}')
  ip -6 route replace fc00::/7 dev "$sink" ${source:+src "$source"}
fi

package ssh

// egressSelection is what apiservers read (Kubernetes v1.37.1, staging/src/k8s.io/apiserver/pkg/apis/apiserver/v1beta1).
// What it doesn't name, etcd and the control plane's own webhooks of tokens and authorization, goes there directly.
const egressSelection = `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection:
    proxyProtocol: HTTPConnect
    transport:
      uds:
        udsName: ` + Socket + "\n"

// EgressSelection is the file that has an apiserver send its traffic to nodes, pods and services through its proxy.
func EgressSelection() []byte { return []byte(egressSelection) }

package workload

import "fmt"

// ProxyPath is where the API passes requests on to the pod's server, past the kubelet, and gets the pod's name.
func (p Pod) ProxyPath() string {
	return fmt.Sprintf("/api/v1/namespaces/%s/pods/http:%s:%d/proxy/hostname", p.namespace, p.name, serverPort)
}

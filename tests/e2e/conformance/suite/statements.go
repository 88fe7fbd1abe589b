package suite

// Statement is one of what Kubernetes' documentation says of the communication between control planes and nodes, and of
// access to clusters, in our words and as it holds for Kubernetes 1.34 to 1.37.
type Statement struct{ ID, Text string }

// Statements lists them. N is a node's way to its control plane, C a control plane's way to its nodes, T a tunnel, and A is
// access.
func Statements() []Statement {
	return []Statement{
		{"N1", "All that nodes and their pods ask ends at the apiserver; no other component of a control plane is exposed."},
		{"N2", "The apiserver listens on a secure port, where clients authenticate."},
		{"N3", "Requests are authorized, above all where anonymous ones or service accounts' tokens are let in."},
		{"N4", "Nodes hold the cluster's root certificate and client credentials that are valid."},
		{"N5", "Pods are given the root certificate and a token of their service account when they start."},
		{"N6", "The service `kubernetes` is a virtual address that leads to the apiservers' secure ports."},
		{"N7", "Components of the control plane talk to the apiserver over its secure port too."},
		{"N8", "So what goes from nodes to the control plane may cross networks that aren't trusted."},
		{"C1", "The apiserver reaches kubelets, and through its proxy nodes, pods and services."},
		{"C2", "Logs, exec, attach and port-forward go from the apiserver to the kubelet's secure port."},
		{"C3", "Unless told to, the apiserver doesn't verify the kubelet's serving certificate: whoever is between them can read and change everything."},
		{"C4", "With a bundle of root certificates for it, the apiserver verifies kubelets."},
		{"C5", "Where that can't be, a tunnel between apiserver and kubelet keeps others out."},
		{"C6", "Kubelets authenticate and authorize their clients."},
		{"C7", "The apiserver's proxy to nodes, pods and services speaks plain HTTP unless told otherwise."},
		{"C8", "With `https:` before the name it encrypts, but verifies nothing and shows no credentials: not safe on a network that isn't trusted."},
		{"T1", "Through a tunnel goes all traffic from a control plane to kubelets, nodes, pods and services."},
		{"T2", "A tunnel keeps that traffic from being exposed outside of the nodes' network."},
		{"T3", "SSH tunnels were removed from Kubernetes; Konnectivity is what replaces them."},
		{"A1", "kubectl finds a cluster, and credentials for it, in a kubeconfig."},
		{"A2", "`kubectl proxy` finds the apiserver, verifies it, and adds credentials."},
		{"A3", "REST clients can do so themselves, with a token and the root certificate; without the latter nobody knows who answers."},
		{"A4", "Clients in other languages use the same kubeconfig."},
		{"A5", "A pod finds the apiserver by name, authenticates by its mounted token, and verifies by its mounted root certificate."},
		{"A6", "A pod can also ask a `kubectl proxy` beside it, or a library that knows how."},
		{"A7", "From outside, services are reached by a node's port, a load balancer, or the apiserver's proxy; from inside, directly."},
		{"A8", "`kubectl cluster-info` lists a cluster's own services and where the proxy serves them."},
		{"A9", "The proxy's URLs name a service or pod, optionally with a scheme before and a port after it."},
		{"A10", "Browsers can open them, but can't send a token by themselves."},
		{"A11", "The apiserver follows no redirects; its proxy passes them on."},
		{"A12", "There are several proxies, and each does another thing: kubectl's, the apiserver's, kube-proxy, and load balancers."},
	}
}

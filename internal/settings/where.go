package settings

import (
	"fmt"
	"slices"
)

// Lives says in Markdown where the setting is found on nodes and in the cluster.
func (s Setting) Lives() string {
	switch {
	case s.Flag != "":
		return fmt.Sprintf("`--%s` of `%s`: in its manifest on every control plane, and for those that join in ConfigMap "+
			"`kubeadm-config`", s.Flag, s.Component)
	case s.Field != "":
		return fmt.Sprintf("`%s` of kubelets' configuration: in `/var/lib/kubelet/config.yaml` on every node, and for those "+
			"that join in ConfigMap `kubelet-config`", s.Field)
	case s.ofKubelets():
		return fmt.Sprintf("`%s` on every node, a file that `%s` of kubelets' configuration names", s.fileNames(), s.Document)
	case s.Document != "":
		return fmt.Sprintf("`%s` on every control plane, a file that `--%s` of `%s` names",
			s.fileNames(), s.Document, APIServer)
	}
	return s.lives
}

// Observed says in Markdown what a plan learns by how the setting stands.
func (s Setting) Observed() string {
	switch {
	case s.Flag != "":
		return "the command line of the running process, and the manifest that the next one will have"
	case s.Field != "":
		return "what the running kubelet says of its configuration, at `/configz`, and the file that the next one will have"
	case s.ofKubelets():
		return "what is in the file that the running kubelet says of, and in the one that the next will have"
	case s.Document != "":
		return "what is in the file that the running process was started with, and in the one that the next will have"
	}
	return s.observed
}

func (s Setting) ofKubelets() bool { return slices.Contains(KubeletDocumentFields(), s.Document) }

// fileNames is a pattern, because each content has a name of its own.
func (s Setting) fileNames() string {
	all := slices.Concat(documents(), kubeletDocuments())
	i := slices.IndexFunc(all, func(d document) bool { return d.key == s.Document })
	return all[i].name + "-*." + all[i].extension
}

package provider_test

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// findingSteps find nothing on a cluster as kubeadm makes it, and then each sabotage, without anything being changed for it.
func (l hardeningLab) findingSteps(made string) []resource.TestStep {
	config := made + "resource \"kubecomm_hardening\" \"test\" {\n  cluster = kubecomm_kind_cluster.test.name\n  profile = \"kubeadm\"\n}\n"
	check := `
check "nothing_was_found" {
  assert {
    condition     = length(kubecomm_hardening.test.findings) == 0
    error_message = join("\n", [for f in kubecomm_hardening.test.findings : "${f.path}: ${f.subject} ${f.problem}"])
  }
}
`
	node := " on " + l.name + "-control-plane"
	const toKubelet, toEtcd = "anyone → kubelet, by the node proxy or directly", "apiserver → etcd"
	finding := func(path, subject, problem string) knownvalue.Check {
		return knownvalue.ObjectExact(map[string]knownvalue.Check{
			"path": knownvalue.StringExact(path), "subject": knownvalue.StringExact(subject),
			"problem": knownvalue.StringRegexp(regexp.MustCompile("^" + problem + "$")),
		})
	}
	return []resource.TestStep{
		{
			Config:            config + check,
			ConfigStateChecks: []statecheck.StateCheck{holds(at("findings"), knownvalue.ListExact(nil))},
		},
		{
			PreConfig: func() {
				l.letAnyoneIntoEtcd() // first, because components read their files again if they can't reach the API for long
				l.grantNodeProxy()
				l.kubectl("create clusterrolebinding more --clusterrole view --user kube-apiserver-kubelet-client")
				l.spoilKubeconfigs()
			},
			Config: config,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				plancheck.ExpectResourceAction(hardeningAddress, plancheck.ResourceActionNoop),
			}},
			ConfigStateChecks: []statecheck.StateCheck{holds(at("findings"), knownvalue.ListExact([]knownvalue.Check{
				finding(toKubelet, "ServiceAccount default/scraper",
					"may get nodes/proxy, by ClusterRole scrape and ClusterRoleBinding scrape, and so run commands in every pod"),
				finding(toEtcd, "etcd"+node,
					"neither --client-cert-auth nor --trusted-ca-file is set: clients without a certificate are let in"),
				finding(toEtcd, "kube-apiserver"+node, "--etcd-certfile isn't set: etcd is shown no client certificate"),
				finding(toEtcd, "kube-apiserver"+node, "--etcd-keyfile isn't set: etcd is shown no client certificate"),
				finding("apiserver → kubelet", "User kube-apiserver-kubelet-client",
					"may do what ClusterRole view allows as well, by ClusterRoleBinding more, and so may who has the apiserver's "+
						"client certificate for kubelets"),
				finding("controller manager → apiserver", "/etc/kubernetes/controller-manager.conf"+node,
					`its client certificate names user "system:kube-scheduler" with groups \[\], to be "system:kube-controller-manager" with \[\]`),
				finding("etcd → etcd", "etcd"+node,
					"--peer-client-cert-auth isn't on: that clients need a certificate hangs on --peer-trusted-ca-file alone"),
				finding("kubelet → apiserver", "/etc/kubernetes/kubelet.conf"+node, "insecure-skip-tls-verify is on: any server is believed"),
				finding("kubelet → apiserver", "/etc/kubernetes/kubelet.conf on "+l.name+"-worker",
					"insecure-skip-tls-verify is on: any server is believed"),
				finding("scheduler → apiserver", "/etc/kubernetes/scheduler.conf"+node,
					"it trusts the CA CN=front-proxy-ca with the SHA-256 fingerprint [0-9a-f]{64}, which isn't the cluster's CA"),
				finding("scheduler → apiserver", "/etc/kubernetes/scheduler.conf"+node, `its server is "http://.*", which isn't https`),
			}))},
		},
		{
			PreConfig:    l.mendKubeconfigs,
			RefreshState: true,
			Check: resource.ComposeTestCheckFunc(
				resource.TestCheckResourceAttr(hardeningAddress, "findings.#", "6"),
				resource.TestCheckResourceAttr(hardeningAddress, "findings.5.path", "etcd → etcd"),
			),
		},
	}
}

// grantNodeProxy does what instructions for metrics collectors did for long.
func (l hardeningLab) grantNodeProxy() {
	l.kubectl("create clusterrole scrape --verb get --resource nodes/proxy")
	l.kubectl("create clusterrolebinding scrape --clusterrole scrape --serviceaccount default:scraper")
}

// spoilKubeconfigs changes files that their owners have read.
func (l hardeningLab) spoilKubeconfigs() {
	l.onControlPlane(`cd /etc/kubernetes
mkdir spoilt
cp -a controller-manager.conf scheduler.conf kubelet.conf spoilt/
other=$(base64 -w 0 pki/front-proxy-ca.crt)
for field in client-certificate-data client-key-data; do
  sed -i "s|^.*$field:.*|$(grep $field: scheduler.conf)|" controller-manager.conf
done
sed -i "s|certificate-authority-data:.*|certificate-authority-data: $other|; s|server: https:|server: http:|" scheduler.conf
` + unverified)
	l.onWorker("cd /etc/kubernetes; mkdir spoilt; cp -a kubelet.conf spoilt/\n" + unverified)
}

// unverified has a kubelet believe any server, once it starts again.
const unverified = `sed -i 's|certificate-authority-data:.*|insecure-skip-tls-verify: true|' kubelet.conf`

func (l hardeningLab) mendKubeconfigs() {
	const mend = `cd /etc/kubernetes && mv spoilt/* . && rmdir spoilt`
	l.onControlPlane(mend)
	l.onWorker(mend)
}

// letAnyoneIntoEtcd edits the manifests as an administrator would, and waits until what is in them runs.
func (l hardeningLab) letAnyoneIntoEtcd() {
	l.onControlPlane(`cd /etc/kubernetes
edit() { sed "$2" "manifests/$1" >edited && mv edited "manifests/$1"; }
edit etcd.yaml '/--client-cert-auth=/d; /--trusted-ca-file=/d; s/--peer-client-cert-auth=true/--peer-client-cert-auth=false/'
edit kube-apiserver.yaml '/--etcd-certfile=/d; /--etcd-keyfile=/d'
` + fmt.Sprintf(stopContainer, settings.Etcd) + "\n" + fmt.Sprintf(stopContainer, settings.APIServer))
	l.eventually("etcd and the apiserver to run with what was edited", func(observed apply.Observation, err error) error {
		switch {
		case err != nil:
			return err
		case observed.Policy == nil:
			return errors.New("the API doesn't answer yet")
		case len(observed.Nodes[0].APIServer.Running["etcd-certfile"]) > 0:
			return errors.New("the apiserver runs as before")
		}
		if value, _ := observed.Nodes[0].Others[settings.Etcd].Running.Get("peer-client-cert-auth"); value != "false" {
			return fmt.Errorf("etcd runs with --peer-client-cert-auth=%s", value)
		}
		if steps := apply.Plan(observed, settings.Of(nil)); len(steps) > 0 {
			return fmt.Errorf("not everything runs again: %v", steps)
		}
		return nil
	})
	l.waitReady()
}

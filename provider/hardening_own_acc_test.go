package provider_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/acctest"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
)

// Certificates of a CA of the user's own, one below another, and certificates that the user has made are applied, repaired
// and go, on a cluster whose nodes never get a CA's key. That one CA takes another's place, the quickstart's test shows.
func TestAccCertificatesOfTheUsersOwnAreAppliedRepairedAndReverted(t *testing.T) {
	inTurn(t)
	if os.Getenv(resource.EnvTfAcc) == "" {
		t.Skip("it needs a cluster")
	}
	t.Parallel()
	name := acctest.RandomWithPrefix("kubecomm-acc-own")
	lab := hardeningLab{t: t, name: name}
	lab.create()
	before := lab.servingFiles()
	ca := newOwnCA(t, "own", newOwnCA(t, "root", nil))
	worker := name + "-worker"
	provided := lab.provide(ca, time.Now())
	verified := func(more ...statecheck.StateCheck) []statecheck.StateCheck {
		return append(more,
			holds(at("kubelet_ca"), knownvalue.StringExact(string(pki.EncodeBundle(ca.own.Chain[0])))),
			holds(at("nodes", worker, "kubelet_serving_certificate", "verified"), knownvalue.Bool(true)),
			holds(at("nodes", worker, "kubelet_serving_certificate", "issuer"), knownvalue.StringExact("CN=own")),
			holds(at("nodes", name+"-control-plane", "verifies_kubelets"), knownvalue.Bool(true)),
			holds(at("kubelet_serving_ca", "private_key_wo"), knownvalue.Null()),
		)
	}
	asProvided := holds(at("nodes", worker, "kubelet_serving_certificate", "sha256"),
		knownvalue.StringExact(pki.Fingerprint(provided[worker].Chain[0])))
	empty := resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}}
	config := func(body string) string {
		return fmt.Sprintf("resource \"kubecomm_hardening\" \"test\" {\n  cluster = %q\n%s}\n", name, body)
	}
	providing := func(certificates map[string]pki.Own) string {
		return config("  kubelet = { serving_certificates = { source = \"provided\" } }\n" + ca.hcl("") + providedHCL(certificates))
	}
	without, of := lab.provide(ca, time.Now()), lab.provide(ca, time.Now())
	delete(without, worker)
	of[name+"-stranger"] = of[worker]
	refuses := func(certificates map[string]pki.Own, text string) resource.TestStep {
		return resource.TestStep{
			Config: providing(certificates), PlanOnly: true,
			ExpectError: regexp.MustCompile(`(?s)` + strings.ReplaceAll(regexp.QuoteMeta(text), " ", `\s+`)),
		}
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(&testClock{now: time.Now()}),
		CheckDestroy: func(*terraform.State) error {
			if after := lab.servingFiles(); after != before {
				return fmt.Errorf("before, there was\n%s\nand now there is\n%s", before, after)
			}
			return nil
		},
		Steps: []resource.TestStep{
			{Config: config(ca.hcl(ca.key())), ConfigStateChecks: verified()},
			{Config: config(ca.hcl(ca.key())), ConfigPlanChecks: empty},
			refuses(without, "node "+worker+" has no certificate; the cluster's nodes are "+name+"-control-plane, "+worker),
			refuses(of, "the cluster has no node "+name+"-stranger"),
			refuses(lab.provide(newOwnCA(t, "stranger", nil), time.Now()), "apiservers would refuse it: x509: certificate signed by unknown authority"),
			refuses(lab.provide(ca, time.Now().Add(-48*time.Hour)), "certificate has expired or is not yet valid"),
			refuses(lab.provideOthers(ca), "x509: certificate is valid for 192.0.2.1, not"),
			{
				PreConfig:         lab.hasNoKeyOfACA,
				Config:            providing(provided),
				ConfigPlanChecks:  updates(plancheck.ExpectUnknownValue(hardeningAddress, at("nodes", worker, "kubelet_serving_certificate"))),
				ConfigStateChecks: verified(asProvided),
			},
			{Config: providing(provided), ConfigPlanChecks: empty},
			{
				PreConfig: func() { lab.serve(lab.provide(ca, time.Now())) },
				Config:    providing(provided),
				ConfigPlanChecks: updates(changes(
					at("kubelet_serving_certificates", worker, "certificate"),
					knownvalue.StringRegexp(regexp.MustCompile(`BEGIN CERTIFICATE`)),
					knownvalue.StringExact(string(pki.EncodeBundle(provided[worker].Chain...))))),
				ConfigStateChecks: verified(asProvided),
			},
		},
	})
}

func TestAccBadCertificatesOfTheUsersOwnAreRefusedByThePlan(t *testing.T) {
	ca, other := newOwnCA(t, "own", nil), newOwnCA(t, "other", nil)
	leaf := issueOwn(t, ca, "node")
	source := func(source string) string {
		return fmt.Sprintf("  kubelet = { serving_certificates = { source = %q } }\n", source)
	}
	quoted := func(certificate, key string) string {
		return fmt.Sprintf("  kubelet_serving_ca = {\n    certificate = %q\n    private_key_wo = %q\n  }\n", certificate, key)
	}
	pem := string(pki.EncodeBundle(ca.own.Chain...))
	node := func(own, key pki.Own) string {
		return "  kubelet_serving_certificates = {\n    node = {\n" + pairHCL(own, keyHCL(key)) + "    }\n  }\n"
	}
	tests := map[string]struct{ body, refusal string }{
		"an empty certificate":            {quoted("", "x"), "kubelet_serving_ca.certificate: it is empty"},
		"a certificate that is garbage":   {quoted("garbage", "x"), "kubelet_serving_ca.certificate: not a PEM file of certificates"},
		"a key in place of a certificate": {quoted(string(ca.own.Key.Reveal()), "x"), `it holds a PEM block of type "PRIVATE KEY"`},
		"certificates in the wrong order": {quoted(string(pki.EncodeBundle(other.own.Chain[0]))+pem, "x"), "is not signed by the one after it"},
		"a leaf in place of a CA": {
			"  kubelet_serving_ca = {\n" + pairHCL(leaf, keyHCL(leaf)) + "  }\n", "is not a CA's",
		},
		"a key that is garbage":           {quoted(pem, "garbage"), "private_key_wo: it is not in PEM"},
		"a certificate in place of a key": {quoted(pem, pem), "private_key_wo: it is a certificate, where a private key must be"},
		"another CA's key":                {ca.hcl(other.key()), "private_key_wo: private key does not match public key"},
		"no key":                          {ca.hcl(""), "Set kubelet_serving_ca.private_key_wo"},
		"a key that nothing is signed with": {
			source("provided") + ca.hcl(ca.key()) + node(leaf, leaf), "Leave kubelet_serving_ca.private_key_wo out",
		},
		"a CA where nobody has certificates": {"  profile = \"kubeadm\"\n" + ca.hcl(ca.key()), "it would have no effect without"},
		"a rotation of what isn't kubecomm's": {
			"  kubelet = { serving_certificates = { rotate_when_changed = \"2\" } }\n" + ca.hcl(ca.key()),
			"it asks for a new CA of kubecomm's, which isn't used",
		},
		"provided ones of no CA":          {source("provided") + node(leaf, leaf), "says which CA the certificates are of"},
		"no provided ones":                {source("provided") + ca.hcl(""), "has every node's certificate, and is missing"},
		"provided ones that nobody takes": {ca.hcl(ca.key()) + node(leaf, leaf), `no effect without serving_certificates.source = "provided"`},
		"a provided one with another's key": {
			source("provided") + ca.hcl("") + node(leaf, ca.own), "private_key_wo: private key does not match public key",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			refusal := strings.ReplaceAll(regexp.QuoteMeta(test.refusal), " ", `\s+`)
			resource.Test(t, resource.TestCase{
				ProtoV6ProviderFactories: factories(&testClock{now: time.Now()}),
				Steps: []resource.TestStep{{
					Config:      "resource \"kubecomm_hardening\" \"test\" {\n  cluster = \"kubecomm-acc-nowhere\"\n" + test.body + "}\n",
					ExpectError: regexp.MustCompile(`(?s)` + refusal),
				}},
			})
		})
	}
}

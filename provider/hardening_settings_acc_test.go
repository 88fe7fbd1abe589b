package provider_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/acctest"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// trial is what a setting is set to: first by Terraform, then by hand, then by Terraform again. No value is for none.
type trial struct{ first, byHand, second settings.Value }

const (
	suite128 = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
	suite256 = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
	issuer   = "https://kubernetes.default.svc.cluster.local"
)

var trials = map[string]trial{
	"apiserver.authorization_modes": {
		settings.Value{"RBAC", "Node"}, settings.Value{"Node", "RBAC"}, nil,
	},
	"apiserver.admission_plugins": {
		settings.Value{"NodeRestriction", "DenyServiceExternalIPs"}, settings.Value{"NodeRestriction"},
		settings.Value{"PodNodeSelector", "NodeRestriction"},
	},
	"apiserver.disabled_admission_plugins": {
		settings.Value{"PersistentVolumeClaimResize"}, settings.Value{"PersistentVolumeClaimResize", "RuntimeClass"},
		settings.Value{},
	},
	"apiserver.service_account_issuers": {
		settings.Value{issuer, "https://old.example"}, settings.Value{issuer}, settings.Value{"https://new.example", issuer},
	},
	"apiserver.service_account_extend_token_expiration": {settings.Value{"false"}, settings.Value{"true"}, nil},
	"apiserver.service_account_max_token_expiration":    {settings.Value{"24h"}, settings.Value{"48h0m0s"}, settings.Value{"90m"}},
	"apiserver.service_account_lookup":                  {settings.Value{"true"}, settings.Value{"false"}, nil},
	"apiserver.request_timeout":                         {settings.Value{"120s"}, settings.Value{"1m30s"}, settings.Value{"1m"}},
	"apiserver.profiling":                               {settings.Value{"false"}, settings.Value{"true"}, nil},
	"apiserver.tls_min_version":                         {settings.Value{oldVersion}, settings.Value{newVersion}, settings.Value{newVersion}},
	"apiserver.tls_cipher_suites":                       {settings.Value{suite128, suite256}, settings.Value{suite128}, nil},
	"apiserver.tls_curve_preferences": {
		settings.Value{"X25519MLKEM768", "X25519"}, settings.Value{"CurveP256"}, settings.Value{"X25519", "CurveP384"},
	},
	"kubelet.anonymous":              {settings.Value{"false"}, settings.Value{"true"}, nil},
	"kubelet.webhook_authentication": {settings.Value{"true"}, settings.Value{"false"}, settings.Value{"false"}},
	"kubelet.authorization_mode":     {settings.Value{"Webhook"}, settings.Value{"AlwaysAllow"}, nil},
	"kubelet.read_only_port":         {settings.Value{"0"}, settings.Value{"10255"}, nil},
	"kubelet.tls_min_version":        {settings.Value{oldVersion}, settings.Value{newVersion}, settings.Value{newVersion}},
	"kubelet.tls_cipher_suites":      {settings.Value{suite128, suite256}, settings.Value{suite128}, nil},
	"kubelet.tls_curve_preferences": {
		settings.Value{"X25519MLKEM768", "X25519"}, settings.Value{"CurveP256"}, settings.Value{"X25519", "CurveP384"},
	},
	"kubelet.rotate_certificates":    {settings.Value{"true"}, settings.Value{"false"}, nil},
	"kubelet.streaming_idle_timeout": {settings.Value{"60m"}, settings.Value{"2h0m0s"}, settings.Value{"30m"}},
	"kubelet.debugging_handlers":     {settings.Value{"true"}, settings.Value{"false"}, nil},

	"controller_manager.profiling":         {settings.Value{"false"}, settings.Value{"true"}, nil},
	"controller_manager.bind_address":      {settings.Value{"127.0.0.1"}, settings.Value{"0.0.0.0"}, settings.Value{"0.0.0.0"}},
	"controller_manager.tls_min_version":   {settings.Value{oldVersion}, settings.Value{newVersion}, settings.Value{newVersion}},
	"controller_manager.tls_cipher_suites": {settings.Value{suite128, suite256}, settings.Value{suite128}, nil},
	"scheduler.profiling":                  {settings.Value{"false"}, settings.Value{"true"}, nil},
	"scheduler.bind_address":               {settings.Value{"127.0.0.1"}, settings.Value{"0.0.0.0"}, settings.Value{"0.0.0.0"}},
	"scheduler.tls_min_version":            {settings.Value{oldVersion}, settings.Value{newVersion}, settings.Value{newVersion}},
	"scheduler.tls_cipher_suites":          {settings.Value{suite128, suite256}, settings.Value{suite128}, nil},
	"etcd.profiling":                       {settings.Value{"false"}, settings.Value{"true"}, nil},
	"etcd.listen_metrics_urls": {
		settings.Value{"http://127.0.0.1:2381", "http://127.0.0.2:2382"}, settings.Value{"http://127.0.0.1:2381"},
		settings.Value{"http://0.0.0.0:2381"},
	},
	"etcd.tls_min_version": {settings.Value{"TLS1.3"}, settings.Value{"TLS1.2"}, settings.Value{"TLS1.2"}},
}

// tried are the settings that become a flag or a field. Those that become files are another test's matter.
func tried() []settings.Setting {
	return slices.DeleteFunc(settings.Managed(), func(s settings.Setting) bool { return s.Document != "" })
}

// Every setting that becomes a flag or a field is applied, seen in what runs, changed by hand behind Terraform's back,
// shown as drift on its attribute, repaired, changed by Terraform, and put back by a destroy: all of them at once. A worker
// that joins meanwhile has them without another apply, and none after the destroy.
func TestAccEverySettingIsAppliedRepairedAndReverted(t *testing.T) {
	for _, setting := range tried() {
		require.Contains(t, trials, setting.Name, "a setting needs a trial")
	}
	name := acctest.RandomWithPrefix("kubecomm-acc-settings")
	lab := hardeningLab{t: t, name: name}
	var before, byHand string
	config := func(pick func(trial) settings.Value) string {
		return fmt.Sprintf("resource \"kubecomm_hardening\" \"test\" {\n  cluster = %q\n%s}\n", name, declare(pick))
	}
	first := func(s trial) settings.Value { return s.first }
	second := func(s trial) settings.Value { return s.second }
	resource.ParallelTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(&testClock{now: time.Now()}),
		PreCheck: func() {
			lab.create()
			lab.rejoinWorker()
			require.Subset(t, lab.workerLacks(first), []string{"kubelet.tls_min_version", "kubelet.streaming_idle_timeout"})
			require.Subset(t, lab.controlPlaneLacks(first), []string{"apiserver.profiling", "etcd.tls_min_version"})
			before = lab.configuration()
		},
		CheckDestroy: lab.checkConfiguration(&before),
		Steps: []resource.TestStep{
			{
				PreConfig:   func() { lab.onWorker("cp /kind/version /kind/true-version && echo v1.33.9 >/kind/version") },
				Config:      config(first),
				ExpectError: regexp.MustCompile(`it\s+runs\s+Kubernetes\s+1\.33,\s+and\s+1\.34\s+is\s+the\s+oldest`),
			},
			{
				PreConfig: func() { lab.onWorker("mv /kind/true-version /kind/version") },
				Config:    config(first), ConfigStateChecks: shown(first),
			},
			{
				PreConfig: func() {
					lab.hasSettings(first)
					lab.rejoinWorker()
					require.Empty(t, lab.workerLacks(first), "without another apply")
					require.Empty(t, lab.controlPlaneLacks(first))
					lab.changeByHand(func(s trial) settings.Value { return s.byHand })
					lab.changeJoinsByHand(func(s trial) settings.Value { return s.byHand })
					byHand = lab.configuration()
				},
				Config:           config(first),
				ConfigPlanChecks: updates(drifted()...),
			},
			{
				PreConfig: func() {
					require.NotEqual(t, byHand, lab.configuration())
					lab.hasSettings(first)
				},
				Config: config(second), ConfigStateChecks: shown(second),
			},
			{
				PreConfig: func() {
					lab.hasSettings(second)
					lab.changeJoinsByHand(first)
				},
				Config: config(second),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(hardeningAddress, plancheck.ResourceActionUpdate),
					plancheck.ExpectUnknownValue(hardeningAddress, at("nodes", name+"-control-plane")),
				}},
			},
			{
				PreConfig:        func() { lab.hasSettings(second) },
				Config:           config(second),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			},
		},
	})
}

// declare writes the settings that have a value, in HCL.
func declare(pick func(trial) settings.Value) string {
	groups := map[string][]string{}
	for _, setting := range tried() {
		value := pick(trials[setting.Name])
		if value == nil {
			continue
		}
		text := strconv.Quote(value.String())
		switch {
		case setting.Form.List():
			quoted := make([]string, len(value))
			for i := range value {
				quoted[i] = strconv.Quote(value[i])
			}
			text = "[" + strings.Join(quoted, ", ") + "]"
		case setting.Form == settings.Switch || setting.Form == settings.Number:
			text = value.String()
		}
		groups[setting.Group()] = append(groups[setting.Group()], fmt.Sprintf("    %s = %s\n", setting.Attribute(), text))
	}
	var body strings.Builder
	for group, lines := range groups {
		fmt.Fprintf(&body, "  %s = {\n%s  }\n", group, strings.Join(lines, ""))
	}
	return body.String()
}

// known is how a value is found in a plan or in state.
func known(setting settings.Setting, value settings.Value) knownvalue.Check {
	switch {
	case value == nil:
		return knownvalue.Null()
	case setting.Form.List():
		elements := make([]knownvalue.Check, len(value))
		for i := range value {
			elements[i] = knownvalue.StringExact(value[i])
		}
		return knownvalue.ListExact(elements)
	case setting.Form == settings.Switch:
		return knownvalue.Bool(value[0] == "true")
	case setting.Form == settings.Number:
		number, _ := strconv.ParseInt(value[0], 10, 64)
		return knownvalue.Int64Exact(number)
	}
	return knownvalue.StringExact(value[0])
}

// shown expects the values in state.
func shown(pick func(trial) settings.Value) []statecheck.StateCheck {
	var checks []statecheck.StateCheck
	for _, setting := range tried() {
		checks = append(checks, holds(at(setting.Group(), setting.Attribute()), known(setting, pick(trials[setting.Name]))))
	}
	return checks
}

// drifted expects that a plan shows what was done by hand on each attribute, and goes back.
func drifted() []plancheck.PlanCheck {
	var checks []plancheck.PlanCheck
	for _, setting := range tried() {
		s := trials[setting.Name]
		checks = append(checks, changes(at(setting.Group(), setting.Attribute()), known(setting, s.byHand), known(setting, s.first)))
	}
	return checks
}

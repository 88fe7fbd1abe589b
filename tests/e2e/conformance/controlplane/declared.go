package controlplane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// declared makes a check of every setting that is a flag of a component or a field of kubelets' configuration.
func declared() []suite.Check {
	var all []suite.Check
	for _, setting := range settings.Declarable() {
		if setting.Flag != "" || setting.Field != "" {
			all = append(all, ofSetting(setting))
		}
	}
	return all
}

func ofSetting(setting settings.Setting) suite.Check {
	where := fmt.Sprintf("every %s runs with --%s", setting.Component, setting.Flag)
	compare := onControlPlanes
	if setting.Field != "" {
		where = fmt.Sprintf("every kubelet runs with %s", setting.Field)
		compare = onKubelets
	}
	return suite.Check{
		ID:       area + "declared-" + strings.NewReplacer(".", "-", "_", "-").Replace(setting.Name),
		Sentence: where + " as declared",
		Answers:  answered(setting),
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			value := s.Expect.Value(setting.Name)
			if value == nil {
				return suite.Skip("%s isn't declared, and so is as kubeadm leaves it", setting.Name)
			}
			return compare(ctx, s, e, setting, value)
		},
	}
}

// answered are the recommendations that a setting is for, and the statement that its component is in.
func answered(setting settings.Setting) []string {
	statement := "N1"
	switch {
	case setting.Field != "":
		statement = "C6"
	case setting.Component == settings.APIServer:
		statement = "N2"
	}
	all := []string{statement}
	for _, recommendation := range setting.CIS {
		all = append(all, "CIS "+recommendation)
	}
	return all
}

func onControlPlanes(
	ctx context.Context, s *suite.Subject, e *suite.Evidence, setting settings.Setting, value settings.Value,
) error {
	nodes, err := s.ControlPlanes()
	if err != nil {
		return err
	}
	var problems []error
	for _, node := range nodes {
		flags, err := s.Flags(ctx, node, setting.Component)
		if err != nil {
			return err
		}
		given := flags[setting.Flag]
		e.Note("%s of node %s: --%s=%q", setting.Component, node.Name, setting.Flag, given)
		if err := flagged(setting, given, value); err != nil {
			problems = append(problems, fmt.Errorf("%s of node %s: %w", setting.Component, node.Name, err))
		}
	}
	return errors.Join(problems...)
}

// flagged returns why a flag isn't as declared. What a profile demands of a list, the list has if to fill it in changes nothing.
func flagged(setting settings.Setting, given []string, value settings.Value) error {
	if has := setting.FromFlag(given); !setting.Same(has, setting.Filled(given, value)) {
		return fmt.Errorf("--%s is %q, and %s is declared to be %q", setting.Flag, has, setting.Name, value)
	}
	return nil
}

func onKubelets(
	ctx context.Context, s *suite.Subject, e *suite.Evidence, setting settings.Setting, value settings.Value,
) error {
	var problems []error
	for _, node := range s.Nodes {
		found, err := s.KubeletField(ctx, node, setting.Field)
		if err != nil {
			return err
		}
		e.Note("the kubelet of node %s: %s is %v", node.Name, setting.Field, found)
		if err := configured(setting, found, value); err != nil {
			problems = append(problems, fmt.Errorf("the kubelet of node %s: %w", node.Name, err))
		}
	}
	return errors.Join(problems...)
}

// configured returns why a field isn't as declared. Kubelets leave out of what they show a number that is 0 and a switch that is
// off (Kubernetes v1.37.1, staging/src/k8s.io/kubelet/config/v1beta1/types.go).
func configured(setting settings.Setting, found any, value settings.Value) error {
	data, err := json.Marshal(found)
	if err != nil {
		return err
	}
	has := setting.FromField(data)
	if has == nil {
		has = left(setting.Form)
	}
	if !setting.Same(has, value) {
		return fmt.Errorf("%s is %q, and %s is declared to be %q", setting.Field, has, setting.Name, value)
	}
	return nil
}

// left is what it means that a field isn't shown.
func left(form settings.Form) settings.Value {
	switch form { //nolint:exhaustive // the others have no value of their own to stand for none
	case settings.Number:
		return settings.Value{"0"}
	case settings.Switch:
		return settings.Value{"false"}
	default:
		return nil
	}
}

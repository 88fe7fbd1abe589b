package image

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

func TestASecondRunWaitsForTheSameThingOnlyAndSaysSo(t *testing.T) {
	c := Cache{Dir: t.TempDir()}
	var out strings.Builder
	log := report.NewLog(&out, time.Now)
	unlock, err := c.Lock(t.Context(), log, "root")
	if err != nil {
		t.Fatal(err)
	}
	other, err := c.Lock(t.Context(), log, "go-etcd")
	if err != nil {
		t.Fatal(err)
	}
	other()
	if out.String() != "" {
		t.Errorf("waited for another thing: %s", &out)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Lock(short, log, "root"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(out.String(), "another run is making root: waiting for it") {
		t.Errorf("printed %q", out.String())
	}
	unlock()
	again, err := c.Lock(t.Context(), log, "root")
	if err != nil {
		t.Fatal(err)
	}
	again()
}

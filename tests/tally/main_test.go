package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	onePass = `{"Action":"pass","Package":"p","Test":"TestA"}`
	oneFail = `{"Action":"fail","Package":"p","Test":"TestB"}`
)

func TestTheReportEndsWithOneTruthfulLine(t *testing.T) {
	for name, test := range map[string]struct {
		files    map[string]string
		failed   bool
		lastLine string
		mentions string
	}{
		"all is well": {
			files:    map[string]string{"env.exit": "0 3", "unit.exit": "0 61", "unit.json": onePass},
			lastLine: "1 passed, 0 failed, 0 skipped",
		},
		"a failed test fails the run": {
			files:    map[string]string{"env.exit": "0 3", "unit.exit": "1 61", "unit.json": onePass + oneFail},
			failed:   true,
			lastLine: "1 passed, 1 failed, 0 skipped",
			mentions: "unit: p TestB",
		},
		"a check that fails is one failure, and what was not run for it is named": {
			files:    map[string]string{"env.exit": "1 3"},
			failed:   true,
			lastLine: "0 passed, 1 failed, 0 skipped",
			mentions: "not run",
		},
		"a stage that fails outside its tests is a failure": {
			files:    map[string]string{"env.exit": "0 3", "unit.exit": "2 61", "unit.json": onePass},
			failed:   true,
			lastLine: "1 passed, 1 failed, 0 skipped",
			mentions: "unit: exit code 2",
		},
		"a stage in which no test ran proves nothing": {
			files:    map[string]string{"env.exit": "0 3", "unit.exit": "0 1", "unit.json": ""},
			failed:   true,
			lastLine: "0 passed, 1 failed, 0 skipped",
			mentions: "unit: no test ran",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, content := range test.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}

			var out strings.Builder
			failed, err := report(&out, dir, []string{"env", "unit"})
			if err != nil {
				t.Fatal(err)
			}
			if failed != test.failed {
				t.Errorf("failed is %v, want %v", failed, test.failed)
			}
			if !strings.HasSuffix(out.String(), "\n"+test.lastLine+"\n") || !strings.Contains(out.String(), test.mentions) {
				t.Errorf("want %q and at the end %q in:\n%s", test.mentions, test.lastLine, &out)
			}
		})
	}
}

package main

import (
	"reflect"
	"strings"
	"testing"
)

func TestEveryTestIsCountedOnce(t *testing.T) {
	for name, test := range map[string]struct {
		stream   string
		want     count
		failures []string
	}{
		"passed, failed and skipped tests are told apart": {
			stream: `
				{"Action":"start","Package":"p"}
				{"Action":"run","Package":"p","Test":"TestA"}
				{"Action":"output","Package":"p","Test":"TestA","Output":"fine\n"}
				{"Action":"pass","Package":"p","Test":"TestA"}
				{"Action":"run","Package":"p","Test":"TestB"}
				{"Action":"fail","Package":"p","Test":"TestB"}
				{"Action":"run","Package":"p","Test":"TestC"}
				{"Action":"skip","Package":"p","Test":"TestC"}
				{"Action":"fail","Package":"p"}`,
			want:     count{passed: 1, failed: 1, skipped: 1},
			failures: []string{"p TestB"},
		},
		"a test with subtests counts by these": {
			stream: `
				{"Action":"pass","Package":"p","Test":"TestA/one/deep"}
				{"Action":"pass","Package":"p","Test":"TestA/one"}
				{"Action":"fail","Package":"p","Test":"TestA/two"}
				{"Action":"fail","Package":"p","Test":"TestA"}
				{"Action":"fail","Package":"p"}`,
			want:     count{passed: 1, failed: 1},
			failures: []string{"p TestA/two"},
		},
		"a test that fails after its subtests passed is a failure too": {
			stream: `
				{"Action":"pass","Package":"p","Test":"TestA/one"}
				{"Action":"fail","Package":"p","Test":"TestA"}
				{"Action":"fail","Package":"p"}`,
			want:     count{passed: 1, failed: 1},
			failures: []string{"p TestA"},
		},
		"a package that does not build is one failure": {
			stream: `
				{"Action":"build-output","ImportPath":"p","Output":"undefined: x\n"}
				{"Action":"build-fail","ImportPath":"p"}
				{"Action":"start","Package":"p"}
				{"Action":"fail","Package":"p","FailedBuild":"p"}
				{"Action":"pass","Package":"q","Test":"TestA"}
				{"Action":"pass","Package":"q"}`,
			want:     count{passed: 1, failed: 1},
			failures: []string{"p"},
		},
		"a test cut off in the middle failed": {
			stream: `
				{"Action":"start","Package":"p"}
				{"Action":"run","Package":"p","Test":"TestA"}`,
			want:     count{failed: 1},
			failures: []string{"p TestA"},
		},
		"a package without tests counts for nothing": {
			stream: `{"Action":"start","Package":"p"} {"Action":"skip","Package":"p"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, failures, err := countTests(strings.NewReader(test.stream))
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want || !reflect.DeepEqual(failures, test.failures) {
				t.Errorf("got %+v %q, want %+v %q", got, failures, test.want, test.failures)
			}
		})
	}
}

func TestACutStreamIsAnErrorBesideWhatWasCounted(t *testing.T) {
	got, _, err := countTests(strings.NewReader(`{"Action":"pass","Package":"p","Test":"TestA"}{"Action":"pa`))
	if err == nil || got != (count{passed: 1}) {
		t.Errorf("got %+v and error %v, want one passed and an error", got, err)
	}
}

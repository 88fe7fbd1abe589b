package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/catalogue"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

func TestThePageHasEverySettingWithItsTests(t *testing.T) {
	text := written(t, "settings.md")
	for _, setting := range settings.Table() {
		_, section, found := strings.Cut(text, "\n### "+setting.Name+"\n")
		require.True(t, found, setting.Name)
		section, _, _ = strings.Cut(section, "\n### ")
		require.Contains(t, section, setting.Meaning)
		require.Contains(t, section, "| tests | `Test", setting.Name)
		require.NotContains(t, section, "<no value>")
		if setting.Flag+setting.Field != "" {
			require.Contains(t, section, trial.Name)
			require.Contains(t, section, setting.Flag+setting.Field)
			require.Contains(t, section, "hown", "by behaviour, or why not: %s", setting.Name)
		}
	}
}

func TestThePageHasEveryCheckAndEveryStatement(t *testing.T) {
	text := written(t, "checks.md")
	for _, check := range catalogue.All() {
		_, section, found := strings.Cut(text, "\n## "+check.Area()+"\n")
		require.True(t, found, check.Area())
		section, _, _ = strings.Cut(section, "\n## ")
		require.Contains(t, section, "\n| `"+strings.TrimPrefix(check.ID, check.Area()+"/")+"`", check.ID)
		require.Contains(t, section, cell(check.Sentence), check.ID)
	}
	for _, statement := range suite.Statements() {
		require.Contains(t, text, "\n| "+statement.ID+" | "+statement.Text+" | ")
	}
	require.NotContains(t, text, "<no value>")
}

func TestATextDoesNotBreakItsTable(t *testing.T) {
	require.Equal(t, `a \| b &lt;c>`, cell("a | b\n<c>"))
	require.Equal(t, `a \| 'b'`, code("a | `b`"))
}

func written(t *testing.T, name string) string {
	t.Helper()
	i := slices.IndexFunc(pages, func(p page) bool { return p.name == name })
	var text strings.Builder
	require.NoError(t, pages[i].write(&text))
	return text.String()
}

// A setting without a test has no place in the page, and stops `make generate`.
func TestASettingThatNothingTestsIsRefused(t *testing.T) {
	for _, setting := range []settings.Setting{
		{Name: "etcd.unknown", Form: settings.Switch, Flag: "unknown"}, {Name: "etcd.unknown"},
	} {
		_, err := describe([]settings.Setting{setting})
		require.ErrorContains(t, err, "etcd.unknown")
	}
}

func TestEveryTestThatThePageNamesIsThere(t *testing.T) {
	groups, err := describe(settings.Table())
	require.NoError(t, err)
	functions := map[string][]string{}
	for _, group := range groups {
		for _, setting := range group.Settings {
			for _, test := range setting.Tests {
				if functions[test.Folder] == nil {
					functions[test.Folder] = testsIn(t, test.Folder)
				}
				require.Contains(t, functions[test.Folder], test.Name, "%s of %s", test.Name, setting.Name)
			}
		}
	}
}

// The trial has values for each setting, or it would say nothing of it.
func TestTheTrialTriesEverySettingThatThePageNamesItFor(t *testing.T) {
	tried := keysOf(t, filepath.Join("..", "..", trial.Folder), "trials")
	for _, setting := range settings.Managed() {
		require.Equal(t, setting.Document == "", slices.Contains(tried, setting.Name), setting.Name)
	}
}

func testsIn(t *testing.T, folder string) []string {
	t.Helper()
	var names []string
	for _, file := range parse(t, filepath.Join("..", "..", folder)) {
		for _, declaration := range file.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && function.Recv == nil {
				names = append(names, function.Name.Name)
			}
		}
	}
	return names
}

// keysOf returns the texts that are keys of a map in a package's tests.
func keysOf(t *testing.T, folder, name string) []string {
	t.Helper()
	var keys []string
	for _, file := range parse(t, folder) {
		ast.Inspect(file, func(node ast.Node) bool {
			declared, ok := node.(*ast.ValueSpec)
			if !ok || !slices.ContainsFunc(declared.Names, func(n *ast.Ident) bool { return n.Name == name }) {
				return true
			}
			for _, element := range declared.Values[0].(*ast.CompositeLit).Elts {
				key, err := strconv.Unquote(element.(*ast.KeyValueExpr).Key.(*ast.BasicLit).Value)
				require.NoError(t, err)
				keys = append(keys, key)
			}
			return false
		})
	}
	return keys
}

func parse(t *testing.T, folder string) []*ast.File {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	var files []*ast.File
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), "_test.go") {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(folder, entry.Name()), nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			files = append(files, file)
		}
	}
	return files
}
